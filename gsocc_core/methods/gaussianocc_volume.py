# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Volume rendering of logits at vertices: the baseline that splatting is compared with (OccNeRF, Zhang et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.grid_points import to_grid
from gsocc_core.methods.gaussianocc_args import RenderArgs
from gsocc_core.methods.gaussianocc_vertices import VertexGaussians
from gsocc_core.splat import Rendering

#: Classes are read only at samples that weigh at least this much in their pixel.
_LEAST_WEIGHT = 1e-4


def render_volume(
    logits: Tensor, vertices: VertexGaussians, cameras: Cameras, args: RenderArgs
) -> tuple[Rendering, Tensor]:
    """Render by samples along the rays of all pixels.

    Samples lie in the middles of ``args.samples`` equal steps of depth between ``near_m`` and ``limit_m``; logits are
    read between vertices, trilinear in contracted coordinates. A vertex of opacity o lets 1 - o pass per edge of the
    grid's voxels: a step of length d is crossed by (1 - o)^(d / edge).

    Args:
        logits: (B, X, Y, Z, C).
        vertices: What classes and free space are.
        cameras: (B, V) of the size of the rendering.
        args: Samples and depths.

    Returns:
        (B, V, H, W) with depth sum w z; nothing stands behind. And sum w z^2, square metres.
    """
    origins, directions = cameras.rays()
    volumes, shape = logits.movedim(-1, 1), cameras.intrinsics.shape[:2]
    views = [
        _render_view(volume, vertices, start, towards, args)
        for volume, starts, all_towards in zip(volumes, origins, directions)
        for start, towards in zip(starts, all_towards)
    ]
    picture, depth, squares, alpha = (torch.stack(list(parts)).unflatten(0, shape) for parts in zip(*views))
    return Rendering(picture, depth, alpha), squares


def _render_view(
    volume: Tensor, vertices: VertexGaussians, origins: Tensor, directions: Tensor, args: RenderArgs
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Classes (H, W, C), sum w z, sum w z^2 and sum w (H, W) of one view of logits (C, X, Y, Z)."""
    grid, free = vertices.grid, vertices.free_channel
    step = (args.limit_m - args.near_m) / args.samples
    depths = args.near_m + (torch.arange(args.samples, device=volume.device, dtype=volume.dtype) + 0.5) * step
    points = origins[..., None, :] + directions[..., None, :] * depths[:, None]  # (H, W, S, 3)
    place = grid.contract(to_grid(points, grid.region)).flip(-1)
    free_logits = _read(volume[free : free + 1], place)[0]
    length = directions.norm(dim=-1, keepdim=True) * step
    thickness = functional.softplus(-free_logits) * length * 3 / sum(grid.region.size_m)
    passed = torch.exp(-(thickness.cumsum(-1) - thickness))
    weights = passed * -torch.expm1(-thickness)
    # Most samples lie in the open or behind something: their classes are not worth reading.
    chosen = (weights.detach() >= _LEAST_WEIGHT).flatten().nonzero()[:, 0]
    found = _read(volume, place.flatten(0, 2).index_select(0, chosen)[None, None])[:, 0, 0].T  # (P, C)
    values = vertices.class_values(found) * weights.flatten().index_select(0, chosen)[:, None]
    height, width = origins.shape[:2]
    picture = values.new_zeros((height * width, values.shape[-1])).index_add(0, chosen // args.samples, values)
    first, second = (weights * depths).sum(-1), (weights * depths.square()).sum(-1)
    return picture.view(height, width, -1), first, second, weights.sum(-1)


def _read(volume: Tensor, place: Tensor) -> Tensor:
    """(C, ...) values of a volume (C, X, Y, Z) at places (D, H, W, 3), z, y, x in -1..1."""
    sampled = functional.grid_sample(volume[None], place[None], padding_mode="border", align_corners=True)
    return sampled[0]
