# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Annotated boxes of a key frame in its ego frame, with their classes and true velocities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gsocc_core.geometry.boxes import Boxes
from gsocc_core.geometry.classes import OCC3D_NUSCENES, ClassTable
from gsocc_core.geometry.rigid import rigid_from_quat

#: nuScenes categories (or their first words) that have a class of their own in Occ3D-nuScenes.
NUSCENES_BOX_CLASSES: Mapping[str, str] = {
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


def box_class_id(
    category: str, classes: ClassTable, box_classes: Mapping[str, str] = NUSCENES_BOX_CLASSES
) -> int | None:
    """Class id of an annotated box.

    Args:
        category: nuScenes category.
        classes: Class table.
        box_classes: Name of the class by category, or by its first words.

    Returns:
        The id; None = the category has no class of its own.

    Example:
        >>> box_class_id("vehicle.bus.rigid", OCC3D_NUSCENES), box_class_id("animal", OCC3D_NUSCENES)
        (3, None)
    """
    for words, name in box_classes.items():
        if category == words or category.startswith(f"{words}."):
            return classes.names.index(name)
    return None


def read_boxes(
    nusc: Any,
    sample_token: str,
    T_ego_world: np.ndarray,
    classes: ClassTable = OCC3D_NUSCENES,
    box_classes: Mapping[str, str] = NUSCENES_BOX_CLASSES,
) -> Boxes:
    """Boxes of a sample whose category has a class.

    Args:
        nusc: An open nuscenes-devkit data set.
        sample_token: Token of the key frame.
        T_ego_world: (4, 4) float64, world to ego at the reference time.
        classes: Class table.
        box_classes: Name of the class by category, or by its first words.

    Returns:
        The boxes. A velocity is the difference of the neighbouring annotations' positions over their time, as
        nuscenes-devkit's ``box_velocity`` computes it.
    """
    poses, sizes, velocities, ids = [], [], [], []
    for token in nusc.get("sample", sample_token)["anns"]:
        row = nusc.get("sample_annotation", token)
        class_id = box_class_id(row["category_name"], classes, box_classes)
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
