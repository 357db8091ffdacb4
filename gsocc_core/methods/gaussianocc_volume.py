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


def render_volume(logits: Tensor, vertices: VertexGaussians, cameras: Cameras, args: RenderArgs) -> Rendering:
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
        (B, V, H, W): depth is ``expected`` or ``accumulated`` as ``args.depth`` says; nothing stands behind.
    """
    grid = vertices.grid
    origins, directions = cameras.rays()
    step = (args.limit_m - args.near_m) / args.samples
    depths = args.near_m + (torch.arange(args.samples, device=logits.device, dtype=logits.dtype) + 0.5) * step
    edge = sum(grid.region.size_m) / 3
    volumes = logits.movedim(-1, 1)
    features, first, alphas = [], [], []
    for b, volume in enumerate(volumes):
        for start, towards in zip(origins[b], directions[b]):
            points = start[..., None, :] + towards[..., None, :] * depths[:, None]  # (H, W, S, 3)
            place = grid.contract(to_grid(points, grid.region)).flip(-1)
            sampled = functional.grid_sample(volume[None], place[None], padding_mode="border", align_corners=True)
            found = sampled[0].movedim(0, -1)  # (H, W, S, C)
            length = towards.norm(dim=-1, keepdim=True) * step
            thickness = functional.softplus(-found[..., vertices.free_channel]) * length / edge
            passed = torch.exp(-(thickness.cumsum(-1) - thickness))
            weights = passed * -torch.expm1(-thickness)
            features.append(torch.einsum("hws,hwsc->hwc", weights, vertices.class_values(found)))
            first.append((weights * depths).sum(-1))
            alphas.append(weights.sum(-1))
    shape = cameras.intrinsics.shape[:2]
    picture, depth, alpha = (torch.stack(parts).unflatten(0, shape) for parts in (features, first, alphas))
    if args.depth == "expected":
        depth = depth / torch.where(alpha > 0, alpha, 1.0)
    return Rendering(picture, depth, alpha)
