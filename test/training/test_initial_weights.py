# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning begins where the source ended: shared classes predict alike, and what does not fit is told."""

import copy
import shutil
from dataclasses import asdict

import pytest
import torch
import yaml

from gsocc_core import OCC3D_NUSCENES, ClassTable
from gsocc_core.commands.cli import main
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.errors import ConfigError
from gsocc_core.inference.bundle import load_bundle
from gsocc_core.inference.origin import Origin
from gsocc_core.methods.build import build_method
from gsocc_core.training.initial_weights import channel_names, start_from

from ..conftest import TINY_MODEL  # noqa: TID252 - tests are no package, the fixtures' constants live beside them

NAMES = ("kerb", "car", "pedestrian", "driveable_surface", "free")
OWN = ClassTable(NAMES, ((1, 1, 1),) * 5, free_id=4, channel_to_id=(1, 0, 3, 2))


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors gain nothing from threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def frames(tiny_tree):
    data = DataArgs(str(tiny_tree), "v1.0-tiny", occ3d_dir=None, depth_dir=None, semantics_dir=None)
    return NuScenesOccupancy(data, (32, 64))[0]


def network(classes=OWN, **changes):
    torch.manual_seed(7)
    model = copy.deepcopy(TINY_MODEL)
    for key, value in changes.items():
        part, _, name = key.partition("__")
        if name:
            model[part][name] = value
        else:
            model[part] = value
    return build_method("gaussianflowocc", model, classes, pretrained=False).eval()


def test_shared_classes_predict_alike_on_another_class_list(tiny_bundle, frames):
    source, target = load_bundle(tiny_bundle).method, network()
    before = target.state_dict()["heads.logits.4.weight"].clone()
    report = start_from(target, "gaussianflowocc", tiny_bundle)
    with torch.inference_mode():
        old, new = source(frames).scene, target(frames).scene
    for part in ("means", "scales", "quats", "opacities"):
        assert torch.equal(getattr(old, part), getattr(new, part)), part
    old_names, new_names = channel_names(source.classes), channel_names(OWN)
    assert new_names == ["car", "kerb", "driveable_surface", "pedestrian"]
    for name in ("car", "driveable_surface", "pedestrian"):
        # A product with fewer columns may round differently.
        a, b = old.features[..., old_names.index(name)], new.features[..., new_names.index(name)]
        assert torch.allclose(a, b, atol=1e-5), name
    assert torch.equal(target.state_dict()["heads.logits.4.weight"][1], before[1]), "kerb is new and stays random"
    assert report.shared == ("car", "driveable_surface", "pedestrian")
    assert report.new == ("kerb",)
    assert "barrier" in report.unused
    assert not report.left
    assert "new, random: kerb" in str(report)


def test_the_same_model_starts_as_the_source(tiny_bundle, frames):
    source, target = load_bundle(tiny_bundle).method, network(OCC3D_NUSCENES.with_channels(range(1, 17)))
    start_from(target, "gaussianflowocc", tiny_bundle)
    with torch.inference_mode():
        a, b = source.occupancy(source(frames)), target.occupancy(target(frames))
    assert torch.equal(a.labels, b.labels)


@pytest.mark.parametrize("count", [20, 80])
def test_another_number_of_gaussians(tiny_bundle, count):
    source, target = load_bundle(tiny_bundle).method, network(network__num_gaussians=count)
    begun = target.means.detach().clone()
    report = start_from(target, "gaussianflowocc", tiny_bundle)
    if count > 50:
        assert torch.equal(target.means[:50], source.means)
        assert torch.equal(target.means[50:], begun[50:])
    else:
        assert all((source.means == mean).all(-1).any() for mean in target.means)
        assert len(torch.unique(target.means, dim=0)) == count
    assert f"50 learned Gaussians in the source, {count} here" in str(report)


def test_another_grid_gives_the_same_scene(tiny_bundle, frames):
    box = {"lower": [-20.0, -30.0, -2.0], "upper": [60.0, 30.0, 6.0], "voxel_size": 0.5}
    source, target = load_bundle(tiny_bundle).method, network(grid=box)
    report = start_from(target, "gaussianflowocc", tiny_bundle)
    with torch.inference_mode():
        old, new = source(frames).scene, target(frames).scene
    assert torch.allclose(old.means, new.means, atol=1e-4)
    assert torch.allclose(old.opacities, new.opacities, atol=1e-4)
    assert "the grid differs" in str(report)
    assert "lie outside" in str(report)


def test_what_does_not_fit_is_listed(tiny_bundle):
    report = start_from(network(network__head_hidden=24), "gaussianflowocc", tiny_bundle)
    assert report.left["heads.opacity.0.weight"] == "(24, 16) here, (16, 16) in the source"
    assert "heads.logits.4.weight" in report.left


def test_another_method_gives_its_image_encoder(tiny_bundle):
    source = load_bundle(tiny_bundle).method.encoder.state_dict()
    model = {key: copy.deepcopy(TINY_MODEL[key]) for key in ("grid", "image_size", "backbone")}
    model["network"] = {"dim": 24, "num_layers": 1, "num_heads": 2, "plane_stride": [10, 10, 4],
                        "pillar_points": [1, 1, 1], "plane_points": 1,
                        "feed_hidden": 8, "head_hidden": 8, "stride": [4, 4, 2]}  # fmt: skip
    host = build_method("tpvformer", model, OCC3D_NUSCENES, pretrained=False)
    report = start_from(host, "tpvformer", tiny_bundle)
    encoder = host.pictures.encoder.state_dict()
    backbone = [name for name in encoder if name.startswith("backbone.")]
    assert {f"pictures.encoder.{name}" for name in backbone} <= set(report.taken)
    assert all(torch.equal(encoder[name], source[name]) for name in backbone)
    assert all("pyramid" in name for name in report.left), "the pyramid is wider here"
    assert "a bundle of the method gaussianflowocc: its image encoder came over" in str(report)

    model["backbone"]["model_args"] = {"embedding_size": 4, "hidden_sizes": [4, 4, 6, 6], "depths": [1, 1, 1, 1],
                                       "layer_type": "basic"}  # fmt: skip
    other = build_method("tpvformer", model, OCC3D_NUSCENES, pretrained=False)
    with pytest.raises(ConfigError, match="the method tpvformer, or one with the same image backbone"):
        start_from(other, "tpvformer", tiny_bundle)


def test_one_command_trains_on_from_a_bundle_with_new_classes(tiny_bundle, tiny_tree, tmp_path, capfd):
    OWN.to_yaml(tmp_path / "classes.yaml")
    content = {
        "out": str(tmp_path / "run"), "method": "gaussianflowocc",
        "model": {**TINY_MODEL, "loss": {"depth": 0.1, "semantics": 0.0}},
        "data": {"dataroot": str(tiny_tree), "version": "v1.0-tiny", "occ3d_dir": None, "semantics_dir": None,
                 "view_size": [8, 22], "views": 2, "view_offsets": [-1, 1]},
        "optimizer": {"learning_rate": 1.0e-9, "warmup_steps": 1, "ema_decay": 0},
        "run": {"batch_size": 1, "accelerator": "cpu", "max_steps": 1, "progress_bar": False, "log_every": 1},
    }  # fmt: skip
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(content))
    origin = Origin("S", "a file", "for research only", "other", "streets", "32 x 64", "a rule", "mIoU 1", ("slow",))
    theirs = shutil.copytree(tiny_bundle, tmp_path / "theirs")
    config = yaml.safe_load((theirs / "config.yaml").read_text()) | {"origin": asdict(origin) | {"notes": ["slow"]}}
    (theirs / "config.yaml").write_text(yaml.safe_dump(config))
    words = ["--init", str(theirs), "--classes", str(tmp_path / "classes.yaml")]
    main(["train", str(tmp_path / "train.yaml"), *words])
    captured = capfd.readouterr()
    assert "classes shared: car, driveable_surface, pedestrian" in captured.err + captured.out
    made, source = load_bundle(tmp_path / "run" / "bundle"), load_bundle(tiny_bundle).method
    assert made.classes == OWN
    assert torch.allclose(made.method.means, source.means, atol=0.05)  # stored in half precision
    assert made.origin == origin, "whose weights a training began from is passed on, with their licence"
    card = (made.path / "README.md").read_text()
    assert "license: other" in card
    assert "for research only" in card
