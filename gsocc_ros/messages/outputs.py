# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What is published about a prediction: topics, types and messages, the same from the node and from bag replay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gsocc_core import Gaussians, Prediction, SemanticGrid
from gsocc_core.errors import ConfigError
from gsocc_ros.messages.debug_images import debug_builders
from gsocc_ros.messages.marker_bytes import voxel_marker_bytes
from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.navigation import ObstacleRule, cost_map, obstacle_cloud
from gsocc_ros.messages.occupancy_messages import (
    class_table,
    class_table_id,
    gaussian_array,
    occupancy,
    occupied_voxels,
    stage_latency,
    voxel_cloud,
)
from gsocc_ros.messages.velocity_markers import velocity_arrows
from gsocc_ros.pipeline.camera_views import CameraViews

GRID_TOPIC = "/occupancy/grid"
CLASSES_TOPIC = "/occupancy/classes"
VOXELS_TOPIC = "/occupancy/voxels"
MARKERS_TOPIC = "/occupancy/markers"
GAUSSIANS_TOPIC = "/occupancy/gaussians"
VELOCITIES_TOPIC = "/occupancy/velocities"
LATENCY_TOPIC = "/occupancy/latency"
OBSTACLES_TOPIC = "/occupancy/obstacles"
COST_MAP_TOPIC = "/occupancy/cost_map"
DEBUG_CLASSES_TOPIC = "/occupancy/debug/classes"
DEBUG_DEPTH_TOPIC = "/occupancy/debug/depth"
#: Not published but compared with: ground truth as a SemanticOccupancy at the same reference stamps.
GROUND_TRUTH_TOPIC = "/occupancy/ground_truth"
TRUTH_CLASSES_TOPIC = "/occupancy/ground_truth/classes"
#: Ground truth as a cloud to look at; published by the node while it evaluates.
TRUTH_VOXELS_TOPIC = "/occupancy/ground_truth/voxels"


@dataclass(frozen=True)
class Output:
    """A topic that is published.

    Attributes:
        message_type: Its type.
        latched: Late subscribers get the last message (transient local).
    """

    message_type: str
    latched: bool = False


#: Labels and cloud of the map that is fused over time; published by the node on request.
FUSED_GRID_TOPIC = "/occupancy/fused/grid"
FUSED_VOXELS_TOPIC = "/occupancy/fused/voxels"
FUSED_OUTPUTS: Mapping[str, Output] = {
    FUSED_GRID_TOPIC: Output("gsocc_ros/msg/SemanticOccupancy"),
    FUSED_VOXELS_TOPIC: Output("sensor_msgs/msg/PointCloud2"),
}
#: Outputs for people who look for faults; a recording leaves them out unless asked.
DEBUG_TOPICS = frozenset({DEBUG_CLASSES_TOPIC, DEBUG_DEPTH_TOPIC})

OUTPUTS: Mapping[str, Output] = {
    CLASSES_TOPIC: Output("gsocc_ros/msg/SemanticClassTable", latched=True),
    GRID_TOPIC: Output("gsocc_ros/msg/SemanticOccupancy"),
    VOXELS_TOPIC: Output("sensor_msgs/msg/PointCloud2"),
    MARKERS_TOPIC: Output("visualization_msgs/msg/Marker"),
    GAUSSIANS_TOPIC: Output("gsocc_ros/msg/GaussianArray"),
    VELOCITIES_TOPIC: Output("visualization_msgs/msg/MarkerArray"),
    OBSTACLES_TOPIC: Output("sensor_msgs/msg/PointCloud2"),
    COST_MAP_TOPIC: Output("nav_msgs/msg/OccupancyGrid", latched=True),  # as Nav2's static layer subscribes by default
    DEBUG_CLASSES_TOPIC: Output("sensor_msgs/msg/Image"),
    DEBUG_DEPTH_TOPIC: Output("sensor_msgs/msg/Image"),
    LATENCY_TOPIC: Output("gsocc_ros/msg/StageLatency"),
}


class OutputMessages:
    """Builds the messages about predictions.

    Args:
        host: Whose message classes.
        frame_id: Name of the base frame.
        model_id: What makes the predictions.
        topics: Topics wanted, out of :data:`OUTPUTS`; nothing is built for the others.
        rule: What counts as an obstacle.

    Raises:
        ConfigError: a topic is not one of the outputs.
    """

    def __init__(
        self,
        host: MessageHost,
        frame_id: str,
        model_id: str,
        topics: Collection[str] = tuple(OUTPUTS),
        rule: ObstacleRule | None = None,
    ) -> None:
        if unknown := set(topics) - set(OUTPUTS):
            raise ConfigError("OutputMessages", "topics", f"some of {sorted(OUTPUTS)}", sorted(unknown))
        self._host, self._frame, self._model, self._topics = host, frame_id, model_id, set(topics)
        self._rule = rule or ObstacleRule()
        self._views = CameraViews()
        self._classes_sent: str | None = None

    def build(self, prediction: Prediction, topics: Collection[str] | None = None) -> Iterator[tuple[str, Any]]:
        """Messages of one prediction; the class table only before the first one and when it changes.

        Args:
            prediction: The prediction.
            topics: The topics wanted this time, for instance those that have subscribers; None = all.

        Yields:
            Topic and message; the marker as the bytes that go on the wire.
        """
        host, frame, model = self._host, self._frame, self._model
        wanted = self._topics if topics is None else self._topics & set(topics)
        grid, stamp = prediction.grid, prediction.reference_stamp_ns
        table = class_table_id(grid.classes)
        if CLASSES_TOPIC in wanted and self._classes_sent != table:
            self._classes_sent = table
            yield CLASSES_TOPIC, class_table(host, grid.classes, stamp, frame)
        voxels = lru_cache(lambda: occupied_voxels(grid))  # once for all that want them
        builders: dict[str, Callable[[], Any]] = {
            GRID_TOPIC: lambda: occupancy(host, grid, stamp, frame, model),
            VOXELS_TOPIC: lambda: voxel_cloud(host, grid, stamp, frame, voxels()),
            MARKERS_TOPIC: lambda: voxel_marker_bytes(grid, stamp, frame, voxels()),
            OBSTACLES_TOPIC: lambda: obstacle_cloud(host, grid, self._rule, stamp, frame, voxels()),
            COST_MAP_TOPIC: lambda: self._cost_map(prediction),
        }
        if grid.velocity is not None:
            builders[VELOCITIES_TOPIC] = lambda: velocity_arrows(host, grid, stamp, frame)
        scene = prediction.scene
        if isinstance(scene, Gaussians):
            builders[GAUSSIANS_TOPIC] = lambda: gaussian_array(host, scene, grid.classes, stamp, frame, model)
            builders[DEBUG_CLASSES_TOPIC], builders[DEBUG_DEPTH_TOPIC] = debug_builders(
                host, scene, prediction.cameras, grid.classes, stamp, frame
            )
        for topic, build in builders.items():
            if topic in wanted:
                yield topic, build()

    def _cost_map(self, prediction: Prediction) -> Any:
        grid, rule = prediction.grid, self._rule
        given = None if prediction.valid is None else prediction.valid.tolist()
        in_view = self._views.in_view(grid.grid, prediction.cameras, given, rule.band(grid.grid))
        return cost_map(self._host, grid, rule, prediction.reference_stamp_ns, self._frame, in_view)

    def fused(self, grid: SemanticGrid, stamp_ns: int, topics: Collection[str]) -> Iterator[tuple[str, Any]]:
        """Messages of a map that is fused over time.

        Args:
            grid: The map in the base frame.
            stamp_ns: Time of the newest prediction in it.
            topics: Those of :data:`FUSED_OUTPUTS` that are wanted.

        Yields:
            Topic and message.
        """
        if FUSED_GRID_TOPIC in topics:
            yield FUSED_GRID_TOPIC, occupancy(self._host, grid, stamp_ns, self._frame, self._model)
        if FUSED_VOXELS_TOPIC in topics:
            yield FUSED_VOXELS_TOPIC, voxel_cloud(self._host, grid, stamp_ns, self._frame)

    def latency(self, prediction: Prediction, latency_ms: Mapping[str, float]) -> Iterator[tuple[str, Any]]:
        """The message about where the time went; it comes last, when the time of the others is known.

        Yields:
            Topic and message, or nothing when it is not wanted.
        """
        if LATENCY_TOPIC in self._topics:
            stamp = prediction.reference_stamp_ns
            yield LATENCY_TOPIC, stage_latency(self._host, latency_ms, stamp, self._frame)
