# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Uni3R and LSeg as published, written out plainly on tensors of their authors' names."""

import math
from dataclasses import dataclass

import torch
from published_files import random_numbers
from torch.nn import functional


@dataclass(frozen=True)
class Sizes:
    dim: int = 1024
    encoder_blocks: int = 24
    encoder_heads: int = 16
    patch: int = 16
    grid: int = 16
    encoder_registers: int = 4
    depth: int = 24
    heads: int = 16
    taps: tuple[int, ...] = (4, 11, 17, 23)
    camera_depth: int = 4
    camera_heads: int = 16
    width: int = 256
    levels: tuple[int, ...] = (256, 512, 1024, 1024)
    hidden: int = 32
    teacher: int = 512
    semantic: int = 64


FULL = Sizes()
SMALL = Sizes(dim=16, encoder_blocks=2, encoder_heads=2, patch=4, grid=4, depth=3, heads=2, taps=(0, 1, 1, 2),
              camera_depth=1, camera_heads=2, width=16, levels=(8, 8, 12, 12), teacher=6, semantic=4)  # fmt: skip


def _layer(found, name, *shape, bias=None):
    found[f"{name}.weight"], found[f"{name}.bias"] = shape, (shape[0] if bias is None else bias,)


def _block(found, name, dim, head_dim=None):
    for norm in ("norm1", "norm2"):
        _layer(found, f"{name}.{norm}", dim)
    _layer(found, f"{name}.attn.qkv", 3 * dim, dim)
    _layer(found, f"{name}.attn.proj", dim, dim)
    if head_dim:
        for norm in ("q_norm", "k_norm"):
            _layer(found, f"{name}.attn.{norm}", head_dim)
    _layer(found, f"{name}.mlp.fc1", 4 * dim, dim)
    _layer(found, f"{name}.mlp.fc2", dim, 4 * dim)
    found[f"{name}.ls1.gamma"] = found[f"{name}.ls2.gamma"] = (dim,)


def _dense(found, name, s, out):
    one, two, _, four = s.levels
    _layer(found, f"{name}.norm", 2 * s.dim)
    for i, channels in enumerate(s.levels):
        _layer(found, f"{name}.projects.{i}", channels, 2 * s.dim, 1, 1)
        found[f"{name}.scratch.layer{i + 1}_rn.weight"] = (s.width, channels, 3, 3)
        fusion = f"{name}.scratch.refinenet{i + 1}"
        _layer(found, f"{fusion}.out_conv", s.width, s.width, 1, 1)
        for unit in ("resConfUnit1", "resConfUnit2") if i < 3 else ("resConfUnit2",):
            for j in (1, 2):
                _layer(found, f"{fusion}.{unit}.conv{j}", s.width, s.width, 3, 3)
    _layer(found, f"{name}.resize_layers.0", one, one, 4, 4)
    _layer(found, f"{name}.resize_layers.1", two, two, 2, 2)
    _layer(found, f"{name}.resize_layers.3", four, four, 3, 3)
    _layer(found, f"{name}.scratch.output_conv1", s.width // 2 if out else s.width, s.width, 3, 3)
    if out:
        _layer(found, f"{name}.scratch.output_conv2.0", s.hidden, s.width // 2, 3, 3)
        _layer(found, f"{name}.scratch.output_conv2.2", out, s.hidden, 1, 1)


def layout(s):
    """Published name -> shape, of what is needed in use."""
    a = "vggt.aggregator"
    found = {f"{a}.camera_token": (1, 2, 1, s.dim), f"{a}.register_token": (1, 2, 4, s.dim)}
    p = f"{a}.patch_embed"
    found |= {f"{p}.cls_token": (1, 1, s.dim), f"{p}.mask_token": (1, s.dim),
              f"{p}.pos_embed": (1, 1 + s.grid**2, s.dim),
              f"{p}.register_tokens": (1, s.encoder_registers, s.dim)}  # fmt: skip
    _layer(found, f"{p}.patch_embed.proj", s.dim, 3, s.patch, s.patch)
    _layer(found, f"{p}.norm", s.dim)
    for i in range(s.encoder_blocks):
        _block(found, f"{p}.blocks.{i}", s.dim)
    for i in range(s.depth):
        for kind in ("frame_blocks", "global_blocks"):
            _block(found, f"{a}.{kind}.{i}", s.dim, s.dim // s.heads)
    _layer(found, f"{a}.intrinsic_encoder", s.dim, 9)
    c, wide = "vggt.camera_head", 2 * s.dim
    for i in range(s.camera_depth):
        _block(found, f"{c}.trunk.{i}", wide)
    for norm in ("token_norm", "trunk_norm"):
        _layer(found, f"{c}.{norm}", wide)
    found[f"{c}.empty_pose_tokens"] = (1, 1, 9)
    for name, *shape in (("embed_pose", wide, 9), ("poseLN_modulation.1", 3 * wide, wide),
                         ("pose_branch.fc1", wide // 2, wide), ("pose_branch.fc2", 9, wide // 2)):  # fmt: skip
        _layer(found, f"{c}.{name}", *shape)
    _dense(found, "vggt.point_head", s, 4)
    _dense(found, "vggt.depth_head", s, 2)
    _dense(found, "dpt_head", s, 0)
    _layer(found, "dpt_head.input_merger.0", s.width, 3, 7, 7)
    _layer(found, "gs_attr_proj.0", s.width, s.width, 3, 3)
    _layer(found, "gs_attr_proj.2", 3 + 4 + 1 + 48 + s.semantic + 3, s.width, 1, 1)
    _layer(found, "feature_reduction.0", s.semantic, s.teacher, 1, 1)
    _layer(found, "feature_expansion.1", s.teacher, s.semantic, 1, 1)
    return found


def checkpoint(s, seed=0):
    """Random numbers of the published names, and some of what is not needed."""
    made = random_numbers(layout(s), seed)
    for name in made:
        if name.endswith(".gamma"):
            made[name] = 0.3 * made[name]
        if name.endswith("pose_branch.fc2.weight"):
            made[name] = 0.3 * made[name]
        if name.endswith("output_conv2.2.weight"):  # of which the exponential is taken
            made[name] = 0.01 * made[name]
    spare = {"distiller.aggregator.camera_token": (1, 2), "lseg_feature_extractor.scratch.head1.bias": (3,),
             "vggt.track_head.tracker.query_ref_token": (2,), "gaussian_head.gaussian_proj.bias": (5,)}  # fmt: skip
    return made | random_numbers(spare)


def linear(w, name, x):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def norm(w, name, x, eps=1e-5):
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return scaled if name is None else scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def conv(w, name, x, **more):
    return functional.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), **more)


def turned(x, places):
    """Rotary code of (heads, P, d) at rows and columns (P, 2): the first half of the channels by row."""
    parts = []
    for half, place in zip(x.chunk(2, -1), places.T):
        d = half.shape[-1]
        angle = place[:, None].float() * 100.0 ** -(torch.arange(0, d, 2) / d)
        angle = torch.cat([angle, angle], -1)
        one, two = half.chunk(2, -1)
        parts.append(half * angle.cos() + torch.cat([-two, one], -1) * angle.sin())
    return torch.cat(parts, -1)


def block(w, name, tokens, heads, places=None, eps=1e-5, normalised=False):
    """A transformer block on (P, dim) tokens."""
    P, dim = tokens.shape
    q, k, v = (
        linear(w, f"{name}.attn.qkv", norm(w, f"{name}.norm1", tokens, eps)).view(P, 3, heads, -1).permute(1, 2, 0, 3)
    )
    if normalised:
        q, k = norm(w, f"{name}.attn.q_norm", q), norm(w, f"{name}.attn.k_norm", k)
    if places is not None:
        q, k = turned(q, places), turned(k, places)
    shares = (q @ k.transpose(-1, -2) / math.sqrt(dim // heads)).softmax(-1)
    seen = linear(w, f"{name}.attn.proj", (shares @ v).transpose(0, 1).reshape(P, dim))
    tokens = tokens + w.get(f"{name}.ls1.gamma", torch.ones(1)) * seen
    fed = linear(w, f"{name}.mlp.fc2", gelu(linear(w, f"{name}.mlp.fc1", norm(w, f"{name}.norm2", tokens, eps))))
    return tokens + w.get(f"{name}.ls2.gamma", torch.ones(1)) * fed


def encoded(w, s, picture):
    """(patches, dim) of a picture (3, H, W), 0..1, of the size that the positions were learned with."""
    p = "vggt.aggregator.patch_embed"
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (picture - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    x = conv(w, f"{p}.patch_embed.proj", x[None], stride=s.patch)[0].flatten(1).T
    x = torch.cat([w[f"{p}.cls_token"][0], x]) + w[f"{p}.pos_embed"][0]
    x = torch.cat([x[:1], w[f"{p}.register_tokens"][0], x[1:]])
    for i in range(s.encoder_blocks):
        x = block(w, f"{p}.blocks.{i}", x, s.encoder_heads, eps=1e-6)
    return norm(w, f"{p}.norm", x, 1e-6)[1 + s.encoder_registers :]


def attended(w, s, patches, intrinsics):
    """Camera tokens (V, 2 dim) of the last pair, and patches (V, P, 2 dim) of each tapped one."""
    a, V = "vggt.aggregator", len(patches)
    special = torch.cat([w[f"{a}.camera_token"], w[f"{a}.register_token"]], 2)[0]
    told = linear(w, f"{a}.intrinsic_encoder", intrinsics.flatten(1))
    tokens = [torch.cat([special[min(v, 1)], patches[v], told[v : v + 1]]) for v in range(V)]
    rows, columns = torch.meshgrid(torch.arange(s.grid) + 1, torch.arange(s.grid) + 1, indexing="ij")
    places = torch.stack([rows, columns], -1).flatten(0, 1)
    places = torch.cat([torch.zeros(5, 2).long(), places, torch.tensor([[s.grid + 1, 1]])])
    taps = []
    for i in range(s.depth):
        frame = [block(w, f"{a}.frame_blocks.{i}", t, s.heads, places, normalised=True) for t in tokens]
        together = block(w, f"{a}.global_blocks.{i}", torch.cat(frame), s.heads, places.repeat(V, 1), normalised=True)
        tokens = list(together.chunk(V))
        taps.append(torch.stack([torch.cat(pair, -1) for pair in zip(frame, tokens)])[:, :-1])
    return taps[-1][:, 0], [taps[tap][:, 5:] for tap in s.taps]


def camera(w, s, tokens, steps):
    """Codes (V, 9) after every step: translation, quaternion x y z w, fields of view."""
    c, found = "vggt.camera_head", []
    tokens = norm(w, f"{c}.token_norm", tokens)
    for _ in range(steps):
        known = found[-1] if found else w[f"{c}.empty_pose_tokens"][0].expand(len(tokens), -1)
        told = linear(w, f"{c}.embed_pose", known)
        shift, scale, gate = linear(w, f"{c}.poseLN_modulation.1", told * told.sigmoid()).chunk(3, -1)
        state = tokens + gate * (norm(w, None, tokens, 1e-6) * (1 + scale) + shift)
        for i in range(s.camera_depth):
            state = block(w, f"{c}.trunk.{i}", state, s.camera_heads)
        state = norm(w, f"{c}.trunk_norm", state)
        change = linear(w, f"{c}.pose_branch.fc2", gelu(linear(w, f"{c}.pose_branch.fc1", state)))
        found.append(known + change if found else change)
    return found


def placed(x, aspect=1.0):
    """A map (M, C, h, w) plus a tenth of the code of its pixels' places."""
    _, channels, height, width = x.shape
    diagonal = math.hypot(aspect, 1)
    code = torch.zeros(channels, height, width)
    rates = 100.0 ** -(torch.arange(channels // 4) / (channels // 4))
    for start, count, side, along in ((0, width, aspect, True), (channels // 2, height, 1.0, False)):
        edge = side / diagonal * (count - 1) / count
        angle = torch.linspace(-edge, edge, count)[None] * rates[:, None]
        both = torch.cat([angle.sin(), angle.cos()])
        code[start : start + channels // 2] = both[:, None] if along else both[:, :, None]
    return x + 0.1 * code


def dense(w, name, s, layers, size):
    """Map (V, C, H, W) of a dense head before its last two layers, without the code of places."""
    maps = []
    for i, tokens in enumerate(layers):
        x = norm(w, f"{name}.norm", tokens).transpose(1, 2).unflatten(2, (s.grid, s.grid))
        x = placed(conv(w, f"{name}.projects.{i}", x))
        at = f"{name}.resize_layers.{i}"
        if i < 2:
            x = functional.conv_transpose2d(x, w[f"{at}.weight"], w[f"{at}.bias"], stride=4 >> i)
        elif i == 3:
            x = conv(w, at, x, stride=2, padding=1)
        maps.append(conv(w, f"{name}.scratch.layer{i + 1}_rn", x, padding=1))

    def unit(at, x):
        x = x.relu()  # in place there, so that the shortcut is rectified too
        return x + conv(w, f"{at}.conv2", conv(w, f"{at}.conv1", x, padding=1).relu(), padding=1)

    fused = maps[3]
    for i in (3, 2, 1, 0):
        at = f"{name}.scratch.refinenet{i + 1}"
        if i < 3:
            fused = fused + unit(f"{at}.resConfUnit1", maps[i])
        fused = unit(f"{at}.resConfUnit2", fused)
        to = maps[i - 1].shape[-2:] if i else [2 * n for n in fused.shape[-2:]]
        fused = conv(w, f"{at}.out_conv", functional.interpolate(fused, to, mode="bilinear", align_corners=True))
    fused = conv(w, f"{name}.scratch.output_conv1", fused, padding=1)
    return functional.interpolate(fused, size, mode="bilinear", align_corners=True)


def points(w, s, layers, size):
    """(V, H, W, 3) points and (V, H, W) how sure they are."""
    x = placed(dense(w, "vggt.point_head", s, layers, size))
    x = conv(w, "vggt.point_head.scratch.output_conv2.0", x, padding=1).relu()
    x = conv(w, "vggt.point_head.scratch.output_conv2.2", x).permute(0, 2, 3, 1)
    return x[..., :3].sign() * (x[..., :3].abs().exp() - 1), 1 + x[..., 3].exp()


def gaussians(w, s, layers, pictures, means, features):
    """Scales, quaternions, opacities, harmonics (N, 16, 3) and features; pictures are -1..1, features the teacher's."""
    x = dense(w, "dpt_head", s, layers, pictures.shape[-2:])
    x = placed(x + conv(w, "dpt_head.input_merger.0", pictures, padding=3).relu())
    x = conv(w, "gs_attr_proj.2", conv(w, "gs_attr_proj.0", x, padding=1).relu())
    parts = x.permute(0, 2, 3, 1).flatten(0, 2).split([3, 4, 1, 48, s.semantic, 3], -1)
    scale, quat, opacity, harmonics, feature, color = parts
    apart = torch.cdist(means, means).sort(-1).values[:, 1:4].square().mean(-1).clamp(min=1e-7).sqrt()
    median = apart.median()
    scale = (scale.clamp(max=10).exp() * 0.0025 * apart[:, None]).clamp(0.1 * median, 3 * median)
    harmonics = harmonics.view(-1, 16, 3).clone()
    harmonics[:, 0] += (color * 0.5 + 0.5 - 0.5) / 0.28209479177387814
    for degree in (1, 2, 3):
        harmonics[:, degree**2 : (degree + 1) ** 2] *= 0.5 * 0.25**degree
    reduced = conv(w, "feature_reduction.0", features)
    reduced = functional.interpolate(reduced, scale_factor=2, mode="bilinear", align_corners=False)
    feature = feature + reduced.permute(0, 2, 3, 1).flatten(0, 2)
    return scale, quat / quat.norm(dim=-1, keepdim=True), opacity[:, 0].sigmoid(), harmonics, feature


# ---- LSeg ------------------------------------------------------------------------------------------------------------


def lseg_layout(dim, depth, patch, grid, levels, width, out):
    """Published name -> shape, of its picture side."""
    m, found = "pretrained.model", {}
    found |= {f"{m}.cls_token": (1, 1, dim), f"{m}.pos_embed": (1, 1 + grid**2, dim)}
    _layer(found, f"{m}.patch_embed.proj", dim, 3, patch, patch)
    for i in range(depth):
        _block(found, f"{m}.blocks.{i}", dim)
        del found[f"{m}.blocks.{i}.ls1.gamma"], found[f"{m}.blocks.{i}.ls2.gamma"]
    _layer(found, f"{m}.norm", dim)
    _layer(found, f"{m}.head", 1000, dim)
    for i, channels in enumerate(levels, start=1):
        _layer(found, f"pretrained.act_postprocess{i}.0.project.0", dim, 2 * dim)
        _layer(found, f"pretrained.act_postprocess{i}.3", channels, dim, 1, 1)
        if i != 3:
            side = {1: 4, 2: 2, 4: 3}[i]
            _layer(found, f"pretrained.act_postprocess{i}.4", channels, channels, side, side)
        found[f"scratch.layer{i}_rn.weight"] = (width, channels, 3, 3)
        _layer(found, f"scratch.refinenet{i}.out_conv", width, width, 1, 1)
        for unit in ("resConfUnit1", "resConfUnit2"):
            for j in (1, 2):
                found[f"scratch.refinenet{i}.{unit}.conv{j}.weight"] = (width, width, 3, 3)
                for part in ("weight", "bias", "running_mean", "running_var"):
                    found[f"scratch.refinenet{i}.{unit}.bn{j}.{part}"] = (width,)
                found[f"scratch.refinenet{i}.{unit}.bn{j}.num_batches_tracked"] = ()
    _layer(found, "scratch.head1", out, width, 1, 1)
    return found


def lseg(w, pictures, heads, taps, patch):
    """Features (M, out, H / 2, W / 2) of pictures (M, 3, H, W), -1..1."""
    m, maps = "pretrained.model", []
    x = conv(w, f"{m}.patch_embed.proj", pictures, stride=patch)
    size = x.shape[-2:]
    old = round((w[f"{m}.pos_embed"].shape[1] - 1) ** 0.5)
    grid = w[f"{m}.pos_embed"][:, 1:].transpose(1, 2).unflatten(2, (old, old))
    grid = functional.interpolate(grid, size, mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)
    tokens = torch.cat([w[f"{m}.cls_token"].expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], 1)
    tokens = tokens + torch.cat([w[f"{m}.pos_embed"][:, :1], grid], 1)
    depth = 1 + max(int(name.split(".")[3]) for name in w if name.startswith(f"{m}.blocks."))
    for i in range(depth):
        tokens = torch.stack([block(w, f"{m}.blocks.{i}", t, heads, eps=1e-6) for t in tokens])
        if i in taps:
            at = f"pretrained.act_postprocess{taps.index(i) + 1}"
            told = torch.cat([tokens[:, 1:], tokens[:, :1].expand_as(tokens[:, 1:])], -1)
            x = gelu(linear(w, f"{at}.0.project.0", told)).transpose(1, 2).unflatten(2, size)
            x = conv(w, f"{at}.3", x)
            if at[-1] in "12":
                x = functional.conv_transpose2d(x, w[f"{at}.4.weight"], w[f"{at}.4.bias"], stride=4 // int(at[-1]))
            elif at[-1] == "4":
                x = conv(w, f"{at}.4", x, stride=2, padding=1)
            maps.append(conv(w, f"scratch.layer{at[-1]}_rn", x, padding=1))

    def unit(at, x):
        y = x
        for j in (1, 2):
            y = conv(w, f"{at}.conv{j}", y.relu(), padding=1)
            mean, var = w[f"{at}.bn{j}.running_mean"], w[f"{at}.bn{j}.running_var"]
            y = (y - mean[:, None, None]) / (var + 1e-5).sqrt()[:, None, None]
            y = y * w[f"{at}.bn{j}.weight"][:, None, None] + w[f"{at}.bn{j}.bias"][:, None, None]
        return x + y

    fused = maps[3]
    for i in (4, 3, 2, 1):
        at = f"scratch.refinenet{i}"
        fused = unit(f"{at}.resConfUnit2", fused if i == 4 else fused + unit(f"{at}.resConfUnit1", maps[i - 1]))
        fused = functional.interpolate(fused, scale_factor=2, mode="bilinear", align_corners=True)
        fused = conv(w, f"{at}.out_conv", fused)
    return conv(w, "scratch.head1", fused)
