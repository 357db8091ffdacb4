# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Labels of points and voxels, detections and cut-out times in recordings, against the files and the devkit."""

import json
import shutil

import numpy as np
import pytest

from gsocc_core.data.surroundocc import SURROUNDOCC_NUSCENES, read_surroundocc
from gsocc_core.errors import ConfigError, DataError
from gsocc_ros.bags.bag_files import open_bag
from gsocc_ros.commands import nuscenes_to_rosbag2_program as main
from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2
from gsocc_ros.messages import occupancy_messages as messages
from gsocc_ros.messages.label_messages import read_point_labels

pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")  # what is read is compared with its reading
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.color_map import get_colormap
from nuscenes.utils.data_classes import LidarSegPointCloud

VERSION, SCENE = "v1.0-labels", "scene-0001"
NAMES = list(get_colormap())


def write_table(root, name, rows):
    (root / VERSION / f"{name}.json").write_text(json.dumps(rows))


def add_boxes(root, samples):
    """One car that drives 5 m between the key frames."""
    write_table(root, "instance", [{"token": "car-1", "category_token": "category-17", "nbr_annotations": 2,
                                    "first_annotation_token": "box-0", "last_annotation_token": "box-1"}])  # fmt: skip
    write_table(root, "attribute", [{"token": "moving", "name": "vehicle.moving", "description": ""}])
    write_table(root, "visibility", [{"token": "1", "level": "v0-40", "description": ""}])
    write_table(root, "sample_annotation", [
        {"token": f"box-{i}", "sample_token": sample, "instance_token": "car-1", "visibility_token": "1",
         "attribute_tokens": ["moving"], "translation": [110.0 + 5 * i, 52.0, 1.0], "size": [1.9, 4.5, 1.6],
         "rotation": [0.8, 0.0, 0.0, 0.6], "prev": "box-0" if i else "", "next": "" if i else "box-1",
         "num_lidar_pts": 3, "num_radar_pts": 0} for i, sample in enumerate(samples)
    ])  # fmt: skip


@pytest.fixture(scope="module")
def tree(tree_writer, tmp_path_factory):
    """A scene of two key frames with nuScenes-lidarseg, SurroundOcc labels and a box."""
    root = tree_writer(tmp_path_factory.mktemp("labels") / "tree", (SCENE,), 2, VERSION)
    rng = np.random.default_rng(0)
    categories = [{"token": f"category-{i}", "name": name, "index": i, "description": ""} for i, name in
                  enumerate(NAMES)]  # fmt: skip
    write_table(root, "category", categories)
    samples = [s["token"] for s in json.loads((root / VERSION / "sample.json").read_text())]
    clouds = [r for r in json.loads((root / VERSION / "sample_data.json").read_text()) if "LIDAR" in r["filename"]]
    (root / "lidarseg" / VERSION).mkdir(parents=True)
    (root / "surround" / "samples").mkdir(parents=True)
    rows = []
    for row in clouds:
        name = f"lidarseg/{VERSION}/{row['token']}_lidarseg.bin"
        rng.integers(0, 32, 30).astype(np.uint8).tofile(root / name)
        rows.append({"token": row["token"], "sample_data_token": row["token"], "filename": name})
        cells = np.unique(rng.integers(0, [200, 200, 16], (500, 3)), axis=0)
        cells = np.column_stack([cells, rng.integers(0, 17, len(cells))])
        np.save(root / "surround" / "samples" / f"{row['filename'].split('/')[-1]}.npy", cells)
    write_table(root, "lidarseg", rows)
    add_boxes(root, samples)
    return root


@pytest.fixture(scope="module")
def recording(tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("bags") / "drive"
    words = ["--scene", SCENE, "--version", VERSION, "--surroundocc", "surround", "--vision_msgs"]
    assert main([str(tree), str(out), *words]) == 0
    return read(out)


def read(path):
    """Messages by topic with their log times."""
    found = {}
    with open_bag(path) as bag:
        for connection, log, raw in bag.messages():
            found.setdefault(connection.topic, []).append((log, bag.decode(connection, log, raw)))
    return found


def columns(cloud):
    kinds = {2: "u1", 4: "<u2", 7: "<f4"}
    layout = {"names": [f.name for f in cloud.fields], "formats": [kinds[f.datatype] for f in cloud.fields]}
    layout |= {"offsets": [f.offset for f in cloud.fields], "itemsize": cloud.point_step}
    return np.frombuffer(bytes(cloud.data), np.dtype(layout))


def lidars(root):
    rows = json.loads((root / VERSION / "sample_data.json").read_text())
    return [row for row in rows if "LIDAR" in row["filename"]]


def test_point_labels_are_those_of_the_devkit(recording, tree):
    nusc = NuScenes(VERSION, str(tree), verbose=False)
    for row, (log, cloud) in zip(lidars(tree), recording["/lidar_top/labels"], strict=True):
        labels = tree / nusc.get("lidarseg", row["token"])["filename"]
        devkit = LidarSegPointCloud(str(tree / row["filename"]), str(labels))
        points = columns(cloud)
        assert points.dtype.names == ("x", "y", "z", "intensity", "ring", "label")
        assert (log, cloud.header.frame_id) == (row["timestamp"] * 1000, "lidar_top")
        np.testing.assert_array_equal(points["label"], devkit.labels)
        np.testing.assert_array_equal(np.stack([points[k] for k in ("x", "y", "z", "intensity")], 1), devkit.points)
    ((_, table),) = recording["/lidar_top/labels/classes"]
    classes = messages.read_class_table(table)
    assert list(classes.names) == [nusc.lidarseg_idx2name_mapping[i] for i in range(32)]
    assert [tuple(c) for c in classes.colors] == [tuple(nusc.colormap[name]) for name in classes.names]


def test_panoptic_labels_carry_instances(tree, tmp_path):
    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    (root / "panoptic" / VERSION).mkdir(parents=True)
    rows, truth = [], []
    for i, row in enumerate(lidars(root)):
        values = np.random.default_rng(i).integers(0, 32 * 1000, 30).astype(np.uint16)
        truth.append(values)
        name = f"panoptic/{VERSION}/{row['token']}_panoptic.npz"
        np.savez_compressed(root / name, data=values)
        rows.append({"token": row["token"], "sample_data_token": row["token"], "filename": name})
    write_table(root, "panoptic", rows)
    nuscenes_to_rosbag2(str(root), str(tmp_path / "bag"), SCENE, VERSION)
    for values, (_, cloud) in zip(truth, read(tmp_path / "bag")["/lidar_top/labels"], strict=True):
        points = columns(cloud)
        np.testing.assert_array_equal(points["label"], values // 1000)
        np.testing.assert_array_equal(points["instance"], values % 1000)


def test_surroundocc_is_beside_occ3d(recording, tree):
    assert len(recording["/occupancy/ground_truth"]) == 2
    ((_, table),) = recording["/occupancy/ground_truth/surroundocc/classes"]
    assert messages.read_class_table(table) == SURROUNDOCC_NUSCENES
    for row, (log, message) in zip(lidars(tree), recording["/occupancy/ground_truth/surroundocc"], strict=True):
        truth = messages.read_occupancy(message, SURROUNDOCC_NUSCENES)
        cells = np.load(tree / "surround" / "samples" / f"{row['filename'].split('/')[-1]}.npy")
        expected = np.zeros((200, 200, 16), np.uint8)
        for x, y, z, label in cells:
            expected[x, y, z] = label or 255
        assert (log, message.header.frame_id) == (row["timestamp"] * 1000, "lidar_top")
        np.testing.assert_array_equal(truth.labels, expected)
        assert (truth.grid.lower, truth.grid.upper) == ((-50.0, -50.0, -5.0), (50.0, 50.0, 3.0))
        assert truth.observed is None
    assert SURROUNDOCC_NUSCENES.names[4] == "car"
    assert SURROUNDOCC_NUSCENES.names[11] == "driveable_surface"


def test_detections_are_the_boxes(recording):
    sent = recording["/annotations/detections"]
    assert len(sent) == 2
    for i, (log, array) in enumerate(sent):
        (item,) = array.detections
        assert (array.header.frame_id, item.id) == ("map", "car-1")
        assert log == recording["/lidar_top"][i][0]
        (result,) = item.results
        assert (result.hypothesis.class_id, result.hypothesis.score) == (NAMES[17], 1.0)
        position, q, size = item.bbox.center.position, item.bbox.center.orientation, item.bbox.size
        assert [position.x, position.y, position.z] == [110.0 + 5 * i, 52.0, 1.0]
        np.testing.assert_allclose([q.w, q.x, q.y, q.z], [0.8, 0, 0, 0.6])
        assert [size.x, size.y, size.z] == [4.5, 1.9, 1.6]
        assert result.pose.pose == item.bbox.center
    assert len(recording["/annotations"]) == 2


def test_only_a_part_of_the_time(tree, recording, tmp_path):
    words = ["--scene", SCENE, "--version", VERSION, "--start", "0.3", "--duration", "10"]
    assert main([str(tree), str(tmp_path / "bag"), *words]) == 0
    part = read(tmp_path / "bag")
    first = min(items[0][0] for items in recording.values()) + 300_000_000
    for topic, items in recording.items():
        latched = topic == "/tf_static" or topic.endswith("/classes")
        if "surroundocc" not in topic and "detections" not in topic:
            kept = [log for log, _ in items if log >= first]
            assert len(kept) == 1 if "camera" in topic or "image" in topic else True
            assert [log for log, _ in part[topic]] == ([min(x[0][0] for x in part.values())] if latched else kept)
    # The velocity at the cut is still that of the whole drive.
    speeds = {log: message.twist.twist.linear.x for log, message in recording["/odom"]}
    assert all(message.twist.twist.linear.x == speeds[log] for log, message in part["/odom"])


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"start_s": -1.0}, "start: expected seconds, not negative"),
        ({"start_s": float("nan")}, "start: expected seconds"),
        ({"duration_s": 0.0}, "duration: expected seconds, more than 0"),
        ({"start_s": 90.0}, r"start, duration: expected within the 0\.\d s of scene-0001, received start 90\.0 s"),
    ],
)
def test_impossible_times_are_named(tree, tmp_path, times, expected):
    with pytest.raises(ConfigError, match=expected):
        nuscenes_to_rosbag2(str(tree), str(tmp_path / "bag"), SCENE, VERSION, **times)
    assert list(tmp_path.iterdir()) == []


def test_damaged_labels_are_named(tree, tmp_path):
    path = tmp_path / "cells.npy"
    for cells, expected in (
        (np.zeros((3, 3), int), "shape: expected"), (np.array([[0, 0, 16, 1]]), "values: expected whole numbers below"),
        (np.array([[0, 0, 1, 17]]), "values"), (np.array([[0, -1, 1, 1]]), "values"),
        (np.array([[0, 0.5, 1, 1]]), "values"),
    ):  # fmt: skip
        np.save(path, cells)
        with pytest.raises(DataError, match=rf"cells\.npy: {expected}"):
            read_surroundocc(path)
    path.write_bytes(b"hello")
    with pytest.raises(DataError, match="content"):
        read_surroundocc(path)
    path.with_suffix(".npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"cells\.npz: content"):
        read_point_labels(path.with_suffix(".npz"))
    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    next((root / "lidarseg" / VERSION).iterdir()).write_bytes(b"123")
    with pytest.raises(DataError, match=r"lidarseg\.bin: length: expected 30 labels, one per point, received 3"):
        nuscenes_to_rosbag2(str(root), str(tmp_path / "bag"), SCENE, VERSION)
    with pytest.raises(DataError, match="elsewhere: surroundocc: expected a folder of SurroundOcc labels"):
        nuscenes_to_rosbag2(str(root), str(tmp_path / "bag"), SCENE, VERSION, surroundocc="elsewhere")


def test_an_empty_file_of_surroundocc_is_free_everywhere(tmp_path):
    np.save(tmp_path / "none.npy", np.zeros((0, 4), np.int64))
    assert not read_surroundocc(tmp_path / "none.npy").any()
