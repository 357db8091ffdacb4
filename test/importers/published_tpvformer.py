# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""TPVFormer as published, written out plainly on tensors of its authors' names: layout, pictures, planes, voxels."""

from dataclasses import dataclass, replace

import torch
from published_files import bilinear, random_numbers
from torch.nn import functional

HEADINGS = (0.0, -55.0, 55.0, 180.0, 110.0, -110.0)


@dataclass(frozen=True)
class Sizes:
    first: int = 64
    stages: tuple[int, ...] = (256, 512, 1024, 2048)
    blocks: tuple[int, ...] = (3, 4, 23, 3)
    dim: int = 256
    layers: int = 3
    heads: int = 8
    planes: tuple[int, int, int] = (100, 100, 8)  # x, y, z
    pillar: tuple[int, int, int] = (4, 32, 32)
    feed: int = 512
    hidden: int = 512
    classes: int = 18
    box_m: tuple[float, float, float] = (80.0, 80.0, 6.4)
    lower_m: tuple[float, float, float] = (-40.0, -40.0, -1.0)
    head: str = "head"
    aggregator: str = "aggregator"
    render: bool = True


FULL = Sizes()
TPV04 = replace(FULL, box_m=(102.4, 102.4, 8.0), lower_m=(-51.2, -51.2, -5.0), head="tpv_head",
                aggregator="tpv_aggregator", render=False)  # fmt: skip
SMALL = Sizes(first=8, stages=(16, 16, 24, 32), blocks=(1, 1, 2, 1), dim=16, layers=2, heads=2, planes=(6, 5, 4),
              pillar=(2, 4, 4), feed=24, hidden=20, box_m=(9.6, 8.0, 3.2), lower_m=(-4.8, -4.0, -1.0))  # fmt: skip


def points(s):
    """ref_3d and ref_2d of the three planes: (1, R, cells, 3) and (1, cells, 1, 2), 0..1 across the box."""
    X, Y, Z = s.planes
    found = {}
    # Which axis (x, y, z) is the row, the column and the pillar of each plane.
    for plane, (name, (row, column, up)) in enumerate({"hw": (1, 0, 2), "zh": (2, 1, 0), "wz": (0, 2, 1)}.items()):
        count = s.pillar[plane]
        steps = 0.5 + (s.box_m[up] - 1) * torch.arange(count) / (count - 1)
        cells = []
        for r in range((X, Y, Z)[row]):
            for c in range((X, Y, Z)[column]):
                at = torch.zeros(count, 3)
                at[:, row], at[:, column] = (r + 0.5) / (X, Y, Z)[row], (c + 0.5) / (X, Y, Z)[column]
                at[:, up] = steps / s.box_m[up]
                cells.append(at)
        found[f"ref_3d_{name}"] = torch.stack(cells, 1)[None]
        found[f"ref_2d_{name}"] = found[f"ref_3d_{name}"][:, 0][..., [column, row]][:, :, None].clone()
    return found


def _layer(found, name, *shape):
    found[f"{name}.weight"], found[f"{name}.bias"] = shape, (shape[0],)


def _norm(found, name, channels):
    for part in ("weight", "bias", "running_mean", "running_var"):
        found[f"{name}.{part}"] = (channels,)
    found[f"{name}.num_batches_tracked"] = ()


def _backbone_layout(s):
    found = {"img_backbone.conv1.weight": (s.first, 3, 7, 7)}
    _norm(found, "img_backbone.bn1", s.first)
    before = s.first
    for stage, (wide, blocks) in enumerate(zip(s.stages, s.blocks), start=1):
        for i in range(blocks):
            block, narrow = f"img_backbone.layer{stage}.{i}", wide // 4
            for j, shape in enumerate(((narrow, before, 1, 1), (narrow, narrow, 3, 3), (wide, narrow, 1, 1)), start=1):
                found[f"{block}.conv{j}.weight"] = shape
                _norm(found, f"{block}.bn{j}", shape[0])
            if stage > 2:
                _layer(found, f"{block}.conv2.conv_offset", 27, narrow, 3, 3)
            if i == 0:
                found[f"{block}.downsample.0.weight"] = (wide, before, 1, 1)
                _norm(found, f"{block}.downsample.1", wide)
            before = wide
    return found


def layout(s):
    """Published name -> shape."""
    X, Y, Z = s.planes
    h, levels, found = s.head, len(s.stages), _backbone_layout(s)
    for i, channels in enumerate(s.stages[1:]):
        _layer(found, f"img_neck.lateral_convs.{i}.conv", s.dim, channels, 1, 1)
    for i in range(levels):
        _layer(found, f"img_neck.fpn_convs.{i}.conv", s.dim, s.dim, 3, 3)
    found |= {f"{h}.level_embeds": (levels, s.dim), f"{h}.cams_embeds": (6, s.dim), f"{h}.tpv_mask_hw": (1, Y, X)}
    found[f"{h}.positional_encoding.row_embed.weight"] = (Y, s.dim // 2)
    found[f"{h}.positional_encoding.col_embed.weight"] = (X, s.dim // 2)
    for pillar, (name, cells) in zip(s.pillar, (("hw", X * Y), ("zh", Y * Z), ("wz", X * Z))):
        found[f"{h}.encoder.ref_3d_{name}"], found[f"{h}.encoder.ref_2d_{name}"] = (
            (1, pillar, cells, 3),
            (1, cells, 1, 2),
        )
        found[f"{h}.tpv_embedding_{name}.weight"] = (cells, s.dim)
    for i in range(s.layers):
        found |= _layer_layout(s, f"{h}.encoder.layers.{i}", levels)
    for name, *shape in (
        ("decoder.0", s.hidden, s.dim),
        ("decoder.2", s.dim, s.hidden),
        ("classifier", s.classes, s.dim),
    ):
        _layer(found, f"{s.aggregator}.{name}", *shape)
    if s.render:
        found |= {"renderer.bg_color": (19,), f"{s.aggregator}.renderer.bg_color": (19,)}
        for i, wide in ((0, s.dim), (2, s.dim), (4, 3 + s.classes + 1 + 3 + 4)):
            _layer(found, f"{s.aggregator}.renderer_prep.decoder.mlp_coarse.{i}", wide, s.dim)
    return found


def _layer_layout(s, at, levels):
    found = {}
    _layer(found, f"{at}.attentions.0.sampling_offsets", s.heads * 2 * 4 * 2, 2 * s.dim)
    _layer(found, f"{at}.attentions.0.attention_weights", s.heads * 2 * 4, 2 * s.dim)
    look = f"{at}.attentions.1.deformable_attention"
    for j, pillar in enumerate(s.pillar):
        _layer(found, f"{look}.sampling_offsets.{j}", s.heads * levels * pillar * 2 * 2, s.dim)
        _layer(found, f"{look}.attention_weights.{j}", s.heads * levels * pillar * 2, s.dim)
    for name in ("0.value_proj", "0.output_proj", "1.deformable_attention.value_proj", "1.output_proj"):
        _layer(found, f"{at}.attentions.{name}", s.dim, s.dim)
    _layer(found, f"{at}.ffns.0.layers.0.0", s.feed, s.dim)
    _layer(found, f"{at}.ffns.0.layers.1", s.dim, s.feed)
    for j in range(3):
        _layer(found, f"{at}.norms.{j}", s.dim)
    return found


def checkpoint(s, seed=0):
    """Tensors of the published names; offsets of some pixels, so that every sample lies elsewhere."""
    made = random_numbers(layout(s), seed)
    made["img_backbone.conv1.weight"] = made["img_backbone.conv1.weight"] / 70  # of pixels around +-70
    for name in made:
        if name.endswith("conv_offset.weight"):
            made[name] = made[name] * 0.5
        if "sampling_offsets" in name:
            made[name] = made[name] * 1.5
        if name.endswith(("bn3.weight", "downsample.1.weight")):
            made[name] = made[name] * 0.6
        if name.endswith(("_embeds", "_embed.weight")):
            made[name] = made[name] * 2
        if name.endswith("output_proj.weight"):
            made[name] = made[name] * 0.5
        if "tpv_embedding" in name:
            made[name] = made[name] * 6  # cells differ, else all labels would be one
        if name.endswith("decoder.2.weight"):  # softplus is above 0 everywhere
            made[name] = 2 * (made[name] - made[name].mean(1, keepdim=True))
        if name.endswith(("decoder.0.bias", "decoder.2.bias", "classifier.bias")) or ".norms.2.bias" in name:
            made[name] = made[name] * 0.1
    return made | {f"{s.head}.encoder.{name}": value for name, value in points(s).items()}


def linear(w, name, x):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def layer_norm(w, name, x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def batch_norm(w, name, x):
    scale = w[f"{name}.weight"] / (w[f"{name}.running_var"] + 1e-5).sqrt()
    return (x - w[f"{name}.running_mean"][:, None, None]) * scale[:, None, None] + w[f"{name}.bias"][:, None, None]


def deformable(w, name, x):
    """Modulated deformable convolution of (M, C, H, W), pixel by pixel."""
    field = functional.conv2d(x, w[f"{name}.conv_offset.weight"], w[f"{name}.conv_offset.bias"], padding=1)
    rows, columns = torch.meshgrid(*(torch.arange(n).float() for n in x.shape[-2:]), indexing="ij")
    out = []
    for picture, parts in zip(x, field):
        total = 0
        for tap in range(9):
            down, right = parts[2 * tap], parts[2 * tap + 1]
            sampled = bilinear(picture, columns + tap % 3 - 1 + right, rows + tap // 3 - 1 + down)
            sampled = sampled * parts[18 + tap].sigmoid()
            total = total + torch.einsum("oc,chw->ohw", w[f"{name}.weight"][:, :, tap // 3, tap % 3], sampled)
        out.append(total)
    return torch.stack(out)


def backbone(w, s, pictures):
    """Maps of the last three stages, of RGB pictures (M, 3, H, W), 0..255, filled up to multiples of 32."""
    height, width = pictures.shape[-2:]
    x = pictures.float().flip(1) - torch.tensor([103.53, 116.28, 123.675]).view(3, 1, 1)
    x = functional.pad(x, (0, -width % 32, 0, -height % 32))
    x = batch_norm(w, "img_backbone.bn1", functional.conv2d(x, w["img_backbone.conv1.weight"], None, 2, 3)).relu()
    x, maps = functional.max_pool2d(x, 3, 2, 1), []
    for stage, blocks in enumerate(s.blocks, start=1):
        for i in range(blocks):
            block, stride = f"img_backbone.layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            y = functional.conv2d(x, w[f"{block}.conv1.weight"], None, stride)
            y = batch_norm(w, f"{block}.bn1", y).relu()
            kernel = w[f"{block}.conv2.weight"]
            y = deformable(w, f"{block}.conv2", y) if stage > 2 else functional.conv2d(y, kernel, padding=1)
            y = batch_norm(w, f"{block}.bn2", y).relu()
            y = batch_norm(w, f"{block}.bn3", functional.conv2d(y, w[f"{block}.conv3.weight"]))
            if i == 0:
                x = functional.conv2d(x, w[f"{block}.downsample.0.weight"], None, stride)
                x = batch_norm(w, f"{block}.downsample.1", x)
            x = (x + y).relu()
        maps.append(x)
    return maps[1:]


def neck(w, maps):
    """Four levels (M, dim, h, w), finest first."""

    def conv(name, x, **more):
        return functional.conv2d(x, w[f"img_neck.{name}.conv.weight"], w[f"img_neck.{name}.conv.bias"], **more)

    merged = [conv(f"lateral_convs.{i}", x) for i, x in enumerate(maps)]
    for i in range(len(merged) - 2, -1, -1):
        (h, w2), (small_h, small_w) = merged[i].shape[-2:], merged[i + 1].shape[-2:]
        rows, columns = torch.arange(h) * small_h // h, torch.arange(w2) * small_w // w2
        merged[i] = merged[i] + merged[i + 1][:, :, rows][:, :, :, columns]
    levels = [conv(f"fpn_convs.{i}", x, padding=1) for i, x in enumerate(merged)]
    return [*levels, conv(f"fpn_convs.{len(levels)}", levels[-1], padding=1, stride=2)]


def samples(w, look, maps, query, places, offsets, shares, heads):
    """Sum over levels and points of what (K) queries see in maps [(C, h, w)]; offsets (K, H, L, P, 2) in pixels."""
    parts = torch.zeros(len(query), heads, maps[0].shape[0] // heads)
    for level, value in enumerate(maps):
        height, width = value.shape[-2:]
        projected = linear(w, look, value.flatten(1).T).T
        for head, own in enumerate(projected.view(heads, -1, height, width)):
            x = places[..., 0] * width + offsets[:, head, level, :, 0] - 0.5
            y = places[..., 1] * height + offsets[:, head, level, :, 1] - 0.5
            parts[:, head] += (bilinear(own, x, y) * shares[:, head, level]).sum(-1).T
    return parts.flatten(1)


def top_plane(w, s, name, query, code):
    """The cells of the top plane (Y * X, dim), row y by row y, after looking around themselves."""
    X, Y, _ = s.planes
    asked = torch.cat([query, query + code], -1)
    offsets = linear(w, f"{name}.sampling_offsets", asked).view(-1, s.heads, 2, 4, 2)
    shares = linear(w, f"{name}.attention_weights", asked).view(-1, s.heads, 2, 4).softmax(-1)
    y, x = torch.meshgrid((torch.arange(Y) + 0.5) / Y, (torch.arange(X) + 0.5) / X, indexing="ij")
    places = torch.stack([x, y], -1).view(-1, 1, 2).expand(-1, 4, -1)
    plane = query.T.view(-1, Y, X)
    looks = [
        samples(w, f"{name}.value_proj", [plane], query, places, offsets[:, :, i, None], shares[:, :, i, None], s.heads)
        for i in range(2)
    ]
    return query + linear(w, f"{name}.output_proj", (looks[0] + looks[1]) / 2)


def pictures_of_pillars(s, found, K, T, width, height):
    """Places of pillars' points in filled pictures, 0..1: (V, cells, R, 2), and whether they lie inside."""
    at = found[0].transpose(0, 1) * torch.tensor(s.box_m) + torch.tensor(s.lower_m)
    full = torch.tensor([width + -width % 32, height + -height % 32])
    places, inside = [], []
    for k, pose in zip(K, T):
        local = (at - pose[:3, 3]) @ pose[:3, :3]
        pixel = local @ k.T
        place = pixel[..., :2] / pixel[..., 2:].clamp(min=1e-5) / full
        places.append(place)
        inside.append((pixel[..., 2] > 1e-5) & (place > 0).all(-1) & (place < 1).all(-1))
    return torch.stack(places), torch.stack(inside)


def image_attention(w, s, name, queries, levels, seen):
    """Queries [(cells, dim)] of the planes after looking into pictures, one after the other."""
    out = []
    for plane, (query, (places, inside)) in enumerate(zip(queries, seen)):
        look, R = f"{name}.deformable_attention", s.pillar[plane]
        shape = (len(query), s.heads, len(levels), R * 2)
        offsets = linear(w, f"{look}.sampling_offsets.{plane}", query).view(*shape, 2)
        shares = linear(w, f"{look}.attention_weights.{plane}", query).view(len(query), s.heads, -1).softmax(-1)
        total, count = torch.zeros_like(query), torch.zeros(len(query), 1)
        for view in range(len(places)):
            rows = inside[view].any(-1)
            at = places[view][rows].repeat_interleave(2, dim=1)  # two samples around each point
            maps = [level[view] for level in levels]
            found = samples(
                w,
                f"{look}.value_proj",
                maps,
                query[rows],
                at,
                offsets[rows],
                shares[rows].view(-1, *shape[1:]),
                s.heads,
            )
            total[rows] += found
            count[rows] += 1
        out.append(query + linear(w, f"{name}.output_proj", total / count.clamp(min=1)))
    return out


def planes(w, s, levels, K, T, width, height, headings):
    """Queries of the planes [(cells, dim)] after every layer, of levels (V, dim, h, w)."""
    h = s.head
    X, Y, _ = s.planes
    levels = [
        level + w[f"{h}.cams_embeds"][headings][:, :, None, None] + w[f"{h}.level_embeds"][i][:, None, None]
        for i, level in enumerate(levels)
    ]
    row, column = (w[f"{h}.positional_encoding.{name}_embed.weight"] for name in ("row", "col"))
    code = torch.cat([column[None].expand(Y, -1, -1), row[:, None].expand(-1, X, -1)], -1).flatten(0, 1)
    seen = [pictures_of_pillars(s, w[f"{h}.encoder.ref_3d_{name}"], K, T, width, height) for name in ("hw", "zh", "wz")]
    queries = [w[f"{h}.tpv_embedding_{name}.weight"] for name in ("hw", "zh", "wz")]
    results = []
    for i in range(s.layers):
        at = f"{h}.encoder.layers.{i}"
        queries = [top_plane(w, s, f"{at}.attentions.0", queries[0], code), *queries[1:]]
        queries = [layer_norm(w, f"{at}.norms.0", q) for q in queries]
        queries = image_attention(w, s, f"{at}.attentions.1", queries, levels, seen)
        queries = [layer_norm(w, f"{at}.norms.1", q) for q in queries]
        fed = [linear(w, f"{at}.ffns.0.layers.1", linear(w, f"{at}.ffns.0.layers.0.0", q).relu()) for q in queries]
        queries = [layer_norm(w, f"{at}.norms.2", q + f) for q, f in zip(queries, fed)]
        results.append(queries)
    return results


def voxels(w, s, queries, scale):
    """Features (X, Y, Z, dim) and logits of voxels, ``scale`` for each cell of a plane along each axis."""
    X, Y, Z = s.planes

    def enlarged(query, rows, columns):
        plane = query.T.view(1, -1, rows, columns)
        return functional.interpolate(plane, (rows * scale, columns * scale), mode="bilinear", align_corners=False)[0]

    hw, zh, wz = (enlarged(q, *size) for q, size in zip(queries, ((Y, X), (Z, Y), (X, Z))))
    total = hw.permute(2, 1, 0)[:, :, None] + zh.permute(2, 1, 0)[None] + wz.permute(1, 2, 0)[:, None]
    inner = torch.log1p(torch.exp(linear(w, f"{s.aggregator}.decoder.0", total)))
    features = linear(w, f"{s.aggregator}.decoder.2", inner)
    return features, linear(w, f"{s.aggregator}.classifier", features)


def opacity(w, s, features):
    """Opacities (...) of voxels' features (..., dim)."""
    name, x = f"{s.aggregator}.renderer_prep.decoder.mlp_coarse", features
    for i in (0, 2):
        x = linear(w, f"{name}.{i}", x).relu()
    return (linear(w, f"{name}.4", x)[..., 3 + s.classes] - 1).sigmoid()
