# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Uni3R's files: every published tensor is accounted for, and what is imported computes what its code does."""

from functools import partial
from pathlib import Path

import published_uni3r as published
import pytest
import torch
from published_files import random_numbers, table
from published_uni3r import FULL, SMALL, checkpoint, layout, lseg_layout
from tiny_views import views

from gsocc_core.arguments import keyword_arguments
from gsocc_core.errors import BundleError, ShapeError
from gsocc_core.importers import uni3r
from gsocc_core.importers.bundles import changed
from gsocc_core.importers.checkpoint_files import Weights
from gsocc_core.importers.key_map import carry_over
from gsocc_core.importers.uni3r import import_uni3r, lseg_keys, uni3r_keys
from gsocc_core.inference import lseg as beside
from gsocc_core.inference.bundle import load_view_bundle, read_origin
from gsocc_core.inference.lseg import read_lseg, with_lseg_features
from gsocc_core.methods.uni3r import Uni3R
from gsocc_core.networks import backbones
from gsocc_core.networks.dense_head import points_and_confidence
from gsocc_core.networks.lseg import LSegPictures
from gsocc_core.networks.rotary import rotary_angles

#: The published sizes, reduced, as our configuration calls them.
MODEL = {
    "image_size": [16, 16],
    "encoder": {"model_args": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 4,
                               "image_size": 16}, "out_indices": [2]},
    "network": {"depth": 3, "heads": 2, "taps": [0, 1, 1, 2], "camera_depth": 1, "camera_heads": 2, "head_width": 16,
                "head_levels": [8, 8, 12, 12]},
    "semantics": {"teacher_dim": 6, "dim": 4},
}  # fmt: skip
LSEG = {"dim": 16, "depth": 5, "heads": 2, "patch": 4, "grid": 3, "taps": (1, 2, 3, 4), "levels": (8, 8, 12, 12),
        "width": 8, "out": 6}  # fmt: skip


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Their tensors, our method out of the bundle, and the bundle's folder."""
    folder, theirs = tmp_path_factory.mktemp("uni3r"), checkpoint(SMALL)
    torch.save({"model": theirs, "optimizer": {"state": {}, "param_groups": []}, "epoch": 99}, folder / "2views.pth")
    import_uni3r(folder / "2views.pth", folder / "bundle", model=MODEL)
    return theirs, load_view_bundle(folder / "bundle").method, folder / "bundle"


def test_every_published_tensor_is_accounted_for(monkeypatch):
    for name in ("kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "normal_", "trunc_normal_"):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)  # slow on meta
    monkeypatch.setattr(backbones, "_freeze_unused", lambda _: None)
    theirs = table("uni3r_main")
    assert len(theirs) == 4396
    needed = {name: shape for name, shape in theirs.items() if not name.startswith(uni3r._NOT_NEEDED)}
    assert needed == layout(FULL)
    with torch.device("meta"):
        arguments = keyword_arguments(Uni3R, uni3r.ARGUMENTS, "test", skip=("pretrained",))
        method, network = Uni3R(**arguments, pretrained=False), LSegPictures()
        tensors = {name: torch.empty(shape) for name, shape in theirs.items()}
    weights = Weights(Path("2views.pth"), tensors, {})
    carry_over([weights], uni3r_keys(method, weights), method, "Uni3R")
    start = "lseg_feature_extractor."
    lseg = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
    lseg = {name: value for name, value in lseg.items() if not name.startswith("clip_pretrained.")}
    lseg = {name: value.long() if name.endswith("tracked") else value for name, value in lseg.items()}
    assert {name: tuple(value.shape) for name, value in lseg.items()} == lseg_layout(
        1024, 24, 16, 24, (256, 512, 1024, 1024), 256, 512
    )
    carry_over([Weights(Path("demo_e200.ckpt"), lseg, {})], lseg_keys(network), network, "LSeg")


def test_every_stage_is_the_published_one(imported):
    theirs, method, _ = imported
    sample = views(1, 2, (16, 16), seed=4)
    pictures, K = sample.images[0].float(), sample.intrinsics[0]
    features = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        patches = torch.stack([published.encoded(theirs, SMALL, picture / 255) for picture in pictures])
        ours = method.encoder(sample.images[0])
        torch.testing.assert_close(ours.flatten(2).transpose(1, 2), patches, atol=1e-4, rtol=1e-4)
        scaled = K / torch.tensor([16.0, 16.0, 1.0])[:, None]
        tokens, layers = published.attended(theirs, SMALL, patches, scaled)
        seen = method.attention(ours[None], scaled[None])
        torch.testing.assert_close(seen.camera[0], tokens, atol=1e-4, rtol=1e-4)
        for one, other in zip(seen.patches, layers, strict=True):
            torch.testing.assert_close(one[0], other, atol=1e-4, rtol=1e-4)
        output = method(sample.images, sample.intrinsics, features[None])
        for found, expected in zip(output.codes, published.camera(theirs, SMALL, tokens, 4), strict=True):
            swapped = expected[:, [0, 1, 2, 6, 3, 4, 5, 7, 8]]
            torch.testing.assert_close(found[0], swapped, atol=1e-3, rtol=1e-3)
        means, sure = published.points(theirs, SMALL, layers, (16, 16))
        torch.testing.assert_close(output.points[0], means, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(output.points_confidence[0], sure, atol=1e-3, rtol=1e-3)
        parts = published.gaussians(theirs, SMALL, layers, pictures / 127.5 - 1, means.flatten(0, 2), features)
        scene = output.scene
        for found, expected in zip(
            (scene.scales, scene.quats, scene.opacities, scene.colors_sh, scene.features), parts, strict=True
        ):
            torch.testing.assert_close(found[0], expected, atol=1e-3, rtol=1e-3)


def test_heads_and_blocks_have_the_numbers_of_the_published_modules(imported):
    """Stored once, from instances of VGGT's camera head, point head and block and Uni3R's dense head."""
    method, g = imported[1], torch.Generator().manual_seed(41)
    layers = [torch.randn(1, 2, 16, 32, generator=g)[0] for _ in range(4)]
    camera, pictures = torch.randn(1, 2, 32, generator=g), torch.rand(1, 2, 3, 16, 16, generator=g)[0] * 2 - 1
    tokens = torch.randn(1, 22, 16, generator=g)
    rows, columns = torch.meshgrid(torch.arange(4) + 1, torch.arange(4) + 1, indexing="ij")
    places = torch.cat(
        [torch.zeros(5, 2).long(), torch.stack([rows, columns], -1).flatten(0, 1), torch.tensor([[5, 1]])]
    )
    with torch.no_grad():
        code = method.camera_head(camera)[-1]
        points, sure = points_and_confidence(method.point_head(layers, (4, 4), (16, 16)))
        dense = method.gaussian_head.dense(layers, (4, 4), (16, 16)) + method.gaussian_head.picture(pictures).relu()
        seen = method.attention.frame_blocks[0](tokens, rotary_angles(places, 8, 100.0))
    # Theirs: translation, quaternion x y z w, fields of view, of which the negative ones are 0.
    theirs = [0.84236, -0.35608, 1.70192, -2.86264, -4.17568, -1.30358, 5.25888, 0.6203]
    torch.testing.assert_close(code[0, 1, [0, 1, 2, 4, 5, 6, 3, 7]], torch.tensor(theirs), atol=1e-4, rtol=1e-4)
    for found, mean_square, place, numbers in (
        (points, 6.604588, (1, 5, 3), [-2.66474, -2.88176, -3.23308]),
        (sure, 2.223761, (1, 5, slice(3, 9)), [1.41038, 1.39008, 1.39449, 1.41085, 1.47627, 1.42576]),
        (dense, 446.247727, (1, slice(6), 5, 3), [18.83736, -5.84381, -68.91492, -23.68142, -1.57682, 31.85538]),
        (seen, 1.735235, (0, 20, slice(6)), [0.21389, 0.67558, 0.08852, 0.73913, -0.53948, -2.12739]),
    ):
        assert found.double().square().mean().item() == pytest.approx(mean_square, rel=1e-4)
        torch.testing.assert_close(found[place], torch.tensor(numbers), atol=1e-4, rtol=1e-4)


def test_gaussians_have_the_numbers_of_the_published_module(imported):
    """Stored once, from an instance of the published Gaussian head with the same inputs, by its order of channels."""
    method, g = imported[1], torch.Generator().manual_seed(31)
    raw = torch.randn(1, 2, 63, 5, 4, generator=g)
    raw[:, :, :3] += 5.5
    points, base = torch.randn(1, 2, 5, 4, 3, generator=g), torch.randn(1, 2, 4, 5, 4, generator=g)
    scene = method.gaussian_head.decode(raw[:, :, list(uni3r._attributes(method))], points, base)
    for found, mean_square, numbers in (
        (scene.scales, 0.863895, [0.30391, 0.4928, 0.09507]),
        (scene.quats, 0.25, [-0.1209, -0.76588, 0.47755, 0.41323]),
        (scene.opacities, 0.258654, [0.57399]),
        (scene.colors_sh, 0.237286, [1.25827, -6.1509, -2.57942, -0.02457, 0.12226, 0.25332, -0.2384, 0.25669]),
        (scene.features, 1.898122, [3.49383, -1.72275, -0.21909, 0.2811]),
    ):
        assert found.double().square().mean().item() == pytest.approx(mean_square, rel=1e-4)
        torch.testing.assert_close(found[0, 23].flatten()[: len(numbers)], torch.tensor(numbers), atol=1e-4, rtol=1e-4)


def test_lseg_comes_from_its_own_file(tmp_path, monkeypatch, imported):
    theirs, method, _ = imported
    for module in (beside, uni3r):
        monkeypatch.setattr(module, "LSegPictures", partial(LSegPictures, **LSEG))
    sizes = (LSEG[name] for name in ("dim", "depth", "patch", "grid", "levels", "width", "out"))
    own = random_numbers(lseg_layout(*sizes), seed=3)
    rest = {"net.clip_pretrained.ln_final.bias": torch.ones(2).half(), "criterion.weight": torch.ones(1)}
    named = {f"net.{name}": value for name, value in own.items()} | rest
    torch.save({"state_dict": named, "hyper_parameters": {"lr": 1e-3}}, tmp_path / "demo_e200.ckpt")
    torch.save({"model": theirs}, tmp_path / "2views.pth")
    origin = import_uni3r(tmp_path / "2views.pth", tmp_path / "bundle", tmp_path / "demo_e200.ckpt", MODEL)
    assert origin.notes[-1] == "LSeg's picture side is in the bundle"
    network = read_lseg(tmp_path / "bundle")
    sample = views(1, 2, (16, 16))
    pictures = sample.images[0]
    with torch.no_grad():
        expected = published.lseg(own, pictures.float() / 127.5 - 1, 2, LSEG["taps"], 4)
        found = network.train()(pictures)
        assert found.shape == (2, 6, 32, 32)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        assert method(pictures[None], None, found[None]).scene.features.shape == (1, 512, 4)
        torch.testing.assert_close(with_lseg_features(sample, network).features, found[None])
        assert network(pictures[:, :, :8]).shape == (2, 6, 16, 32)
    with pytest.raises(ShapeError, match="sides that are multiples of 8 pixels, received 12 x 16"):
        network(pictures[:, :, :12])
    (tmp_path / "bundle" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        load_view_bundle(tmp_path / "bundle")
    (tmp_path / "bundle" / "lseg.safetensors").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"lseg\.safetensors: content: expected a complete safetensors file of LSeg"):
        read_lseg(tmp_path / "bundle")


def test_lseg_has_the_numbers_of_the_published_modules():
    """Stored once, from LSeg's own blocks around timm's transformer."""
    sizes = {**LSEG, "patch": 16}
    names = ("dim", "depth", "patch", "grid", "levels", "width", "out")
    own = random_numbers(lseg_layout(*(sizes[name] for name in names)), seed=3)
    network = LSegPictures(**sizes)
    carry_over([Weights(Path("demo_e200.ckpt"), own, {})], lseg_keys(network), network, "LSeg")
    found = network(torch.rand(2, 3, 64, 32, generator=torch.Generator().manual_seed(51)) * 255)
    assert found.shape == (2, 6, 32, 16)
    assert found.double().square().mean().item() == pytest.approx(3667.412187, rel=1e-4)
    numbers = [-23.07129, -28.79756, -2.09843, -20.91069, -36.50153, -65.89569]
    torch.testing.assert_close(found[1, :, 7, 5], torch.tensor(numbers), atol=1e-3, rtol=1e-4)


def test_a_bundle_says_whose_it_is(imported):
    _, _, bundle = imported
    origin, card = read_origin(bundle), (bundle / "README.md").read_text()
    assert "license: cc-by-nc-sa-4.0" in card
    for said in (origin.licence, origin.trained_on, origin.published, *origin.notes):
        assert said in card
    assert "non-commercial" in origin.licence
    assert any("depth head was never trained" in note for note in origin.notes)
    assert read_lseg(bundle) is None


def test_files_that_do_not_fit_are_told_and_nothing_is_written(tmp_path):
    good, path, out = checkpoint(SMALL), tmp_path / "theirs.pth", tmp_path / "bundle"

    def refused(tensors, message, lseg=None):
        torch.save(tensors, path)
        with pytest.raises(BundleError, match=message):
            import_uni3r(path, out, lseg, changed(MODEL, {}))
        assert not out.exists()

    refused(
        {k: v for k, v in good.items() if k != "feature_reduction.0.bias"}, r"feature_reduction\.0\.bias: expected a"
    )
    refused(good | {"vggt.new": torch.ones(2)}, r"vggt\.new: expected only tensors of Uni3R")
    refused(good | {"gs_attr_proj.2.bias": torch.ones(99)}, r"gs_attr_proj\.2\.bias: expected \(63,\)")
    refused({"optimizer": {}, "model": {"backbone.cls_token": torch.ones(2)}}, "tensors of Uni3R, such as vggt")
    refused(good, "tensors of LSeg, such as net.pretrained", path)
