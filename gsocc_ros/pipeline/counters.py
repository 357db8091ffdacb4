# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What became of a pipeline's sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gsocc_ros.pipeline.synchronizer import CameraCounters


@dataclass(frozen=True)
class PipelineCounters:
    """What happened so far. At any time ``sets = published + superseded + lost + unwanted + waiting``.

    Attributes:
        cameras: The synchroniser's counters per camera.
        sets: Sets that left the synchroniser.
        published: Sets that were predicted and, by a node, published.
        superseded: Sets dropped because a newer one was ready, time jumped or the pipeline was reset.
        lost: Sets dropped because something was wrong with them.
        unwanted: Sets that nobody asked for (a recording's that have no ground truth).
        waiting: Sets that wait for their transforms, depth or turn, and the one in hand.
        incomplete: Sets without a picture of every camera.
        without_reference: Sets that the rig's reference topic gave no stamp for.
        without_ego_motion: Sets predicted as if the robot stood still, because its motion was not known.
        calibration_changes: Changes of a camera's CameraInfo.
        without_depth: Sets of which a picture had no depth map, though its camera has a depth topic that the model
            wants.
        broken_transforms: Transforms that were left out, by topic and transform.
    """

    cameras: Mapping[str, CameraCounters]
    sets: int = 0
    published: int = 0
    superseded: int = 0
    lost: int = 0
    unwanted: int = 0
    waiting: int = 0
    incomplete: int = 0
    without_reference: int = 0
    without_ego_motion: int = 0
    calibration_changes: int = 0
    without_depth: int = 0
    broken_transforms: Mapping[str, int] = field(default_factory=dict)
