# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Occupancy for planners: a cloud of obstacles, and a map of the ground plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gsocc_core import ClassTable, SemanticGrid, VoxelGrid
from gsocc_core.errors import ConfigError
from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.occupancy_messages import OccupiedVoxels, centers_in_ego_m, occupied_voxels
from gsocc_ros.messages.sensor_messages import point_cloud

_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
#: Values of nav_msgs/OccupancyGrid.
FREE, OCCUPIED, UNKNOWN = 0, 100, -1


@dataclass(frozen=True)
class ObstacleRule:
    """What a robot cannot drive through.

    Attributes:
        ground: Names of classes that are no obstacles; names that a class table lacks are ignored.
        low_m: Voxels whose centre lies lower are no obstacles, metres in the base frame.
        high_m: Nor are those whose centre lies higher.

    Raises:
        ConfigError: the heights are in the wrong order.
    """

    ground: tuple[str, ...] = ("driveable_surface", "other_flat", "sidewalk", "terrain")
    low_m: float = 0.2
    high_m: float = 2.2

    def __post_init__(self) -> None:
        if not self.low_m < self.high_m:
            raise ConfigError("ObstacleRule", "low_m, high_m", "low_m < high_m", (self.low_m, self.high_m))

    def is_obstacle(self, classes: ClassTable) -> np.ndarray:
        """(256,) bool per label."""
        table = np.zeros(256, bool)
        for label, name in enumerate(classes.names):
            table[label] = label not in {classes.free_id, classes.ignore_id} and name not in self.ground
        return table

    def band(self, grid: VoxelGrid) -> np.ndarray:
        """(Z,) bool: layers of the grid whose centres lie between the heights.

        Raises:
            ConfigError: the grid is tilted.
        """
        T = grid.T_ego_grid_matrix
        if not np.allclose(T[2, :2], 0, atol=1e-6):
            raise ConfigError("ObstacleRule", "grid", "a grid with a vertical z axis", T[:3, :3].tolist())
        z = grid.lower[2] + (np.arange(grid.shape[2]) + 0.5) * grid.size_m[2] + T[2, 3]
        return (z >= self.low_m) & (z <= self.high_m)


def obstacle_cloud(
    host: MessageHost,
    grid: SemanticGrid,
    rule: ObstacleRule,
    stamp_ns: int,
    frame_id: str,
    voxels: OccupiedVoxels | None = None,
) -> Any:
    """Centres of obstacle voxels as an xyz PointCloud2, as Nav2's STVL and voxel layers take it.

    Args:
        host: Whose message.
        grid: Labels (X, Y, Z).
        rule: What counts as an obstacle.
        stamp_ns: Time that the labels refer to.
        frame_id: The base frame's name.
        voxels: The grid's, where they are known already.
    """
    index, labels, _ = voxels or occupied_voxels(grid)
    centers = centers_in_ego_m(grid.grid, index[rule.is_obstacle(grid.classes)[labels]])
    centers = centers[(centers[:, 2] >= rule.low_m) & (centers[:, 2] <= rule.high_m)]
    points = np.zeros(len(centers), _POINT)
    points["x"], points["y"], points["z"] = centers.T
    return point_cloud(host, points, stamp_ns, frame_id)


def cost_cells(grid: SemanticGrid, rule: ObstacleRule, in_view: np.ndarray | None = None) -> np.ndarray:
    """State of each column of voxels.

    OCCUPIED: an obstacle voxel between the rule's heights. FREE: none, and some voxel between them is known: in view,
    and observed, where the grid says what was observed, else labelled. UNKNOWN: nothing is known between them; what was
    seen above or below says nothing about obstacles.

    Args:
        grid: Labels (X, Y, Z); its z axis is vertical.
        rule: What counts as an obstacle.
        in_view: (X, Y, B) bool: voxels of the rule's band that a camera looked at; None = all. A model labels every
            voxel, so a prediction says nothing else about what it knows.

    Returns:
        (X, Y) int8.

    Raises:
        ConfigError: the grid is tilted.
    """
    band = rule.band(grid.grid)
    labels = grid.labels.cpu().numpy()[..., band]
    blocked = rule.is_obstacle(grid.classes)[labels].any(-1)
    known = labels != grid.classes.ignore_id
    if grid.observed is not None:
        known &= grid.observed.cpu().numpy()[..., band]
    if in_view is not None:
        known &= in_view
    cells = np.where(known.any(-1), FREE, UNKNOWN).astype(np.int8)
    cells[blocked] = OCCUPIED
    return cells


def cost_map(
    host: MessageHost,
    grid: SemanticGrid,
    rule: ObstacleRule,
    stamp_ns: int,
    frame_id: str,
    in_view: np.ndarray | None = None,
) -> Any:
    """A nav_msgs/OccupancyGrid of :func:`cost_cells`; its origin is the corner of the grid, at height 0.

    Args:
        host: Whose message.
        grid: Labels (X, Y, Z).
        rule: What counts as an obstacle.
        stamp_ns: Time that the labels refer to.
        frame_id: The base frame's name.
        in_view: (X, Y, B) bool: voxels of the rule's band that a camera looked at; None = all.

    Raises:
        ConfigError: the grid is tilted, or its voxels are not square.
    """
    size, T = grid.grid.size_m, grid.grid.T_ego_grid_matrix
    if not np.isclose(size[0], size[1]):
        raise ConfigError("cost_map", "voxel_size", "the same along x and y", size)
    cells = cost_cells(grid, rule, in_view)
    corner = T[:3, :3] @ [grid.grid.lower[0], grid.grid.lower[1], 0.0] + T[:3, 3]
    yaw = np.arctan2(T[1, 0], T[0, 0])
    stamp = host.stamp(stamp_ns)
    origin = host.make(
        "geometry_msgs/msg/Pose",
        position=host.make("geometry_msgs/msg/Point", x=float(corner[0]), y=float(corner[1]), z=0.0),
        orientation=host.make(
            "geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=float(np.sin(yaw / 2)), w=float(np.cos(yaw / 2))
        ),
    )
    info = host.make(
        "nav_msgs/msg/MapMetaData", map_load_time=stamp, resolution=float(size[0]), width=cells.shape[0],
        height=cells.shape[1], origin=origin,
    )  # fmt: skip
    # Row-major: x runs fastest.
    data = np.ascontiguousarray(cells.T).reshape(-1)
    return host.make("nav_msgs/msg/OccupancyGrid", header=host.header(stamp_ns, frame_id), info=info, data=data)
