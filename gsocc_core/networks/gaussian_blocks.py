# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How Gaussians are refined: block after block of attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.constants import constant
from gsocc_core.networks.attention import DeformableImageAttention, InducedAttention, PositionCode, mlp


class RefinementBlock(nn.Module):
    """One refinement step: temporal attention (if there is a memory), self-attention, image attention, mean update.

    GaussianFlowOcc (Boeder et al., ICCV 2025, section 3.2).
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        num_levels: int,
        num_points: int,
        num_inducing: int,
        dropout: float = 0.0,
        temporal: bool = False,
        temporal_gate: float | None = None,
        max_mean_update_m: float | None = None,
    ) -> None:
        """Build one block.

        Args:
            dim: Feature width.
            num_heads: Attention heads.
            num_levels: Image levels.
            num_points: Samples per head and level of the image attention.
            num_inducing: Inducing points of temporal and self-attention.
            dropout: Dropout probability.
            temporal: Attend to a memory first.
            temporal_gate: Share of the temporal attention in its result at the beginning, learned from there on
                (LayerScale: Touvron et al., ICCV 2021, section 2.1); None = all of it.
            max_mean_update_m: Largest move of a mean per axis, metres; None = unbounded.
        """
        super().__init__()
        if temporal:
            self.temporal_attention = InducedAttention(dim, num_heads, num_inducing, dropout)
            if temporal_gate is not None:
                self.temporal_gate = nn.Parameter(torch.full((dim,), temporal_gate))
        self.self_attention = InducedAttention(dim, num_heads, num_inducing, dropout)
        self.image_attention = DeformableImageAttention(dim, num_heads, num_levels, num_points, dropout)
        self.move = mlp(dim, dim, 3)
        self.temporal, self.gated = temporal, temporal and temporal_gate is not None
        self.max_mean_update_m = max_mean_update_m
        final = self.move[-1]
        assert isinstance(final, nn.Linear)
        nn.init.normal_(final.weight, std=0.01)

    def forward(
        self,
        features: Tensor,
        means: Tensor,
        exists: Tensor | None,
        code: PositionCode,
        maps: list[Tensor],
        cameras: Cameras,
        camera_valid: Tensor,
        memory: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Refine.

        Args:
            features: (B, N, dim).
            means: (B, N, 3) metres, ego frame.
            exists: (B, N) bool; the others are places that nobody may read and that see nothing. None = all exist:
                attention without a mask has faster kernels.
            code: Code of positions.
            maps: Pyramid levels (B, V, dim, H_l, W_l).
            cameras: (B, V) cameras of the pictures.
            camera_valid: (B, V) bool: the picture is there.
            memory: Keys (B, K, dim) and which of them exist (B, K), for the temporal attention.

        Returns:
            Features (B, N, dim) and means (B, N, 3).
        """
        features = features + code(means)
        if self.temporal:
            assert memory is not None
            looked_back = self.temporal_attention(features, *memory)
            features = torch.lerp(features, looked_back, self.temporal_gate) if self.gated else looked_back
        features = self.self_attention(features, features, exists)
        uv, _, visible = cameras.project(means)
        uv_norm = uv / constant((cameras.width, cameras.height), uv)
        visible = visible & camera_valid[..., None]
        if exists is not None:
            visible = visible & exists[:, None]
        features = self.image_attention(features, maps, uv_norm, visible)
        update = self.move(features)
        if self.max_mean_update_m is not None:
            update = self.max_mean_update_m * torch.tanh(update / self.max_mean_update_m)
        return features, means + update
