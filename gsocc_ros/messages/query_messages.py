# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Answers to words as ROS messages: clouds, boxes, and what the standing queries publish."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from gsocc_core import VoxelGrid, VoxelScores
from gsocc_core.geometry.rigid import rotmat_to_quat
from gsocc_core.inference.found import Cluster, FoundVoxels, find_clusters, find_voxels
from gsocc_core.pictures import word_colors
from gsocc_ros.messages.markers import ADD, CUBE, DELETE_ALL, TEXT, marker
from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.occupancy_messages import pose_from_quat
from gsocc_ros.messages.outputs import Output
from gsocc_ros.messages.sensor_messages import point_cloud

QUERIES_TOPIC = "/occupancy/queries"
QUERY_WORDS_TOPIC = "/occupancy/query_words"
QUERY_MARKERS_TOPIC = "/occupancy/query_markers"
#: What is published about standing queries.
QUERY_OUTPUTS: Mapping[str, Output] = {
    QUERY_WORDS_TOPIC: Output("gsocc_ros/msg/QueryWords", latched=True),
    QUERIES_TOPIC: Output("sensor_msgs/msg/PointCloud2"),
    QUERY_MARKERS_TOPIC: Output("visualization_msgs/msg/MarkerArray"),
}
#: Boxes in a message of markers: the largest. Each costs a viewer, and us, two markers.
MARKED_CLUSTERS = 20
#: Every field is aligned to its size: some readers cast pointers instead of copying.
_SCORE_POINT = np.dtype({
    "names": ["x", "y", "z", "rgb", "score", "word"], "formats": ["<f4", "<f4", "<f4", "<f4", "<f4", "u1"],
    "offsets": [0, 4, 8, 12, 16, 20], "itemsize": 24,
})  # fmt: skip
_ALPHA, _TEXT_M = 0.3, 0.6


def query_words(host: MessageHost, words: Sequence[str], threshold: float, stamp_ns: int, frame_id: str) -> Any:
    """A gsocc_ros/QueryWords."""
    colors = [
        host.make("std_msgs/msg/ColorRGBA", r=r / 255.0, g=g / 255.0, b=b / 255.0, a=1.0)
        for r, g, b in word_colors(len(words))
    ]
    header = host.header(stamp_ns, frame_id)
    return host.make("gsocc_ros/msg/QueryWords", header=header, words=list(words), colors=colors, threshold=threshold)


def score_cloud(host: MessageHost, found: FoundVoxels, stamp_ns: int, frame_id: str) -> Any:
    """Found voxels as a PointCloud2: x, y, z (m), rgb (a colour per word, packed as RViz reads it), score, word."""
    points = np.zeros(len(found.word), _SCORE_POINT)
    points["x"], points["y"], points["z"] = found.centers_m.T
    palette = np.array(word_colors(256), np.uint32)
    red, green, blue = palette[found.word].T
    points["rgb"] = ((red << 16) | (green << 8) | blue).view(np.float32)
    points["score"], points["word"] = found.score, found.word
    return point_cloud(host, points, stamp_ns, frame_id)


def word_clusters(host: MessageHost, clusters: Sequence[Cluster], grid: VoxelGrid) -> list[Any]:
    """One gsocc_ros/WordCluster per cluster.

    Args:
        host: Whose messages.
        clusters: Of one answer.
        grid: Its grid.
    """
    quat = _attitude(grid)
    return [_word_cluster(host, cluster, quat) for cluster in clusters]


def _word_cluster(host: MessageHost, cluster: Cluster, quat_wxyz: list[float]) -> Any:
    x, y, z = cluster.size_m
    return host.make(
        "gsocc_ros/msg/WordCluster",
        word=cluster.word,
        center=pose_from_quat(host, quat_wxyz, cluster.center_m),
        size=host.make("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
        voxels=cluster.voxels,
        mean_score=cluster.mean_score,
        best_score=cluster.best_score,
    )


def query_markers(host: MessageHost, found: FoundVoxels, words: Sequence[str], stamp_ns: int, frame_id: str) -> Any:
    """A visualization_msgs/MarkerArray: a translucent box per cluster, and over it word and mean score.

    The first marker deletes those before; of many clusters, the largest :data:`MARKED_CLUSTERS` are there.

    Args:
        host: Whose message.
        found: Voxels that reach the threshold.
        words: The words.
        stamp_ns: Time that everything refers to.
        frame_id: The ego frame's name.
    """
    header = host.header(stamp_ns, frame_id)
    markers = [marker(host, header, "before", 0, action=DELETE_ALL)]
    colors, quat = word_colors(len(words)), _attitude(found.grid)
    for number, cluster in enumerate(find_clusters(found, MARKED_CLUSTERS)):
        r, g, b = (value / 255.0 for value in colors[cluster.word])
        x, y, z = cluster.center_m
        pose = pose_from_quat(host, quat, (x, y, z))
        size, color = cluster.size_m, (r, g, b, _ALPHA)
        markers.append(marker(host, header, "queries", number, CUBE, pose=pose, size=size, color=color))
        above = pose_from_quat(host, quat, (x, y, z + cluster.size_m[2] / 2 + _TEXT_M))
        text, size = f"{words[cluster.word]} {cluster.mean_score:.2f}", (0.0, 0.0, _TEXT_M)
        markers.append(
            marker(host, header, "query_words", number, TEXT, action=ADD, pose=above, size=size, color=(r, g, b, 1.0),
                   text=text)
        )  # fmt: skip
    return host.make("visualization_msgs/msg/MarkerArray", markers=markers)


def standing_messages(
    host: MessageHost,
    scores: VoxelScores,
    threshold: float,
    stamp_ns: int,
    frame_id: str,
    topics: Collection[str],
) -> Iterator[tuple[str, Any]]:
    """Messages of one answer to standing queries, without the words.

    Args:
        host: Whose messages.
        scores: The answer.
        threshold: Least score of what is published.
        stamp_ns: Time that everything refers to.
        frame_id: The ego frame's name.
        topics: Those of :data:`QUERY_OUTPUTS` that are wanted.

    Yields:
        Topic and message.
    """
    found = find_voxels(scores, threshold)
    if QUERIES_TOPIC in topics:
        yield QUERIES_TOPIC, score_cloud(host, found, stamp_ns, frame_id)
    if QUERY_MARKERS_TOPIC in topics:
        yield QUERY_MARKERS_TOPIC, query_markers(host, found, scores.words, stamp_ns, frame_id)


def _attitude(grid: VoxelGrid) -> list[float]:
    """Quaternion w, x, y, z of the grid's axes in the ego frame."""
    rotation: list[float] = rotmat_to_quat(torch.from_numpy(grid.T_ego_grid_matrix[:3, :3].copy())).tolist()
    return rotation
