# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""True labels come out of a replay where and when they are true; mirrored, turned or late ones are seen to be wrong."""

import numpy as np
import pytest

from gsocc_core import OCC3D_NUSCENES
from gsocc_ros.bags.bag_files import open_bag, read_messages
from gsocc_ros.bags.bag_replay import replay_occupancy
from gsocc_ros.pipeline.camera_input import stamp_ns
from gsocc_ros.pipeline.transform_buffer import TransformBuffer

from .. import true_labels  # noqa: TID252 - tests are no package


@pytest.fixture(scope="module")
def drive(tree_writer, tmp_path_factory):
    """Two key frames: the recording, and the folder of its labels."""
    return true_labels.record(tree_writer, tmp_path_factory.mktemp("world"), frames=2)


def replayed(drive, tmp_path, monkeypatch, answer):
    bag, labels = drive
    bundle = true_labels.write_bundle(monkeypatch, tmp_path / "bundle", labels, answer)
    report = replay_occupancy(str(bag), str(tmp_path / "out"), str(bundle), device="cpu", pass_through=False)
    assert (report.sets, report.scored) == (2, 2)
    return report


def test_true_labels_are_true_where_and_when_they_arrive(drive, tmp_path, monkeypatch):
    report = replayed(drive, tmp_path, monkeypatch, "true")
    assert (report.iou, report.miou, report.rayiou) == (1.0, 1.0, 1.0)
    transforms = TransformBuffer(history_ns=1 << 62)
    with open_bag(drive[0]) as recording:
        for topic, _, message in read_messages(recording, ["/tf"]):
            transforms.feed(message, static=False, topic=topic)
    with open_bag(tmp_path / "out") as recording:
        clouds = [message for _, _, message in read_messages(recording, ["/occupancy/voxels"])]
    for cloud in clouds:
        layout = {"names": [f.name for f in cloud.fields], "offsets": [f.offset for f in cloud.fields]}
        kinds = {2: "u1", 7: "<f4"}
        formats = [kinds[f.datatype] for f in cloud.fields]
        points = np.frombuffer(cloud.data, np.dtype({**layout, "formats": formats, "itemsize": cloud.point_step}))
        T = transforms.lookup("map", cloud.header.frame_id, stamp_ns(cloud.header))
        places = np.stack([points[axis] for axis in "xyz"], axis=-1).astype(np.float64) @ T[:3, :3].T + T[:3, 3]
        # float32 metres may fall over the edge of a block
        assert (true_labels.world(places) == points["label"]).mean() > 0.9999
        everything = true_labels.GRID.centers.numpy().astype(np.float64) @ T[:3, :3].T + T[:3, 3]
        assert len(points) == pytest.approx((true_labels.world(everything) != OCC3D_NUSCENES.free_id).sum(), abs=50)


@pytest.mark.parametrize("answer", true_labels.WRONG)
def test_labels_that_are_wrong_in_place_or_time_score_less(drive, tmp_path, monkeypatch, answer):
    report = replayed(drive, tmp_path, monkeypatch, answer)
    assert 0 < report.iou < 0.2, "a fifth of the world is full: by chance a ninth agrees"
    assert report.miou < 0.1
    assert report.rayiou < 0.2
