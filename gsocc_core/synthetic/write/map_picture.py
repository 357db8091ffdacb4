# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The map picture of a drive: its road surface seen from above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gsocc_core.synthetic.render.raster_kernels import fill_from_above
from gsocc_core.synthetic.world.scene import StreetScene


@dataclass(frozen=True, eq=False)
class DrivableMask:
    """The map picture: where the road surface is, seen from above.

    Attributes:
        raster: (H, W) uint8, 255 = driveable; row 0 lies at the largest y, column 0 at the smallest x.
        resolution_m: Edge of a pixel, metres.
        origin_m: (x, y) of the lower left corner of the picture in the world, metres.
    """

    raster: np.ndarray
    resolution_m: float
    origin_m: tuple[float, float]


def drivable_mask(scene: StreetScene, resolution_m: float = 0.1) -> DrivableMask:
    """Draw the road surface from above, for the map picture of a nuScenes tree.

    Args:
        scene: The street.
        resolution_m: Edge of a pixel, metres.

    Returns:
        The picture and where it lies in the world.

    Example:
        >>> from gsocc_core.synthetic.world.street import build_street
        >>> drivable_mask(build_street(seed=0, duration_s=2.0), resolution_m=1.0).raster.dtype
        dtype('uint8')
    """
    vertices = scene.static.vertices_m.astype(np.float64)
    lower = np.floor(vertices[:, :2].min(0))
    shape = np.ceil((np.ceil(vertices[:, :2].max(0)) - lower) / resolution_m).astype(np.int64)
    raster = np.zeros((int(shape[1]), int(shape[0])), np.uint8)
    road = scene.static.triangles[scene.static.class_ids == scene.kind.road_id]
    fill_from_above(np.ascontiguousarray(vertices[road][:, :, :2] - lower) / resolution_m, raster)
    return DrivableMask(raster[::-1].copy(), resolution_m, (float(lower[0]), float(lower[1])))
