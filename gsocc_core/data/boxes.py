# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Annotated boxes of a key frame in its ego frame, with the classes of Occ3D and their true velocities."""

from __future__ import annotations

from typing import Any

import numpy as np

from gsocc_core.geometry.boxes import Boxes
from gsocc_core.geometry.classes import OCC3D_NUSCENES
from gsocc_core.geometry.rigid import rigid_from_quat

#: nuScenes categories (or their first words) that have a class of their own in Occ3D-nuScenes.
_CLASSES = {
    "movable_object.barrier": "barrier",
    "movable_object.trafficcone": "traffic_cone",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
}


def occ3d_class_id(category: str) -> int | None:
    """Occ3D-nuScenes class id of a nuScenes category; None = it has none of its own.

    Example:
        >>> occ3d_class_id("vehicle.bus.rigid"), occ3d_class_id("animal")
        (3, None)
    """
    for words, name in _CLASSES.items():
        if category == words or category.startswith(f"{words}."):
            return OCC3D_NUSCENES.names.index(name)
    return None


def read_boxes(nusc: Any, sample_token: str, T_ego_world: np.ndarray) -> Boxes:
    """Boxes of a sample whose category has an Occ3D class.

    Args:
        nusc: An open nuscenes-devkit data set.
        sample_token: Token of the key frame.
        T_ego_world: (4, 4) float64, world to ego at the reference time.

    Returns:
        The boxes. A velocity is the difference of the neighbouring annotations' positions over their time, as
        nuscenes-devkit's ``box_velocity`` computes it.
    """
    poses, sizes, velocities, ids = [], [], [], []
    for token in nusc.get("sample", sample_token)["anns"]:
        row = nusc.get("sample_annotation", token)
        class_id = occ3d_class_id(row["category_name"])
        if class_id is None:
            continue
        width, length, height = row["size"]
        poses.append(T_ego_world @ rigid_from_quat(row["rotation"], row["translation"]))
        sizes.append((length, width, height))
        velocities.append(T_ego_world[:3, :3] @ np.asarray(nusc.box_velocity(token), np.float64))
        ids.append(class_id)
    return Boxes(
        np.array(poses, np.float64).reshape(-1, 4, 4),
        np.array(sizes, np.float64).reshape(-1, 3),
        np.array(velocities, np.float64).reshape(-1, 3),
        np.array(ids, np.int64),
    )
