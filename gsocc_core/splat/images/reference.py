# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians to pictures in plain PyTorch: every pixel against every Gaussian in depth order, slow on purpose."""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core.splat.images.projection import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE, Projected


def rasterize_reference(
    projected: Projected, opacities: Tensor, features: Tensor, width: int, height: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Composite front to back.

    alpha_i = min(0.999, o_i exp(-d^T conic d / 2)), skipped below 1/255; w_i = alpha_i * prod_{j<i} (1 - alpha_j),
    until the transmittance after i would fall to 1e-4 or less (gsplat's rules; Kerbl et al. 2023, eq. 3).

    Args:
        projected: M pictures of N Gaussians.
        opacities: (N,).
        features: (N, C).
        width: Picture width, pixels.
        height: Picture height, pixels.

    Returns:
        features (M, H, W, C) without background, accumulated depth (M, H, W) = sum w z, alpha (M, H, W) = sum w.
    """
    dtype, device = features.dtype, features.device
    v, u = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    pixels = torch.stack([u, v], -1).to(dtype).reshape(-1, 2) + 0.5
    pictures = []
    for m in range(projected.depths.shape[0]):
        order = projected.depths[m].argsort(stable=True)
        order = order[(projected.radii[m, order] > 0).all(-1)]
        offset = pixels[:, None] - projected.means2d[m, order]  # (P, K, 2)
        xx, xy, yy = projected.conics[m, order].unbind(-1)
        dx, dy = offset.unbind(-1)
        power = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
        alpha = (opacities[order] * torch.exp(-power)).clamp(max=MAX_ALPHA)
        alpha = torch.where((alpha < MIN_ALPHA).detach() | (power < 0).detach(), 0.0, alpha)
        after = torch.cumprod(1 - alpha, dim=-1)
        before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], dim=-1)
        # Once a Gaussian would bring the transmittance to the limit, it and all behind it are left out.
        live = (torch.cumsum((after <= MIN_TRANSMITTANCE).to(torch.int32), -1) == 0).detach()
        weight = torch.where(live, alpha * before, 0.0)
        pictures.append(
            (weight @ features[order], weight @ projected.depths[m, order], weight.sum(-1)),
        )
    f, d, a = (torch.stack([p[k] for p in pictures]) for k in range(3))
    return f.view(-1, height, width, features.shape[-1]), d.view(-1, height, width), a.view(-1, height, width)
