# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic rooms in the layout of prepared ScanNet scenes: colour, depth, poses, and labels by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gsocc_core.data.scannet import LABEL_TABLE, SCANNET8, write_label_table
from gsocc_core.errors import ConfigError
from gsocc_core.synthetic.render.camera import render_camera
from gsocc_core.synthetic.world.furniture import NAMES
from gsocc_core.synthetic.world.rooms import build_room
from gsocc_core.synthetic.world.scene import SKY
from gsocc_core.synthetic.write.nuscenes_tree import Tables
from gsocc_core.synthetic.write.write_drive import DriveOptions, scene_name, scene_seed

#: Focal length as a share of the picture's longer side: 61 to 72 degrees.
_FOCAL = (0.69, 0.85)


def room_frame_count(options: DriveOptions) -> int:
    """Frames of a room.

    Raises:
        ConfigError: their number or the pictures' size makes no sense.
    """
    if not 1 <= options.frames <= 10_000:
        raise ConfigError("synthesize", "frames", "1 ... 10000", options.frames)
    if not all(16 <= side <= 2048 for side in options.picture_size):
        raise ConfigError("synthesize", "picture_size", "height and width of 16 ... 2048 pixels", options.picture_size)
    if options.image_scale != 1.0:
        raise ConfigError("synthesize", "image_scale", "1: picture_size is the size in rooms", options.image_scale)
    return options.frames


def write_room(root: Path, options: DriveOptions, index: int, on_frame: Callable[[], object]) -> Tables:
    """Write all frames of one room.

    Args:
        root: Root of the tree.
        options: What to write.
        index: Number of the room within its seed.
        on_frame: Called once per frame whose files are complete.

    Returns:
        Nothing: this layout has no tables.
    """
    folder, seed = root / scene_name(options.seed, index), scene_seed(options.seed, index)
    room = build_room(seed)
    height, width = options.picture_size
    rng = np.random.default_rng([seed, 300])
    focal = max(options.picture_size) * rng.uniform(*_FOCAL)
    center = np.array([width, height]) * (0.5 + rng.uniform(-0.01, 0.01, 2))
    K = np.array([[focal, 0.0, center[0]], [0.0, focal, center[1]], [0.0, 0.0, 1.0]])
    for name in ("color", "depth", "pose", "labels"):
        (folder / name).mkdir(parents=True)
    for number, share in enumerate(np.linspace(0.0, 1.0, options.frames)):
        pose, name = room.T_world_cam(float(share)), f"{number:06d}"
        view = render_camera(room.scene, 0.0, K, pose, width, height)
        Image.fromarray(view.rgb).save(folder / "color" / f"{name}.png")
        millimetres = np.clip(np.round(view.depth_m.astype(np.float64) * 1000), 0, 2**16 - 1)
        Image.fromarray(millimetres.astype(np.uint16)).save(folder / "depth" / f"{name}.png")
        ids = np.where(view.name_ids == SKY, 0, view.name_ids.astype(np.int32) + 1).astype(np.uint8)
        Image.fromarray(ids).save(folder / "labels" / f"{name}.png")
        np.savez(folder / "pose" / f"{name}.npz", camera_intrinsics=K, camera_pose=pose)
        on_frame()
    return {}


def write_rooms_shared(root: Path, splits: Mapping[str, Sequence[str]]) -> None:
    """Write what all rooms share: what the ids of label pictures mean, and ``splits.json``.

    Args:
        root: Root of the tree.
        splits: Rooms per split.
    """
    rows = [(i + 1, name, SCANNET8.names[c]) for i, (name, c) in enumerate(zip(NAMES.names, NAMES.class_ids))]
    write_label_table(root / LABEL_TABLE, rows)
    text = json.dumps({name: list(rooms) for name, rooms in splits.items()}, indent=1)
    (root / "splits.json").write_text(text + "\n", encoding="utf-8")
