# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the threads of a program share the cores with other programs. Commands and nodes import it first."""

from __future__ import annotations

import os


def share_cores() -> None:
    """Let threads sleep soon where they wait for one another; call it before NumPy, PyTorch or numba is imported.

    By default those of OpenMP (PyTorch) spin for milliseconds, and those of OpenBLAS (NumPy) ask again and again. Where
    other programs want the cores too, as they do on a robot, a waiting thread takes the core that the one it waits for
    needs (``benchmarks/busy_cores.py``). OpenBLAS has no other way to wait, so NumPy's products, which are small here,
    get one thread. OMP_WAIT_POLICY or GOMP_SPINCOUNT, and OPENBLAS_NUM_THREADS, change it.

    Example:
        >>> share_cores()
        >>> os.environ.keys() >= {"OPENBLAS_NUM_THREADS"}
        True
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # rounds; on idle cores as fast as spinning
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


share_cores()
