# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Learned Gaussians begin on the surfaces of the training data."""

from dataclasses import replace

import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, VoxelGrid
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.errors import DataError
from gsocc_core.geometry.cameras import Camera, Cameras
from gsocc_core.geometry.frames import FrameSet, Targets
from gsocc_core.training.anchors import surface_means

GRID = VoxelGrid((-8.0, -8.0, -2.0), (8.0, 8.0, 2.0), 0.5)


class Items:
    """A data set that has nothing but targets."""

    def __init__(self, *targets):
        self.targets = targets

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return type("Item", (), {"targets": self.targets[index]})


def labelled(occupied, seen=None):
    labels = torch.full((1, *GRID.shape), OCC3D_NUSCENES.free_id, dtype=torch.uint8)
    labels[0][occupied] = 11
    mask = torch.ones_like(labels, dtype=torch.bool) if seen is None else seen[None]
    return Targets(labels=labels, mask_camera=mask, mask_lidar=mask)


def test_means_lie_in_seen_occupied_voxels_and_spread_over_all_of_them():
    occupied = torch.zeros(GRID.shape, dtype=torch.bool)
    occupied[:, :, 2] = True
    seen = torch.ones(GRID.shape, dtype=torch.bool)
    seen[:16] = False
    means = surface_means(Items(labelled(occupied, seen)), OCC3D_NUSCENES, GRID, 128)
    index, inside = GRID.index(means)
    assert means.shape == (128, 3)
    assert inside.all()
    assert (index[:, 2] == 2).all()
    assert (index[:, 0] >= 16).all()
    # 512 voxels of 0.25 m2 for 128 means: farthest point sampling leaves none closer than a random draw would.
    nearest = torch.cdist(means, means).fill_diagonal_(torch.inf).min(1).values
    assert nearest.min() > 0.45


def test_rare_places_get_their_share():
    """A wall seen in one of sixteen items gets a quarter of the means of a wall seen in all."""
    often, once = (torch.zeros(GRID.shape, dtype=torch.bool) for _ in range(2))
    often[:16, :, 4] = once[16:, :, 4] = True
    items = Items(*[labelled(often)] * 15, labelled(often | once))
    index, _ = GRID.index(surface_means(items, OCC3D_NUSCENES, GRID, 100))
    assert 0.1 < (index[:, 0] >= 16).float().mean() < 0.45


def test_more_means_than_voxels_still_come_from_voxels():
    occupied = torch.zeros(GRID.shape, dtype=torch.bool)
    occupied[3, 4, 5] = True
    means = surface_means(Items(labelled(occupied)), OCC3D_NUSCENES, GRID, 7)
    index, _ = GRID.index(means)
    assert (index == torch.tensor([3, 4, 5])).all()


def test_depth_labels_win_and_are_put_into_space():
    """A camera at the origin that looks along +x sees a wall 5 m away."""
    T = torch.tensor([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], dtype=torch.float64).numpy()
    K = torch.tensor([[20.0, 0, 16], [0, 20, 8], [0, 0, 1]], dtype=torch.float64).numpy()
    camera = Camera("front", intrinsics=K, T_ego_cam=T, width=32, height=16)
    cameras = Cameras.stack([camera]).map(lambda t: t[None, None])
    depth = torch.full((1, 1, 1, 16, 32), 5.25)
    depth[..., :16] = 0.0  # no label
    targets = replace(labelled(torch.ones(GRID.shape, dtype=torch.bool)), view_cameras=cameras, view_depth_m=depth)
    means = surface_means(Items(targets), OCC3D_NUSCENES, GRID, 20)
    assert ((means[:, 0] >= 5.0) & (means[:, 0] <= 5.5)).all()
    assert (means[:, 1] <= 0.0).all()  # the labelled half is the picture's right, which is -y


def test_a_data_set_without_labels_is_a_clear_error():
    with pytest.raises(DataError, match="surface_means"):
        surface_means(Items(Targets()), OCC3D_NUSCENES, GRID, 5)


def test_same_seed_same_means_on_a_tree(tiny_tree):
    args = DataArgs(str(tiny_tree), "v1.0-tiny", occ3d_dir=None, view_size=(8, 22), views=1)
    data = NuScenesOccupancy(args, (16, 44))
    assert isinstance(data[0], FrameSet)
    a, b, other = (surface_means(data, OCC3D_NUSCENES, VoxelGrid.occ3d(), 50, seed=s) for s in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, other)
