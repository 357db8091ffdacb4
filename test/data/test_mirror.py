# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The world in a mirror."""

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gsocc_core import VoxelGrid
from gsocc_core.data.mirror import COLUMNS, VOXELS, check_mirror, comes_mirrored, mirrored
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.frames import Targets

from ..methods.tiny_frames import GRID, frames  # noqa: TID252 - tests are no package


def same(a, b):
    for field in fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if is_dataclass(x):
            same(x, y)
        elif isinstance(x, torch.Tensor):
            assert torch.allclose(x.double(), y.double(), atol=1e-5), field.name
        else:
            assert x == y, field.name


def pose(draw):
    angles, place = draw.uniform(-180, 180, 3), draw.uniform(-3, 3, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    matrix[:3, 3] = place
    return torch.from_numpy(matrix)


@given(st.integers(0, 10_000), st.sampled_from(["none", "pinhole", "fisheye"]))
def test_points_appear_in_the_mirrored_column_of_the_same_row(seed, lens):
    draw = np.random.default_rng(seed)
    intrinsics = torch.tensor([[90.0, 0.5, 70.0], [0.0, 95.0, 40.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    distortion = {
        "none": None,
        "pinhole": torch.tensor([[-0.2, 0.05, 0.01, -0.02, 0.001]], dtype=torch.float64),
        "fisheye": torch.tensor([[0.02, -0.01, 0.003, 0.0]], dtype=torch.float64),
    }[lens]
    model = "fisheye" if lens == "fisheye" else "pinhole"
    cameras = Cameras(intrinsics[None], pose(draw)[None], 160, 90, model, distortion, pose(draw)[None])
    item = frames(b=1, v=1)
    item = replace(item, cameras=cameras.map(lambda t: t[None, None]))
    seen = mirrored(item).cameras.map(lambda t: t[0, 0])
    assert torch.linalg.det(seen.T_ego_cam[..., :3, :3]).allclose(torch.ones(1, dtype=torch.float64))
    points = torch.from_numpy(draw.uniform(-15, 15, (200, 3)))
    uv, depth_m, valid = cameras.project(points)
    other, other_m, other_valid = seen.project(points * torch.tensor([1.0, -1.0, 1.0]))
    assert torch.equal(valid, other_valid)
    assert torch.allclose(depth_m, other_m)
    uv[..., 0] = 160 - uv[..., 0]
    assert torch.allclose(uv[valid], other[valid])


def test_twice_is_the_same_and_everything_takes_part():
    item = frames(b=2, v=3)
    once = mirrored(item)
    same(mirrored(once), item)
    assert torch.equal(once.images, item.images.flip(-1))
    for name in ("view_depth_m", "view_semantics"):
        assert torch.equal(getattr(once.targets, name), getattr(item.targets, name).flip(-1))
    labels = item.targets.labels
    assert torch.equal(once.targets.labels, labels.flip(2))
    index, inside = GRID.index(torch.tensor([[1.1, 2.3, 0.5], [1.1, -2.3, 0.5]]))
    assert inside.all()
    (ax, ay, az), (bx, by, bz) = index.tolist()
    assert torch.equal(once.targets.labels[:, ax, ay, az], labels[:, bx, by, bz])


def test_no_kind_of_label_is_forgotten():
    neither_left_nor_right = {"view_valid", "view_time_s", "view_travelled_m"}
    assert {f.name for f in fields(Targets)} == {*COLUMNS, *VOXELS, "view_cameras", *neither_left_nor_right}


@pytest.mark.parametrize(
    "grid",
    [
        VoxelGrid((-4.0, -4.0, 0.0), (4.0, 5.0, 1.0), 1.0),
        VoxelGrid((-4.0, -4.0, 0.0), (4.0, 4.0, 1.0), 1.0, T_ego_grid=tuple(map(tuple, np.eye(4).tolist()))),
    ],
)
def test_a_grid_that_is_not_its_own_mirror_is_refused(grid):
    with pytest.raises(ConfigError, match="mirror"):
        check_mirror(grid)


def test_the_seed_decides_and_the_share_holds():
    drawn = [comes_mirrored(seed, 0.3) for seed in range(400)]
    assert 80 < sum(drawn) < 160
    assert drawn == [comes_mirrored(seed, 0.3) for seed in range(400)]
    assert not any(comes_mirrored(seed, 0.0) for seed in range(20))


def test_items_with_a_seed_come_mirrored_and_others_as_they_are(tiny_tree):
    args = DataArgs(str(tiny_tree), "v1.0-tiny", views=1, view_size=(9, 16))
    plain = NuScenesOccupancy(args, (18, 32))
    always = NuScenesOccupancy(replace(args, mirror=1.0), (18, 32))
    same(always[0], plain[0])
    same(always[0, 5], mirrored(plain[0, 5]))
    with pytest.raises(ConfigError, match=r"mirror.*0 \.\.\. 1"):
        NuScenesOccupancy(replace(args, mirror=2.0), (18, 32))
