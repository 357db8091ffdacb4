# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Predicted motion as arrows: one per moving thing, or per part of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from gsocc_core import SemanticGrid
from gsocc_ros.messages.markers import ARROW, DELETE_ALL, marker
from gsocc_ros.messages.message_host import MessageHost


def velocity_arrows(
    host: MessageHost,
    grid: SemanticGrid,
    stamp_ns: int,
    frame_id: str,
    cell_m: float = 2.0,
    min_speed_mps: float = 0.5,
) -> Any:
    """A visualization_msgs/MarkerArray: an arrow of a second's way per cell that holds moving voxels of one class.

    The first marker deletes those before.

    Args:
        host: Whose message.
        grid: Labels (X, Y, Z) with velocities; without them there are no arrows.
        stamp_ns: Time that the labels refer to.
        frame_id: The ego frame's name.
        cell_m: Edge of a cell, metres: voxels inside share one arrow at their middle.
        min_speed_mps: Slower cells have none, m/s.
    """
    header = host.header(stamp_ns, frame_id)
    markers = [marker(host, header, "before", 0, action=DELETE_ALL)]
    if grid.velocity is None:
        return host.make("visualization_msgs/msg/MarkerArray", markers=markers)
    velocity, labels = grid.velocity.numpy(), grid.labels.numpy()
    moving = np.argwhere((velocity != 0).any(-1))
    rows = tuple(moving.T)
    T = grid.grid.T_ego_corner
    points = ((moving + 0.5) * np.asarray(grid.grid.size_m)) @ T[:3, :3].T + T[:3, 3]
    cells = np.concatenate([np.floor(points / cell_m).astype(np.int64), labels[rows][:, None]], axis=1)
    unique, cell_of, count = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    sums = np.zeros((len(unique), 6))
    np.add.at(sums, cell_of.reshape(-1), np.concatenate([points, velocity[rows].astype(np.float64)], axis=1))
    means = sums / np.maximum(count, 1)[:, None]
    palette = grid.classes.palette() / 255.0
    for k, (place, speed) in enumerate(zip(means[:, :3], means[:, 3:])):
        if np.linalg.norm(speed) >= min_speed_mps:
            ends = [
                host.make("geometry_msgs/msg/Point", x=float(x), y=float(y), z=float(z))
                for x, y, z in (place, place + speed)
            ]
            r, g, b = palette[unique[k, 3]].tolist()
            markers.append(
                marker(host, header, "velocities", k, ARROW, size=(0.2, 0.5, 0.0), color=(r, g, b, 1.0), points=ends)
            )
    return host.make("visualization_msgs/msg/MarkerArray", markers=markers)
