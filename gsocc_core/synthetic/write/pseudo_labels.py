# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth and semantic labels of pictures, in the files that GaussianFlowOcc reads.

The two files of a sample stack the cameras in different orders, and nothing in them says which. A ``cameras.json``
beside them does: a list of camera names in the order of axis 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gsocc_core.synthetic.world.scene import SKY

DEPTH_FOLDER = "metric_3d_nusc"
DEPTH_CAMERAS = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
SEMANTIC_FOLDER = "grounded_sam_nusc"
SEMANTIC_CAMERAS = ("CAM_FRONT", "CAM_FRONT_LEFT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT", "CAM_FRONT_RIGHT")
_MAX_DEPTH_M = 300.0


def write_camera_orders(root: Path) -> None:
    """Write ``cameras.json`` into both label folders.

    Args:
        root: Root of the data tree; the folders are made if they are not there.
    """
    for folder, names in ((DEPTH_FOLDER, DEPTH_CAMERAS), (SEMANTIC_FOLDER, SEMANTIC_CAMERAS)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "cameras.json").write_text(json.dumps(list(names)) + "\n", encoding="utf-8")


def write_pseudo_labels(
    root: Path, scene_name: str, token: str, depth_m: Mapping[str, np.ndarray], class_ids: Mapping[str, np.ndarray]
) -> None:
    """Write the labels of one key frame: ``metric_3d_nusc`` (6, H, W) float16 and ``grounded_sam_nusc`` (6, H, W) int8.

    Args:
        root: Root of the data tree.
        scene_name: Folder inside the label folders.
        token: Sample token, the file's name.
        depth_m: (H, W) depth along the optical axis per camera name, metres, 0 = sky; written clamped to 300 m.
        class_ids: (H, W) uint8 Occ3D ids per camera name, 255 = sky; ``others`` (0) and sky are written as 0 = none.
    """
    depth = np.stack([np.clip(depth_m[name], 0.0, _MAX_DEPTH_M).astype(np.float16) for name in DEPTH_CAMERAS])
    classes = np.stack([class_ids[name] for name in SEMANTIC_CAMERAS])
    for folder, array in ((DEPTH_FOLDER, depth), (SEMANTIC_FOLDER, np.where(classes == SKY, 0, classes))):
        (root / folder / scene_name).mkdir(parents=True, exist_ok=True)
        np.save(root / folder / scene_name / f"{token}.npy", array if folder == DEPTH_FOLDER else array.astype(np.int8))
