# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Attention within every view and across all views in turn, as in VGGT (Wang et al., CVPR 2025, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from gsocc_core.errors import ConfigError
from gsocc_core.networks.rotary import rotary_angles, rotate


class AttentionBlock(nn.Module):
    """Pre-norm transformer block: attention, then a feed-forward part, each with a learned scale per channel.

    Args:
        dim: Width.
        heads: Attention heads.
        expansion: Width inside the feed-forward part, as a factor.
        layer_scale: First value of the learned scales.
        normalised: Normalise queries and keys of every head.
    """

    def __init__(
        self, dim: int, heads: int, expansion: float = 4.0, layer_scale: float = 0.01, normalised: bool = True
    ) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.q_norm = nn.LayerNorm(dim // heads) if normalised else nn.Identity()
        self.k_norm = nn.LayerNorm(dim // heads) if normalised else nn.Identity()
        self.fc1, self.fc2 = nn.Linear(dim, int(expansion * dim)), nn.Linear(int(expansion * dim), dim)
        self.scale1 = nn.Parameter(torch.full((dim,), layer_scale))
        self.scale2 = nn.Parameter(torch.full((dim,), layer_scale))

    def forward(self, tokens: Tensor, angles: Tensor | None = None, exists: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            tokens: (M, P, dim).
            angles: Rotary angles (P, 2, dim / heads / 4), or None.
            exists: (M, P) bool: tokens that others can read, at least one of each row; None = all.

        Returns:
            (M, P, dim).
        """
        tokens = tokens + self.scale1 * self._attend(self.norm1(tokens), angles, exists)
        return tokens + self.scale2 * self.fc2(functional.gelu(self.fc1(self.norm2(tokens))))

    def _attend(self, tokens: Tensor, angles: Tensor | None, exists: Tensor | None) -> Tensor:
        # (M, P, 3 dim) -> three of (M, heads, P, dim / heads)
        q, k, v = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q), self.k_norm(k)
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        readable = None if exists is None else exists[:, None, None]
        return self.proj(functional.scaled_dot_product_attention(q, k, v, readable).transpose(1, 2).flatten(-2))


@dataclass(frozen=True)
class AttendedViews:
    """What the views know of each other.

    Attributes:
        camera: (B, V, 2 dim) the camera tokens after the last pair of blocks.
        patches: One (B, V, h * w, 2 dim) per tap, within the view and across views beside each other.
        grid: (h, w) patches.
    """

    camera: Tensor
    patches: tuple[Tensor, ...]
    grid: tuple[int, int]


class AlternatingAttention(nn.Module):
    """Patches of all views, with a camera token and registers per view, attend within their view, then across views.

    The first view has tokens of its own, by which the others know it as the reference; all other views share theirs, so
    their order means nothing. A view's intrinsics can come as one more token, below the first column of patches.

    Args:
        dim: Width.
        depth: Pairs of blocks.
        heads: Attention heads.
        registers: Registers per view.
        taps: Pairs, counted from 0, whose patches are returned; one may be there several times.
        base: Of the rotary positions.
        layer_scale: First value of the blocks' learned scales.
        checkpointing: Compute activations once more in the backward pass to save memory.

    Raises:
        ConfigError: sizes that do not fit each other.
    """

    def __init__(
        self,
        dim: int = 1024,
        depth: int = 24,
        heads: int = 16,
        registers: int = 4,
        taps: Sequence[int] = (4, 11, 17, 23),
        base: float = 100.0,
        layer_scale: float = 0.01,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if dim % (4 * heads):
            raise ConfigError("AlternatingAttention", "dim", f"a multiple of 4 x {heads} heads", dim)
        if not taps or not all(0 <= tap < depth for tap in taps):
            raise ConfigError("AlternatingAttention", "taps", f"pairs 0 ... {depth - 1}", tuple(taps))
        self.dim, self.heads, self.taps, self.base = dim, heads, tuple(taps), base
        self.checkpointing = checkpointing
        self.camera_token = nn.Parameter(torch.empty(1, 2, 1, dim))
        self.register_token = nn.Parameter(torch.empty(1, 2, registers, dim))
        self.intrinsics_encoder = nn.Linear(9, dim)
        self.frame_blocks = nn.ModuleList(AttentionBlock(dim, heads, layer_scale=layer_scale) for _ in range(depth))
        self.global_blocks = nn.ModuleList(AttentionBlock(dim, heads, layer_scale=layer_scale) for _ in range(depth))
        nn.init.normal_(self.camera_token, std=1e-6)
        nn.init.normal_(self.register_token, std=1e-6)
        nn.init.kaiming_normal_(self.intrinsics_encoder.weight)
        nn.init.zeros_(self.intrinsics_encoder.bias)

    def forward(
        self,
        patches: Tensor,
        intrinsics: Tensor | None = None,
        valid: Tensor | None = None,
        camera: Tensor | None = None,
    ) -> AttendedViews:
        """Attend.

        Args:
            patches: (B, V, dim, h, w) of the patch encoder.
            intrinsics: (B, V, 3, 3), their first two rows divided by the height of the picture; NaN = that view's are
                unknown, which is as if it had no such token; None = all are.
            valid: (B, V) bool: views that are there, the first among them; None = all. Others change nothing.
            camera: (B, V, dim) added to the camera tokens; None = nothing.

        Returns:
            Camera tokens and patches.
        """
        b, v, _, height, width = patches.shape
        special = torch.cat([self.camera_token, self.register_token], dim=2)
        first = torch.arange(v, device=patches.device) == 0
        special = torch.where(first[:, None, None], special[:, :1], special[:, 1:]).expand(b, -1, -1, -1)
        if camera is not None:
            special = torch.cat([special[:, :, :1] + camera[:, :, None], special[:, :, 1:]], dim=2)
        parts = [special, patches.flatten(-2).transpose(-1, -2)]
        within_view: Tensor | None = None
        if intrinsics is not None:
            known = intrinsics.isfinite().flatten(-2).all(-1)
            numbers = torch.where(known[..., None], intrinsics.flatten(-2), 0.0).to(patches)
            parts.append(self.intrinsics_encoder(numbers)[:, :, None])
            if not bool(known.all()):
                within_view = known
        tokens = torch.cat(parts, dim=2)
        start, end = special.shape[2], special.shape[2] + height * width
        positions = _positions(start, height, width, intrinsics is not None, patches.device)
        angles = rotary_angles(positions, self.dim // self.heads, self.base)
        in_view, in_all = _readable(tokens.shape[:3], within_view, valid)
        everywhere = angles.repeat(v, 1, 1)
        tapped: dict[int, Tensor] = {}
        both = tokens
        for index, (within, across) in enumerate(zip(self.frame_blocks, self.global_blocks)):
            seen = self._run(within, tokens.flatten(0, 1), angles, in_view).unflatten(0, (b, v))
            tokens = self._run(across, seen.flatten(1, 2), everywhere, in_all).unflatten(1, (v, -1))
            if index in self.taps or index == len(self.frame_blocks) - 1:
                both = torch.cat([seen, tokens], dim=-1)
            if index in self.taps:
                tapped[index] = both[:, :, start:end]
        return AttendedViews(both[:, :, 0], tuple(tapped[tap] for tap in self.taps), (height, width))

    def _run(self, block: nn.Module, tokens: Tensor, angles: Tensor, exists: Tensor | None) -> Tensor:
        if self.checkpointing and self.training:
            return checkpoint(block, tokens, angles, exists, use_reentrant=False)
        return block(tokens, angles, exists)


def _readable(shape: torch.Size, known: Tensor | None, valid: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Tokens that can be read within views (B * V, P) and across them (B, V * P), where the last may be unknown."""
    if known is None and valid is None:
        return None, None
    like = known if known is not None else valid
    assert like is not None
    exists = torch.ones(shape, dtype=torch.bool, device=like.device)
    if known is not None:
        exists[..., -1] = known
    in_view = None if known is None else exists.flatten(0, 1).clone()
    if valid is not None:
        exists = exists & valid[..., None]
    return in_view, exists.flatten(1)


def _positions(special: int, height: int, width: int, intrinsics: bool, device: torch.device) -> Tensor:
    """(P, 2) row and column: special tokens at 0, patches from 1, the intrinsics in the row below them."""
    rows, columns = torch.meshgrid(
        torch.arange(1, height + 1, device=device), torch.arange(1, width + 1, device=device), indexing="ij"
    )
    parts = [torch.zeros(special, 2, device=device, dtype=rows.dtype), torch.stack([rows, columns], -1).flatten(0, 1)]
    if intrinsics:
        parts.append(torch.stack([rows[-1, 0] + 1, columns[-1, 0]])[None])
    return torch.cat(parts)
