# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What TPVFormer, SurroundOcc and Symphonies have in common, at tiny sizes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from tiny_frames import GRID, frames
from tiny_hosts import METHODS, RENDER, arguments, build

from gsocc_core import OCC3D_NUSCENES, Camera, ClassTable, OccupancyPredictor, VoxelGrid
from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.methods.build import METHODS as METHOD_NAMES
from gsocc_core.methods.build import build_method, method_class, prompts_use
from gsocc_core.methods.method import Method, check_scene
from gsocc_core.training.initial_weights import channel_names, start_from

every_host = pytest.mark.parametrize("name", METHODS)


@every_host
def test_every_voxel_gets_a_class_and_the_grid_may_be_another(name):
    model, batch = build(name), frames()
    output = model(batch)
    assert output.memory is None
    assert output.scene.features.shape == (2, *GRID.shape, 18)
    assert ((output.scene.density > 0) & (output.scene.density < 1)).all()
    result = model.occupancy(output)
    assert torch.equal(result.labels, output.scene.features.argmax(-1).to(torch.uint8))
    assert ((result.confidence > 1 / 18) & (result.confidence <= 1)).all()
    # Labels of the middle voxel of each 3 x 3 x 3 lie at the very place of the coarse voxel's middle.
    finer = replace(GRID, voxel_size=GRID.size_m[0] / 3)
    assert torch.equal(model.occupancy(output, finer).labels[:, 1::3, 1::3, 1::3], result.labels)
    outside = VoxelGrid((20.0, 20.0, 0.0), (22.0, 22.0, 2.0), 1.0)
    assert (model.occupancy(output, outside).labels == OCC3D_NUSCENES.free_id).all()


@every_host
def test_any_number_of_cameras_and_missing_ones(name):
    model = build(name).eval()
    assert model(frames(v=1)).scene.features.isfinite().all()
    batch = frames(b=1, v=3)
    one_gone = replace(batch, valid=torch.tensor([[[True, False, True]]]))
    images = one_gone.images.clone()
    images[:, :, 1] = 255 - images[:, :, 1]
    features = model(one_gone).scene.features
    assert torch.equal(features, model(replace(one_gone, images=images)).scene.features)
    assert not torch.allclose(features, model(batch).scene.features)
    blind = replace(batch, valid=torch.zeros_like(batch.valid))
    assert model(blind).scene.features.isfinite().all()
    assert torch.equal(model(blind).scene.features, model(replace(blind, images=255 - batch.images)).scene.features)


@every_host
def test_weights_that_are_not_finite_become_no_labels(name):
    model = build(name).eval()
    check_scene(name, model(frames()).scene)
    with torch.no_grad():
        next(module for module in model.head.modules() if isinstance(module, torch.nn.Linear)).bias[0] = torch.nan
    with pytest.raises(ShapeError, match=f"{name}: scene.density: expected finite numbers, received .* NaN"):
        check_scene(name, model(frames()).scene)


@every_host
def test_the_order_of_the_cameras_does_not_matter(name):
    model, batch = build(name).eval(), frames(b=1, v=3)
    turned = replace(batch, images=batch.images.roll(1, 2), cameras=batch.cameras.map(lambda t: t.roll(1, 2)))
    torch.testing.assert_close(model(batch).scene.features, model(turned).scene.features, rtol=1e-3, atol=1e-4)


@every_host
def test_samples_of_a_batch_do_not_mix(name):
    model, batch = build(name), frames()
    torch.testing.assert_close(
        model.eval()(batch).scene.features[1:],
        model(batch.map(lambda t: t[1:])).scene.features,
        rtol=1e-4,
        atol=1e-5,
    )


@every_host
@pytest.mark.parametrize("rule", ["sharpened", "learned"])
def test_losses_reach_every_parameter(name, rule):
    model, batch = build(name, render={**RENDER, "opacity_rule": rule}), frames()
    losses = model.losses(model(batch), batch)
    assert {"camera_semantics", "camera_depth", "top_semantics", "top_depth", "cross_entropy"} <= set(losses)
    sum(losses.values()).backward()
    silent = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().any())]
    # An attention to keys shifts all its scores alike by the keys' bias. A unit whose inputs are all negative is dead.
    silent = [n for n in silent if "in_proj_bias" not in n and "backbone" not in n]
    assert not silent, silent
    backbone = [p.grad.abs().sum() for p in model.pictures.encoder.backbone.parameters() if p.grad is not None]
    assert sum(backbone) > 0


@every_host
def test_the_rendering_loss_alone_reaches_the_backbone(name):
    model, batch = build(name, render=RENDER), frames(b=1)
    losses = model.losses(model(batch), batch)
    sum(losses[k] for k in ("camera_semantics", "camera_depth", "top_semantics", "top_depth")).backward()
    total = sum(p.grad.abs().sum() for p in model.pictures.encoder.backbone.parameters() if p.grad is not None)
    assert total > 0


@every_host
def test_the_rendering_loss_leaves_no_trace_in_inference(name, tmp_path):
    render = {**RENDER, "opacity_rule": "learned"}
    plain, rendered = build(name), build(name, render=render)
    extra = {n.split(".")[0] for n in set(rendered.state_dict()) - set(plain.state_dict())}
    assert extra == {"render"}  # the opacity head, which the optimiser and the checkpoints of a training know
    save_bundle(tmp_path / "plain", name, arguments(name), plain, "")
    rendered.load_state_dict(plain.state_dict(), strict=False)
    save_bundle(tmp_path / "rendered", name, arguments(name, render=render), rendered, "")
    first, second = (load_file(tmp_path / k / "model.safetensors") for k in ("plain", "rendered"))
    assert list(first) == list(second)
    assert all(torch.equal(first[k], second[k]) for k in first)
    configs = [yaml.safe_load((tmp_path / k / "config.yaml").read_text()) for k in ("plain", "rendered")]
    assert configs[0] == configs[1]
    batch = replace(frames(), targets=None)  # and no labels are needed
    assert torch.equal(plain.eval()(batch).scene.features, rendered.eval()(batch).scene.features)
    assert OccupancyPredictor.load(tmp_path / "rendered", device="cpu").method.render is None


@every_host
def test_the_predictor_runs_a_host(name, tmp_path):
    save_bundle(tmp_path / "b", name, arguments(name), build(name), "")
    predictor = OccupancyPredictor.load(tmp_path / "b", device="cpu")
    K, T = np.array([[60.0, 0, 50], [0, 60, 25], [0, 0, 1]]), np.eye(4)
    T[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    cameras = [Camera("a", K, T, 100, 50), Camera("b", K, T, 100, 50)]
    picture = np.full((50, 100, 3), 90, np.uint8)
    result = predictor.predict([picture, None], cameras)
    assert result.grid.labels.shape == GRID.shape
    assert result.scene.features.shape == (*GRID.shape, 18)
    assert set(result.latency_ms) == {"preprocess", "network", "splat", "total"}


@every_host
def test_a_coarser_working_grid_still_answers_on_the_grid(name):
    network = {"stride": [2, 2, 1]}
    network |= {"upsample": [[1, 1, 2], [1, 1, 1]]} if name == "symphonies" else {}
    network |= {"dims": [8], "num_layers": [1], "num_points": [2]} if name == "surroundocc" else {}
    changes = {"backbone": {**arguments(name)["backbone"], "out_indices": [1]}} if name == "surroundocc" else {}
    model, batch = build(name, network=network, render=RENDER, **changes), frames()
    output = model(batch)
    assert output.scene.features.shape == (2, 10, 10, 4, 18)
    assert model.occupancy(output).labels.shape == (2, *GRID.shape)
    assert torch.stack(list(model.losses(output, batch).values())).isfinite().all()


@every_host
def test_a_few_steps_lower_the_loss(name):
    model, batch = build(name), frames(b=1)
    labels = torch.full_like(batch.targets.labels, OCC3D_NUSCENES.free_id)
    labels[..., 0] = 11  # a road and nothing else
    batch = replace(batch, targets=replace(batch.targets, labels=labels))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    values = []
    for _ in range(9):
        loss = sum(model.losses(model(batch), batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.8 * values[0]


def test_voxels_without_a_label_or_outside_the_mask_do_not_count():
    loss = {"masked": True, "semantic_affinity": 1.0, "geometric_affinity": 1.0, "frustum": 1.0}
    model, batch = build("tpvformer", loss=loss, render=RENDER), frames()
    output, targets = model(batch), batch.targets
    other = torch.where(targets.mask_camera, targets.labels, torch.randint_like(targets.labels, 18))
    results = []
    for labels in (targets.labels, other):
        torch.manual_seed(3)  # the rendering loss draws a camera
        results.append(model.losses(output, replace(batch, targets=replace(targets, labels=labels))))
    assert set(results[0]) > {"lovasz", "semantic_affinity", "geometric_affinity", "frustum", "cross_entropy"}
    assert all(torch.equal(results[0][k], results[1][k]) for k in results[0])
    unknown = replace(targets, labels=torch.full_like(targets.labels, 255))
    assert sum(model.losses(output, replace(batch, targets=unknown)).values()) == 0


def test_perfect_logits_cost_nothing():
    model, batch = build("tpvformer", render=RENDER), frames()
    truth = torch.nn.functional.one_hot(batch.targets.labels.long(), 18) * 40.0
    losses = model.losses(model.output(truth, model(batch).features), batch)
    assert max(losses.values()) < 1e-2
    nothing = torch.zeros_like(truth)
    nothing[..., OCC3D_NUSCENES.free_id] = 40.0
    wrong = model.losses(model.output(nothing, model(batch).features), batch)
    assert all(wrong[k] > 0.1 for k in losses), wrong


def test_lovasz_from_some_voxels_is_close_to_that_from_all():
    batch = frames()
    torch.manual_seed(0)
    logits = torch.randn(2, *GRID.shape, 18)
    values = []
    for count in (None, 1600):
        model = build("tpvformer", loss={"cross_entropy": 0.0, "lovasz": 1.0, "lovasz_voxels": count})
        values.append(model.losses(model.output(logits, logits), batch)["lovasz"])
    assert values[0] != values[1]
    assert abs(values[0] - values[1]) < 0.05


def test_a_grid_that_stands_askew_in_the_ego_frame():
    """Cameras and grid turned together see the same."""
    batch = frames(b=1)
    T = torch.eye(4, dtype=torch.float64)
    T[:2, :2] = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    T[0, 3] = 1.5
    moved = replace(batch.cameras, T_ego_cam=T.float() @ batch.cameras.T_ego_cam)
    turned = {**arguments("symphonies")["grid"], "T_ego_grid": T.tolist()}
    for name in METHODS:
        straight, askew = build(name).eval(), build(name, grid=turned).eval()
        for model in (straight, askew):  # the code of a ray lives in the ego frame
            torch.nn.init.zeros_(model.pictures.rays.net[0].weight)
        a, b = straight(batch), askew(replace(batch, cameras=moved))
        torch.testing.assert_close(a.scene.features, b.scene.features, rtol=1e-3, atol=1e-3)
        straight.voxel_loss_args = askew.voxel_loss_args = replace(straight.voxel_loss_args, frustum=1.0)
        first, second = straight.losses(a, batch), askew.losses(b, replace(batch, cameras=moved))
        torch.testing.assert_close(sum(first.values()), sum(second.values()), rtol=1e-3, atol=1e-3)


def test_wrong_arguments_and_missing_labels_are_clear_errors():
    model, batch = build("tpvformer"), frames(b=1)
    with pytest.raises(ConfigError, match="voxel labels"):
        model.losses(model(batch), replace(batch, targets=None))
    with pytest.raises(ConfigError, match="stride"):
        build("tpvformer", network={"stride": [3, 1, 1]})
    with pytest.raises(ConfigError, match="class_weights"):
        build("surroundocc", loss={"class_weights": [1.0]})
    with pytest.raises(ConfigError, match="at least one weight"):
        build("symphonies", loss={"cross_entropy": 0.0, "lovasz": 0.0})
    classes = OCC3D_NUSCENES.with_channels(range(17))
    with pytest.raises(ConfigError, match="empty space"):
        build_method("tpvformer", arguments("tpvformer"), classes, pretrained=False)
    for name, network, key in (
        ("tpvformer", {"num_heads": 3}, "num_heads"),
        ("tpvformer", {"plane_stride": [3, 1, 1]}, "plane_stride"),
        ("surroundocc", {"dims": [8]}, "lists of one length"),
        ("surroundocc", {"dims": [8, 10]}, "multiples of 4"),
        ("symphonies", {"upsample": [[3, 1, 1]]}, "upsample"),
        ("symphonies", {"query_level": 3}, "query_level"),
        ("symphonies", {"depth_m": [2.0, 1.0]}, "depth_m"),
    ):
        with pytest.raises(ConfigError, match=key):
            build(name, network=network)


@every_host
def test_a_training_starts_from_a_bundle_on_other_classes(name, tmp_path):
    """Shared classes predict alike, coarser scales too; a class that is new stays random."""
    source, plain = build(name), arguments(name)
    save_bundle(tmp_path / "bundle", name, plain, source, "# tiny\n", half=False)
    names = ("kerb", "car", "free", "pedestrian", "driveable_surface")
    own = ClassTable(names, ((1, 1, 1),) * 5, free_id=2, channel_to_id=(1, 0, 2, 4, 3))
    torch.manual_seed(1)
    target = build_method(name, plain, own, pretrained=False)
    fresh = {key: value.clone() for key, value in target.state_dict().items()}
    report = start_from(target, name, tmp_path / "bundle")
    assert report.shared == ("car", "free", "driveable_surface", "pedestrian")
    assert report.new == ("kerb",)
    assert not report.left
    old, new = channel_names(OCC3D_NUSCENES), channel_names(own)
    batch, columns = frames(b=1), [(old.index(n), new.index(n)) for n in report.shared]
    before, after = (model.train()(batch) for model in (source, target))
    scales = zip((before.scene.features, *(c for c, _ in before.coarse)),
                 (after.scene.features, *(c for c, _ in after.coarse)))  # fmt: skip
    for a, b in scales:
        for i, j in columns:
            torch.testing.assert_close(a[..., i], b[..., j], rtol=1e-4, atol=1e-5)
    random = [key for key, value in target.state_dict().items() if value.dim() and len(value) == 5]
    assert len(random) == (6 if name == "surroundocc" else 2), "weight and bias of each class head"
    assert all(torch.equal(target.state_dict()[key][1], fresh[key][1]) for key in random)


@every_host
def test_a_training_on_another_grid_starts_without_its_queries(name, tmp_path):
    save_bundle(tmp_path / "bundle", name, arguments(name), build(name), "# tiny\n")
    wider = {"lower": [-8.0, -16.0, -1.0], "upper": [8.0, 16.0, 2.2], "voxel_size": 0.8}
    report = start_from(build(name, grid=wider), name, tmp_path / "bundle")
    expected = {"surroundocc": {"queries.0", "queries.1"}, "symphonies": {"scene"}, "tpvformer": {"queries"}}
    assert set(report.left) == expected[name]
    assert "queries keep their voxels" in str(report)


def test_every_method_can_start_from_other_classes():
    """Its class heads are known by name, or words take their place."""
    classes = {name: method_class(name) for name in METHOD_NAMES}
    occupancy = {name: cls for name, cls in classes.items() if issubclass(cls, Method)}
    assert len(occupancy) > 5
    assert all(cls.CLASS_HEADS or prompts_use(name) == "required" for name, cls in occupancy.items())
