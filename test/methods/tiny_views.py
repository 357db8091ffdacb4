# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A Uni3R and sets of views that it runs on in milliseconds."""

import torch

from gsocc_core.geometry.rigid import quat_to_rotmat
from gsocc_core.geometry.view_sets import ViewSet
from gsocc_core.methods.uni3r import Uni3R
from gsocc_core.methods.uni3r_args import GaussianArgs, LossArgs, NetworkArgs, SemanticArgs
from gsocc_core.networks.backbones import BackboneArgs

ENCODER = BackboneArgs(
    model_type="dinov2_with_registers",
    model_args={
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 4, "image_size": 16,
        "num_register_tokens": 1,
    },
    out_indices=(1,),
)  # fmt: skip
NETWORK = NetworkArgs(
    depth=2, heads=2, registers=2, taps=(0, 0, 1, 1), camera_depth=1, camera_heads=2, iterations=2, head_width=8,
    head_levels=(4, 8, 8, 8), head_hidden=8,
)  # fmt: skip
GAUSSIANS = GaussianArgs(scale_factor=0.7, sh_degree=2)
SEMANTICS = SemanticArgs(teacher_dim=6, dim=4)
LOSS = LossArgs(ssim=0.1, points=0.1, depth=0.1, camera=0.1)


def tiny(seed=0, **changes):
    torch.manual_seed(seed)
    arguments = {"image_size": (16, 16), "encoder": ENCODER, "network": NETWORK, "gaussians": GAUSSIANS,
                 "semantics": SEMANTICS, "loss": LOSS, "pretrained": False} | changes  # fmt: skip
    return Uni3R(**arguments)


def views(b=2, v=3, size=(16, 16), seed=0, targets=1):
    g = torch.Generator().manual_seed(seed)
    height, width = size
    T = torch.eye(4).repeat(b, v, 1, 1)
    turn = torch.cat([torch.ones(b, v, 1), 0.1 * torch.randn(b, v, 3, generator=g)], -1)
    T[..., :3, :3] = quat_to_rotmat(turn)
    T[..., :3, 3] = 0.3 * torch.randn(b, v, 3, generator=g)
    if targets:
        T[:, 0] = torch.eye(4)
    K = torch.tensor([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]]).expand(b, v, 3, 3)
    return ViewSet(
        torch.randint(0, 256, (b, v, 3, *size), generator=g, dtype=torch.uint8), K.clone(), T,
        torch.ones(b, v, dtype=torch.bool), torch.rand(b, v, *size, generator=g) + 1,
        features=torch.randn(b, v, 6, height // 2, width // 2, generator=g),
        targets=views(b, targets, size, seed + 1, 0) if targets else None,
    )  # fmt: skip
