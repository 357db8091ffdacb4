# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Bundles: what is written comes back, and everything damaged or unsafe is named."""

import pickle
import shutil
import socket

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.errors import BundleError, ConfigError, OutputExistsError
from gsocc_core.inference.bundle import load_bundle, read_origin, save_bundle
from gsocc_core.inference.origin import Origin

HOSTILE_YAML = {
    "deep": "[" * 10_000,
    "aliases": "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)),
    "endless": "a: &a [*a]",
    "long": "# " + "x" * 2_000_000,
    "date": "a: 2026-99-99",
}


@pytest.fixture
def copy(tiny_bundle, tmp_path):
    path = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, path)
    return path


def change_config(path, **changes):
    config = yaml.safe_load((path / "config.yaml").read_text())
    config["arguments"] |= changes
    (path / "config.yaml").write_text(yaml.safe_dump(config))


def test_round_trip_within_float16(tiny_bundle, tmp_path):
    bundle = load_bundle(tiny_bundle)
    assert bundle.method_name == "gaussianflowocc"
    assert bundle.classes.channel_ids == tuple(range(1, 17))
    assert not bundle.method.training
    again = tmp_path / "again"
    save_bundle(again, bundle.method_name, bundle.arguments, bundle.method, "# card\n", half=False)
    for a, b in zip(bundle.method.state_dict().values(), load_bundle(again).method.state_dict().values()):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


def test_whose_weights_they_are_comes_back_or_is_refused(copy):
    origin = Origin("S", "a file", "for research only", "other", "streets", "32 x 64", "a rule", "mIoU 1", ("slow",))
    config = yaml.safe_load((copy / "config.yaml").read_text())
    assert load_bundle(copy).origin is None
    for part, message in (
        (vars(origin) | {"notes": ["slow"]}, None), ("theirs", "origin: expected a mapping"),
        (vars(origin) | {"licenze": "x"}, r"origin\.licenze"), ({"system": "S"}, r"origin\.\w+: .*received nothing"),
    ):  # fmt: skip
        (copy / "config.yaml").write_text(yaml.safe_dump(config | {"origin": part}))
        if message is None:
            assert load_bundle(copy).origin == read_origin(copy) == origin
            continue
        with pytest.raises(ConfigError, match=message):
            read_origin(copy)


def test_half_storage_is_close_and_smaller(tiny_bundle, tmp_path):
    method = load_bundle(tiny_bundle).method
    with torch.no_grad():
        method.means.mul_(1.0001)
    for half in (True, False):
        save_bundle(tmp_path / str(half), "gaussianflowocc", load_bundle(tiny_bundle).arguments, method, "", half=half)
    sizes = [(tmp_path / str(half) / "model.safetensors").stat().st_size for half in (True, False)]
    assert sizes[0] < 0.6 * sizes[1]
    torch.testing.assert_close(load_bundle(tmp_path / "True").method.means, method.means, rtol=1e-3, atol=1e-3)


def test_an_existing_folder_is_never_overwritten(tiny_bundle):
    bundle = load_bundle(tiny_bundle)
    with pytest.raises(OutputExistsError):
        save_bundle(tiny_bundle, bundle.method_name, bundle.arguments, bundle.method, "")


def test_a_failing_write_leaves_nothing(tiny_bundle, tmp_path):
    bundle = load_bundle(tiny_bundle)
    with pytest.raises(yaml.YAMLError):
        save_bundle(tmp_path / "new", bundle.method_name, {"x": object()}, bundle.method, "")
    assert list(tmp_path.iterdir()) == []


def test_truncated_weights(copy):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BundleError, match="model.safetensors"):
        load_bundle(copy)


def test_a_pickle_is_never_loaded(copy, tmp_path):
    class Evil:
        def __reduce__(self):
            return (pytest.fail, ("a pickle ran",))

    with (tmp_path / "model.pt").open("wb") as file:
        pickle.dump(Evil(), file)
    with pytest.raises(BundleError, match="pickled code"):
        load_bundle(tmp_path / "model.pt")
    (copy / "model.safetensors").unlink()
    shutil.copy(tmp_path / "model.pt", copy / "pytorch_model.bin")
    with pytest.raises(BundleError, match="never unpickled"):
        load_bundle(copy)


def test_a_class_table_that_does_not_fit_the_weights(copy):
    OCC3D_NUSCENES.with_channels(range(17)).to_yaml(_fresh(copy / "classes.yaml"))
    with pytest.raises(BundleError, match=r"heads.logits.*17 channels"):
        load_bundle(copy)


def _fresh(path):
    path.unlink()
    return path


def test_unknown_and_wrongly_typed_arguments(copy):
    change_config(copy, colour="blue")
    with pytest.raises(ConfigError, match="colour.*unknown"):
        load_bundle(copy)
    config = yaml.safe_load((copy / "config.yaml").read_text())
    del config["arguments"]["colour"]
    config["arguments"]["network"]["dim"] = "many"
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError, match="dim"):
        load_bundle(copy)
    (copy / "config.yaml").write_text("method: nerf\narguments: {}\n")
    with pytest.raises(ConfigError, match=r"gaussianflowocc.*nerf"):
        load_bundle(copy)
    (copy / "config.yaml").write_text("method: [\n")
    with pytest.raises(ConfigError, match="YAML"):
        load_bundle(copy)


@pytest.fixture
def no_network(monkeypatch):
    """Whoever wants to speak to another machine fails the test."""

    def refused(self, address):
        pytest.fail(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"model_type": "timm_backbone"}, "model_type"),
        ({"model_args": {"attn_implementation": "owner/kernel"}}, "model_args.attn_implementation"),
        ({"model_args": {"torch_dtype": 3}}, "model_args.torch_dtype"),
        ({"model_args": {"auto_map": {"AutoBackbone": "owner/code--file.Class"}}}, "model_args.auto_map"),
    ],
)
def test_a_backbone_that_chooses_code_is_refused_without_the_hub(copy, no_network, change, key):
    backbone = yaml.safe_load((copy / "config.yaml").read_text())["arguments"]["backbone"]
    change_config(copy, backbone={**backbone, "hub_id": "owner/model"})
    load_bundle(copy)  # where pretrained weights came from says nothing about where a bundle's do
    change_config(copy, backbone={**backbone, "hub_id": "owner/model", **change})
    with pytest.raises(ConfigError, match=rf"config.yaml: arguments.backbone.{key}: expected one of"):
        load_bundle(copy)


@pytest.mark.parametrize("name", ["config.yaml", "classes.yaml"])
@pytest.mark.parametrize("kind", ["deep", "aliases", "endless", "long", "date"])
def test_hostile_yaml_is_one_clear_line(copy, name, kind):
    (copy / name).write_text(HOSTILE_YAML[kind])
    with pytest.raises(ConfigError, match=f"{name}: file: expected") as caught:
        load_bundle(copy)
    assert len(str(caught.value)) < 1000


def test_missing_and_extra_tensors(copy):
    weights = load_file(copy / "model.safetensors")
    save_file({**weights, "extra": torch.zeros(1)}, copy / "model.safetensors")
    with pytest.raises(BundleError, match="extra"):
        load_bundle(copy)
    save_file({k: v for k, v in weights.items() if k != "means"}, copy / "model.safetensors")
    with pytest.raises(BundleError, match="means"):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda t: t.index_fill(0, torch.tensor([1, 3]), torch.nan),
            "finite numbers, received 6 NaN or infinite of 150",
        ),
        (lambda t: t.double().index_fill(0, torch.tensor([2]), 1e300), "finite numbers, received 3 NaN or infinite"),
        (lambda t: t.long(), "floating-point numbers, received torch.int64"),
        (lambda t: t > 0, "floating-point numbers, received torch.bool"),
    ],
)
def test_tensors_that_are_no_finite_numbers_are_named(copy, change, expected):
    weights = load_file(copy / "model.safetensors")
    save_file({**weights, "means": change(weights["means"].float())}, copy / "model.safetensors")
    with pytest.raises(BundleError, match=rf"model.safetensors: means: expected {expected}"):
        load_bundle(copy)


def test_counters_are_whole_numbers_and_numbers_come_in_any_precision(copy):
    weights = load_file(copy / "model.safetensors")
    counter = next(name for name in weights if name.endswith("num_batches_tracked"))
    save_file({**weights, counter: weights[counter].float()}, copy / "model.safetensors")
    with pytest.raises(BundleError, match=f"{counter}: expected torch.int64, received torch.float32"):
        load_bundle(copy)
    for dtype in (torch.bfloat16, torch.float64):
        save_file({**weights, "means": weights["means"].to(dtype)}, copy / "model.safetensors")
        assert load_bundle(copy).method.means.dtype == torch.float32


def test_a_name_that_is_neither_folder_nor_hub_id():
    with pytest.raises(BundleError, match="owner/name"):
        load_bundle("no/such/place")
