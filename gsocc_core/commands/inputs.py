# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Where the pictures of a command come from: a data set or own cameras."""

from __future__ import annotations

from typing import Literal

from gsocc_core.errors import ConfigError


def check_inputs(
    where: str,
    dataroot: str | None,
    images: str | None,
    rig: str | None,
    input_depth_dir: str | None,
    input_features_dir: str | None,
    depth_dir: str | None,
) -> Literal["dataroot", "images"]:
    """Which of the two is meant.

    Args:
        where: The command, for errors.
        dataroot: A data set.
        images: Own pictures; they need ``rig``.
        rig: Their calibration.
        input_depth_dir: Depth of a data set.
        input_features_dir: Features of a data set.
        depth_dir: Depth of own pictures.

    Raises:
        ConfigError: it is neither or both, or an option belongs to the other one.
    """
    if (dataroot is None) == (images is None) or (images is None) != (rig is None):
        given = [f"--{k}" for k, v in (("dataroot", dataroot), ("images", images), ("rig", rig)) if v is not None]
        received = " and ".join(given) + (" alone" if len(given) == 1 else "") if given else "neither"
        raise ConfigError(where, "input", "either --dataroot, or --images with --rig", received)
    if images is None:
        if depth_dir is not None:
            raise ConfigError(where, "depth_dir", "--input_depth_dir for the depth of a data set", depth_dir)
        return "dataroot"
    for key, folder in (("input_depth_dir", input_depth_dir), ("input_features_dir", input_features_dir)):
        if folder is not None:
            raise ConfigError(where, key, "a data set; --depth_dir is for the depth of own pictures", folder)
    return "images"
