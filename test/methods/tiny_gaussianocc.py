# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A GaussianOcc and a batch that it runs on in milliseconds."""

from dataclasses import replace

import torch
from tiny_frames import BACKBONE, GRID, frames, surround_cameras

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.methods.build import build_method

SIZES = {"widths": [12, 10], "dim": 6, "volume_dim": 4, "vertices": [16, 16, 8]}
PLAIN = {
    "grid": {"lower": list(GRID.lower), "upper": list(GRID.upper), "voxel_size": 0.8},
    "image_size": [32, 64],
    "backbone": {"model_args": BACKBONE.model_args, "out_indices": [1, 2]},
    "network": SIZES,
    "gaussians": {"scale_m": 0.5, "far_scales_m": [[20.0, 1.5]]},
    "render": {"size": [8, 22], "limit_m": 30.0, "far_m": 40.0, "samples": 40},
    "loss": {"smoothness": 0.01, "semantics": 1.0},
}
CLASSES = OCC3D_NUSCENES
FREE = CLASSES.free_id


def build(seed=0, **changes):
    torch.manual_seed(seed)
    plain = {key: {**PLAIN[key], **value} if key in PLAIN and isinstance(value, dict) else value
             for key, value in changes.items()}  # fmt: skip
    return build_method("gaussianocc", PLAIN | plain, CLASSES, pretrained=False)


def batch(b=2, v=3, seed=0, size=(16, 32)):
    """Views: the present and a neighbour 0.4 m on, whose picture of the last camera is missing."""
    g = torch.Generator().manual_seed(seed)
    plain, (height, width) = frames(b, v, seed), size
    cameras = surround_cameras(b, 2, v, width, height)
    motion = torch.eye(4).expand(b, 2, v, 4, 4).clone()
    motion[:, 1, :, 0, 3] = 0.4
    valid = torch.ones(b, 2, v, dtype=torch.bool)
    valid[:, 1, -1] = False
    labels = torch.randint(0, 18, (b, 2, v, height, width), generator=g, dtype=torch.uint8)
    labels[:, :, :, :4] = 255
    targets = replace(
        plain.targets, view_cameras=replace(cameras, T_ref_ego=motion), view_valid=valid, view_semantics=labels,
        view_depth_m=torch.rand(b, 2, v, height, width, generator=g) * 8,
        view_images=torch.randint(0, 256, (b, 2, v, 3, height, width), generator=g, dtype=torch.uint8),
    )  # fmt: skip
    return replace(plain, targets=targets)
