# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Names and shapes of published checkpoints, read from tables beside this file, and random numbers of any layout."""

import gzip
from pathlib import Path

import torch

TABLES = Path(__file__).parent / "published"


def table(name):
    """Published name -> shape, or the integer that lies there, of a table."""
    packed = TABLES / f"{name}.tsv.gz"
    text = gzip.decompress(packed.read_bytes()).decode() if packed.exists() else (TABLES / f"{name}.tsv").read_text()
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return {key: _shape(shape) for key, shape, _ in rows}


def _shape(text):
    if text.startswith("python int"):
        return int(text.split()[-1])
    return () if text == "scalar" else tuple(int(n) for n in text.split("x"))


def random_numbers(layout, seed=0):
    """A tensor for every shape: of a size that keeps activations near 1, and variances positive."""
    g = torch.Generator().manual_seed(seed)
    made = {}
    for name, shape in layout.items():
        if isinstance(shape, int):
            made[name] = shape
        elif name.endswith("num_batches_tracked"):
            made[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            made[name] = torch.rand(shape, generator=g) + 0.5
        elif name.endswith(("weight", "gamma")) and len(shape) == 1:
            made[name] = 1 + 0.2 * torch.randn(shape, generator=g)
        else:
            fan = max(1, torch.Size(shape[1:]).numel()) if len(shape) > 1 else 4
            made[name] = torch.randn(shape, generator=g) * (1.4 / fan**0.5)
    return made


def bilinear(value, x, y):
    """(C, ...) of a map (C, H, W) at pixel coordinates of whole-numbered middles; 0 outside."""
    height, width = value.shape[-2:]
    total = torch.zeros(value.shape[0], *x.shape)
    left, top = x.floor(), y.floor()
    for column in (left, left + 1):
        for row in (top, top + 1):
            share = (1 - (x - column).abs()) * (1 - (y - row).abs())
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            picked = value[:, row.clamp(0, height - 1).long(), column.clamp(0, width - 1).long()]
            total = total + torch.where(inside, share, 0.0) * picked
    return total
