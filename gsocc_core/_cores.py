# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the threads of a program share the cores with other programs. Commands and nodes import it first."""

from __future__ import annotations

import os


def share_cores() -> None:
    """Let threads sleep where they wait for one another; call it before NumPy, PyTorch or numba is imported.

    By default those of OpenMP (PyTorch) spin for milliseconds, and those of OpenBLAS (NumPy) ask again and again. Where
    other programs want the cores too, as they do on a robot, a waiting thread takes the core that the one it waits for
    needs (``benchmarks/busy_cores.py``). OpenBLAS has no other way to wait, so NumPy's products, which are small here,
    get one thread. Whoever wants it otherwise sets OMP_WAIT_POLICY and OPENBLAS_NUM_THREADS.

    Example:
        >>> share_cores()
        >>> {"OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS"} <= set(os.environ)
        True
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


share_cores()
