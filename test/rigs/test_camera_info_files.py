# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration files of ROS become rigs: sizes, lenses and names are theirs, poses come beside them."""

import numpy as np
import pytest
import yaml

from gsocc_core.commands.cli import main
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.rigs.camera_info_files import read_camera_info_files
from gsocc_core.rigs.rig_file import CameraRig

#: As camera_calibration writes one.
FRONT = """image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [438.783367, 0.000000, 305.593336, 0.000000, 437.302876, 243.738352, 0.000000, 0.000000, 1.000000]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.361976, 0.110510, 0.001014, 0.000505, 0.000000]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
"""
AHEAD = "0,0,1.5,0.5,-0.5,0.5,-0.5"
T_AHEAD = [[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]]


def changed(**more):
    return yaml.safe_dump(yaml.safe_load(FRONT) | more)


def test_one_file_with_one_pose(tmp_path, capsys):
    (tmp_path / "head.yaml").write_text(FRONT)
    words = ["rig", "camera_info", "--calibration", str(tmp_path / "head.yaml"), "--out", str(tmp_path / "rig.yaml")]
    main([*words, "--T_ego_cam0", AHEAD])
    assert "narrow_stereo" in capsys.readouterr().out
    (camera,) = CameraRig.load(tmp_path / "rig.yaml").cameras
    assert (camera.width, camera.height, camera.model) == (640, 480, "pinhole")
    assert camera.distortion == (-0.361976, 0.110510, 0.001014, 0.000505, 0.0)
    np.testing.assert_allclose(camera.intrinsics, [[438.783367, 0, 305.593336], [0, 437.302876, 243.738352], [0, 0, 1]])
    np.testing.assert_allclose(camera.T_ego_cam, T_AHEAD, atol=1e-12)


def test_a_folder_of_them_with_a_file_of_poses(tmp_path):
    folder, poses = tmp_path / "calibrations", tmp_path / "poses.yaml"
    folder.mkdir()
    (folder / "left.yaml").write_text(FRONT)
    (folder / "right.yml").write_text(FRONT)
    numbers = [0.1] * 4 + [0.0]
    lens = {"distortion_model": "equidistant", "distortion_coefficients": {"rows": 1, "cols": 5, "data": numbers}}
    (folder / "back.yaml").write_text(changed(camera_name="rear", **lens))
    ahead = [float(n) for n in AHEAD.split(",")]
    matrix = [float(n) for row in T_AHEAD[:3] for n in row]
    poses.write_text(yaml.safe_dump({"left": ahead, "right": matrix, "rear": ahead}))
    rig = read_camera_info_files(folder, poses)
    assert rig.names == ("rear", "left", "right")  # two have one name: they are called like their files
    assert (rig.cameras[0].model, rig.cameras[0].distortion) == ("fisheye", (0.1,) * 4)
    for camera in rig.cameras:
        np.testing.assert_allclose(camera.T_ego_cam, T_AHEAD, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image_width": 0}, "image_width, image_height: expected the size of the pictures"),
        ({"camera_matrix": {"data": [1, 2]}}, "camera_matrix: expected 9 numbers as"),
        ({"camera_matrix": {"data": [0] * 9}}, "camera_matrix: expected positive focal lengths"),
        ({"distortion_model": "thin_prism"}, "distortion_model: expected one of plumb_bob"),
        ({"distortion_coefficients": None}, "distortion_coefficients: expected numbers as"),
        ({"distortion_coefficients": {"data": [0.1] * 3}}, "distortion_coefficients: expected 4, 5, 8 coefficients"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, change, told):
    (tmp_path / "head.yaml").write_text(changed(**change))
    with pytest.raises(DataError, match=rf"head\.yaml: {told}"):
        read_camera_info_files(tmp_path / "head.yaml", T_ego_cam0=np.eye(4))


def test_poses_are_needed_and_have_to_fit(tmp_path):
    (tmp_path / "head.yaml").write_text(FRONT)
    poses = tmp_path / "poses"
    for content, told in (
        (None, "extrinsic to base_link: expected --T_ego_cam0, .*, or --poses FILE: .* for narrow_stereo"),
        ("{front: [0, 0, 1, 1, 0, 0, 0]}", "cameras: expected narrow_stereo, received front"),
        ("{narrow_stereo: [0, 0, 1]}", "narrow_stereo: expected x,y,z,qw,qx,qy,qz"),
        ("{narrow_stereo: up}", "narrow_stereo: expected a list of 7, 12 or 16 numbers, received 'up'"),
    ):
        poses.write_text(content or "")
        with pytest.raises(ConfigError, match=told):
            read_camera_info_files(tmp_path / "head.yaml", poses if content else None)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"none: folder: expected camera_info files"):
        read_camera_info_files(tmp_path / "none")
