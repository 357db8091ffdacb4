# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
import importlib
import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.labels.depth import load_depth
from gsocc_core.labels.pretrained import load_model, model_type

from .conftest import make_depth_anything

CPU = torch.device("cpu")
KINDS = ("depth_anything", "zoedepth", "depth_pro")


def camera(focal_px=60.0, width=80, height=45):
    return Camera(
        "a", np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]]), np.eye(4), width, height
    )


def pictures(count=2, height=45, width=80, seed=0):
    small = torch.rand(count, 3, 6, 9, generator=torch.Generator().manual_seed(seed)) * 255
    return functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def labellers(models):
    return {kind: load_depth(str(models[kind]), CPU) for kind in KINDS}


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_metres_at_the_size_asked_for_alike_in_any_batch(labellers, kind):
    both = labellers[kind](pictures(), [camera(), camera()], (22, 40))
    assert both.shape == (2, 22, 40)
    assert both.dtype == torch.float32
    assert (both >= 0).all()
    assert both.max() <= 300
    assert both.std() > 1e-3  # a constant would prove nothing below
    assert not torch.equal(both[0], both[1])
    one = labellers[kind](pictures()[1:], [camera()], (22, 40))
    torch.testing.assert_close(one[0], both[1], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_red_picture_reaches_the_network_with_red_first(labellers, kind):
    red = torch.tensor([255, 0, 0], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 45, 80)
    seen = []
    hook = labellers[kind].model.register_forward_pre_hook(
        lambda _, __, arguments: seen.append(arguments["pixel_values"]), with_kwargs=True
    )
    labellers[kind](red, [camera()], (22, 40))
    hook.remove()
    mean, std = labellers[kind].options["image_mean"], labellers[kind].options["image_std"]
    expected = [(value - m) / s for value, m, s in zip((1.0, 0.0, 0.0), mean, std)]
    assert seen[0][0].mean((-1, -2)).tolist() == pytest.approx(expected, abs=1e-5)
    swapped = labellers[kind](pictures().flip(1), [camera()] * 2, (22, 40))
    assert not torch.allclose(swapped, labellers[kind](pictures(), [camera()] * 2, (22, 40)), rtol=1e-3)


@pytest.mark.parametrize(
    ("kind", "module", "name"),
    [
        ("depth_anything", "dpt.image_processing_pil_dpt", "DPTImageProcessorPil"),
        ("zoedepth", "zoedepth.image_processing_pil_zoedepth", "ZoeDepthImageProcessorPil"),
    ],
)
def test_pictures_are_prepared_as_transformers_does_it(labellers, models, kind, module, name):
    processor_class = getattr(pytest.importorskip(f"transformers.models.{module}"), name)
    options = json.loads((models[kind] / "preprocessor_config.json").read_text())
    if kind == "depth_anything":
        options["resample"] = 3
    picture = pictures(1, 90, 161)
    expected = processor_class(**options)(picture[0].permute(1, 2, 0).numpy(), return_tensors="pt")["pixel_values"]
    ours = labellers[kind].prepare(picture)
    assert ours.shape == expected.shape
    torch.testing.assert_close(ours, expected, atol=0.03, rtol=0)  # Pillow rounds its filters to 1/255


def test_zoedepth_gives_the_middle_of_what_it_saw(labellers):
    zoe, picture = labellers["zoedepth"], pictures(1, 50, 98)
    padded = zoe.model(pixel_values=zoe.prepare(picture)).predicted_depth
    rows, columns = 15, 21  # int(3 sqrt(side / 2))
    whole = functional.interpolate(padded[:, None], (50 + 2 * rows, 98 + 2 * columns), mode="bilinear")[0, 0]
    depth = zoe(picture, [camera(width=98, height=50)], (50, 98))
    torch.testing.assert_close(depth[0], whole[rows:-rows, columns:-columns])


def test_depth_pro_takes_the_cameras_own_focal_length(labellers):
    pro, picture = labellers["depth_pro"], pictures(1)
    near, far = (pro(picture, [camera(focal_px=f)], (22, 40)) for f in (30.0, 60.0))
    canonical = pro.model(pixel_values=pro.prepare(picture)).predicted_depth
    canonical = functional.interpolate(canonical[:, None], (22, 40), mode="bilinear")[0]
    inside = (canonical[0] > 0.01) & (far[0] < 299)
    assert inside.any()
    torch.testing.assert_close(far[0][inside], 60.0 / 80 / canonical[0][inside])
    torch.testing.assert_close(far[0][inside], 2 * near[0][inside])
    assert pro.model.fov_model is None  # its guess of the focal length costs nothing


def test_metric3ds_rule_scales_by_the_focal_length_at_the_networks_input(models, labellers):
    scaled = load_depth(str(models["depth_anything"]), CPU, focal_px=35.0)
    plain = labellers["depth_anything"](pictures(1), [camera()], (22, 40))
    width = scaled.prepare(pictures(1)).shape[-1]
    expected = (plain * (60.0 * width / 80) / 35.0).clamp(max=300)
    torch.testing.assert_close(scaled(pictures(1), [camera()], (22, 40)), expected)
    with pytest.raises(ConfigError, match="--focal_px"):
        load_depth(str(models["depth_pro"]), CPU, focal_px=35.0)


def test_bfloat16_gives_almost_the_same(labellers):
    plain = labellers["depth_anything"](pictures(), [camera()] * 2, (22, 40))
    with torch.autocast("cpu", torch.bfloat16):
        rough = labellers["depth_anything"](pictures(), [camera()] * 2, (22, 40))
    assert rough.dtype == torch.float32
    assert ((rough / plain - 1).abs() < 0.1).all()
    assert not torch.equal(rough, plain)


def test_depth_without_a_unit_is_refused(tmp_path):
    folder = make_depth_anything(tmp_path / "relative", "relative")
    with pytest.raises(ConfigError, match="a model of metric depth.*relative"):
        load_depth(str(folder), CPU)


def test_wrong_models_are_refused_by_name(models, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"--model: expected .*depth_anything, zoedepth, depth_pro.*of type sam2"):
        load_depth(str(models["sam2"]), CPU)
    with pytest.raises(ConfigError, match=r"no config\.json"):
        load_depth(str(tmp_path), CPU)
    with pytest.raises(ConfigError, match="nowhere: no such folder"):
        load_depth(str(tmp_path / "nowhere"), CPU)
    with pytest.raises(ConfigError, match=r"--model: expected a folder or hub id"):
        model_type("no/such-model-anywhere", "--model", {"x": "y"})
    with pytest.raises(ConfigError, match="which has no Sam9Model; pip install -U transformers"):
        load_model(str(models["sam2"]), "Sam9Model", "--segmenter", CPU)


def test_weights_that_are_not_there_are_an_error(tmp_path):
    safetensors = importlib.import_module("safetensors.torch")
    folder = make_depth_anything(tmp_path / "model")
    path = folder / "model.safetensors"
    weights = safetensors.load_file(path)
    del weights["head.conv3.weight"]
    safetensors.save_file(weights, path, {"format": "pt"})
    with pytest.raises(ConfigError, match=r"lacks 1 of them, for instance head\.conv3\.weight"):
        load_depth(str(folder), CPU)
    path.write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="weights of a DepthAnythingForDepthEstimation"):
        load_depth(str(folder), CPU)
