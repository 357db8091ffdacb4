# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What GaussTR learns from: its losses, the folders that hold labels for them, and depth and features of its own."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from tiny_frames import GRID
from tiny_gausstr import NETWORK, ONE_STAGE, batch, build, prompts

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.data.args import DataArgs
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.methods.gausstr import GaussTR
from gsocc_core.methods.gausstr_args import DepthArgs, FeatureArgs, LossArgs, ShapeArgs
from gsocc_core.methods.gausstr_network import PictureDepth


@pytest.mark.parametrize("compression", ["step", "none", "stored"])
def test_losses_reach_every_parameter(compression, tmp_path):
    basis = torch.linalg.qr(torch.randn(8, 3, generator=torch.Generator().manual_seed(1)))[0].contiguous()
    save_file({"basis": basis}, tmp_path / "basis.safetensors")
    model = build(
        features=FeatureArgs(dim=8, channels=3, input_dim=4, compression=compression), pretrained=True,
        loss=LossArgs(segmentation=1.0, segments=18, classes=1.0), basis=str(tmp_path),
    )  # fmt: skip
    data = batch()
    losses = model.losses(model(data), data)
    assert set(losses) == {"depth", "cosine", "segmentation", "classes"}
    assert all(value.isfinite() and value > 0 for value in losses.values())
    sum(losses.values()).backward()
    idle = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not idle
    dead = [name for name, p in model.named_parameters() if p.grad is not None and not p.grad.abs().max() > 0]
    assert all(name.endswith("in_proj_bias") or ".look.offsets." in name for name in dead), dead
    if compression == "stored":
        assert model(data).layers[-1].features.shape == (2, 15, 3)
        narrow = torch.einsum("bsvdhw,dk->bsvkhw", data.targets.view_features, basis)
        compressed = replace(data, targets=replace(data.targets, view_features=narrow))
        torch.manual_seed(3)
        expected = model.losses(model(data), data)["cosine"]
        torch.manual_seed(3)
        torch.testing.assert_close(model.losses(model(compressed), compressed)["cosine"], expected)


def test_rendering_a_scene_of_its_own_features_costs_nothing():
    """Opaque Gaussians in front of the cameras, and teacher features equal to theirs: cosine and depth vanish."""
    model, data = build(features=FeatureArgs(dim=8, compression="none", channels=8, input_dim=4)), batch(v=1)
    feature = torch.randn(8, generator=torch.Generator().manual_seed(2))
    layer = model(data).layers[-1]
    wall = layer.replace(
        means=torch.tensor([6.0, 0.0, 1.5]).expand_as(layer.means),
        scales=torch.tensor([0.01, 50.0, 50.0]).expand(2, 5, 3),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(2, 5, 4), opacities=torch.full((2, 5), 0.999),
        features=feature.expand(2, 5, 8) * torch.arange(1.0, 6.0)[:, None],
    )  # fmt: skip
    teacher = feature[:, None, None].expand(2, 2, 1, 8, 2, 4)
    targets = replace(data.targets, view_features=teacher, view_depth_m=torch.full_like(data.targets.view_depth_m, 6.0))
    losses = model._objective([wall], model.embeddings, None, model.segmenters, data.features, None, targets)
    assert losses["cosine"].item() == pytest.approx(0.0, abs=1e-4)
    assert losses["depth"].item() == pytest.approx(0.0, abs=0.01), "alpha ends at 0.999"
    far = replace(targets, view_features=-teacher)
    losses = model._objective([wall], model.embeddings, None, model.segmenters, data.features, None, far)
    assert losses["cosine"].item() == pytest.approx(10.0, abs=1e-3), "weight 5 times 1 - (-1)"


def test_half_precision_ends_where_metres_begin():
    """What the network says may be rounded; where that puts Gaussians, and what is rendered of them, is not."""
    model, data = build(shape=ShapeArgs(rotation="learned")), batch()
    head, cameras = model.heads[0], data.cameras.map(lambda t: t[:, 0])
    queries, places = torch.randn(6, 5, 16), torch.rand(6, 5, 2)
    depth = PictureDepth(data.depth_m[:, 0].flatten(0, 1)[:, None], cameras, data.valid[:, 0])
    said = {}
    for name in ("regress", "opacity", "feature", "scale", "rotation"):
        getattr(head, name).register_forward_hook(lambda *a, name=name: said.update({name: a[-1]}))
    with torch.autocast("cpu", torch.bfloat16):
        inside = head(queries, places, depth)
        rounded = {name: value.clone() for name, value in said.items()}
        losses = model.losses(model(data), data)
    assert rounded["regress"].dtype == torch.bfloat16
    for name, value in rounded.items():  # the same numbers, and float32 around them
        getattr(head, name).forward = lambda _, value=value: value.float()
    outside = head(queries, places, depth)
    for field in ("means", "scales", "quats", "opacities", "features"):
        torch.testing.assert_close(getattr(inside, field), getattr(outside, field), atol=1e-6, rtol=1e-6)
    assert all(value.isfinite() and value.dtype == torch.float32 for value in losses.values())


def test_batches_without_labelled_features_cost_nothing():
    model, data = build(), batch()
    blank = replace(data, targets=replace(data.targets, view_features=torch.zeros_like(data.targets.view_features)))
    losses = model.losses(model(blank), blank)
    assert losses["cosine"].item() == 0
    assert losses["depth"] > 0
    only = build(loss=LossArgs(cosine=0.0, segmentation=1.0, segments=18))
    assert set(only.losses(only(data), data)) == {"depth", "segmentation"}
    only.eval()
    assert only.losses(only(data), data)["segmentation"].isfinite(), "the last layer has the last segmenter"


def test_data_that_would_lose_labels_without_a_word_is_refused():
    model = build()
    args = DataArgs(
        "nowhere", view_size=(32, 64), max_view_depth_m=100.0, input_depth_dir="d", features_dir="f",
        input_features_dir="f",
    )  # fmt: skip
    model.check_data(args)
    with pytest.raises(ConfigError, match="max_view_depth_m: expected more than depth.limit_m 51.2, or loss.far"):
        model.check_data(replace(args, max_view_depth_m=40.0))
    build(loss=LossArgs(far="ignored")).check_data(replace(args, max_view_depth_m=40.0))
    model.check_data(replace(args, view_size=(20, 64)))
    head = build(backbone=ONE_STAGE, depth=DepthArgs(source="head"))
    head.check_data(replace(args, view_size=(16, 32)))
    with pytest.raises(ConfigError, match="view_size: expected the aspect of image_size 32 x 64.*received 20 x 64"):
        head.check_data(replace(args, view_size=(20, 64)))


@pytest.mark.parametrize(
    ("key", "loss", "backbone", "source", "why"),
    [
        ("input_depth_dir", {}, None, "given", "depth.source is given"),
        ("input_features_dir", {}, None, "given", "backbone is None"),
        ("depth_dir", {}, None, "given", "loss.depth is 1.0"),
        ("depth_dir", {"depth": 0.0, "depth_head": 0.5}, ONE_STAGE, "head", "loss.depth_head is 0.5"),
        ("features_dir", {}, None, "given", "loss.cosine is 5.0"),
        ("semantics_dir", {"classes": 2.0}, None, "given", "loss.classes is 2.0"),
        ("input_depth_dir", {}, ONE_STAGE, "head", None),
        ("input_features_dir", {}, ONE_STAGE, "head", None),
        ("depth_dir", {"depth": 0.0}, None, "given", None),
        ("features_dir", {"cosine": 0.0}, None, "given", None),
        ("semantics_dir", {}, None, "given", None),
    ],
)
def test_a_folder_that_something_learns_from_must_be_named(key, loss, backbone, source, why):
    model = build(backbone=backbone, loss=LossArgs(**loss), depth=DepthArgs(source=source))
    folders = dict.fromkeys(
        ("input_depth_dir", "input_features_dir", "depth_dir", "features_dir", "semantics_dir"), "x"
    )
    args = DataArgs("nowhere", view_size=(32, 64), max_view_depth_m=100.0, **{**folders, key: None})
    if why is None:
        model.check_data(args)
        return
    with pytest.raises(ConfigError, match=f"data.{key}: expected a folder, since {why}, received null"):
        model.check_data(args)


def test_the_depth_head_learns_from_labels_and_needs_none_afterwards():
    depth, size = DepthArgs(source="head", head_range_m=(2.0, 6.0), head_detail=4), (16, 32)
    alone = LossArgs(cosine=0.0, depth=0.0, depth_head=3.0)
    model = build(depth=depth, backbone=ONE_STAGE, frozen=False, loss=alone)
    assert model.depth_input == "unused"
    data = replace(batch(), depth_m=None, features=None)
    output = model(data)
    assert output.depth_m.shape == (2, 3, *size)
    assert ((output.depth_m > 2) & (output.depth_m < 6)).all()
    assert set(model.losses(output, data)) == {"depth_head"}
    # Labels of another size are read at the nearest pixel; 0 is no label, and what is beyond the head's range its end.
    labels = torch.full((2, 2, 3, 16, 32), 4.0)
    labels[..., ::2] = 100.0
    labels[:, :, 0] = 0.0
    targets = replace(data.targets, view_depth_m=labels)
    loss = model.losses(output, replace(data, targets=targets))["depth_head"]
    near = torch.nn.functional.interpolate(labels[:, 0], size, mode="nearest-exact").clamp(max=6.0)[:, 1:]
    expected = 3 * (output.depth_m[:, 1:].log() - near.log()).abs().mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    for part in (model.depth_head, model.backbone):
        assert max(p.grad.abs().max() for p in part.parameters() if p.grad is not None) > 0
    assert model.eval()(data).scene.means.isfinite().all()


def test_a_frozen_backbone_never_changes():
    model, data = build(backbone=ONE_STAGE, frozen=True).train(), replace(batch(), features=None)
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    sum(model.losses(model(data), data).values()).backward()
    assert all(p.grad is None for p in model.backbone.parameters())
    assert all(torch.equal(v, before[k]) for k, v in model.backbone.state_dict().items())


def test_the_backbone_may_be_the_teacher():
    args = {"backbone": ONE_STAGE, "features": FeatureArgs(dim=12, channels=3), "loss": LossArgs(teacher="backbone")}
    with pytest.raises(ConfigError, match="prompts: expected embeddings of 12 channels"):
        build(**args)
    model = GaussTR(OCC3D_NUSCENES, prompts(12), GRID, (32, 64), network=NETWORK, pretrained=False, **args)
    data = replace(batch(), features=None)
    present = replace(
        data.targets, view_features=None, view_cameras=data.targets.view_cameras.map(lambda t: t[:, :1]),
        view_valid=data.targets.view_valid[:, :1], view_depth_m=data.targets.view_depth_m[:, :1],
    )  # fmt: skip
    model.train()
    torch.manual_seed(0)
    output = model(data)
    live = model.losses(output, replace(data, targets=present))["cosine"]
    stored = GaussTR(OCC3D_NUSCENES, prompts(12), GRID, (32, 64), network=NETWORK, pretrained=False,
                     **{**args, "loss": LossArgs()})  # fmt: skip
    labelled = replace(data, targets=replace(present, view_features=output.seen[:, None]))
    torch.testing.assert_close(stored.losses(output, labelled)["cosine"], live)
    with pytest.raises(DataError, match="views: expected the present views alone"):
        model.losses(output, data)
    with pytest.raises(ConfigError, match="loss.teacher: expected labels, unless there is a frozen backbone"):
        build(loss=LossArgs(teacher="backbone"))
