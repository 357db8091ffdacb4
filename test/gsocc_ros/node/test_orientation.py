# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""True labels come out of the node where and when they are true, over real DDS; wrong ones are seen to be wrong."""

import pytest

from .. import true_labels  # noqa: TID252 - tests are no package

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]
pytest.importorskip("rclpy")
from gsocc_ros.bags.bag_files import open_bag, read_messages  # noqa: E402 - after the skip
from gsocc_ros.messages.occupancy_messages import read_class_table, read_occupancy  # noqa: E402
from gsocc_ros.node.live_evaluation import LiveEvaluation  # noqa: E402
from gsocc_ros.pipeline.camera_input import stamp_ns  # noqa: E402

from .watching import Watcher, play  # noqa: E402 - after the skip


@pytest.fixture(scope="module")
def drive(tree_writer, tmp_path_factory):
    """Four key frames: the recording, and the folder of its labels."""
    return true_labels.record(tree_writer, tmp_path_factory.mktemp("world"), frames=4)


def scores(bag, grids):
    """The node's grids, as they came over DDS, against the recording's ground truth."""
    evaluation = LiveEvaluation()
    with open_bag(bag) as recording:
        for _, _, message in read_messages(recording, ["/occupancy/ground_truth/classes"]):
            evaluation.add_table(message)
            classes = read_class_table(message)
        for _, _, message in read_messages(recording, ["/occupancy/ground_truth"]):
            evaluation.add_truth(message, 0.0)
    for grid in grids:
        evaluation.add_prediction(stamp_ns(grid.header), read_occupancy(grid, classes))
    return evaluation.summary()


# That the other wrong answers would be seen, replays of the same drive show.
@pytest.mark.parametrize("answer", ["true", "late"])
def test_orientation_and_time_over_dds(drive, tmp_path, monkeypatch, answer):
    bag, labels = drive
    watcher = Watcher(true_labels.write_bundle(monkeypatch, tmp_path / "bundle", labels, answer))
    try:
        watcher.start()
        play(bag)
        watcher.wait(lambda: len(watcher.grids) >= 2)
    finally:
        watcher.close()
    told = scores(bag, watcher.grids)
    assert not told.startswith("0 sets"), "no grid has the stamp of a ground truth"
    iou = float(told.split("IoU ")[-1].split()[0])
    assert iou == 100.0 if answer == "true" else iou < 20.0, told
