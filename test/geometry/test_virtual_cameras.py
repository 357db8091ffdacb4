# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Virtual cameras: what they see of a grid, and what is left of a real lens."""

import numpy as np
import pytest
import torch

from gsocc_core import Camera, Cameras, VoxelGrid
from gsocc_core.errors import ShapeError
from gsocc_core.geometry.rigid import rigid_from_quat, transform_points
from gsocc_core.geometry.virtual_cameras import ideal_pinholes, top_down_camera, virtual_rig

T_EGO_GRID = tuple(map(tuple, rigid_from_quat([0.7, 0.1, 0.0, 0.7], [1.0, -2.0, 0.5])))
GRIDS = {
    "ego": VoxelGrid((-40.0, -40.0, -1.0), (40.0, 40.0, 5.4), 0.4),
    "ahead": VoxelGrid((0.0, -25.6, -2.0), (51.2, 25.6, 4.4), 0.8),
    "turned": VoxelGrid((-4.0, -8.0, 0.0), (4.0, 8.0, 2.0), 1.0, T_EGO_GRID),
}


@pytest.mark.parametrize("model", ["perspective", "orthographic"])
@pytest.mark.parametrize("name", GRIDS)
def test_from_above_the_upper_face_fills_the_picture_and_every_voxel_is_inside(name, model):
    grid = GRIDS[name]
    camera = top_down_camera(grid, 40, 24, model, torch.empty(0, dtype=torch.float64))
    (x0, y0, _), (x1, y1, z1) = grid.lower, grid.upper
    corners = torch.tensor([[x1, y1, z1], [x1, y0, z1], [x0, y1, z1], [x0, y0, z1]], dtype=torch.float64)
    T = torch.as_tensor(grid.T_ego_grid_matrix)
    uv, depth, _ = camera.project(transform_points(T, corners))
    expected = torch.tensor([[0.0, 0.0], [40.0, 0.0], [0.0, 24.0], [40.0, 24.0]], dtype=torch.float64)
    assert torch.allclose(uv[0], expected, atol=1e-9), "x up, y to the left"
    assert torch.allclose(depth, torch.tensor(x1 - x0, dtype=torch.float64))
    centers = transform_points(T, grid.centers.reshape(-1, 3).double())
    assert bool(camera.project(centers)[2].all())


def test_ideal_pinholes_keep_pose_and_focal_length_and_drop_the_lens():
    torch.manual_seed(0)
    K = torch.tensor([[[30.0, 0.5, 16.0], [0, 31, 9], [0, 0, 1]]])
    T_ego_cam, T_ref_ego = (torch.eye(4)[None].clone() for _ in range(2))
    T_ego_cam[0, :3, 3], T_ref_ego[0, :3, 3] = torch.tensor([1.0, 2, 3]), torch.tensor([0.5, 0, 0])
    cameras = Cameras(K, T_ego_cam, 32, 18, "pinhole", torch.full((1, 5), 0.1), T_ref_ego)
    ideal = ideal_pinholes(cameras)
    assert ideal.distortion is None
    assert torch.equal(ideal.T_ref_cam, cameras.T_ref_cam)
    assert ideal.intrinsics[0].tolist() == [[30, 0, 16], [0, 31, 9], [0, 0, 1]]


def test_fisheye_becomes_a_camera_of_90_degrees():
    cameras = Cameras(torch.eye(3)[None] * 20, torch.eye(4)[None], 32, 18, "fisheye", torch.full((1, 4), 0.01))
    uv, _, _ = ideal_pinholes(cameras).project(torch.tensor([[1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]]))
    assert uv[0, :, 0].tolist() == [32, 0]
    with pytest.raises(ShapeError, match="pinhole or fisheye"):
        ideal_pinholes(top_down_camera(GRIDS["ego"], 4, 4, "orthographic"))
    with pytest.raises(ShapeError, match="perspective"):
        top_down_camera(GRIDS["ego"], 4, 4, "bev")  # type: ignore[arg-type]


def test_a_virtual_rig_gives_real_cameras_one_size():
    T = np.eye(4)
    T[0, 3] = 2.0
    wide = Camera("wide", np.array([[30.0, 0, 16], [0, 30, 9], [0, 0, 1]]), T, 64, 36)
    tall = Camera("tall", np.array([[20.0, 0, 10], [0, 20, 20], [0, 0, 1]]), T, 20, 40, "fisheye", (0.1,), T)
    rig = virtual_rig([wide, tall], 32)
    assert (rig.width, rig.height, rig.model) == (32, 18, "pinhole")
    assert rig.intrinsics[0].tolist() == [[15, 0, 8], [0, 15, 4.5], [0, 0, 1]]
    assert rig.T_ref_cam[:, 0, 3].tolist() == [2, 4]
    with pytest.raises(ShapeError, match="at least one"):
        virtual_rig([], 32)
