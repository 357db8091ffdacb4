# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Answers to words as messages: what a reader finds in them."""

import numpy as np
import pytest
import torch

from gsocc_core import VoxelGrid, VoxelScores
from gsocc_core.inference.found import find_clusters, find_voxels
from gsocc_core.pictures import word_colors
from gsocc_ros.messages import query_messages as messages
from gsocc_ros.messages.markers import CUBE, DELETE_ALL, TEXT
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.messages.query_messages import QUERIES_TOPIC, QUERY_MARKERS_TOPIC, QUERY_OUTPUTS, QUERY_WORDS_TOPIC

#: Turned a quarter to the left, 10 m ahead.
GRID = VoxelGrid(
    (0.0, 0.0, 0.0), (8.0, 4.0, 2.0), (2.0, 1.0, 0.5), ((0, -1, 0, 10), (1, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
)
TAIL = (1_500_000_007, "base_link")


@pytest.fixture
def scores():
    """Two touching voxels of a dog, one of which fits to a cow as well."""
    index = torch.tensor([0, 4, 20, 63])
    values = torch.tensor([[0.75, 0.5, 0.1, 0.0], [0.0, 0.5, 0.2, 0.9]])
    return VoxelScores(index, values, GRID, ("dog", "cow"))


def points(cloud):
    """Read by the fields that the message itself names."""
    kinds = {2: "u1", 7: "<f4"}
    layout = {
        "names": [f.name for f in cloud.fields], "formats": [kinds[f.datatype] for f in cloud.fields],
        "offsets": [f.offset for f in cloud.fields], "itemsize": cloud.point_step,
    }  # fmt: skip
    return np.frombuffer(bytes(cloud.data), np.dtype(layout))


def there_and_back(types, message, kind):
    return types.deserialize_cdr(types.serialize_cdr(message, kind), kind)


@pytest.mark.parametrize("distro", ["jazzy", "humble"])
def test_a_cloud_says_where_how_much_and_which_word(scores, distro):
    host, types = rosbags_host(distro)
    cloud = there_and_back(types, messages.score_cloud(host, find_voxels(scores), *TAIL), "sensor_msgs/msg/PointCloud2")
    found = points(cloud)
    assert (cloud.header.stamp.nanosec, cloud.header.frame_id) == (500_000_007, "base_link")
    assert found["word"].tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(found["score"], [0.75, 0.5, 0.5, 0.9])
    # Voxel (0, 0, 0): the middle is (1, 0.5, 0.25) in the grid. Turned: (-0.5, 1, 0.25).
    np.testing.assert_allclose([found[key][0] for key in "xyz"], [9.5, 1.0, 0.25])
    red, green, blue = word_colors(2)[1]
    assert found["rgb"].copy().view(np.uint32)[3] == red << 16 | green << 8 | blue
    empty = messages.score_cloud(host, find_voxels(scores, 0.95), *TAIL)
    assert (empty.width, len(empty.fields)) == (0, 6)


def test_boxes_have_the_attitude_of_the_grid(scores):
    host, types = rosbags_host()
    found = find_voxels(scores)
    clusters = messages.word_clusters(host, find_clusters(found), GRID)
    dog = there_and_back(types, clusters[0], "gsocc_ros/msg/WordCluster")
    assert (dog.word, dog.voxels, dog.mean_score, dog.best_score) == (0, 2, 0.625, 0.75)
    assert (dog.size.x, dog.size.y, dog.size.z) == (2.0, 2.0, 0.5)
    assert (dog.center.position.x, dog.center.position.y, dog.center.position.z) == (9.0, 1.0, 0.25)
    assert (dog.center.orientation.z, dog.center.orientation.w) == pytest.approx((0.5**0.5, 0.5**0.5))
    assert [(c.word, c.voxels) for c in clusters[1:]] == [(1, 1), (1, 1)]


def test_markers_are_a_box_and_a_text_per_cluster_after_those_before_are_gone(scores):
    host, types = rosbags_host()
    built = messages.query_markers(host, find_voxels(scores), scores.words, *TAIL)
    first, *rest = there_and_back(types, built, "visualization_msgs/msg/MarkerArray").markers
    assert first.action == DELETE_ALL
    assert [m.type for m in rest] == [CUBE, TEXT] * 3
    assert [m.text for m in rest[1::2]] == ["dog 0.62", "cow 0.90", "cow 0.50"]
    assert len({(m.ns, m.id) for m in rest}) == 6
    box, text = rest[:2]
    assert (box.scale.x, box.scale.y, box.scale.z) == (2.0, 2.0, 0.5)
    assert text.pose.position.z > box.pose.position.z + 0.25
    assert 0 < box.color.a < text.color.a == 1.0
    many = VoxelGrid((0.0, 0.0, 0.0), (199.0, 1.0, 1.0), 1.0)
    found = VoxelScores(torch.arange(0, 199, 2), torch.ones(1, 100), many, ("dog",))
    built = messages.query_markers(host, find_voxels(found), found.words, *TAIL)
    assert len(built.markers) == 1 + 2 * messages.MARKED_CLUSTERS


def test_words_have_names_and_colours():
    host, types = rosbags_host()
    built = messages.query_words(host, ("dog", "garden chair"), 0.4, *TAIL)
    table = there_and_back(types, built, QUERY_OUTPUTS[QUERY_WORDS_TOPIC].message_type)
    assert table.words == ["dog", "garden chair"]
    assert table.threshold == pytest.approx(0.4)
    assert tuple(round(255 * getattr(table.colors[1], k)) for k in "rgb") == word_colors(2)[1]


def test_only_wanted_topics_are_built(scores):
    host, types = rosbags_host()
    for topics in ({QUERIES_TOPIC}, {QUERY_MARKERS_TOPIC}, {QUERIES_TOPIC, QUERY_MARKERS_TOPIC}, set()):
        built = dict(messages.standing_messages(host, scores, 0.5, *TAIL, topics))
        assert set(built) == topics
        for topic, message in built.items():
            types.serialize_cdr(message, QUERY_OUTPUTS[topic].message_type)
