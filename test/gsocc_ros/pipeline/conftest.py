# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a rig sends."""

import pytest

from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline

from .played import NUSCENES, Recorder


@pytest.fixture(scope="module")
def sent_drive(robot):
    """What six cameras send in a second."""
    topics = {item.topic for item in OccupancyPipeline(NUSCENES, Recorder()).subscriptions}
    return [event for event in robot(NUSCENES, cycles=10).events() if event.topic in topics]
