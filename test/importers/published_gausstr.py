# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussTR as published, written out plainly on tensors of its authors' names: layout, network, rules of the voxels."""

import math
from dataclasses import dataclass, replace

import torch
from published_files import bilinear, random_numbers
from torch.nn import functional

from gsocc_core import VoxelGrid
from gsocc_core.importers.bundles import changed


@dataclass(frozen=True)
class Sizes:
    channels: int  # of the map that comes in
    dim: int = 256
    queries: int = 300
    layers: int = 3
    heads: int = 8
    points: int = 4
    feed: int = 2048
    hidden: int = 1024
    features: int = 512
    basis: int = 128
    segments: int = 26
    blocks: int = 0  # of the backbone; 0 = there is none
    tokens: int = 1370
    patch: int = 14
    picture_heads: int = 12


FEATUP, TALK2DINO = Sizes(512), Sizes(768, features=768, blocks=12)
GRID = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 3.0), 0.4)
#: The published sizes, reduced: what a file of either kind has, and what our configuration calls it.
SMALL = {"queries": 30, "dim": 16, "heads": 2, "points": 2, "feed": 24, "hidden": 20, "layers": 2, "basis": 4}
SIZES = {
    "featup": replace(FEATUP, channels=8, features=8, **SMALL),
    "talk2dino": replace(TALK2DINO, channels=16, features=16, blocks=2, tokens=10, picture_heads=2, **SMALL),
}
PLAIN = {
    "grid": {"lower": list(GRID.lower), "upper": list(GRID.upper), "voxel_size": GRID.voxel_size},
    "network": {"dim": 16, "queries": 30, "layers": 2, "heads": 2, "points": 2, "feed_hidden": 24, "head_hidden": 20},
}
MODEL = {
    "featup": changed(PLAIN, {"image_size": [32, 64], "features": {"dim": 8, "channels": 4}}),
    "talk2dino": changed(PLAIN, {
        "image_size": [28, 56], "features": {"dim": 16, "channels": 4},
        "backbone": {"model_args": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                                    "image_size": 42}, "out_indices": [2]},
    }),
}  # fmt: skip


def checkpoint(kind, seed=0):
    """Tensors of the published names; opaque and of many classes, so that labels differ."""
    made = random_numbers(layout(SIZES[kind], (2, 2, 2)), seed)
    for name in made:
        if name.startswith("decoder") and name.endswith("bias") and "sampling" not in name:
            made[name] = made[name] * 0.1  # else all queries end alike
        if name.endswith(("output_proj.weight", "out_proj.weight", "ffn.layers.1.weight")):
            made[name] = made[name] * 0.4
        if name.endswith(("scale_head.layers.1.bias", "opacity_head.layers.1.bias")):
            made[name] = torch.ones_like(made[name])
        if name.endswith("feature_head.layers.1.bias"):
            made[name] = torch.zeros_like(made[name])
        if name.endswith(("opacity_head.layers.1.weight", "text_proto_embeds")):
            made[name] = made[name] * 2
    made["query_embeds.weight"] *= 4
    return made


def layout(s, grid=(200, 200, 16)):
    """Published name -> shape."""
    found = {}

    def layer(name, *shape, bias=None):
        found[f"{name}.weight"] = shape
        found[f"{name}.bias"] = (shape[0] if bias is None else bias,)

    layer("neck.scale_convs.0.0", s.channels, s.channels // 2, 2, 2, bias=s.channels // 2)
    layer("neck.scale_convs.0.1", s.channels // 2)
    layer("neck.scale_convs.0.3", s.channels // 2, s.channels // 4, 2, 2, bias=s.channels // 4)
    layer("neck.scale_convs.1", s.channels, s.channels // 2, 2, 2, bias=s.channels // 2)
    for i, share in enumerate((4, 2, 1, 1)):
        found[f"neck.lateral_convs.{i}.conv.weight"] = (s.dim, s.channels // share, 1, 1)
        found[f"neck.fpn_convs.{i}.conv.weight"] = (s.dim, s.dim, 3, 3)
        layer(f"neck.lateral_convs.{i}.norm_layer", s.dim)
        layer(f"neck.fpn_convs.{i}.norm_layer", s.dim)
    samples = s.heads * 4 * s.points
    for i in range(s.layers):
        name = f"decoder.layers.{i}"
        found[f"{name}.self_attn.attn.in_proj_weight"] = (3 * s.dim, s.dim)
        found[f"{name}.self_attn.attn.in_proj_bias"] = (3 * s.dim,)
        layer(f"{name}.self_attn.attn.out_proj", s.dim, s.dim)
        layer(f"{name}.cross_attn.sampling_offsets", 2 * samples, s.dim)
        layer(f"{name}.cross_attn.attention_weights", samples, s.dim)
        layer(f"{name}.cross_attn.value_proj", s.dim, s.dim)
        layer(f"{name}.cross_attn.output_proj", s.dim, s.dim)
        layer(f"{name}.ffn.layers.0.0", s.feed, s.dim)
        layer(f"{name}.ffn.layers.1", s.dim, s.feed)
        for j in range(3):
            layer(f"{name}.norms.{j}", s.dim)
        head = f"gauss_heads.{i}"
        found[f"{head}.text_proto_embeds"] = (s.features, 21)
        for part, out in (("opacity", 1), ("feature", s.features), ("scale", 3), ("regress", 3)):
            layer(f"{head}.{part}_head.layers.0", s.hidden, s.dim)
            layer(f"{head}.{part}_head.layers.1", out, s.hidden)
        if not s.blocks:
            layer(f"{head}.segment_head.layers.0", s.features, s.basis)
            layer(f"{head}.segment_head.layers.1", s.segments, s.features)
        found[f"{head}.voxelizer.vol_range"] = (6,)
        found[f"{head}.voxelizer.grid_coords"] = (*grid, 3)
    for j in (0, 1):
        layer(f"decoder.ref_point_head.layers.{j}", s.dim, s.dim)
    layer("decoder.norm", s.dim)
    found["query_embeds.weight"] = (s.queries, s.dim)
    return found | (_backbone_layout(s) if s.blocks else {})


def _backbone_layout(s):
    wide, found = s.channels, {}

    def layer(name, *shape):
        found[f"backbone.{name}.weight"], found[f"backbone.{name}.bias"] = shape, (shape[0],)

    found["backbone.cls_token"], found["backbone.mask_token"] = (1, 1, wide), (1, wide)
    found["backbone.pos_embed"], found["backbone.register_tokens"] = (1, s.tokens, wide), (1, 4, wide)
    layer("patch_embed.proj", wide, 3, s.patch, s.patch)
    for i in range(s.blocks):
        for j in (1, 2):
            layer(f"blocks.{i}.norm{j}", wide)
            found[f"backbone.blocks.{i}.ls{j}.gamma"] = (wide,)
        layer(f"blocks.{i}.attn.qkv", 3 * wide, wide)
        layer(f"blocks.{i}.attn.proj", wide, wide)
        layer(f"blocks.{i}.mlp.fc1", 4 * wide, wide)
        layer(f"blocks.{i}.mlp.fc2", wide, 4 * wide)
    layer("norm", wide)
    return found


def linear(w, name, x):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def layer_norm(w, name, x, eps=1e-5):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def mlp(w, name, x):
    return linear(w, f"{name}.layers.1", linear(w, f"{name}.layers.0", x).relu())


def attend(q, k, v, heads):
    """Softmax attention of (N, D) among themselves, head by head."""
    part, heard = q.shape[-1] // heads, []
    for h in range(heads):
        s = slice(h * part, (h + 1) * part)
        heard.append((q[:, s] @ k[:, s].T / math.sqrt(part)).softmax(-1) @ v[:, s])
    return torch.cat(heard, -1)


def dinov2(w, s, picture):
    """Normalised patch tokens of one picture (3, H, W) of 0..255, as a map (C, h, w)."""
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    x = (picture.float() - mean[:, None, None]) / std[:, None, None]
    x = functional.conv2d(x[None], w["backbone.patch_embed.proj.weight"], stride=s.patch)[0]
    height, width = x.shape[-2:]
    x = x.flatten(1).T + w["backbone.patch_embed.proj.bias"]
    side = math.isqrt(s.tokens - 1)
    places = w["backbone.pos_embed"][0, 1:].T.reshape(1, -1, side, side)
    places = functional.interpolate(places, (height, width), mode="bicubic", antialias=True)[0].flatten(1).T
    first = w["backbone.cls_token"][0] + w["backbone.pos_embed"][0, :1]
    x = torch.cat([first, w["backbone.register_tokens"][0], x + places])
    for i in range(s.blocks):
        name = f"backbone.blocks.{i}"
        q, k, v = linear(w, f"{name}.attn.qkv", layer_norm(w, f"{name}.norm1", x, 1e-6)).chunk(3, -1)
        said = linear(w, f"{name}.attn.proj", attend(q, k, v, s.picture_heads))
        x = x + w[f"{name}.ls1.gamma"] * said
        said = functional.gelu(linear(w, f"{name}.mlp.fc1", layer_norm(w, f"{name}.norm2", x, 1e-6)))
        x = x + w[f"{name}.ls2.gamma"] * linear(w, f"{name}.mlp.fc2", said)
    return layer_norm(w, "backbone.norm", x, 1e-6)[5:].T.reshape(-1, height, width)


def neck(w, seen):
    """Four levels (D, h, w) of a map (C, h, w)."""

    def norm(name, x):
        return layer_norm(w, name, x.movedim(1, -1), 1e-6).movedim(-1, 1)

    def enlarged(name, x):
        return functional.conv_transpose2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride=2)

    x = seen[None]
    four = functional.gelu(norm("neck.scale_convs.0.1", enlarged("neck.scale_convs.0.0", x)))
    sizes = [enlarged("neck.scale_convs.0.3", four), enlarged("neck.scale_convs.1", x), x, functional.max_pool2d(x, 2)]
    levels = []
    for i, size in enumerate(sizes):
        y = functional.conv2d(size, w[f"neck.lateral_convs.{i}.conv.weight"])
        y = norm(f"neck.lateral_convs.{i}.norm_layer", y)
        y = functional.conv2d(y, w[f"neck.fpn_convs.{i}.conv.weight"], padding=1)
        levels.append(norm(f"neck.fpn_convs.{i}.norm_layer", y)[0])
    return levels


def place_code(places, dim):
    """Sines and cosines of y, then of x."""
    half, halves = dim // 2, []
    for value in (places[:, 1], places[:, 0]):
        rate = torch.tensor([10_000.0 ** (2 * (i // 2) / half) for i in range(half)])
        angle = 2 * math.pi * value[:, None] / rate
        even = torch.arange(half) % 2 == 0
        halves.append(torch.where(even, angle.sin(), angle.cos()))
    return torch.cat(halves, -1)


def inverse_sigmoid(x):
    x = x.clamp(0, 1)
    return (x.clamp(min=1e-5) / (1 - x).clamp(min=1e-5)).log()


def deformable(w, name, s, x, code, levels, places):
    """Multi-scale deformable attention of (K, D), with its residual."""
    shape, part = (len(x), s.heads, 4, s.points), s.dim // s.heads
    offsets = linear(w, f"{name}.sampling_offsets", x + code).view(*shape, 2)
    shares = linear(w, f"{name}.attention_weights", x + code).view(len(x), s.heads, -1).softmax(-1).view(shape)
    seen = torch.zeros(len(x), s.heads, part)
    for i, level in enumerate(levels):
        height, width = level.shape[-2:]
        values = linear(w, f"{name}.value_proj", level.movedim(0, -1)).movedim(-1, 0)
        for h in range(s.heads):
            at = places[:, None] + offsets[:, h, i] / torch.tensor([width, height])
            picked = bilinear(values[h * part : (h + 1) * part], at[..., 0] * width - 0.5, at[..., 1] * height - 0.5)
            seen[:, h] += (picked * shares[:, h, i]).sum(-1).T
    return x + linear(w, f"{name}.output_proj", seen.flatten(1))


def decoder(w, s, levels, places):
    """Per layer: normed queries (K, D) and places (K, 2), of one picture."""
    x, found = w["query_embeds.weight"], []
    for i in range(s.layers):
        name = f"decoder.layers.{i}"
        code = mlp(w, "decoder.ref_point_head", place_code(places, s.dim))
        x = layer_norm(w, f"{name}.norms.0", deformable(w, f"{name}.cross_attn", s, x, code, levels, places))
        rows = [
            a @ part.T + bias
            for a, part, bias in zip(
                (x + code, x + code, x), w[f"{name}.self_attn.attn.in_proj_weight"].chunk(3),
                w[f"{name}.self_attn.attn.in_proj_bias"].chunk(3),
            )
        ]  # fmt: skip
        x = layer_norm(w, f"{name}.norms.1", x + linear(w, f"{name}.self_attn.attn.out_proj", attend(*rows, s.heads)))
        said = linear(w, f"{name}.ffn.layers.1", linear(w, f"{name}.ffn.layers.0.0", x).relu())
        x = layer_norm(w, f"{name}.norms.2", x + said)
        places = (inverse_sigmoid(places) + mlp(w, f"gauss_heads.{i}.regress_head", x)[:, :2]).sigmoid()
        found.append((layer_norm(w, "decoder.norm", x), places))
    return found


def gaussians(w, s, query, places, depth, intrinsics, T_ego_cam, image_width):
    """Means, scales, covariances, opacities and features of the last layer's queries of one picture (h, w of depth)."""
    head, (height, width) = f"gauss_heads.{s.layers - 1}", depth.shape
    step = mlp(w, f"{head}.regress_head", query)
    places = (inverse_sigmoid(places) + step[:, :2]).sigmoid()
    found = bilinear(depth.clamp(max=51.2)[None], places[:, 0] * width - 0.5, places[:, 1] * height - 0.5)[0]
    pixels = torch.cat([places * torch.tensor([width, height]), torch.ones(len(places), 1)], -1)
    points = (found * (1 + step[:, 2]))[:, None] * (pixels @ intrinsics.inverse().T)
    R = T_ego_cam[:3, :3]
    focal = intrinsics[0, 0] * 1600 / image_width
    scales = (1 + 15 * mlp(w, f"{head}.scale_head", query).sigmoid()) * (found * 7.5 / focal).clamp(min=1e-6)[:, None]
    covariances = R @ torch.diag_embed(scales.square()) @ R.T
    opacities = mlp(w, f"{head}.opacity_head", query)[:, 0].sigmoid()
    return points @ R.T + T_ego_cam[:3, 3], scales, covariances, opacities, mlp(w, f"{head}.feature_head", query)


def voxels(means, covariances, opacities, scores, lower, upper, shape, size, rule):
    """Density (X, Y, Z) and features (X, Y, Z, P): Gaussian by Gaussian."""
    index = torch.stack(torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij"), -1)
    centres = lower + (index + 0.5) * size
    density, features, count = torch.zeros(shape), torch.zeros(*shape, scores.shape[-1]), torch.zeros(shape)
    for mean, covariance, opacity, score in zip(means, covariances, opacities, scores):
        sigma = covariance.diagonal().sqrt()
        apart = centres - mean
        distance = torch.einsum("xyzi,ij,xyzj->xyz", apart, covariance.inverse(), apart)
        if rule == "first":
            inside = (distance <= 7.5).float()
            density, count = density + inside * opacity * (-distance / 2).exp(), count + inside
            features = features + (inside * opacity)[..., None] * score
            continue
        if opacity <= 0.6 or not ((lower <= mean) & (mean <= upper)).all() or 6 * sigma.square().min() <= 0.015:
            continue
        low, high = mean - 3 * sigma, mean + 3 * sigma
        if (high <= lower).any() or (low >= upper).any():
            continue
        first, last = (((corner.clamp(lower, upper) - lower) / size).trunc() for corner in (low, high))
        inside = ((index >= first) & (index <= last)).all(-1).float()
        weight = inside * opacity * (-distance / 2).exp()
        density, features = density + weight, features + weight[..., None] * score
    if rule == "first":
        return density / count.clamp(min=1), features / count.clamp(min=1)[..., None]
    return density, features / density.clamp(min=1e-6)[..., None]


def labels(density, features):
    """Occ3D ids (X, Y, Z)."""
    p = features.softmax(-1)
    sharp = (100 * features).softmax(-1)
    p = p * (sharp.flatten(0, 2).amax(0) >= 0.1)
    groups = [[i] for i in range(12)] + [[12, 13], [14, 15, 16, 17, 18], [19], [20]]
    best = torch.stack([p[..., group].amax(-1) for group in groups], -1).argmax(-1)
    ids = best + 1 + (best > 10).long()
    return torch.where(density > 0.04, ids, 17)
