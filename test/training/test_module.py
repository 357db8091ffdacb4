# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What the optimiser does with which weights."""

import copy

import pytest
import torch

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.view_sets import ViewSet
from gsocc_core.methods.build import build_method
from gsocc_core.methods.method import Trainable
from gsocc_core.training.args import OptimizerArgs

from ..conftest import TINY_MODEL  # noqa: TID252 - tests are no package, the fixtures' constants live beside them


@pytest.fixture(scope="module")
def method():
    torch.manual_seed(0)
    return build_method("gaussianflowocc", TINY_MODEL, OCC3D_NUSCENES.with_channels(range(1, 17)), pretrained=False)


def optimizer_of(method, **changes):
    from gsocc_core.training.module import (
        MethodTraining,  # with the trainer, which takes four seconds: not while collecting
    )

    args = OptimizerArgs(learning_rate=1e-3, weight_decay=0.1, warmup_steps=4, **changes)
    made = MethodTraining(method, args, 100, 0).configure_optimizers()
    return made["optimizer"], made["lr_scheduler"]["scheduler"]


def names(method, group):
    known = {id(parameter): name for name, parameter in method.named_parameters()}
    return {known[id(parameter)] for parameter in group["params"]}


def test_weight_decay_spares_what_is_no_map(method):
    decayed, spared = optimizer_of(method)[0].param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert {"means", "features"} <= names(method, spared)
    assert not any(name.endswith("bias") for name in names(method, decayed))
    learned = {name for name, parameter in method.named_parameters() if parameter.requires_grad}
    assert names(method, decayed) | names(method, spared) == learned


def test_the_backbone_may_learn_more_slowly(method):
    optimizer, schedule = optimizer_of(method, backbone_factor=0.1)
    groups = optimizer.param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0, 0.1, 0.0]
    # The first of four steps of warm-up.
    assert [group["lr"] for group in groups] == pytest.approx([2.5e-4, 2.5e-4, 2.5e-5, 2.5e-5])
    backbone = names(method, groups[2]) | names(method, groups[3])
    rest = names(method, groups[0]) | names(method, groups[1])
    assert backbone
    assert all(name.startswith("encoder.backbone.") for name in backbone)
    assert not any("backbone" in name for name in rest)
    assert any(name.startswith("encoder.pyramid.") for name in rest), "the pyramid is no backbone"
    for _ in range(50):
        optimizer.step()
        schedule.step()
    assert groups[2]["lr"] / groups[0]["lr"] == pytest.approx(0.1), "the schedule keeps the proportion"


def test_a_factor_moves_the_backbone_by_that_much_less(method):
    """AdamW's first step is as long as the learning rate, whatever the gradient."""
    moved = {}
    for factor in (1.0, 0.1):
        optimizer, _ = optimizer_of(method, backbone_factor=factor)
        parameter = method.encoder.backbone.embedder.embedder.normalization.bias
        parameter.grad = torch.ones_like(parameter)
        before = parameter.detach().clone()
        optimizer.step()
        moved[factor] = (before - parameter.detach()).mean().item()
        with torch.no_grad():
            parameter.copy_(before)
        parameter.grad = None
    assert moved[0.1] == pytest.approx(0.1 * moved[1.0], rel=1e-3)
    assert moved[1.0] > 0


def test_a_validation_without_numbers_is_no_score(method, tiny_tree):
    from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
    from gsocc_core.training.module import MethodTraining

    args = DataArgs(str(tiny_tree), version="v1.0-tiny", depth_dir=None, semantics_dir=None)
    frames = NuScenesOccupancy(args, method.image_size)[0]
    broken = copy.deepcopy(method).eval()
    with torch.no_grad():
        broken.heads["opacity"][-1].bias.fill_(torch.inf).neg_()
        broken.heads["scale"][-1].weight[0, 0] = torch.nan
    with pytest.raises(ShapeError, match="GaussianFlowOcc in validation, step 0: scene.scales: expected finite"):
        MethodTraining(broken, OptimizerArgs(), 10, 0).validation_step(frames, 0)


def test_a_factor_is_a_positive_number():
    with pytest.raises(ConfigError, match="backbone_factor: expected a positive number, received 0"):
        OptimizerArgs(backbone_factor=0.0)


class Line(Trainable):
    """Learns, and predicts no occupancy."""

    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Linear(1, 1)

    def forward(self, batch):
        return self.slope(batch.images.mean().view(1))

    def losses(self, output, batch):
        return {"error": (output - batch.images.mean()).square().sum()}


def test_what_predicts_no_occupancy_is_validated_by_its_losses(monkeypatch):
    from gsocc_core.training.module import MethodTraining

    one = torch.ones(1, 1, dtype=torch.bool)
    batch = ViewSet(torch.ones(1, 1, 3, 2, 2), torch.eye(3)[None, None], torch.eye(4)[None, None], one)
    training, logged = MethodTraining(Line(), OptimizerArgs(weight_decay=0.3), 10, 0), {}
    monkeypatch.setattr(training, "log_dict", lambda values, **_: logged.update(values))
    monkeypatch.setattr(training, "log", lambda name, value, **_: None)
    total = training.training_step(batch, 0)
    training.on_validation_epoch_start()
    training.validation_step(batch, 0)
    training.on_validation_epoch_end()
    assert set(logged) == {"loss/error", "val/error"}
    assert logged["val/error"] == total
    assert [g["weight_decay"] for g in training.configure_optimizers()["optimizer"].param_groups] == [0.3, 0.0]
