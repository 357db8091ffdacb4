# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic DDAD trees, seen through the real loader: points lie where the pictures' depth says."""

import json

import numpy as np
import pytest
from PIL import Image

from gsocc_core.data.args import DDAD_CAMERAS, DataArgs
from gsocc_core.data.build import build_dataset, protocol_of
from gsocc_core.errors import ConfigError
from gsocc_core.evaluation.lidar_depth import lidar_pixels
from gsocc_core.synthetic.sensors.ddad_car import hits_body, make_ddad_car
from gsocc_core.synthetic.synthesize import synthesize
from gsocc_core.synthetic.world.plain import build_plain
from gsocc_core.synthetic.world.plain_things import PLAIN_WORLD
from gsocc_core.synthetic.write.write_drive import scene_seed

SIZE = (110, 176)
SETTINGS = {"world": "plain", "layout": "ddad", "seed": 3, "duration_s": 0.35, "jobs": 1}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two drives of three samples."""
    path = tmp_path_factory.mktemp("ddad") / "tree"
    synthesize(path, scenes=2, val_scenes=1, **SETTINGS)
    return path


@pytest.fixture(scope="module")
def data(root):
    return build_dataset(
        DataArgs(
            str(root), dataset="ddad", split="val", depth_dir="depth", semantics_dir="classes", views=2,
            view_offsets=(-1, 1), view_size=SIZE, max_view_depth_m=100.0, view_images=True,
        ),
        SIZE,
    )  # fmt: skip


def test_the_layout(root, data):
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    drive, stamp = "synthetic-3-0001", 16_003_010_000_000_000
    for name in (
        "ddad.json", "protocol.yaml", "classes.yaml", f"mask/CAMERA_07/{drive}/mask.png", f"depth/{drive}/{stamp}.zip",
        f"{drive}/rgb/CAMERA_09/{stamp + 1_000_000}.png", f"{drive}/point_cloud/LIDAR/{stamp + 90_000}.npz",
    ):  # fmt: skip
        assert name in files
    splits = json.loads((root / "ddad.json").read_text())["scene_splits"]
    assert [len(splits[number]["filenames"]) for number in "01"] == [1, 1]
    assert len(data) == 3
    assert protocol_of(data.args).classes.names == PLAIN_WORLD.classes.names


def test_the_loader_finds_the_car_where_it_was(data):
    scene, car = build_plain(scene_seed(3, 1), 0.35), make_ddad_car(small=True)
    frame = data.key_frame(1)
    assert frame.T_world_ego == pytest.approx(scene.T_world_ego(0.109), abs=1e-9)
    for shot, camera in zip(frame.shots, car.cameras):
        assert shot.T_world_ego == pytest.approx(scene.T_world_ego(0.1), abs=1e-9)
        assert shot.camera.T_ego_cam == pytest.approx(camera.T_ego_cam, abs=1e-9)
        assert shot.camera.intrinsics == pytest.approx(camera.intrinsics)
    stamps = data[1].camera_stamps_ns[0, 0]
    assert (stamps == frame.stamp_ns - 9_000_000).all()
    assert frame.stamp_ns - data.key_frame(0).stamp_ns == 100_000_000


def test_points_and_pictures_agree(data):
    """Depth of the pictures at the pixels of the LiDAR's points: most lie on the same surface, all cameras see some."""
    frames = data[0]
    depth = frames.targets.view_depth_m[0, 0].numpy()
    for v, points in enumerate(lidar_pixels(frames, data.key_frame(0))):
        seen = depth[v, points.rows, points.columns]
        known = seen > 0
        assert known.sum() > 50, points.camera
        error = np.abs(seen[known] - points.depth_m[known]) / points.depth_m[known]
        assert np.median(error) < 0.05, points.camera


def test_the_own_car_is_masked_and_seen(root, data):
    frames = data[2]
    assert 0.02 < (~frames.usable).float().mean() < 0.5
    for v, camera in enumerate(DDAD_CAMERAS):
        own = np.asarray(Image.open(root / "mask" / camera / "synthetic-3-0001" / "mask.png")) > 0
        assert (frames.usable[0, 0, v].numpy() == ~own).all()
        if own.any():
            assert (frames.images[0, 0, v].numpy()[:, own] == np.array([[34], [37], [44]])).all()
    assert (frames.targets.view_semantics[~frames.targets.view_usable] == 255).all()
    assert (frames.targets.view_semantics != 255).float().mean() > 0.2
    assert frames.targets.view_valid.all()


def test_rays_that_hit_the_body():
    above = np.array([1.0, 0.0, 2.0])
    directions = np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [0.0, 1.0, -0.2], [1.0, 0.0, -0.5], [1.0, 0.0, -0.2]])
    assert hits_body(above, directions).tolist() == [True, False, False, True, False]


def test_the_same_arguments_give_the_same_bytes(root, tmp_path):
    synthesize(tmp_path / "again", scenes=1, **SETTINGS)
    drive = "synthetic-3-0000"
    for path in sorted((tmp_path / "again" / drive).rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (root / drive / path.relative_to(tmp_path / "again" / drive)).read_bytes(), path


def test_arguments_that_make_no_sense(tmp_path):
    for changes, expected in (
        ({"names": True}, "names: expected false: layout ddad has none"),
        ({"duration_s": 0.01}, "duration_s: expected 0.1 to 600 seconds"),
        ({"image_scale": 0.01}, "image_scale: expected a number from 0.2 to 10"),
    ):
        with pytest.raises(ConfigError, match=expected):
            synthesize(tmp_path / "x", **{**SETTINGS, **changes})
    assert not (tmp_path / "x").exists()
