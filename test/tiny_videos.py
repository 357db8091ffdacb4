# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""RGB-D videos in both of ScanNet's layouts, written by hand: a camera slides along a wall 2 m ahead."""

from pathlib import Path

import numpy as np
from PIL import Image

FOCAL, WALL_M = 30.0, 2.0
TABLE = "id\traw_category\tnyu40class\n1\twall\twall\n22\toffice chair\tChair\n35\tshelf\tbookshelf\n"


def write_videos(
    root: Path,
    scenes=("scene0000_00", "scene0001_00"),
    frames: int = 9,
    size=(32, 24),
    layout: str = "color",
    step_m: float = 0.1,
    without=(),
    table: bool = True,
) -> Path:
    """A tree; ``without`` leaves out ``camera_intrinsics``, ``camera_pose``, ``depth`` or ``labels``.

    The label pictures show id 22 on the left half and id 1 on the right one, whose lowest row has none.
    """
    rng = np.random.default_rng(0)
    pictures, depths, poses, ending = (
        ("color", "depth", "pose", "png") if layout == "color" else ("images", "depths", "images", "jpg")
    )
    for scene in scenes:
        for name in (pictures, depths, poses, "labels"):
            (root / scene / name).mkdir(parents=True, exist_ok=True)
        for i in range(frames):
            width, height = size
            stem = f"{i:06d}"
            rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(rgb).save(root / scene / pictures / f"{stem}.{ending}")
            K = np.array([[FOCAL, 0, width / 2], [0, FOCAL, height / 2], [0, 0, 1]])
            pose = np.eye(4)
            pose[:3, 3] = (100.0 + step_m * i, 7.0, 0.0)
            arrays = {"camera_intrinsics": K, "camera_pose": pose}
            np.savez(root / scene / poses / f"{stem}.npz", **{k: v for k, v in arrays.items() if k not in without})
            if "depth" not in without:
                metres = np.full((height, width), 1000 * WALL_M, np.uint16)
                Image.fromarray(metres).save(root / scene / depths / f"{stem}.png")
            if "labels" not in without:
                ids = np.full((height, width), 1, np.uint8)
                ids[:, : width // 2], ids[-1, width // 2 :] = 22, 0
                Image.fromarray(ids).save(root / scene / "labels" / f"{stem}.png")
    if table:
        (root / "scannetv2-labels.combined.tsv").write_text(TABLE)
    return root
