# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Test-time pose alignment: target cameras moved until what they see of a scene is most like their true pictures.

Published scores of methods without poses are taken so (Uni3R, as NoPoSplat and others before). It takes the error of
poses out of a score, by looking at the pictures that are scored: scores with it carry its name.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.splat.to_color import splat_to_color

#: Of the optimiser, as published.
_LEARNING_RATE = 5e-3


def align_poses(
    scene: Gaussians, cameras: Cameras, pictures: Tensor, steps: int = 100, background: Tensor | None = None
) -> Cameras:
    """Move cameras by Adam on a translation and a rotation of six numbers each, by the mean absolute colour error.

    Args:
        scene: (B, N) Gaussians with colours, metres.
        cameras: (B, V) where to begin.
        pictures: (B, V, 3, H, W) their true pictures, 0..1.
        steps: Steps of the optimiser.
        background: (B, 3) colour behind the scene; None = black.

    Returns:
        (B, V) cameras, each where its error was least, its beginning included.
    """
    plain = scene.map(lambda t: t.detach())
    plain = plain.replace(features=plain.features[..., :0])
    leading = cameras.T_ref_cam.shape[:-2]
    shift = torch.zeros(*leading, 3, requires_grad=True)
    turn = torch.eye(3)[:2].flatten().repeat(*leading, 1).requires_grad_()
    optimizer = torch.optim.Adam([shift, turn], lr=_LEARNING_RATE)
    best = cameras
    least = pictures.new_full(leading, torch.inf)
    with torch.enable_grad():
        for step in range(steps + 1):
            moved = Cameras(cameras.intrinsics, cameras.T_ref_cam @ _motion(shift, turn).to(cameras.T_ref_cam),
                            cameras.width, cameras.height)  # fmt: skip
            seen = splat_to_color(plain, moved).on(background).movedim(-1, -3)
            errors = (seen - pictures).abs().mean((-3, -2, -1))
            better = (errors.detach() < least)[..., None, None]
            least = torch.minimum(least, errors.detach())
            poses = torch.where(better, moved.T_ref_cam.detach(), best.T_ref_cam)
            best = Cameras(cameras.intrinsics, poses, cameras.width, cameras.height)
            if step == steps:
                break
            optimizer.zero_grad()
            errors.sum().backward()
            optimizer.step()
    return best


def _motion(shift: Tensor, turn: Tensor) -> Tensor:
    """(..., 4, 4) of a translation (..., 3) and the first two rows (..., 6) of a rotation (Zhou et al. 2019)."""
    first = functional.normalize(turn[..., :3], dim=-1)
    second = turn[..., 3:] - (first * turn[..., 3:]).sum(-1, keepdim=True) * first
    second = functional.normalize(second, dim=-1)
    rotation = torch.stack([first, second, torch.cross(first, second, dim=-1)], dim=-2)
    upper = torch.cat([rotation, shift[..., None]], dim=-1)
    lower = upper.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*upper.shape[:-2], 1, 4)
    return torch.cat([upper, lower], dim=-2)
