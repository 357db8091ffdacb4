# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rig files: numbers come back bit for bit, and every mistake is named with file and key."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gsocc_core import Camera
from gsocc_core.errors import ConfigError, OutputExistsError
from gsocc_core.geometry.cameras import COEFFICIENTS
from gsocc_core.rigs.rig_file import CameraRig, looking
from gsocc_ros.pipeline.rig import Rig

NUMBER = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda v: v == 0 or abs(v) > 1e-30)
POSITIVE = st.floats(1e-3, 1e5)
EXAMPLE = Path(__file__).parents[2] / "config" / "rigs" / "example_calibrated.yaml"


@st.composite
def cameras(draw, name):
    model = draw(st.sampled_from(["pinhole", "fisheye"]))
    fx, fy, skew, cx, cy = draw(POSITIVE), draw(POSITIVE), draw(st.sampled_from([0.0, 1.5])), draw(NUMBER), draw(NUMBER)
    T = np.eye(4)
    T[:3, :3] = Rotation.from_rotvec([draw(st.floats(-3, 3)) for _ in range(3)]).as_matrix()
    T[:3, 3] = [draw(NUMBER) for _ in range(3)]
    count = draw(st.sampled_from(COEFFICIENTS[model]))
    distortion = tuple(draw(NUMBER) for _ in range(count)) or None
    K = np.array([[fx, skew, cx], [0, fy, cy], [0, 0, 1]])
    return Camera(name, K, T, draw(st.integers(1, 10**5)), draw(st.integers(1, 10**5)), model, distortion)


@st.composite
def rigs(draw):
    names = draw(st.lists(st.text("abcXYZ_09é ", min_size=1), min_size=1, max_size=4, unique=True))
    offsets = tuple(draw(st.none() | st.floats(-500, 500)) for _ in names)
    made = tuple(draw(cameras(name)) for name in names)
    return CameraRig(made, offsets, draw(st.sampled_from(names)), "base", draw(st.floats(0.1, 1e3)))


@settings(max_examples=60, deadline=None)
@given(rigs())
def test_a_rig_comes_back_bit_for_bit(rig):
    with tempfile.TemporaryDirectory() as folder:
        rig.save(Path(folder) / "rig.yaml", "a comment\nof two lines")
        read = CameraRig.load(Path(folder) / "rig.yaml")
    kept = ("names", "trigger_offsets_ms", "anchor", "base_frame", "tolerance_ms")
    assert all(getattr(read, key) == getattr(rig, key) for key in kept)
    for a, b in zip(rig.cameras, read.cameras):
        assert (a.name, a.width, a.height, a.model, a.distortion) == (b.name, b.width, b.height, b.model, b.distortion)
        assert np.array_equal(a.intrinsics, b.intrinsics)
        assert np.array_equal(a.T_ego_cam, b.T_ego_cam)


def test_the_example_says_one_pose_in_three_ways():
    rig = {camera.name: camera for camera in CameraRig.load(EXAMPLE).cameras}
    assert rig["front"].T_ego_cam[:3, 2].tolist() == [1, 0, 0]
    assert np.allclose(rig["rear"].T_ego_cam[:3, :3], [[0, 0, -1], [1, 0, 0], [0, -1, 0]])
    down = rig["left"].T_ego_cam[:3, 2]
    assert np.allclose(down, [0, np.cos(np.radians(35)), -np.sin(np.radians(35))])


def test_the_node_reads_the_same_file_and_takes_what_is_its_own():
    robot, library = Rig.load(EXAMPLE), CameraRig.load(EXAMPLE)
    assert tuple(camera.name for camera in robot.cameras) == library.names
    assert robot.anchor == library.anchor
    assert robot.cameras[2].transport == "raw"


def test_angles_turn_as_rep_103_says():
    assert np.allclose(looking((0, 0, 1), (0, 20, 0))[:3, 2], [np.cos(np.radians(20)), 0, -np.sin(np.radians(20))])
    rolled = looking((0, 0, 1), (0, 0, 90))  # clockwise from behind: the picture's right side points down
    assert np.allclose(rolled[:3, 0], [0, 0, -1])


GOOD = {"width": 100, "height": 50, "intrinsics": [80, 80, 50, 25], "T_ego_cam": np.eye(4).tolist()}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"width": 0}, "cameras.a.width"),
        ({"width": 10.5}, "cameras.a.width"),
        ({"height": None}, "cameras.a.height"),
        ({"model": "omni"}, "cameras.a.model"),
        ({"model": "orthographic"}, "cameras.a.model"),
        ({"intrinsics": [80, 80, 50]}, "cameras.a.intrinsics"),
        ({"intrinsics": [0, 80, 50, 25]}, "cameras.a.intrinsics"),
        ({"intrinsics": [[80, 0, 50], [0, 80, 25], [0, 0, 2]]}, "cameras.a.intrinsics"),
        ({"intrinsics": "80 80 50 25"}, "cameras.a.intrinsics"),
        ({"distortion": [0.1, 0.1]}, "cameras.a.distortion"),
        ({"distortion": [0.1, 0.1, 0, "x"]}, "cameras.a.distortion"),
        ({"T_ego_cam": [[1, 0, 0, 0]] * 3}, "cameras.a.T_ego_cam"),
        ({"T_ego_cam": [[1, 0, 0, 0]] * 4}, "cameras.a.T_ego_cam"),
        ({"position_m": [0, 0, 1]}, "cameras.a.position_m"),
        ({"T_ego_cam": ..., "position_m": [0, 0, 1]}, "cameras.a.yaw_pitch_roll_deg"),
        ({"T_ego_cam": ..., "position_m": [0, 0, 1], "rotation_wxyz": [0, 0, 0, 0]}, "cameras.a.rotation_wxyz"),
        (
            {"T_ego_cam": ..., "position_m": [0, 0, 1], "rotation_wxyz": [1, 0, 0, 0], "yaw_pitch_roll_deg": [9, 0, 0]},
            "cameras.a.yaw_pitch_roll_deg",
        ),
        ({"T_ego_cam": ...}, "cameras.a.T_ego_cam"),
        ({"exposure": 3}, "cameras.a.exposure"),
        ({"width": ..., "height": ..., "intrinsics": ..., "T_ego_cam": ..., "topic": "/a"}, "cameras.a"),
    ],
)
def test_every_mistake_names_file_and_key(tmp_path, change, key):
    camera = {k: v for k, v in {**GOOD, **change}.items() if v is not ...}
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump({"cameras": {"a": camera}}))
    with pytest.raises(ConfigError) as error:
        CameraRig.load(path)
    assert error.value.key == key
    assert str(path) in str(error.value)


def test_slips_of_the_pen_are_guessed(tmp_path):
    path = tmp_path / "rig.yaml"
    slip = {**{k: v for k, v in GOOD.items() if k != "intrinsics"}, "intrinsic": GOOD["intrinsics"]}
    path.write_text(yaml.safe_dump({"cameras": {"a": slip}}))
    with pytest.raises(ConfigError, match=r"received nothing \(is cameras.a.intrinsic meant\?\)"):
        CameraRig.load(path)
    path.write_text(yaml.safe_dump({"cameras": [GOOD] * 4}))
    with pytest.raises(ConfigError, match=r"cameras: expected a mapping, received \[\{.*\.\.\.$") as error:
        CameraRig.load(path)
    assert len(str(error.value)) < 250
    with pytest.raises(ConfigError, match="expected a rig file, received no such file"):
        CameraRig.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("placed", "anchor"),
    [
        ({"CAM_BACK": (180, 0.0), "CAM_BACK_LEFT": (110, 0.5), "CAM_FRONT": (0.3, 0.0), "CAM_FRONT_LEFT": (55, 0.5)},
         "CAM_FRONT"),
        ({"back": (175, 0.0), "b": (40, 0.0), "c": (-30, 0.0)}, "c"),
        ({"left": (0.2, 0.3), "middle": (0.5, 0.01), "right": (-0.1, -0.3)}, "middle"),
        ({"stereo_right": (0.0, -0.27), "stereo_left": (0.1, 0.27)}, "stereo_left"),
        ({"rear": (180, 0.0)}, "rear"),
    ],
)  # fmt: skip
def test_the_anchor_is_the_camera_that_looks_ahead(placed, anchor):
    """Axes nearest to the ego's x axis, then the middle of the car, then the name; the order does not count."""
    made = [Camera(name, np.eye(3), looking((1.0, y, 1.5), (yaw, 5, 0)), 8, 4) for name, (yaw, y) in placed.items()]
    assert CameraRig.of(made).anchor == CameraRig.of(made[::-1]).anchor == anchor


def test_a_file_is_never_written_over(tmp_path):
    rig = CameraRig.load(EXAMPLE)
    rig.save(tmp_path / "a.yaml")
    with pytest.raises(OutputExistsError):
        rig.save(tmp_path / "a.yaml")
