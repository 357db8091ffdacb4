# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussTR at a tiny size, its forward pass against the published arithmetic written out query by query."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_frames import GRID
from tiny_gausstr import NETWORK, ONE_STAGE, batch, build

from gsocc_core import OCC3D_NUSCENES, Gaussians
from gsocc_core.arguments import keyword_arguments
from gsocc_core.data.args import DataArgs
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.rigid import quat_to_rotmat
from gsocc_core.methods.build import build_method
from gsocc_core.methods.gausstr_args import DepthArgs, FeatureArgs, LossArgs, NetworkArgs, ShapeArgs, SplatArgs
from gsocc_core.methods.gausstr_classes import dependable, voxel_classes, voxel_field
from gsocc_core.methods.gausstr_network import even_places, sample_depth
from gsocc_core.networks.backbones import BackboneArgs
from gsocc_core.splat import splat_to_voxels
from gsocc_core.text.class_prompts import ClassPrompts, read_class_prompts
from gsocc_core.yaml_files import read_yaml

ROOT = Path(__file__).parents[2]


def linear(x, module):
    return x @ module.weight.T + module.bias


def two_layers(x, mlp):
    return linear(linear(x, mlp[0]).relu(), mlp[2])


def written_out(model, data, b, v):
    """Gaussians of one picture, query by query, as published: (K, ...) means, scales, opacities, features."""
    args, levels = model.network_args, model.pyramid(data.features[b : b + 1, 0, v])
    places, depth_map = even_places(args.queries), data.depth_m[b, 0, v].clamp(max=model.depth_args.limit_m)
    x = model.decoder.queries.weight
    for layer, head in zip(model.decoder.layers, model.heads):
        rate = [10_000 ** (2 * (i // 2) / (args.dim // 2)) for i in range(args.dim // 2)]
        codes = []
        for u, w in places.tolist():
            halves = [
                [(math.sin, math.cos)[i % 2](2 * math.pi * value / rate[i]) for i in range(args.dim // 2)]
                for value in (w, u)
            ]
            codes.append(halves[0] + halves[1])
        code = two_layers(torch.tensor(codes), model.decoder.code)
        x = layer.norms[0](layer.look(x[None], code[None], levels, places[None])[0])
        asked, part = x + code, args.dim // args.heads
        q, k, value = (linear_part(a, layer.talk, i) for i, a in enumerate((asked, asked, x)))
        heard = []
        for h in range(args.heads):
            s = slice(h * part, (h + 1) * part)
            heard.append((q[:, s] @ k[:, s].T / math.sqrt(part)).softmax(-1) @ value[:, s])
        x = layer.norms[1](x + linear(torch.cat(heard, -1), layer.talk.out_proj))
        x = layer.norms[2](x + two_layers(x, layer.feed))
        places = (places.logit() + two_layers(x, head.regress)[:, :2]).sigmoid()
    x, head = model.decoder.norm(x), model.heads[-1]
    step = two_layers(x, head.regress)
    places = (places.logit() + step[:, :2]).sigmoid()
    camera = data.cameras.map(lambda t: t[b, 0, v])
    depth = torch.stack([bilinear(depth_map, u * 64, w * 32) for u, w in places])
    pixels = torch.cat([places * torch.tensor([64.0, 32.0]), torch.ones(len(places), 1)], -1)
    points = (depth * (1 + step[:, 2]))[:, None] * (pixels @ camera.intrinsics.inverse().T)
    means = points @ camera.T_ego_cam[:3, :3].T + camera.T_ego_cam[:3, 3]
    fx_original = camera.intrinsics[0, 0] * 1600 / 64
    scales = (1 + 15 * two_layers(x, head.scale).sigmoid()) * (depth * 7.5 / fx_original)[:, None]
    return means, scales, two_layers(x, head.opacity)[:, 0].sigmoid(), two_layers(x, head.feature)


def linear_part(x, attention, index):
    dim = attention.embed_dim
    rows = slice(index * dim, (index + 1) * dim)
    return x @ attention.in_proj_weight[rows].T + attention.in_proj_bias[rows]


def bilinear(value, u, v):
    total, (rows, columns) = torch.zeros(()), value.shape
    for row in (int((v - 0.5).floor()), int((v - 0.5).floor()) + 1):
        for column in (int((u - 0.5).floor()), int((u - 0.5).floor()) + 1):
            if 0 <= row < rows and 0 <= column < columns:
                total = total + (1 - (v - 0.5 - row).abs()) * (1 - (u - 0.5 - column).abs()) * value[row, column]
    return total


def test_the_forward_pass_is_the_published_one():
    model, data = build().eval(), batch()
    with torch.no_grad():
        output = model(data)
        for b in range(2):
            parts = [written_out(model, data, b, v) for v in range(3)]
            means, scales, opacities, features = (torch.cat(part) for part in zip(*parts))
            layer = output.layers[-1].map(lambda t, b=b: t[b])
            torch.testing.assert_close(layer.means, means, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(layer.scales, scales, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(layer.opacities, opacities, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(layer.features, features, atol=1e-5, rtol=1e-4)
            scores = (features @ model.prompts.embeddings.T).softmax(-1)
            torch.testing.assert_close(output.scene.features[b], scores, atol=1e-5, rtol=1e-4)
            # Axes of a Gaussian are its camera's right, down and forward.
            turned = data.cameras.T_ego_cam[b, 0, :, :3, :3].repeat_interleave(5, 0)
            torch.testing.assert_close(quat_to_rotmat(layer.quats), turned, atol=1e-5, rtol=0)


def test_answers_are_repeatable_and_pictures_do_not_meet():
    model, data = build().eval(), batch()
    first, again = model(data), model(data)
    assert torch.equal(first.scene.means, again.scene.means)
    alone = model(data.map(lambda t: t[1:]))
    torch.testing.assert_close(first.scene.means[1:], alone.scene.means, atol=1e-5, rtol=1e-5)
    other = replace(data, features=data.features.clone())
    other.features[:, :, 0] += 1.0
    torch.testing.assert_close(model(other).scene.means[:, 5:], first.scene.means[:, 5:])
    assert not torch.allclose(model(other).scene.means[:, :5], first.scene.means[:, :5])
    random = build(network=replace(NETWORK, places="random")).eval()
    assert not torch.equal(random(data).scene.means, random(data).scene.means)
    assert model(batch(v=5)).scene.means.shape == (2, 25, 3)


def test_even_places_fill_the_picture():
    for count in (50, 300):
        places = even_places(count)
        assert ((places > 0) & (places < 1)).all()
        cells = (places * 5).long()
        filled = torch.bincount(cells[:, 0] * 5 + cells[:, 1], minlength=25)
        assert filled.min() >= count / 25 - 2, "no twenty-fifth of the picture has many fewer than its share"
        assert filled.max() <= count / 25 + 2


def test_depth_that_is_not_known_is_not_used():
    depth = torch.tensor([[4.0, 0.0], [8.0, 0.0]])[None, None]
    places = torch.tensor([[[0.25, 0.5], [0.4, 0.5], [0.9, 0.5]]])
    found, known = sample_depth(depth, places)
    assert found[0, :2].tolist() == pytest.approx([6.0, 6.0])
    assert known[0].tolist() == [True, True, False]
    model, data = build().eval(), batch()
    blank = replace(data, depth_m=torch.zeros_like(data.depth_m))
    assert (model(blank).scene.opacities == 0).all()
    absent = replace(data, valid=torch.zeros_like(data.valid))
    assert (model(absent).scene.opacities == 0).all()


def test_rotations_can_be_learned():
    model, data = build(shape=ShapeArgs(rotation="learned")).eval(), batch()
    quats = model(data).scene.quats
    torch.testing.assert_close(quats.norm(dim=-1), torch.ones(2, 15), atol=1e-5, rtol=0)
    assert not torch.allclose(quats, build().eval()(data).scene.quats, atol=1e-3)


def test_left_out_gaussians_count_nowhere():
    """The mean over Gaussians takes those of opacity 0 for absent; queries are means whatever the composition."""
    scene = Gaussians(
        torch.tensor([[[0.4, 0.4, 0.2]] * 4]), torch.full((1, 4, 3), 0.6), torch.tensor([1.0, 0, 0, 0]).expand(1, 4, 4),
        torch.tensor([[0.9, 0.2, 0.0, 0.7]]), torch.tensor([[[0.9, 0.1], [0.1, 0.9], [0.2, 0.8], [0.8, 0.2]]]),
    )  # fmt: skip
    for composition in ("sum", "mean"):
        args = SplatArgs(composition=composition, support="ellipsoid", least_opacity=0.5)
        alone = scene.map(lambda t: t[:, [0, 3]])
        for one in (voxel_field, lambda s, g, a: voxel_field(s, g, replace(a, least_opacity=None))):
            field = one(scene if one is voxel_field else alone, GRID, args)
            kept = voxel_field(alone, GRID, args)
            torch.testing.assert_close(field.density, kept.density)
            torch.testing.assert_close(field.features, kept.features)
        model = build(splat=args).eval()
        found = model.spread(scene, torch.tensor([[[0.9], [0.3], [0.3], [0.9]]]), GRID)
        reached = found[found > 0]
        torch.testing.assert_close(reached, torch.full_like(reached, 0.9), atol=1e-3, rtol=0)
        assert len(reached) > 20


def test_pictures_without_features_give_no_gaussians():
    model, data = build().eval(), batch()
    data.features[:, :, 1] = 0.0
    opacities = model(data).scene.opacities.unflatten(1, (3, 5))
    assert (opacities[:, 1] == 0).all()
    assert (opacities[:, [0, 2]] > 0).all()


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (NetworkArgs, "queries", 0), (NetworkArgs, "heads", 0), (NetworkArgs, "dim", 255), (FeatureArgs, "dim", 0),
        (FeatureArgs, "channels", 513), (DepthArgs, "limit_m", -1.0), (DepthArgs, "head_range_m", (2.0, 1.0)),
        (ShapeArgs, "of_width_px", 0.0), (ShapeArgs, "span", -1.0), (LossArgs, "cosine", -1.0),
        (SplatArgs, "threshold", 1.5), (SplatArgs, "cutoff", 0.0), (SplatArgs, "scale", 0.0),
    ],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_named(kind, key, value):
    with pytest.raises(ConfigError, match=rf"GaussTR: \w+\.{key}: expected"):
        kind(**{key: value})


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="loss.segments: expected at least 18"):
        build(loss=LossArgs(segmentation=1.0, segments=3))
    dinov2 = BackboneArgs(
        None, "dinov2",
        {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}, (1,),
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"image_size: expected multiples of the backbone's patch, 14"):
        build(backbone=dinov2)
    assert build(backbone=dinov2, image_size=(28, 56)).pyramid.lateral[0].in_channels == 6


@pytest.mark.gpu
def test_using_the_network_uploads_and_downloads_nothing_on_a_gpu():
    model = build(backbone=ONE_STAGE, depth=DepthArgs(source="head"), shape=ShapeArgs(rotation="learned")).eval().cuda()
    data = batch().to("cuda")
    with torch.no_grad():
        model(data)  # what is looked up once
        torch.cuda.set_sync_debug_mode("error")
        try:
            scene = model(data).scene
            dependable(scene, GRID, SplatArgs())
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(("name", "dim", "trainable"), [("featup", 512, 13_743_203), ("talk2dino", 768, 15_947_605)])
def test_the_published_configurations_have_the_published_sizes(name, dim, trainable):
    config = read_yaml(ROOT / "config" / "train" / f"nuscenes_gausstr_{name}.yaml", "a training")
    phrases = read_class_prompts(ROOT / config["prompts"], OCC3D_NUSCENES)
    assert len(phrases) == 21
    words = ClassPrompts(
        tuple(p.text for p in phrases), tuple(p.class_name for p in phrases), torch.randn(21, dim), "made"
    )
    with torch.device("meta"):
        model = build_method("gausstr", config["model"], OCC3D_NUSCENES, pretrained=False, prompts=words)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == trainable
    assert model.classes.channel_ids == (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 14, 15, 15, 15, 15, 15, 16, 17)
    keyword_arguments(DataArgs, config["data"], name)


@pytest.mark.parametrize("source", ["given", "head"])
def test_using_the_network_never_waits_for_a_gpu(source):
    """On the meta device nothing has a value: .item(), .cpu(), nonzero or a mask as an index would fail."""
    model = build(backbone=ONE_STAGE, depth=DepthArgs(source=source), shape=ShapeArgs(rotation="learned")).eval()
    scene = model.to("meta")(batch().to("meta")).scene
    assert scene.means.device.type == "meta"
    assert dependable(scene, GRID, SplatArgs()).opacities.shape == (2, 15)
    with pytest.raises(RuntimeError):
        scene.means.sum().item()


def test_voxels_follow_the_published_class_step():
    """Scores as means over Gaussians, prompts that stand out nowhere left out, several prompts for one class."""
    model = build(splat=SplatArgs(support="box", least_opacity=0.3, threshold=0.1)).eval()
    scene = model(batch()).scene
    g = torch.Generator().manual_seed(4)
    scene = scene.replace(
        means=torch.rand(2, 15, 3, generator=g) * torch.tensor([18.0, 18.0, 4.0]) - torch.tensor([9.0, 9.0, 1.5]),
        scales=torch.rand(2, 15, 3, generator=g) + 0.01, opacities=torch.rand(2, 15, generator=g),
        features=(torch.randn(2, 15, 5, generator=g) * torch.tensor([0.3, 0.2, 0.2, 0.2, 0.05])).softmax(-1) * 0.4,
    )  # fmt: skip
    args = model.splat_args
    kept = scene.opacities > args.least_opacity
    kept &= ((scene.means >= torch.tensor(GRID.lower)) & (scene.means <= torch.tensor(GRID.upper))).all(-1)
    kept &= torch.diagonal(scene.covariances(), dim1=-2, dim2=-1).amin(-1) > args.least_std_m**2
    assert 0 < kept.sum() < 30
    result = voxel_classes(scene, GRID, model.classes, args)
    dropped = 0
    for b in range(2):
        field = splat_to_voxels(scene.map(lambda t, b=b: t[b][kept[b]]), GRID, support="box")
        probability = field.features.softmax(-1)
        best = (100 * field.features).softmax(-1).flatten(0, 2).amax(0)
        probability[..., best < 0.1] = 0.0
        dropped += int((best < 0.1).sum())
        # car, terrain (two prompts), manmade, free
        groups = torch.stack([probability[..., i].amax(-1) for i in ([0], [1, 2], [3], [4])], -1)
        expected = torch.tensor([4, 14, 15, 17])[groups.argmax(-1)]
        expected[field.density <= args.threshold] = 17
        assert torch.equal(result.labels[b].long(), expected)
    assert (result.labels != 17).any()


def test_what_does_not_fit_is_named():
    model, data = build(), batch()
    for field, match in (
        ("depth_m", "depth_m: expected depth beside"),
        ("features", "features: expected feature maps"),
    ):
        with pytest.raises(DataError, match=match):
            model(replace(data, **{field: None}))
    with pytest.raises(DataError, match="features: expected 4 channels, received 6 channels"):
        model(replace(data, features=torch.zeros(2, 1, 3, 6, 4, 8)))
    with pytest.raises(DataError, match="features: expected 4 channels, received 6 channels"):
        model.check_frames(replace(data, features=torch.zeros(2, 1, 3, 6, 4, 8)))
    model.check_frames(data)
    other = batch(teacher=6)
    for tried in (lambda: model.check_frames(other), lambda: model.losses(model(other), other)):
        with pytest.raises(DataError, match=r"features of pictures .*: expected 8 channels .*, received 6 channels"):
            tried()
    nothing = replace(data, targets=replace(data.targets, view_depth_m=None))
    with pytest.raises(DataError, match="depth_dir: expected labels"):
        model.losses(model(nothing), nothing)
    with pytest.raises(ConfigError, match="prompts: expected embeddings of 12 channels .*, received 8, of made"):
        build(features=FeatureArgs(dim=12, channels=3, input_dim=4))
    with pytest.raises(ConfigError, match="basis: expected a feature folder with basis.safetensors"):
        build(features=FeatureArgs(dim=8, channels=3, input_dim=4, compression="stored"), pretrained=True)
    with pytest.raises(ConfigError, match="depth.model: expected a hub id"):
        DepthArgs(source="model")
