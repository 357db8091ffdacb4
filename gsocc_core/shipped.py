# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rigs, bundles and configurations that come with the code: beside it in a checkout, inside gsocc_ros in a wheel."""

from __future__ import annotations

from pathlib import Path


def shipped(relative: str) -> Path | None:
    """A file or folder that comes with the code.

    Args:
        relative: For instance ``config/rigs/nuscenes.yaml``.

    Returns:
        Where it is; None = nowhere.

    Example:
        >>> shipped("config/rigs/nuscenes.yaml").name, shipped("config/rigs/boat.yaml")
        ('nuscenes.yaml', None)
    """
    packages = Path(__file__).resolve().parents[1]
    places = (packages / relative, packages / "gsocc_ros" / "share" / relative)
    return next((place for place in places if place.exists()), None)


def by_name(path: str | Path, folder: str, ending: str = "") -> Path:
    """What a path means: itself, or what is shipped under that name where nothing lies at it.

    Args:
        path: A path, or the bare name of something shipped.
        folder: Where such things lie, for instance ``config/rigs``.
        ending: Of their files.

    Example:
        >>> by_name("nuscenes", "config/rigs", ".yaml").parts[-2:], by_name("boat", "config/rigs", ".yaml")
        (('rigs', 'nuscenes.yaml'), PosixPath('boat'))
    """
    path = Path(path)
    if path.exists() or path.name != str(path) or path.suffix:
        return path
    return shipped(f"{folder}/{path.name}{ending}") or path
