# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Training steps without a data set: memory that is counted is what autograd holds, and steps learn."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from gsocc_core.bench.configurations import Configuration
from gsocc_core.bench.training_step import COPIES, _Kept, count_memory, run_steps

CONFIGS = Path(__file__).resolve().parents[2] / "config" / "train"


@pytest.fixture(scope="module")
def tiny():
    """A shipped training with few Gaussians in a coarse grid."""
    read = Configuration.read(CONFIGS / "synthetic_labels.yaml")
    model = {**read.model, "image_size": [32, 64], "grid": {**read.model["grid"], "voxel_size": 3.2}}
    model["network"] = {**model["network"], "num_gaussians": 40, "lifted_level": None, "num_blocks": 1}
    return replace(read, model=model, batch=1)


def test_each_tensor_counts_once_and_what_is_computed_again_counts_apart():
    first, second = nn.Linear(4, 8), nn.Linear(8, 8)
    kept = _Kept([p.untyped_storage() for p in (*first.parameters(), *second.parameters())])
    with torch.autograd.graph.saved_tensors_hooks(kept.add, lambda value: value):
        hidden = first(torch.randn(2, 4)).relu()  # keeps the input, 2 x 4 x 4 bytes, and the result, 2 x 8 x 4
        kept.part(lambda h: second(h).relu(), hidden, use_reentrant=False)  # inside, one more result
    assert kept.bytes == 32 + 64
    assert kept.again == 64


def test_memory_follows_from_sizes(tiny):
    found, fewer = count_memory(tiny), count_memory(tiny, seen_share=0.2)
    method = tiny.build()
    learned = sum(p.numel() for p in method.parameters() if p.requires_grad)
    fixed = sum(p.numel() for p in method.parameters()) - learned
    assert found.parameters == learned + fixed
    assert found.state == 4 * (COPIES * learned + fixed)
    assert found.inputs > 6 * 3 * 32 * 64
    assert found.peak == found.state + found.inputs + found.kept + found.again
    assert fewer.kept < found.kept
    assert fewer.state == found.state
    twice = count_memory(tiny, batch=2)
    assert 1.8 < twice.kept / found.kept < 2.05


def test_steps_learn_what_is_repeated(tiny):
    found = run_steps(tiny, torch.device("cpu"), steps=3)
    assert found.last_loss < found.first_loss
    assert found.step_ms > 0
    assert (found.batch, found.peak_mb) == (1, None)


@pytest.mark.parametrize("name", ["nuscenes_gausstr_featup", "nuscenes_gaussianocc", "kitti360_symphonies"])
def test_paper_sizes_are_read_with_what_their_losses_look_at(name):
    configuration = Configuration.read(CONFIGS / f"{name}.yaml")
    small = {**configuration.model, "image_size": [32, 64]}
    data = replace(configuration.data, view_size=(16, 32))
    frames = replace(configuration, model=small, data=data).frames(batch=1)
    targets = frames.targets
    assert (targets.labels is not None) == (name == "kitti360_symphonies")
    assert (targets.view_features is not None) == (frames.features is not None) == (name == "nuscenes_gausstr_featup")
    assert (targets.view_images is not None) == (name == "nuscenes_gaussianocc")
    assert frames.images.shape[2] == len(configuration.data.cameras)
    assert (configuration.prompts is not None) == ("gausstr" in name)
    ids = set(configuration.classes.channel_ids)
    shown = targets.labels if targets.view_semantics is None else targets.view_semantics
    assert set(shown.unique().tolist()) <= ids
