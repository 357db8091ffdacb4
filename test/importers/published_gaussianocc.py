# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc's second stage as published, written out plainly on tensors of its authors' names."""

from dataclasses import dataclass

import torch
from published_files import bilinear
from torch.nn import functional


@dataclass(frozen=True)
class Sizes:
    first: int = 64
    stages: tuple[int, ...] = (256, 512, 1024)
    blocks: tuple[int, ...] = (3, 4, 23)
    widths: tuple[int, int] = (512, 256)
    dim: int = 64
    volume: int = 32
    depths: int = 424
    height: int = 384
    width: int = 640


def _norm(found, name, channels):
    for part in ("weight", "bias", "running_mean", "running_var"):
        found[f"{name}.{part}"] = (channels,)
    found[f"{name}.num_batches_tracked"] = ()


def encoder_layout(s):
    """Published name -> shape, or number, of encoder.pth."""
    found = {"backbone.0.weight": (s.first, 3, 7, 7)}
    _norm(found, "backbone.1", s.first)
    before = s.first
    for name, wide, blocks in zip(("backbone.4", "backbone.5", "layer3"), s.stages, s.blocks):
        for i in range(blocks):
            narrow = wide // 4
            shapes = ((narrow, before, 1, 1), (narrow, narrow, 3, 3), (wide, narrow, 1, 1))
            for j, shape in enumerate(shapes, start=1):
                found[f"{name}.{i}.conv{j}.weight"] = shape
                _norm(found, f"{name}.{i}.bn{j}", shape[0])
            if i == 0:
                found[f"{name}.0.downsample.0.weight"] = (wide, before, 1, 1)
                _norm(found, f"{name}.0.downsample.1", wide)
            before = wide
    a, b = s.widths
    found["upsampling_layer.conv.0.weight"] = (a, s.stages[1] + s.stages[2], 3, 3)
    found["upsampling_layer.conv.3.weight"] = (a, a, 3, 3)
    found["Upsampling_4.conv.0.weight"], found["Upsampling_4.conv.3.weight"] = (b, a, 3, 3), (b, b, 3, 3)
    found["depth_layer.weight"], found["depth_layer.bias"] = (s.dim, b, 1, 1), (s.dim,)
    return found | {"height": s.height, "width": s.width}


def decoder_layout(s):
    """Published name -> shape of depth.pth."""
    found = {"xyz_min": (3,), "xyz_max": (3,), "Zval": (1, s.depths), "scene_centroid": (1, 3)}
    found |= {"vox_util.posfreq": (3,), "gs_vox_util.posfreq": (3,)}

    def block(name, dim_in, dim_out, up=False):
        found[f"_3DCNN.{name}.0.weight"] = (dim_in, dim_out, 3, 3, 3) if up else (dim_out, dim_in, 3, 3, 3)
        _norm(found, f"_3DCNN.{name}.1", dim_out)

    v = s.volume
    block("dres0.0", s.dim, v)
    for name in ("dres0.2", "dres1.0", "dres1.2"):
        block(name, v, v)
    for i in (2, 3, 4):
        block(f"dres{i}.conv1.0", v, 2 * v)
        for name in ("conv2", "conv3.0", "conv4.0"):
            block(f"dres{i}.{name}", 2 * v, 2 * v)
        block(f"dres{i}.conv5", 2 * v, 2 * v, up=True)
        block(f"dres{i}.conv6", 2 * v, v, up=True)
    for head, count, out in (("classif3", 5, 1), ("classif_semantic", 5, 18), ("classif_flow", 4, 3)):
        for i in range(count):
            block(f"{head}.{2 * i}", v, out if i == count - 1 else v)
    return found


def norm(w, name, x):
    shape = (1, -1, *(1,) * (x.ndim - 2))
    centred = x - w[f"{name}.running_mean"].view(shape)
    scaled = centred / (w[f"{name}.running_var"].view(shape) + 1e-5).sqrt()
    return scaled * w[f"{name}.weight"].view(shape) + w[f"{name}.bias"].view(shape)


def encoder(w, s, pictures):
    """Maps (M, dim, H / 4, W / 4) of pictures (M, 3, H, W), 0..255."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (pictures.float() / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    x = norm(w, "backbone.1", functional.conv2d(x, w["backbone.0.weight"], stride=2, padding=3)).relu()
    x, stages = functional.max_pool2d(x, 3, 2, 1), []
    for name, blocks, stride in zip(("backbone.4", "backbone.5", "layer3"), s.blocks, (1, 2, 2)):
        for i in range(blocks):
            step = stride if i == 0 else 1
            y = norm(w, f"{name}.{i}.bn1", functional.conv2d(x, w[f"{name}.{i}.conv1.weight"])).relu()
            y = functional.conv2d(y, w[f"{name}.{i}.conv2.weight"], stride=step, padding=1)
            y = norm(w, f"{name}.{i}.bn2", y).relu()
            y = norm(w, f"{name}.{i}.bn3", functional.conv2d(y, w[f"{name}.{i}.conv3.weight"]))
            if i == 0:
                x = functional.conv2d(x, w[f"{name}.0.downsample.0.weight"], stride=step)
                x = norm(w, f"{name}.0.downsample.1", x)
            x = (x + y).relu()
        stages.append(x)

    def twice(x):
        return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    def instance(x):
        spread = x.var((-2, -1), keepdim=True, unbiased=False)
        return ((x - x.mean((-2, -1), keepdim=True)) / (spread + 1e-5).sqrt()).relu()

    x = torch.cat([stages[1], twice(stages[2])], 1)  # the finer stage first
    for i in (0, 3):
        x = instance(functional.conv2d(x, w[f"upsampling_layer.conv.{i}.weight"], padding=1))
    x = twice(x)
    for i in (0, 3):
        x = instance(functional.conv2d(x, w[f"Upsampling_4.conv.{i}.weight"], padding=1))
    return functional.conv2d(x, w["depth_layer.weight"], w["depth_layer.bias"])


def vertices(shape, lower, upper, ratio=0.66667):
    """(X, Y, Z, 3) metres of the contracted grid's vertices."""
    t, axes = ratio / (1 - ratio), []
    for n, margin, low, high in zip(shape, (0.5, 0.5, 0.05), lower, upper):
        steps = torch.arange(n, dtype=torch.float64).clamp(margin, n - 1 - margin)
        a = (2 * steps / (n - 1) - 1) * (t + 1)
        outside = a.sign() * (t - 1 + 1 / (t + 1 - a.abs()))
        u = torch.where(a.abs() <= t, a, outside) / t
        axes.append(low + (u + 1) / 2 * (high - low))
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).float()


def lifted(maps, intrinsics, T_ego_cam, width, points):
    """(C, N) means over cameras of maps (V, C, h, w) at points (N, 3): a camera counts where its channel is not 0."""
    total, count = torch.zeros(maps.shape[1], len(points)), torch.zeros(maps.shape[1], len(points))
    for feature, K, T in zip(maps, intrinsics, T_ego_cam):
        rows, columns = feature.shape[-2:]
        at = (points - T[:3, 3]) @ T[:3, :3]
        z = at[:, 2]
        pixel = at @ K.T / z.clamp(min=1e-6)[:, None]
        x, y = pixel[:, 0] * columns / width, pixel[:, 1] * columns / width
        seen = (x > -0.5) & (x < columns - 0.5) & (y > -0.5) & (y < rows - 0.5) & (z > 0)
        # Normalised as if corners were aligned, sampled as if they were not.
        value = bilinear(feature, x * columns / (columns - 1) - 0.5, y * rows / (rows - 1) - 0.5)
        value = torch.where(seen, value, 0.0)
        total, count = total + value, count + (value.abs() > 0)
    return total / (count + 1e-6)


def decoder(w, x):
    """Logits (1, 18, X, Y, Z) of features (1, C, X, Y, Z)."""

    def conv(name, x, stride=1):
        name = f"_3DCNN.{name}"
        return norm(w, f"{name}.1", functional.conv3d(x, w[f"{name}.0.weight"], stride=stride, padding=1))

    def enlarged(name, x):
        name = f"_3DCNN.{name}"
        y = functional.conv_transpose3d(x, w[f"{name}.0.weight"], stride=2, padding=1, output_padding=1)
        return norm(w, f"{name}.1", y)

    x = conv("dres0.2", conv("dres0.0", x).relu()).relu()
    base = conv("dres1.2", conv("dres1.0", x).relu()) + x
    present, first, last = base, None, None
    for i in (2, 3, 4):
        down = conv(f"dres{i}.conv2", conv(f"dres{i}.conv1.0", present, 2).relu())
        down = (down if last is None else down + last).relu()
        deep = conv(f"dres{i}.conv4.0", conv(f"dres{i}.conv3.0", down, 2).relu()).relu()
        first = down if first is None else first
        last = (enlarged(f"dres{i}.conv5", deep) + first).relu()
        present = enlarged(f"dres{i}.conv6", last) + (base if i < 4 else 0)  # nothing is added to the third
    for i in range(4):
        present = conv(f"classif_semantic.{2 * i}", present).relu()
    return conv("classif_semantic.8", present)


def labels(logits, lower, upper, shape, size, ratio=0.66667):
    """Ids (X, Y, Z) of logits (C, X', Y', Z'): the largest, trilinear in contracted coordinates."""
    t, places = ratio / (1 - ratio), []
    for n, count, low, high in zip(shape, logits.shape[1:], lower, upper):
        u = 2 * (low + (torch.arange(n) + 0.5) * size - low) / (high - low) - 1
        assert (u.abs() <= 1).all(), "inside the box"
        places.append((t * u / (t + 1) + 1) / 2 * (count - 1))
    for axis, place in enumerate(places, start=1):
        below = place.floor().long().clamp(max=logits.shape[axis] - 2)
        share = (place - below).view(-1, *(1,) * (3 - axis))
        logits = logits.index_select(axis, below) * (1 - share) + logits.index_select(axis, below + 1) * share
    return logits.argmax(0)
