# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussTR's decoder: queries of one picture look into its feature maps, and heads make Gaussians of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.rigid import multiply_quats, rotmat_to_quat, transform_points
from gsocc_core.methods.gausstr_args import NetworkArgs, ShapeArgs
from gsocc_core.networks.deformable import PictureAttention
from gsocc_core.networks.precision import full_precision

#: Bound on what the inverse sigmoid divides by.
_EPS = 1e-5
#: Tangent of the angle off the optical axis from which depth along it says nothing (86 degrees).
_STEEPEST = 15.0


def even_places(count: int) -> Tensor:
    """(count, 2) points that fill the unit square evenly, the same every time.

    The additive recurrence with the plastic number (Roberts 2018, "R2"): its first n points are spread well for every
    n.

    Example:
        >>> even_places(3)[0]
        tensor([0.5000, 0.5000])
    """
    plastic = 1.3247179572447460
    steps = torch.arange(count, dtype=torch.float64)[:, None] / torch.tensor([plastic, plastic**2], dtype=torch.float64)
    return ((0.5 + steps) % 1.0).float()


def sine_code(places: Tensor, channels: int) -> Tensor:
    """Sines and cosines of places in a picture (DAB-DETR, Liu et al. 2022, eq. 3): those of y, then those of x.

    Args:
        places: (..., 2) x, y in 0..1.
        channels: A multiple of 4.

    Returns:
        (..., channels).
    """
    rate = 10_000.0 ** (torch.arange(channels // 4, device=places.device) / (channels // 4))
    angle = places.flip(-1)[..., None] * (2 * math.pi) / rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-3)


def moved(places: Tensor, step: Tensor) -> Tensor:
    """Places (..., 2) in 0..1, moved by steps (..., 2) of their logits."""
    logits = (places.clamp(min=_EPS) / (1 - places).clamp(min=_EPS)).log()
    return (logits + step).sigmoid()


def sample_depth(depth_m: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Depth at places in pictures, bilinear between pixel centres; outside counts as 0, as published.

    Pixels without depth (0) take no part in the interpolation.

    Args:
        depth_m: (M, 1, H, W) metres; 0 = unknown.
        places: (M, N, 2) x, y in 0..1.

    Returns:
        (M, N) metres, and (M, N) bool: at least half of the weight is known.
    """
    unknown = (depth_m <= 0).to(depth_m.dtype)
    both = torch.cat([depth_m, unknown], 1)
    sampled = functional.grid_sample(both, (places * 2 - 1)[:, None], align_corners=False)[:, :, 0]
    known = 1 - sampled[:, 1]
    return sampled[:, 0] / known.clamp(min=_EPS), known >= 0.5


def _mlp(dim: int, hidden: int, dim_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim_out))


class DecoderLayer(nn.Module):
    """Picture attention, self-attention among the queries of one picture, feed-forward; a norm after each."""

    def __init__(self, args: NetworkArgs) -> None:
        """Build with the sizes of ``args``."""
        super().__init__()
        self.look = PictureAttention(args.dim, args.heads, len(args.levels), args.points, args.dropout)
        self.talk = nn.MultiheadAttention(args.dim, args.heads, batch_first=True)
        self.feed = _mlp(args.dim, args.feed_hidden, args.dim)
        self.norms = nn.ModuleList(nn.LayerNorm(args.dim) for _ in range(3))

    def forward(self, queries: Tensor, codes: Tensor, maps: list[Tensor], places: Tensor) -> Tensor:
        """Queries (M, K, dim), codes (M, K, dim), levels (M, dim, H_l, W_l), places (M, K, 2) -> (M, K, dim)."""
        queries = self.norms[0](self.look(queries, codes, maps, places))
        asked = queries + codes
        queries = self.norms[1](queries + self.talk(asked, asked, queries, need_weights=False)[0])
        return self.norms[2](queries + self.feed(queries))


@dataclass(frozen=True)
class PictureDepth:
    """Depth of the pictures, and what turns it into points.

    Attributes:
        depth_m: (B * V, 1, H, W) metres along the optical axis, not beyond the limit; 0 = unknown.
        cameras: (B, V) cameras.
        valid: (B, V) bool: the picture is there.
    """

    depth_m: Tensor
    cameras: Cameras
    valid: Tensor


class GaussianHead(nn.Module):
    """Where a query's Gaussian is and what it is."""

    def __init__(self, dim: int, hidden: int, features: int, shape: ShapeArgs) -> None:
        """Build for queries of ``dim`` channels and Gaussians of ``features`` channels."""
        super().__init__()
        self.shape = shape
        self.regress = _mlp(dim, hidden, 3)
        self.opacity = _mlp(dim, hidden, 1)
        self.feature = _mlp(dim, hidden, features)
        self.scale = _mlp(dim, hidden, 3)
        self.rotation = _mlp(dim, hidden, 4) if shape.rotation == "learned" else None

    def forward(self, queries: Tensor, places: Tensor, scene: PictureDepth) -> Gaussians:
        """Make Gaussians.

        A Gaussian lies on the ray of its place, which the head moves once more, at the depth found there, times one
        plus a learned offset. Its size follows from that depth before the offset.

        Args:
            queries: (B * V, K, dim), normalised.
            places: (B * V, K, 2) x, y in 0..1, as the decoder left them.
            scene: Depth and cameras.

        Returns:
            (B, V * K) Gaussians in the reference ego frame.
        """
        said = {name: getattr(self, name)(queries).float() for name in ("regress", "opacity", "feature", "scale")}
        turn = None if self.rotation is None else self.rotation(queries).float()
        # Half precision would move means by centimetres.
        with full_precision(queries.device):
            return self._place(said, turn, places, scene)

    def _place(self, said: dict[str, Tensor], turn: Tensor | None, places: Tensor, scene: PictureDepth) -> Gaussians:
        """Gaussians of what the sub-heads said (B * V, K, channels)."""
        cameras, views = scene.cameras, scene.valid.shape
        step = said["regress"]
        places = moved(places, step[..., :2])
        depth, known = sample_depth(scene.depth_m.float(), places.float())
        depth, places = depth.unflatten(0, views), places.unflatten(0, views)
        x, y = places.unbind(-1)
        rays = cameras.rays_at(torch.stack([x * cameras.width, y * cameras.height], dim=-1))
        ahead = rays[..., :2].square().sum(-1) < _STEEPEST**2
        points = rays * (depth * (1 + step[..., 2].unflatten(0, views)))[..., None]
        pose = cameras.T_ref_cam
        means = transform_points(pose, points)
        pixel = self.shape.least_px / self.shape.of_width_px * cameras.width / cameras.intrinsics[..., None, 0, 0]
        size = (1 + self.shape.span * said["scale"].sigmoid()).unflatten(0, views)
        scales = size * (depth * pixel).clamp(min=1e-6)[..., None]
        quats = rotmat_to_quat(pose[..., :3, :3])[..., None, :].expand(*depth.shape, 4)
        if turn is not None:
            w, *rest = turn.unflatten(0, views).unbind(-1)
            quats = multiply_quats(quats, functional.normalize(torch.stack([1 + w, *rest], dim=-1), dim=-1))
        opacities = said["opacity"].sigmoid()[..., 0].unflatten(0, views)
        opacities = opacities * (known.unflatten(0, views) & ahead & scene.valid[..., None])
        features = said["feature"].unflatten(0, views)
        return Gaussians(
            means.flatten(1, 2), scales.flatten(1, 2), quats.flatten(1, 2), opacities.flatten(1, 2),
            features.flatten(1, 2),
        )  # fmt: skip


class PictureDecoder(nn.Module):
    """Layers of queries that look, move their place, and look again; queries of different pictures never meet."""

    def __init__(self, args: NetworkArgs) -> None:
        """Build with the sizes of ``args``."""
        super().__init__()
        self.queries = nn.Embedding(args.queries, args.dim)
        self.code = _mlp(args.dim, args.dim, args.dim)
        self.layers = nn.ModuleList(DecoderLayer(args) for _ in range(args.layers))
        self.norm = nn.LayerNorm(args.dim)

    def forward(self, maps: list[Tensor], places: Tensor, heads: Sequence[GaussianHead]) -> list[tuple[Tensor, Tensor]]:
        """Decode.

        Args:
            maps: Levels of (M, dim, H_l, W_l).
            places: (M, K, 2) first reference points x, y, 0..1.
            heads: One per layer; its regression moves the places, without gradient.

        Returns:
            Per layer, normalised queries (M, K, dim) and places (M, K, 2).
        """
        queries = self.queries.weight.expand(len(places), -1, -1)
        found = []
        for layer, head in zip(self.layers, heads):
            codes = self.code(sine_code(places, queries.shape[-1]))
            queries = layer(queries, codes, maps, places)
            with torch.no_grad():
                places = moved(places, head.regress(queries)[..., :2])
            found.append((self.norm(queries), places))
        return found
