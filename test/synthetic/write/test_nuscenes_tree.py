# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of a drive are what nuscenes-devkit expects: references resolve, chains are complete, boxes move."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gsocc_core.errors import DataError
from gsocc_core.synthetic.sensors.rig import LIDAR_NAME, make_rig
from gsocc_core.synthetic.sensors.schedule import make_schedule
from gsocc_core.synthetic.write.nuscenes_tree import (
    TABLE_NAMES,
    BoxNote,
    DriveRecord,
    map_filename,
    sample_token,
    scene_tables,
    shared_tables,
    token,
    write_tables,
)

VELOCITY = np.array([3.0, -4.0, 0.5])


def pose(position, yaw=0.0):
    T = np.eye(4)
    T[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    T[:3, 3] = position
    return T


def actor(index, category="vehicle.car", attribute="vehicle.moving"):
    return SimpleNamespace(instance_index=index, category=category, attribute=attribute, size_wlh_m=(1.9, 4.5, 1.6))


def record(name="drive-a", actors=None):
    rng = np.random.default_rng(0)
    schedule = make_schedule(rng, 2.0, 1_600_000_000_000_000)
    times = [schedule.time_s(stamp) for stamp in schedule.key_stamps_us]
    actors = [actor(4), actor(9, "movable_object.barrier", None)] if actors is None else actors
    notes = [
        BoxNote(a, k, pose(np.array([50.0, 50, 1]) + (VELOCITY * t if a.attribute else 0), yaw=0.3), 7 + k, 0.5)
        for k, t in enumerate(times)
        for a in actors
        if k > 0 or a.attribute
    ]
    poses = [pose([40 + schedule.time_s(s.stamp_us), 40, 0.2], yaw=2.5) for s in schedule.shots]
    return DriveRecord(name, "by hand", "generator 9", make_rig(rng, 0.1), schedule, poses, notes)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    records = [record("drive-a"), record("drive-b")]
    write_tables(root / "v1.0-hand", map(scene_tables, records), {"train": ["drive-a"], "val": ["drive-b"]})
    (root / "maps").mkdir()
    for r in records:
        Image.fromarray(np.zeros((100, 100), np.uint8)).save(root / map_filename(r.name))
    return root


@pytest.fixture(scope="module")
def nusc(tree):
    return pytest.importorskip("nuscenes").NuScenes("v1.0-hand", str(tree), verbose=False)


def test_every_reference_resolves(tree):
    tables = {name: json.loads((tree / "v1.0-hand" / f"{name}.json").read_text()) for name in TABLE_NAMES}
    tokens = {name: [row["token"] for row in rows] for name, rows in tables.items()}
    for name, keys in tokens.items():
        assert keys, name
        assert len(set(keys)) == len(keys), name
    targets = {
        "first_sample_token": "sample", "last_sample_token": "sample",
        "first_annotation_token": "sample_annotation", "last_annotation_token": "sample_annotation",
    }  # fmt: skip
    for name, rows in tables.items():
        for row in rows:
            for key, value in row.items():
                if key in ("prev", "next"):
                    assert value == "" or value in tokens[name]
                elif key.endswith("_tokens"):
                    assert set(value) <= set(tokens[key.removesuffix("_tokens")])
                elif key.endswith("_token"):
                    assert value in tokens[targets.get(key, key.removesuffix("_token"))], (name, key)


def test_splits_are_written(tree):
    assert json.loads((tree / "v1.0-hand" / "splits.json").read_text()) == {"train": ["drive-a"], "val": ["drive-b"]}


def test_chains_hold_every_row_in_the_order_of_time(nusc):
    for scene in nusc.scene:
        schedule = record(scene["name"]).schedule
        sample, stamps = nusc.get("sample", scene["first_sample_token"]), []
        while True:
            stamps.append(sample["timestamp"])
            assert set(sample["data"]) == {*(c.name for c in record().rig.cameras), LIDAR_NAME}
            if not sample["next"]:
                break
            following = nusc.get("sample", sample["next"])
            assert following["prev"] == sample["token"]
            sample = following
        assert tuple(stamps) == schedule.key_stamps_us
        assert sample["token"] == scene["last_sample_token"]
        assert len(stamps) == scene["nbr_samples"]
        for channel, first in nusc.get("sample", scene["first_sample_token"])["data"].items():
            reading, found = nusc.get("sample_data", first), []
            while True:
                found.append(reading["timestamp"])
                if not reading["next"]:
                    break
                reading = nusc.get("sample_data", reading["next"])
            assert found == [shot.stamp_us for shot in schedule.channel(channel)]
        assert nusc.get("sample_data", sample["data"][LIDAR_NAME])["timestamp"] == sample["timestamp"]


def test_devkit_gives_back_poses_and_calibration(nusc):
    written = record("drive-a")
    for shot, T in zip(written.schedule.shots, written.T_global_ego):
        row = nusc.get("ego_pose", token("sample_data", "drive-a", shot.channel, shot.stamp_us))
        np.testing.assert_allclose(row["translation"], T[:3, 3])
        from pyquaternion import Quaternion

        np.testing.assert_allclose(Quaternion(row["rotation"]).rotation_matrix, T[:3, :3], atol=1e-12)
    sample = nusc.get("sample", sample_token("drive-a", 0))
    for camera in written.rig.cameras:
        reading = nusc.get("sample_data", sample["data"][camera.name])
        calibration = nusc.get("calibrated_sensor", reading["calibrated_sensor_token"])
        np.testing.assert_array_equal(calibration["camera_intrinsic"], camera.intrinsics)
        np.testing.assert_array_equal(calibration["translation"], camera.T_ego_cam[:3, 3])
        assert (reading["width"], reading["height"]) == (camera.width, camera.height)


def test_boxes(nusc):
    assert len(nusc.instance) == 4
    for instance in nusc.instance:
        rows = [a for a in nusc.sample_annotation if a["instance_token"] == instance["token"]]
        assert instance["nbr_annotations"] == len(rows)
        row = nusc.get("sample_annotation", instance["first_annotation_token"])
        moving = nusc.get("category", instance["category_token"])["name"] == "vehicle.car"
        count = 1
        while True:
            velocity = nusc.box_velocity(row["token"])
            np.testing.assert_allclose(velocity, VELOCITY if moving else np.zeros(3), atol=1e-5)
            assert [nusc.get("attribute", t)["name"] for t in row["attribute_tokens"]] == ["vehicle.moving"] * moving
            assert nusc.get("visibility", row["visibility_token"])["level"] == "v40-60"
            assert nusc.get_box(row["token"]).wlh.tolist() == [1.9, 4.5, 1.6]
            if not row["next"]:
                break
            row, count = nusc.get("sample_annotation", row["next"]), count + 1
        assert count == len(rows)
        assert row["token"] == instance["last_annotation_token"]


def test_boxes_between_key_frames_are_interpolated(nusc):
    reading = next(r for r in nusc.sample_data if not r["is_key_frame"] and r["channel"] == LIDAR_NAME)
    boxes = nusc.get_boxes(reading["token"])
    assert [box.name for box in boxes if box.name == "vehicle.car"]


def test_generator_version_stands_in_the_tables(tree):
    (log, *_) = json.loads((tree / "v1.0-hand" / "log.json").read_text())
    assert "generator 9" in log["vehicle"]


def test_unknown_category_is_refused():
    with pytest.raises(DataError, match=r"vehicle\.spaceship"):
        scene_tables(record(actors=[actor(0, "vehicle.spaceship")]))


def test_shared_tables_have_nuscenes_sizes():
    assert {name: len(rows) for name, rows in shared_tables().items()} == {
        "sensor": 7, "category": 23, "attribute": 8, "visibility": 4,
    }  # fmt: skip
