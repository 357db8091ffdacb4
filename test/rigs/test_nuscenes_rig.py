# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras of a tree in nuScenes layout project as its tables say; the command writes them."""

import json
import shutil

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gsocc_core.commands.cli import main
from gsocc_core.errors import DataError
from gsocc_core.rigs.coverage import project
from gsocc_core.rigs.nuscenes_rig import read_nuscenes
from gsocc_core.rigs.rig_file import CameraRig


def test_projection_and_offsets_are_those_of_the_tables(tiny_tree):
    rig, T_ego_lidar = read_nuscenes(tiny_tree, "v1.0-tiny", "scene-b")
    tables = {
        n: json.loads((tiny_tree / "v1.0-tiny" / f"{n}.json").read_text()) for n in ("calibrated_sensor", "sensor")
    }
    channels = {row["token"]: row["channel"] for row in tables["sensor"]}
    rows = {channels[r["sensor_token"]]: r for r in tables["calibrated_sensor"] if "scene-b" in r["token"]}
    rng = np.random.default_rng(0)
    for camera in rig.cameras:
        row = rows[camera.name]
        q = row["rotation"]
        R = Rotation.from_quat([*q[1:], q[0]]).as_matrix()
        in_camera = np.column_stack([rng.uniform(-0.5, 0.5, (30, 2)), np.ones(30)]) * rng.uniform(1, 30, (30, 1))
        in_ego = in_camera @ R.T + row["translation"]
        y = in_camera @ np.array(row["camera_intrinsic"]).T
        assert np.abs(project(camera, in_ego)[0] - y[:, :2] / y[:, 2:]).max() < 1e-9
    assert T_ego_lidar[2, 3] == 1.8
    assert (rig.names[0], rig.anchor) == ("CAM_FRONT_LEFT", "CAM_FRONT")
    offsets = dict(zip(rig.names, rig.trigger_offsets_ms))
    assert offsets["CAM_FRONT_LEFT"] == 0
    assert offsets["CAM_BACK_LEFT"] == pytest.approx(42.6)


def edited(tree, root, name, edit):
    """A copy of the tables (the pictures are not opened) with one of them changed."""
    root.mkdir()
    shutil.copytree(tree / "v1.0-tiny", root / "v1.0-tiny")
    for folder in ("samples", "maps"):
        (root / folder).symlink_to(tree / folder)
    path = root / "v1.0-tiny" / f"{name}.json"
    path.write_text(json.dumps(edit(json.loads(path.read_text()))))
    return root


def test_a_camera_that_the_first_key_frame_lacks_is_not_lost(tiny_tree, tmp_path):
    def lose(rows):
        return [row for row in rows if row["token"] != "scene-b-0-CAM_BACK"]

    root = edited(tiny_tree, tmp_path / "tree", "sample_data", lose)
    with pytest.raises(DataError, match="sample scene-b-0: expected a key frame of CAM_BACK"):
        read_nuscenes(root, "v1.0-tiny", "scene-b")
    others = tuple(f"CAM_{place}" for place in ("FRONT", "BACK_LEFT"))
    assert read_nuscenes(root, "v1.0-tiny", "scene-b", others)[0].names == others


def test_a_calibration_that_changes_is_refused(tiny_tree, tmp_path):
    def move(rows):
        moved = next(row for row in rows if row["token"] == "cal-scene-b-CAM_BACK")
        return [*rows, {**moved, "token": "moved", "translation": [0.0, 0.0, 1.5]}]

    def use(rows):
        return [
            {**row, "calibrated_sensor_token": "moved"} if row["token"] == "scene-b-2-CAM_BACK" else row for row in rows
        ]

    root = edited(tiny_tree, tmp_path / "tree", "calibrated_sensor", move)
    path = root / "v1.0-tiny" / "sample_data.json"
    path.write_text(json.dumps(use(json.loads(path.read_text()))))
    with pytest.raises(DataError, match="CAM_BACK of scene-b: expected one calibration for the whole drive"):
        read_nuscenes(root, "v1.0-tiny", "scene-b")


def test_the_command_writes_a_file_that_says_where_the_lidar_is(tiny_tree, tmp_path, capsys):
    out = tmp_path / "rig.yaml"
    words = ["--calibration", str(tiny_tree), "--version", "v1.0-tiny", "--out", str(out)]
    main(["rig", "nuscenes", *words, "--cameras", "CAM_BACK,CAM_FRONT"])
    assert (CameraRig.load(out).names, CameraRig.load(out).anchor) == (("CAM_BACK", "CAM_FRONT"), "CAM_FRONT")
    told = capsys.readouterr().out
    assert "--T_ego_lidar 1.5,0,1.8,1,0,0,0" in told
    assert "--T_ego_lidar" in out.read_text()
    with pytest.raises(SystemExit):
        main(["rig", "nuscenes", *words, "--T_ego_imu", "0,0,1,1,0,0,0"])
    assert "leads to the ego frame" in capsys.readouterr().err
    with pytest.raises(DataError, match="no such scene"):
        read_nuscenes(tiny_tree, "v1.0-tiny", "scene-z")


def test_tables_without_a_column_are_named(tree_writer, tmp_path):
    """Links from row to row may be missing; names may not."""
    root = tree_writer(tmp_path / "tree", scenes=("scene-a",), frames=1)
    table = root / "v1.0-tiny" / "scene.json"
    rows = json.loads(table.read_text())
    del rows[0]["name"]
    table.write_text(json.dumps(rows))
    with pytest.raises(DataError, match=r"scene\.json: name: .* received none in row scene-a"):
        read_nuscenes(root, "v1.0-tiny")
