# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic SSCBench trees: labels lie where the pictures' depth says, seen through the real loader."""

import json

import numpy as np
import pytest
import torch

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.kitti360_index import read_kitti360_calibration
from gsocc_core.data.sscbench_labels import SSCBENCH_GRID
from gsocc_core.errors import ConfigError
from gsocc_core.synthetic.sensors.kitti360_car import make_car, write_calibration
from gsocc_core.synthetic.synthesize import synthesize
from gsocc_core.synthetic.write.kitti360_tree import kitti360_key_frame_count

SIZE = (75, 282)  # height, width at a scale of 0.2
IGNORE = 255


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """One drive of two key frames."""
    path = tmp_path_factory.mktemp("kitti360") / "tree"
    settings = {"seed": 3, "image_scale": 0.2, "duration_s": 0.7, "sweeps": False, "jobs": 1}
    synthesize(path, layout="kitti360", val_scenes=1, **settings)
    return path


@pytest.fixture(scope="module")
def data(out):
    return build_dataset(
        DataArgs(
            str(out), dataset="kitti360", split="val", cameras=("image_00", "image_01"), depth_dir="depth",
            semantics_dir="classes", views=1, view_size=SIZE, max_view_depth_m=100.0,
        ),
        SIZE,
    )  # fmt: skip


def seen(frames):
    """Points of the pictures' depth in the grid's frame, their class, and the depth along the axis."""
    targets = frames.targets
    cameras = targets.view_cameras.map(lambda t: t[0, 0])
    origins, directions = cameras.rays()
    depth = targets.view_depth_m[0, 0]
    used = (depth > 3) & (depth < 45)
    points = (origins + directions * depth[..., None])[used]
    index, inside = SSCBENCH_GRID.index(points)
    return index[inside], targets.view_semantics[0, 0][used][inside], (origins, directions, depth, used)


def test_the_layout(out, data):
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    drive = "synthetic-3-0000"
    for name in (
        "calibration/perspective.txt", "calibration/calib_cam_to_pose.txt", "calibration/calib_cam_to_velo.txt",
        f"data_2d_raw/{drive}/image_00/data_rect/000005.png", f"data_2d_raw/{drive}/image_01/data_rect/000000.png",
        f"data_2d_raw/{drive}/poses.txt", f"data_2d_raw/{drive}/image_00/timestamps.txt",
        f"preprocess/labels/{drive}/000005_1_1.npy", f"depth/{drive}/000005.zip",
    ):  # fmt: skip
        assert name in files
    assert json.loads((out / "splits.json").read_text()) == {"train": [], "val": [drive]}
    assert len((out / "data_2d_raw" / drive / "poses.txt").read_text().splitlines()) == 7
    assert len(data) == 2
    frames = data[1]
    assert frames.images.shape == (1, 1, 2, 3, *SIZE)
    assert frames.T_world_ego[0, 2, 2] > 0.99, "the world's z axis points up"


def test_the_loader_reads_the_cars_calibration(tmp_path):
    car = make_car(0.5)
    write_calibration(tmp_path, car)
    read = read_kitti360_calibration(tmp_path / "calibration")
    for camera in car.cameras:
        found = read.cameras[camera.name]
        assert np.allclose(found.T_ego_cam, camera.T_ego_cam, atol=1e-9)
        assert np.allclose(found.intrinsics, camera.intrinsics)
        assert (found.width, found.height) == (camera.width, camera.height)
    left, right = (read.cameras[name].T_ego_cam for name in ("image_00", "image_01"))
    assert np.linalg.inv(left) @ right[:, 3] == pytest.approx([0.6, 0.0, 0.0, 1.0]), "a stereo pair"
    assert np.allclose(read.T_imu_velo, car.T_imu_velo)
    (P,) = [row.split()[1:] for row in (tmp_path / "calibration" / "perspective.txt").read_text().splitlines()
            if row.startswith("P_rect_01:")]  # fmt: skip
    K = np.reshape(P, (3, 4)).astype(float)
    assert K[:, 3] == pytest.approx(K[:, :3] @ [-0.6, 0.0, 0.0]), "the stereo pair once more"


@pytest.mark.parametrize("index", [0, 1])
def test_what_pictures_show_is_occupied_by_its_class(data, index):
    frames = data[index]
    labels = frames.targets.labels[0]
    cells, classes, _ = seen(frames)
    found = labels[tuple(cells.T)]
    assert len(found) > 10_000
    assert (found == IGNORE).float().mean() < 0.01
    assert (found > 0).float().mean() > 0.97
    named = (found > 0) & (classes > 0) & (classes != IGNORE)
    assert (found == classes)[named].float().mean() > 0.93
    assert {7, 11} <= set(found.unique().tolist()), "road and buildings"


def test_before_surfaces_is_known_free_space(data):
    frames = data[1]
    labels = frames.targets.labels[0]
    _, _, (origins, directions, depth, used) = seen(frames)
    for part, least in ((0.5, 0.97), (0.85, 0.9)):
        index, inside = SSCBENCH_GRID.index((origins + part * directions * depth[..., None])[used])
        found = labels[tuple(index[inside].T)]
        assert (found == 0).float().mean() > least


def test_voxels_project_onto_or_behind_what_the_picture_shows(data):
    frames = data[0]
    cells = (frames.targets.labels[0] != 0) & (frames.targets.labels[0] != IGNORE)
    cameras = frames.targets.view_cameras.map(lambda t: t[0, 0])
    uv, depth, valid = cameras.project(SSCBENCH_GRID.centers[cells])
    shown = frames.targets.view_depth_m[0, 0]
    # Far along the road one pixel spans metres: the nearest and farthest of a pixel and its neighbours bound it.
    far = torch.nn.functional.max_pool2d(torch.where(shown > 0, shown, 300.0), 3, 1, 1)
    near = -torch.nn.functional.max_pool2d(-torch.where(shown > 0, shown, 300.0), 3, 1, 1)
    for view in range(2):
        column, row = uv[view, valid[view]].long().unbind(-1)
        voxel_m = depth[view, valid[view]]
        behind = voxel_m > near[view, row, column] - 0.3
        assert behind.float().mean() > 0.95
        on = behind & (voxel_m < far[view, row, column] + 0.3)
        assert on.float().mean() > 0.4, "many of them are what the picture shows"


def test_hidden_space_has_no_label(data):
    labels = data[0].targets.labels[0]
    hidden = (labels == IGNORE).float().mean()
    assert 0.05 < hidden < 0.9
    assert torch.equal(data[0].targets.mask_camera[0], labels != IGNORE)


def test_impossible_arguments_are_named(tmp_path):
    for wrong, key in (({"layout": "kitti"}, "layout"), ({"image_scale": 9.0}, "image_scale"), ({"duration_s": 0.0},
                       "duration_s")):  # fmt: skip
        with pytest.raises(ConfigError, match=f"{key}: expected"):
            synthesize(tmp_path / "out", **{"layout": "kitti360", **wrong})
    assert list(tmp_path.iterdir()) == []
    assert [kitti360_key_frame_count(s) for s in (0.1, 0.5, 0.6, 20.0)] == [1, 1, 2, 40]
