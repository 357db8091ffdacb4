# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Files that are installed beside the code: message definitions, configurations, bundles."""

from __future__ import annotations

import os
from pathlib import Path

from gsocc_core.errors import DataError


def share_folders() -> list[Path]:
    """Folders that may hold them: the source tree, the Python package, every ROS workspace that is sourced."""
    here = Path(__file__).resolve().parent
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return [here.parent, here / "share", *(Path(prefix) / "share" / "gsocc_ros" for prefix in prefixes if prefix)]


def find_share_file(relative: str) -> Path:
    """A file that is installed beside the code.

    Args:
        relative: For instance ``msg/SemanticOccupancy.msg``.

    Returns:
        Its path.

    Raises:
        DataError: it is in none of the places.

    Example:
        >>> find_share_file("msg/SemanticOccupancy.msg").name
        'SemanticOccupancy.msg'
    """
    places = share_folders()
    for place in places:
        if (place / relative).is_file():
            return place / relative
    raise DataError("gsocc_ros", relative, f"a file in one of {[str(p) for p in places]}", "no such file")
