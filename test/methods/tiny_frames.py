# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A grid, a network size and random frames that methods run on in milliseconds."""

import math

import torch

from gsocc_core import OCC3D_NUSCENES, Cameras, FrameSet, Targets, VoxelGrid
from gsocc_core.methods.gaussianflowocc_args import NetworkArgs
from gsocc_core.networks.backbones import BackboneArgs

GRID = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 2.2), 0.8)
CLASSES = OCC3D_NUSCENES.with_channels(range(1, 17))
BACKBONE = BackboneArgs(
    model_args={"embedding_size": 8, "hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1], "layer_type": "basic"},
    out_indices=(1, 2, 3),
)
NETWORK = NetworkArgs(
    num_gaussians=60, dim=16, num_blocks=2, num_heads=2, num_points=2, num_inducing=6, head_hidden=16, dropout=0.0,
    scale_range_m=(0.2, 1.0),
)  # fmt: skip


def surround_cameras(b, t, v, width, height):
    Ts = []
    for i in range(v):
        a = 2 * math.pi * i / v
        T = torch.eye(4)
        T[:3, 2] = torch.tensor([math.cos(a), math.sin(a), 0.0])
        T[:3, 1] = torch.tensor([0.0, 0.0, -1.0])
        T[:3, 0] = torch.linalg.cross(T[:3, 1], T[:3, 2])
        T[2, 3] = 1.5
        Ts.append(T)
    K = torch.tensor([[0.6 * width, 0, width / 2], [0, 0.6 * width, height / 2], [0, 0, 1.0]])
    return Cameras(K.expand(b, t, v, 3, 3), torch.stack(Ts).expand(b, t, v, 4, 4), width, height)


def frames(b=2, v=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 18, (b, *GRID.shape), generator=g, dtype=torch.uint8)
    return FrameSet(
        images=torch.randint(0, 256, (b, 1, v, 3, 32, 64), generator=g, dtype=torch.uint8),
        cameras=surround_cameras(b, 1, v, 64, 32),
        camera_names=tuple(f"camera_{i}" for i in range(v)),
        camera_stamps_ns=torch.zeros(b, 1, v, dtype=torch.int64),
        reference_stamp_ns=torch.zeros(b, 1, dtype=torch.int64),
        T_ref_ego=torch.eye(4).expand(b, 1, 4, 4),
        valid=torch.ones(b, 1, v, dtype=torch.bool),
        pose_valid=torch.ones(b, 1, dtype=torch.bool),
        targets=Targets(
            labels=labels,
            mask_camera=torch.rand(b, *GRID.shape, generator=g) < 0.5,
            view_cameras=surround_cameras(b, 2, v, 22, 8),
            view_semantics=torch.randint(1, 17, (b, 2, v, 8, 22), generator=g, dtype=torch.uint8),
            view_depth_m=torch.rand(b, 2, v, 8, 22, generator=g) * 8,
            view_valid=torch.tensor([True, False]).view(1, 2, 1).expand(b, 2, v),
        ),
    )
