# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Vertices of a contracted grid as Gaussians: one each, that never moves, as opaque as its vertex is not free."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.contracted import ContractedGrid
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.grid_points import to_ego
from gsocc_core.geometry.rigid import multiply_quats, rotmat_to_quat, transform_points
from gsocc_core.geometry.voxel_gaussians import chosen_voxels
from gsocc_core.methods.gaussianocc_args import GaussianArgs
from gsocc_core.splat.images.pruning import may_be_seen


class VertexGaussians(nn.Module):
    """Makes Gaussians of logits at vertices.

    Args:
        grid: The vertices.
        args: Sizes, and what is left out.
        free_channel: Channel of free space.
    """

    means: Tensor
    scales: Tensor

    def __init__(self, grid: ContractedGrid, args: GaussianArgs, free_channel: int) -> None:
        super().__init__()
        self.grid, self.args, self.free_channel = grid, args, free_channel
        means = to_ego(grid.centers.flatten(0, 2), grid.region)
        distance = means.norm(dim=-1)
        scales = torch.full_like(distance, args.scale_m)
        for beyond_m, scale_m in args.far_scales_m:
            scales[distance > beyond_m] = scale_m
        self.register_buffer("means", means, persistent=False)
        self.register_buffer("scales", scales, persistent=False)

    def opacities(self, logits: Tensor) -> Tensor:
        """1 - sigmoid of the free logit, (...) of (..., C)."""
        return torch.sigmoid(-logits[..., self.free_channel])

    def class_values(self, logits: Tensor) -> Tensor:
        """What is composited of logits (..., C), see ``GaussianArgs.classes``; free space has no probability."""
        if self.args.classes == "logits":
            return logits
        free = torch.arange(logits.shape[-1], device=logits.device) == self.free_channel
        return logits.masked_fill(free, float("-inf")).softmax(-1)

    def forward(
        self, logits: Tensor, cameras: Cameras | None = None, depths_m: tuple[float, float] = (0.2, 100.0)
    ) -> Gaussians:
        """Gaussians of the vertices that matter.

        Args:
            logits: (B, X, Y, Z, C).
            cameras: (B, V) leave out what none of them can see; None = of all around.
            depths_m: Nearest and farthest depth that they see, metres.

        Returns:
            (B, K), K the largest number in a sample; those that only fill up have opacity 0.
        """
        flat = logits.flatten(1, 3)
        with torch.no_grad():
            opacities = self.opacities(flat.detach())
            keep = opacities >= self.args.least_opacity
            if cameras is not None:
                seen = [
                    may_be_seen(self._bare(sample), cameras.map(lambda t, b=b: t[b]), *depths_m)
                    for b, sample in enumerate(opacities)
                ]
                keep = keep & torch.stack(seen)
            index, real = chosen_voxels(keep)
        rows = torch.stack([sample.index_select(0, chosen) for sample, chosen in zip(flat, index)])
        scales = self.scales[index][..., None].expand(*index.shape, 3)
        quats = rows.new_tensor([1.0, 0.0, 0.0, 0.0]).expand(*index.shape, 4)
        opacities = torch.where(real, self.opacities(rows), 0.0)
        return Gaussians(self.means[index], scales, quats, opacities, self.class_values(rows))

    def _bare(self, opacities: Tensor) -> Gaussians:
        """All vertices of one sample, with no features."""
        count = len(opacities)
        scales = self.scales[:, None].expand(count, 3)
        quats = scales.new_tensor([1.0, 0.0, 0.0, 0.0]).expand(count, 4)
        return Gaussians(self.means, scales, quats, opacities, scales[:, :0])


def published_heights(balls: Gaussians, cameras: Cameras) -> tuple[Gaussians, Cameras]:
    """Gaussians that look in each camera as in the original, whose vertical field of view is the horizontal one.

    There the second row of the projection's Jacobian J is multiplied by r = f_x H / (W f_y) for the Gaussian's shape
    alone: its middle stays where it belongs. A ball of variance s^2 that is turned into s^2 A A^T with
    J A = diag(1, r) J looks like that: A leaves x alone and has the block [[r, (1 - r) y / z], [0, 1]] in y and z.

    Args:
        balls: (B, N) Gaussians with equal scales on all axes.
        cameras: (B, V).

    Returns:
        (B * V, N) Gaussians and (B * V, 1) cameras, for every camera sees its own.
    """
    batch, views = cameras.intrinsics.shape[:2]
    each = cameras.map(lambda t: t.flatten(0, 1)[:, None])
    many = balls.map(lambda t: t.repeat_interleave(views, dim=0))
    T_ref_cam = each.T_ref_cam[:, 0]
    _, y, z = transform_points(each.viewmats[:, 0], many.means).unbind(-1)
    K = each.intrinsics[:, 0]
    ratio = (K[:, 0, 0] * cameras.height / (cameras.width * K[:, 1, 1]))[:, None]
    lean = (1 - ratio) * y / z.clamp(min=0.05)
    yy, yz = ratio.square() + lean.square(), lean  # and 1 for zz
    half, apart = (yy + 1) / 2, ((yy - 1) / 2).square().add(yz.square()).sqrt()
    turn = torch.atan2(2 * yz, yy - 1) / 4  # half of the angle, as quaternions want it
    own = torch.stack([turn.cos(), turn.sin(), torch.zeros_like(turn), torch.zeros_like(turn)], -1)
    stretch = torch.stack([torch.ones_like(half), (half + apart).sqrt(), (half - apart).clamp(min=1e-12).sqrt()], -1)
    quats = multiply_quats(rotmat_to_quat(T_ref_cam[:, :3, :3])[:, None].expand_as(own), own)
    assert len(lean) == batch * views
    return many.replace(scales=many.scales * stretch, quats=quats), each
