# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc's folders: every published tensor is accounted for, and what is imported computes what its code does."""

from dataclasses import replace
from pathlib import Path

import published_gaussianocc as published
import pytest
import torch
from published_files import random_numbers, table
from tiny_frames import GRID, frames

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.errors import BundleError, ConfigError
from gsocc_core.importers.bundles import changed
from gsocc_core.importers.checkpoint_files import Weights
from gsocc_core.importers.gaussianocc import (
    ARGUMENTS,
    gaussianocc_keys,
    import_gaussianocc,
    pose_keys,
    read_pose_network,
)
from gsocc_core.importers.key_map import carry_over
from gsocc_core.inference.bundle import load_bundle
from gsocc_core.methods.build import build_method
from gsocc_core.networks.lifting import lift_pictures
from gsocc_core.yaml_files import read_yaml

ROOT = Path(__file__).parents[2]
SMALL = published.Sizes(8, (16, 24, 32), (1, 1, 2), (12, 10), 6, 4, 9, 32, 64)
VERTICES = (16, 16, 8)
MODEL = {
    "grid": {"lower": list(GRID.lower), "upper": list(GRID.upper), "voxel_size": 0.8},
    "backbone": {"model_args": {"embedding_size": 8, "hidden_sizes": [16, 24, 32], "depths": [1, 1, 2]}},
    "network": {"widths": [12, 10], "dim": 6, "volume_dim": 4, "vertices": list(VERTICES)},
}


def write_folder(folder, pose=True, seed=0):
    """A folder of the published names at a small size: (encoder, decoder) tensors."""
    folder.mkdir()
    encoder = random_numbers(published.encoder_layout(SMALL), seed)
    decoder = random_numbers(published.decoder_layout(SMALL), seed + 1)
    for name, corner in (("xyz_min", GRID.lower), ("xyz_max", GRID.upper)):
        decoder[name] = torch.tensor(corner, dtype=torch.float64)
    torch.save(encoder, folder / "encoder.pth")
    torch.save(decoder, folder / "depth.pth")
    if pose:
        for name, file in (("pose_encoder", "pose_encoder.pth"), ("pose", "pose.pth")):
            small = {key: tuple(min(n, 3) for n in shape) for key, shape in table(f"gaussianocc_stage1_{name}").items()}
            torch.save(random_numbers(small, seed + 2), folder / file)
    return encoder, decoder


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    root = tmp_path_factory.mktemp("gaussianocc")
    encoder, decoder = write_folder(root / "nusc-sem-gs")
    import_gaussianocc(root / "nusc-sem-gs", root / "bundle", model=MODEL)
    return encoder, decoder, load_bundle(root / "bundle")


def test_every_published_tensor_is_accounted_for():
    encoder, decoder = (table(f"gaussianocc_nusc_stage2_{name}") for name in ("encoder", "depth"))
    assert (len(encoder), len(decoder)) == (572, 222)
    assert encoder == published.encoder_layout(published.Sizes())
    assert decoder == published.decoder_layout(published.Sizes())
    arguments = changed(ARGUMENTS, {"network": {"vertices": [8, 8, 8]}})  # they have no parameters
    with torch.device("meta"):
        method = build_method("gaussianocc", arguments, OCC3D_NUSCENES, pretrained=False)
        files = [
            Weights(Path(name), {
                key: torch.empty(shape, dtype=torch.int64 if key.endswith("tracked") else None)
                for key, shape in layout.items() if not isinstance(shape, int)
            }, {}) for name, layout in (("encoder.pth", encoder), ("depth.pth", decoder))
        ]  # fmt: skip
    carry_over(files, gaussianocc_keys(method), method, "GaussianOcc")
    assert sum(p.numel() for p in method.backbone.parameters()) == pytest.approx(38.76e6, rel=1e-3)
    for name, keys in zip(("pose_encoder", "pose"), pose_keys()):
        assert {key.theirs for key in keys} == set(table(f"gaussianocc_stage1_{name}"))


def test_the_configuration_is_that_of_the_shipped_training_with_the_original_by_name():
    shipped = read_yaml(ROOT / "config/train/nuscenes_gaussianocc.yaml", "")["model"]
    for key in ("grid", "image_size"):
        assert ARGUMENTS[key] == shipped[key]
    assert ARGUMENTS["network"] | shipped["network"] == ARGUMENTS["network"]
    assert ARGUMENTS["gaussians"] | shipped["gaussians"] == ARGUMENTS["gaussians"]
    assert ARGUMENTS["backbone"]["model_args"]["depths"] == shipped["backbone"]["model_args"]["depths"][:3]


def test_every_stage_is_the_published_one(imported):
    encoder, decoder, bundle = imported
    method, data = bundle.method, replace(frames(1, 3), targets=None)
    with torch.no_grad():
        maps = method.backbone(data.images[0, 0])
        theirs = published.encoder(encoder, SMALL, data.images[0, 0])
        torch.testing.assert_close(maps, theirs, atol=1e-4, rtol=1e-4)
        points = published.vertices(VERTICES, GRID.lower, GRID.upper)
        torch.testing.assert_close(method.contracted.centers, points, atol=1e-3, rtol=1e-4)
        cameras, points = data.cameras.map(lambda t: t[:, 0]), points.flatten(0, 2)
        ours = lift_pictures(theirs[None], cameras, data.valid[:, 0], points, "published")[0]
        lifted = published.lifted(theirs, cameras.intrinsics[0], cameras.T_ego_cam[0], 64, points)
        torch.testing.assert_close(ours, lifted, atol=1e-4, rtol=1e-4)
        assert (lifted != 0).any(0).float().mean() > 0.3, "many are seen"
        volume = lifted.unflatten(1, VERTICES)[None]
        torch.testing.assert_close(method.decoder(volume), published.decoder(decoder, volume), atol=1e-4, rtol=1e-4)


def test_stages_give_the_numbers_of_the_published_modules(imported, monkeypatch):
    """Stored once from instances of the published modules on the same random weights and inputs."""
    method, cameras = imported[-1].method, frames(1, 3).cameras.map(lambda t: t[:, 0])
    g = torch.Generator().manual_seed(11)
    maps = torch.randn(1, 3, 6, 16, 32, generator=g)
    fine, coarse = torch.randn(1, 24, 4, 8, generator=g), torch.randn(1, 32, 2, 4, generator=g)
    monkeypatch.setattr(method.backbone.stages, "forward", lambda _: [fine, coarse])
    with torch.no_grad():
        joined = method.backbone(torch.zeros(1, 3, 32, 64))
        points = method.contracted.centers.flatten(0, 2)
        lifted = lift_pictures(maps, cameras, torch.ones(1, 3, dtype=torch.bool), points, "published")
        lifted = lifted.unflatten(-1, VERTICES)
        logits = method.decoder(lifted)
    for found, mean_square, place, numbers in (
        (joined, 0.996758, (0, slice(None), 3, 7), [0.54147, -0.81254, 0.61771, -0.42361, -0.09119, 0.5916]),
        (lifted, 0.207164, (0, slice(None), 7, 0, 2), [-0.39385, -0.22283, -1.22305, 0.3685, -0.7993, 0.35717]),
        (logits, 22.52531, (0, slice(None), 7, 0, 2),
         [-1.5187, 1.5823, 1.0051, -3.2342, -4.3455, -2.3755, 2.9174, 1.07, 2.3347, -0.6269, -1.1004, 1.2974, 2.211,
          1.8341, 5.4718, 3.4507, 0.7174, -0.2551]),
    ):  # fmt: skip
        assert found.double().square().mean().item() == pytest.approx(mean_square, rel=1e-4)
        torch.testing.assert_close(found[place], torch.tensor(numbers), atol=2e-4, rtol=1e-4)


def test_logits_and_labels_are_the_published_ones(imported):
    encoder, decoder, bundle = imported
    method, data = bundle.method, replace(frames(1, 3, seed=5), targets=None)
    with torch.no_grad():
        output = method(data)
        maps = published.encoder(encoder, SMALL, data.images[0, 0])
        points = published.vertices(VERTICES, GRID.lower, GRID.upper).flatten(0, 2)
        K, T = data.cameras.intrinsics[0, 0], data.cameras.T_ego_cam[0, 0]
        volume = published.lifted(maps, K, T, 64, points).unflatten(1, VERTICES)[None]
        logits = published.decoder(decoder, volume)[0]
        torch.testing.assert_close(output.logits[0], logits.movedim(0, -1), atol=1e-3, rtol=1e-3)
        expected = published.labels(logits, GRID.lower, GRID.upper, GRID.shape, 0.8)
        found = method.occupancy(output).labels[0].long()
    assert len(expected.unique()) >= 4, "the comparison says something"
    assert (found == expected).float().mean() >= 0.999


def test_a_bundle_says_whose_it_is_and_keeps_the_pose_network(imported):
    bundle = imported[-1]
    card = (bundle.path / "README.md").read_text()
    assert "license: other" in card
    assert "non-commercial" in bundle.origin.licence
    assert bundle.origin.licence in card
    assert "nuScenes" in bundle.origin.trained_on
    assert bundle.arguments["image_size"] == [32, 64]
    assert any("field_of_view: published" in note for note in bundle.origin.notes)
    kept = read_pose_network(bundle.path)
    assert set(kept) == set(table("gaussianocc_stage1_pose_encoder")) | set(table("gaussianocc_stage1_pose"))
    theirs = torch.load(bundle.path.parent / "nusc-sem-gs" / "pose.pth", weights_only=True)
    assert all(torch.equal(kept[name], value) for name, value in theirs.items())


def test_the_second_stage_alone_is_enough_and_the_data_must_be_known(tmp_path):
    write_folder(tmp_path / "weights", pose=False)
    with pytest.raises(ConfigError, match="trained_on: expected nuscenes or ddad"):
        import_gaussianocc(tmp_path / "weights", tmp_path / "bundle", model=MODEL)
    assert not (tmp_path / "bundle").exists()
    origin = import_gaussianocc(tmp_path / "weights", tmp_path / "bundle", "ddad", MODEL)
    assert "DDAD" in origin.system
    assert read_pose_network(tmp_path / "bundle") is None


def test_a_folder_that_is_not_whole_is_told(tmp_path):
    write_folder(tmp_path / "nusc")
    for name in ("encoder.pth", "depth.pth"):
        (tmp_path / "nusc" / name).rename(tmp_path / name)
    cases = {
        "nusc": "encoder.pth: expected a folder of GaussianOcc.*the pose network alone",
        "nusc/pose.pth": "expected a folder of GaussianOcc.*received a file",
        "nowhere": "no such folder",
    }
    for name, message in cases.items():
        with pytest.raises(BundleError, match=message):
            import_gaussianocc(tmp_path / name, tmp_path / "bundle", "nuscenes", MODEL)
    for name in ("encoder.pth", "depth.pth"):
        (tmp_path / name).rename(tmp_path / "nusc" / name)
    with pytest.raises(BundleError, match=r"depth\.pth: xyz_min: expected \[-40"):
        import_gaussianocc(tmp_path / "nusc", tmp_path / "bundle", model=changed(MODEL, {"grid": ARGUMENTS["grid"]}))
    (tmp_path / "nusc" / "pose.pth").unlink()
    with pytest.raises(BundleError, match=r"pose\.pth.*no such file"):
        import_gaussianocc(tmp_path / "nusc", tmp_path / "bundle", model=MODEL)
    assert not (tmp_path / "bundle").exists()
