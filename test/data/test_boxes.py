# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes of a synthetic drive, in the ego frame, where its voxel labels say that the things are."""

from itertools import pairwise

import numpy as np
import pytest

from gsocc_core import OCC3D_NUSCENES, VoxelGrid
from gsocc_core.data.boxes import box_class_id
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.synthetic.synthesize import synthesize


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    root = tmp_path_factory.mktemp("drive") / "tree"
    synthesize(
        str(root), scenes=1, seed=5, image_scale=0.08, sweeps=False, duration_s=2.0, version="v1.0-synthetic",
        labels=True, pseudo_labels=False, val_scenes=0, jobs=1,
    )  # fmt: skip
    args = DataArgs(str(root), "v1.0-synthetic", depth_dir=None, semantics_dir=None, views=1, boxes=True)
    return NuScenesOccupancy(args, (32, 64))


def test_boxes_hold_the_voxels_of_their_class(dataset):
    grid = VoxelGrid.occ3d()
    inside = total = 0
    for index in range(len(dataset)):
        labels, boxes = dataset[index].targets.labels[0].numpy(), dataset.key_frame(index).boxes
        cars = np.argwhere(labels == 4)
        found = boxes.index_of(grid.centers.numpy()[tuple(cars.T)].astype(np.float64))
        inside += (boxes.class_ids[found[found >= 0]] == 4).sum()
        total += len(cars)
    assert total > 100
    # Voxels are 0.4 m wide, so centres at the rim of a car lie outside its box.
    assert inside / total > 0.6


def test_velocities_predict_where_a_box_is_next(dataset):
    frames = [dataset.key_frame(i) for i in range(len(dataset))]
    met = moving = 0
    for before, after in pairwise(frames[1:-1]):
        gap_s = (after.stamp_ns - before.stamp_ns) * 1e-9
        world = before.T_world_ego @ before.boxes.T_ego_box
        ahead = world[:, :3, 3] + gap_s * before.boxes.velocities_mps @ before.T_world_ego[:3, :3].T
        later = (after.T_world_ego @ after.boxes.T_ego_box)[:, :3, 3]
        for k, place in enumerate(ahead):
            same = after.boxes.class_ids == before.boxes.class_ids[k]
            if np.isfinite(place).all() and same.any() and np.linalg.norm(before.boxes.velocities_mps[k]) > 2:
                moving += 1
                met += np.linalg.norm(later[same] - place, axis=-1).min() < 1.0
    assert moving > 5
    assert met / moving > 0.8  # the others leave the sensors' sight


def test_categories():
    assert box_class_id("vehicle.construction", OCC3D_NUSCENES) == OCC3D_NUSCENES.names.index("construction_vehicle")
    assert box_class_id("vehicle.emergency.police", OCC3D_NUSCENES) is None
    assert box_class_id("vehicle.carriage", OCC3D_NUSCENES) is None
