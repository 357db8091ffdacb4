# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The map picture of a nuScenes tree as a nav_msgs/OccupancyGrid around a drive."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gsocc_core.data.stored import reading
from gsocc_core.errors import ShapeError
from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.navigation import FREE, OCCUPIED
from gsocc_ros.messages.occupancy_messages import pose_from_quat

#: Width of a pixel of nuScenes' map pictures, metres.
PIXEL_M = 0.1
#: How far around the drive the map reaches, metres.
MARGIN_M = 50.0


@dataclass(frozen=True)
class RoadMask:
    """A map picture: where there is road or sidewalk.

    Attributes:
        bits: (H, ceil(W / 8)) uint8, eight pixels in each byte; a city has 300 million. Row 0 lies at the largest y.
        width: W, pixels.
    """

    bits: np.ndarray
    width: int

    @property
    def height(self) -> int:
        """H, pixels."""
        return len(self.bits)


@lru_cache(maxsize=4)  # nuScenes has four maps
def read_mask(path: Path) -> RoadMask:
    """Read a map picture; the last four stay in memory.

    Args:
        path: Grey picture, white = driveable surface or sidewalk. Pictures larger than Pillow's limit need
            nuscenes-devkit to be imported, which lifts it.

    Raises:
        DataError: it is no picture.
    """
    with reading(path, "a map picture"), Image.open(path) as picture:
        pixels = np.asarray(picture if picture.mode == "L" else picture.convert("L"))
    return RoadMask(np.packbits(pixels > 127, axis=1), pixels.shape[1])


def road_map(
    host: MessageHost,
    mask: RoadMask,
    positions_m: np.ndarray,
    stamp_ns: int,
    frame_id: str,
    margin_m: float = MARGIN_M,
) -> Any | None:
    """The part of a map around a drive as a nav_msgs/OccupancyGrid.

    A nuScenes pixel (row r, column c) is centred at x = 0.1 c, y = 0.1 (H - r) metres, as in the devkit's
    ``MapMask.to_pixel_coords``. A grid's row 0 lies at the smallest y and its origin is the corner of its first cell,
    so rows are turned over and the origin lies half a pixel before the first centre. Not rotated, z = 0.

    Args:
        host: Whose message.
        mask: The map picture.
        positions_m: (K, 2) or (K, 3) places of the drive in the map's frame, metres.
        stamp_ns: Stamp.
        frame_id: The map's frame.
        margin_m: How far the crop reaches beyond the drive, metres.

    Returns:
        The message: 0 = driveable surface or sidewalk, 100 = neither; None where the drive is off the picture.

    Raises:
        ShapeError: no positions, or not finite.
    """
    places = np.asarray(positions_m, np.float64)
    if places.ndim != 2 or not len(places) or places.shape[1] < 2 or not np.isfinite(places).all():
        raise ShapeError("road_map", "positions_m", "(K, 2) finite metres", places.shape)
    (x0, y0), (x1, y1) = places[:, :2].min(0) - margin_m, places[:, :2].max(0) + margin_m
    left, right = max(math.floor(x0 / PIXEL_M), 0), min(math.ceil(x1 / PIXEL_M) + 1, mask.width)
    top = max(math.floor(mask.height - y1 / PIXEL_M), 0)
    bottom = min(math.ceil(mask.height - y0 / PIXEL_M) + 1, mask.height)
    if left >= right or top >= bottom:
        return None
    first_byte = left // 8
    pixels = np.unpackbits(mask.bits[top:bottom, first_byte : -(-right // 8)], axis=1)
    road = pixels[::-1, left - first_byte * 8 : right - first_byte * 8]
    corner = ((left - 0.5) * PIXEL_M, (mask.height - bottom + 0.5) * PIXEL_M, 0.0)
    info = host.make(
        "nav_msgs/msg/MapMetaData",
        map_load_time=host.stamp(stamp_ns),
        resolution=PIXEL_M,
        width=right - left,
        height=bottom - top,
        origin=pose_from_quat(host, (1, 0, 0, 0), corner),
    )
    cells = np.where(road == 1, np.int8(FREE), np.int8(OCCUPIED)).astype(np.int8).reshape(-1)
    return host.make("nav_msgs/msg/OccupancyGrid", header=host.header(stamp_ns, frame_id), info=info, data=cells)
