# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Poses and fields of view out of camera tokens, refined step by step (VGGT, Wang et al., CVPR 2025, section 3.3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsocc_core.geometry.rigid import invert_rigid, quat_to_rotmat, rotmat_to_quat
from gsocc_core.networks.view_attention import AttentionBlock

#: translation 3, quaternion 4, vertical and horizontal field of view.
CODE_SIZE = 9

#: Fields of view that a code can stand for, radians.
_LEAST_FOV, _LARGEST_FOV = math.radians(1), math.radians(170)


def encode_cameras(T_ref_cam: Tensor, intrinsics: Tensor, size: tuple[int, int]) -> Tensor:
    """Nine numbers per camera; where its centre of projection lies in the picture is not among them.

    Args:
        T_ref_cam: (..., 4, 4) poses in the reference camera's frame.
        intrinsics: (..., 3, 3) pixels.
        size: (height, width), pixels.

    Returns:
        (..., 9): translation and quaternion (w >= 0, x, y, z) of ``T_cam_ref``, then the vertical and the horizontal
        field of view of a centred camera with these focal lengths, radians.
    """
    T_cam_ref = invert_rigid(T_ref_cam)
    focal = torch.stack([intrinsics[..., 1, 1], intrinsics[..., 0, 0]], dim=-1)
    fov = 2 * torch.atan(focal.new_tensor(size) / (2 * focal))
    return torch.cat([T_cam_ref[..., :3, 3], rotmat_to_quat(T_cam_ref[..., :3, :3]), fov], dim=-1)


def decode_cameras(code: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Poses and intrinsics out of :func:`encode_cameras`'s numbers; any quaternion is normalised.

    Args:
        code: (..., 9).
        size: (height, width), pixels.

    Returns:
        ``T_ref_cam`` (..., 4, 4), and intrinsics (..., 3, 3) in pixels with the centre of projection in the middle.
        Fields of view are kept between 1 and 170 degrees.
    """
    height, width = size
    T_cam_ref = torch.eye(4, dtype=code.dtype, device=code.device).repeat(*code.shape[:-1], 1, 1)
    T_cam_ref[..., :3, :3] = quat_to_rotmat(code[..., 3:7])
    T_cam_ref[..., :3, 3] = code[..., :3]
    focal = code.new_tensor(size) / (2 * torch.tan(code[..., 7:9].clamp(_LEAST_FOV, _LARGEST_FOV) / 2))
    intrinsics = torch.zeros(*code.shape[:-1], 3, 3, dtype=code.dtype, device=code.device)
    intrinsics[..., 0, 0], intrinsics[..., 1, 1] = focal[..., 1], focal[..., 0]
    intrinsics[..., 0, 2], intrinsics[..., 1, 2], intrinsics[..., 2, 2] = width / 2, height / 2, 1.0
    return invert_rigid(T_cam_ref), intrinsics


class CameraHead(nn.Module):
    """Camera tokens of all views attend to each other, told what was predicted so far, and correct it.

    The prediction shifts, scales and gates the normalised tokens (adaptive layer norm, as in DiT); each step adds to
    the last one's numbers, through which no gradient flows back.

    Args:
        dim: Width of the camera tokens.
        depth: Blocks.
        heads: Attention heads.
        iterations: Steps.
        layer_scale: First value of the blocks' learned scales.
    """

    def __init__(
        self, dim: int = 2048, depth: int = 4, heads: int = 16, iterations: int = 4, layer_scale: float = 0.01
    ) -> None:
        super().__init__()
        self.iterations = iterations
        self.token_norm, self.trunk_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.bare_norm = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.trunk = nn.ModuleList(
            AttentionBlock(dim, heads, layer_scale=layer_scale, normalised=False) for _ in range(depth)
        )
        self.first_code = nn.Parameter(torch.zeros(1, 1, CODE_SIZE))
        self.embed_code = nn.Linear(CODE_SIZE, dim)
        self.modulation = nn.Linear(dim, 3 * dim)
        self.branch1, self.branch2 = nn.Linear(dim, dim // 2), nn.Linear(dim // 2, CODE_SIZE)

    def forward(self, tokens: Tensor, valid: Tensor | None = None) -> tuple[Tensor, ...]:
        """Predict.

        Args:
            tokens: (B, V, dim) camera tokens.
            valid: (B, V) bool: views that are there; None = all.

        Returns:
            One code (B, V, 9) of :func:`encode_cameras` per step, the best one last.
        """
        tokens = self.token_norm(tokens)
        codes: list[Tensor] = []
        for _ in range(self.iterations):
            known = codes[-1].detach() if codes else self.first_code.expand(*tokens.shape[:2], -1)
            shift, scale, gate = self.modulation(functional.silu(self.embed_code(known))).chunk(3, dim=-1)
            state = tokens + gate * (self.bare_norm(tokens) * (1 + scale) + shift)
            for block in self.trunk:
                state = block(state, None, valid)
            change = self.branch2(functional.gelu(self.branch1(self.trunk_norm(state))))
            codes.append(known + change if codes else change)
        return tuple(codes)
