# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""One lock around parallel numba kernels: numba's workqueue layer aborts the process when two threads enter it."""

from __future__ import annotations

import threading

#: Hold it while a kernel compiled with ``parallel=True`` runs.
PARALLEL_KERNELS = threading.RLock()
