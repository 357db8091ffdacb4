# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The three voxel hosts at sizes that run in milliseconds, with plain arguments as a configuration has them."""

import torch
from tiny_frames import BACKBONE, GRID

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.methods.build import build_method

GRID_ARGUMENTS = {"lower": list(GRID.lower), "upper": list(GRID.upper), "voxel_size": 0.8}
BACKBONE_ARGUMENTS = {"model_args": BACKBONE.model_args, "out_indices": [1, 2, 3]}
RENDER = {"render_width": 24}

NETWORKS = {
    "tpvformer": {
        "dim": 16, "num_layers": 2, "num_heads": 2, "plane_stride": [2, 2, 2], "pillar_points": [2, 3, 3],
        "plane_points": 2, "feed_hidden": 16, "head_hidden": 16, "dropout": 0.0,
    },
    "surroundocc": {
        "dims": [8, 16], "num_layers": [1, 1], "num_points": [2, 2], "num_heads": 2, "pyramid_dim": 16, "dropout": 0.0,
    },
    "symphonies": {
        "dim": 16, "num_layers": 2, "num_heads": 2, "num_queries": 6, "image_points": 1, "volume_points": 2,
        "upsample": [[1, 1, 2], [2, 2, 1]], "depth_bins": 12, "depth_m": [0.5, 14.0],
    },
}  # fmt: skip
METHODS = sorted(NETWORKS)


def arguments(name, **changes):
    """Constructor arguments of a tiny host."""
    network, backbone = dict(NETWORKS[name]), dict(BACKBONE_ARGUMENTS)
    if name == "surroundocc":
        backbone["out_indices"] = [1, 2]
    network |= changes.pop("network", {})
    plain = {"grid": GRID_ARGUMENTS, "image_size": [32, 64], "backbone": backbone, "network": network}
    return plain | changes


def build(name, seed=0, **changes):
    """A tiny host with random weights."""
    torch.manual_seed(seed)
    return build_method(name, arguments(name, **changes), OCC3D_NUSCENES, pretrained=False)
