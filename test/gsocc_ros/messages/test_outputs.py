# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Every output topic gets a message of its declared type, and only what is wanted is built."""

from dataclasses import replace

import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, Cameras, Gaussians, Prediction, SemanticGrid, VoxelField, VoxelGrid
from gsocc_core.errors import ConfigError
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.messages.outputs import (
    CLASSES_TOPIC,
    GAUSSIANS_TOPIC,
    GRID_TOPIC,
    LATENCY_TOPIC,
    OUTPUTS,
    VELOCITIES_TOPIC,
    OutputMessages,
)

GRID = VoxelGrid((-2.0, -2.0, -1.0), (2.0, 2.0, 1.0), 1.0)


def prediction(scene=None, classes=OCC3D_NUSCENES):
    labels = torch.full(GRID.shape, classes.free_id, dtype=torch.uint8)
    labels[0, 0, 0] = 4
    camera = Cameras(torch.eye(3)[None], torch.eye(4)[None], 8, 8)
    gaussians = Gaussians(torch.zeros(1, 3), torch.ones(1, 3), torch.eye(4)[:1], torch.ones(1), torch.rand(1, 18))
    velocity = torch.zeros(*GRID.shape, 3)
    velocity[0, 0, 0] = torch.tensor([3.0, 0.0, 0.0])
    grid = SemanticGrid(labels, GRID, classes, velocity=velocity)
    return Prediction(grid, scene or gaussians, camera, 5, {"network": 1.0})


@pytest.mark.parametrize("distro", ["jazzy", "humble"])
def test_every_topic_serialises_as_its_type(distro):
    host, types = rosbags_host(distro)
    outputs, one = OutputMessages(host, "base_link", "model"), prediction()
    sent = dict(outputs.build(one)) | dict(outputs.latency(one, {"network": 1.0}))
    assert set(sent) == set(OUTPUTS)
    for topic, message in sent.items():
        raw = message
        if not isinstance(message, bytes):
            raw = types.serialize_cdr(message, OUTPUTS[topic].message_type)
        back = types.deserialize_cdr(raw, OUTPUTS[topic].message_type)
        header = back.markers[-1].header if topic == VELOCITIES_TOPIC else back.header
        assert (header.stamp.nanosec, header.frame_id) == (5, "base_link")


def test_the_class_table_comes_once_and_again_when_it_changes():
    host, _ = rosbags_host()
    outputs = OutputMessages(host, "base_link", "model")
    changed = prediction(classes=replace(OCC3D_NUSCENES, dynamic_ids=(4,)))
    sent = [[topic for topic, _ in outputs.build(item)] for item in (prediction(), prediction(), changed)]
    assert [CLASSES_TOPIC in topics for topics in sent] == [True, False, True]


def test_only_wanted_topics_are_built():
    host, _ = rosbags_host()
    outputs = OutputMessages(host, "base_link", "model", [GRID_TOPIC])
    assert [topic for topic, _ in outputs.build(prediction())] == [GRID_TOPIC]
    assert list(outputs.latency(prediction(), {})) == []
    field = VoxelField(torch.zeros(GRID.shape), torch.zeros(*GRID.shape, 2), GRID)
    every = OutputMessages(host, "base_link", "model", set(OUTPUTS) - {LATENCY_TOPIC})
    assert GAUSSIANS_TOPIC not in dict(every.build(prediction(field)))
    with pytest.raises(ConfigError, match="/occupancy/other"):
        OutputMessages(host, "base_link", "model", ["/occupancy/other"])


def test_a_model_without_velocities_says_nothing_about_them():
    host, _ = rosbags_host()
    still = prediction()
    still = replace(still, grid=replace(still.grid, velocity=None))
    assert VELOCITIES_TOPIC not in dict(OutputMessages(host, "base_link", "model").build(still))
