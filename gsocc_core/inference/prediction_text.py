# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A prediction in three lines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import SemanticGrid, VoxelField

#: So many classes are named.
_NAMED = 5


def told(
    grid: SemanticGrid, scene: Gaussians | VoxelField, stamp_ns: int, pictures: int, latency_ms: Mapping[str, float]
) -> str:
    """When and where and how much is occupied, by which classes most, and what it was made of and took.

    Args:
        grid: Labels (X, Y, Z).
        scene: What they were made of.
        stamp_ns: Reference time.
        pictures: Pictures that were there.
        latency_ms: Milliseconds per stage, ``total`` among them.

    Returns:
        Three lines.
    """
    labels, names = grid.labels.long(), grid.classes.names
    counts = torch.bincount(labels.flatten(), minlength=256).tolist()
    counts[grid.classes.free_id] = counts[grid.classes.ignore_id] = 0
    occupied = sum(counts)
    size = " x ".join(map(str, labels.shape))
    edges = [f"{edge:g}" for edge in np.atleast_1d(grid.grid.voxel_size).tolist()]
    edges = edges[:1] if len(set(edges)) == 1 else edges
    most = sorted((i for i, n in enumerate(counts) if n), key=lambda i: -counts[i])
    shares = ", ".join(f"{names[i]} {100 * counts[i] / occupied:.1f} %" for i in most[:_NAMED])
    rest = f", {len(most) - _NAMED} more" if len(most) > _NAMED else ""
    made = f"{scene.means.shape[0]:,} Gaussians" if isinstance(scene, Gaussians) else "a voxel field"
    stages = ", ".join(f"{name} {ms:.0f}" for name, ms in latency_ms.items() if name != "total")
    return (
        f"Occupancy at {stamp_ns} ns: {occupied:,} of {size} voxels of {' x '.join(edges)} m occupied\n"
        f"{shares or 'all is free'}{rest}\n"
        f"{pictures} pictures, {made}, {latency_ms.get('total', 0):.0f} ms ({stages})"
    )
