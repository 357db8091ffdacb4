# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The node gives the answer of the library for the same JPEG bytes, over real DDS."""

import numpy as np
import pytest
import torch

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.methods.build import build_method

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]
pytest.importorskip("rclpy")
from ..bags.test_same_answer import rig, through_the_library  # noqa: E402, F401, TID252 - after the skip; a fixture
from .watching import Watcher, play  # noqa: E402 - after the skip

VERTICES = {
    "grid": {"lower": [-40.0, -40.0, -1.0], "upper": [40.0, 40.0, 5.4], "voxel_size": 0.4}, "image_size": [32, 64],
    "backbone": {"model_type": "resnet", "out_indices": [1, 2],
                 "model_args": {"embedding_size": 8, "hidden_sizes": [8, 8, 12, 12], "depths": [1, 1, 1, 1],
                                "layer_type": "basic"}},
    "network": {"widths": [8, 8], "dim": 4, "volume_dim": 4, "vertices": [16, 16, 8], "first_opacity": None},
}  # fmt: skip


@pytest.fixture(params=["gaussianflowocc", "gaussianocc"])
def bundle(request, tiny_bundle, tmp_path):
    """Random models of two kinds: Gaussians that are splatted into voxels, and vertices that are read between."""
    if request.param == "gaussianflowocc":
        return tiny_bundle
    torch.manual_seed(0)
    method = build_method("gaussianocc", VERTICES, OCC3D_NUSCENES, pretrained=False)
    save_bundle(tmp_path / "vertices", "gaussianocc", VERTICES, method, "# vertices\n")
    return tmp_path / "vertices"


def test_the_node_gives_the_answer_of_the_library(rig, bundle, bag_of, tmp_path):  # noqa: F811
    rig, events, pictures, cameras = rig
    expected = through_the_library(bundle, pictures, cameras).grid.labels.numpy()
    assert len(np.unique(expected)) > 1
    watcher = Watcher(bundle, rig=str(rig.path))
    try:
        watcher.start()
        play(bag_of(tmp_path / "bag", events))
        watcher.wait(lambda: watcher.grids)
    finally:
        watcher.close()
    for grid in watcher.grids:
        labels = np.frombuffer(bytes(grid.labels), np.uint8).reshape(expected.shape)
        np.testing.assert_array_equal(labels, expected)
