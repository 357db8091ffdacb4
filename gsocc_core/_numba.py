# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Imports numba, also beside a coverage with which ``import numba`` fails.

numba derives a class from ``coverage.types.Tracer`` wherever coverage can be imported; coverage has it from 7.6.1 on.
Distributions install older ones (Ubuntu's and Debian's python3-coverage), and a virtual environment with
``--system-site-packages``, as ROS needs it, sees them. numba can do without.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType


def hide_old_coverage() -> str | None:
    """Import numba with coverage hidden, if the coverage here is too old for it.

    Returns:
        Version of the coverage that was hidden, or None.
    """
    if "numba" in sys.modules or importlib.util.find_spec("coverage") is None:
        return None
    try:
        types = importlib.import_module("coverage.types")
    except ImportError:
        types = ModuleType("coverage.types")
    if hasattr(types, "Tracer"):
        return None
    before = sys.modules.get("coverage")
    sys.modules["coverage"] = None  # type: ignore[assignment]  # so that importing it is an ImportError
    try:
        importlib.import_module("numba")
    finally:
        del sys.modules["coverage"]
        if before is not None:
            sys.modules["coverage"] = before
    return str(getattr(before, "__version__", "of an unknown version"))


#: Version of the coverage that numba does not see because it is too old, or None.
HIDDEN_COVERAGE = hide_old_coverage()
