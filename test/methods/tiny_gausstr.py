# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A GaussTR and a batch that it runs on in milliseconds."""

from dataclasses import replace

import torch
from tiny_frames import BACKBONE, GRID, frames
from torch.nn import functional

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.methods.gausstr import GaussTR
from gsocc_core.methods.gausstr_args import FeatureArgs, NetworkArgs
from gsocc_core.text.class_prompts import ClassPrompts

NETWORK = NetworkArgs(
    dim=16, queries=5, layers=2, heads=2, points=2, feed_hidden=24, head_hidden=12, dropout=0.0, levels=(2.0, 1.0)
)
WORDS = {"car": "car", "lawn": "terrain", "grass": "terrain", "house": "manmade", "sky": "free"}
ONE_STAGE = replace(BACKBONE, out_indices=(2,))


def prompts(dim=8):
    embeddings = functional.normalize(torch.randn(len(WORDS), dim, generator=torch.Generator().manual_seed(7)), dim=-1)
    return ClassPrompts(tuple(WORDS), tuple(WORDS.values()), embeddings, "made")


def build(seed=0, **changes):
    torch.manual_seed(seed)
    given = {
        "backbone": None, "network": NETWORK, "features": FeatureArgs(dim=8, channels=3, input_dim=4),
        "image_size": (32, 64), "pretrained": False, **changes,
    }  # fmt: skip
    return GaussTR(OCC3D_NUSCENES, prompts(), GRID, **given)


def batch(b=2, v=3, seed=0, teacher=8):
    g = torch.Generator().manual_seed(seed)
    plain = frames(b, v, seed)
    targets = replace(plain.targets, view_features=torch.randn(b, 2, v, teacher, 2, 4, generator=g))
    depth = torch.rand(b, 1, v, 32, 64, generator=g) * 20 + 1
    return replace(plain, depth_m=depth, features=torch.randn(b, 1, v, 4, 4, 8, generator=g), targets=targets)
