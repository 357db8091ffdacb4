# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc's pose network: what is imported gives the motions that its code gives."""

import json
from pathlib import Path

import published_gaussianocc as published
import pytest
import torch
from published_files import random_numbers, table
from torch.nn import functional

from gsocc_core.commands.cli import main
from gsocc_core.data.args import SURROUND_CAMERAS
from gsocc_core.errors import BundleError, ConfigError
from gsocc_core.geometry.rigid import invert_rigid
from gsocc_core.importers.checkpoint_files import Weights
from gsocc_core.importers.gaussianocc import pose_keys
from gsocc_core.importers.gaussianocc_pose import POSE_ARGUMENTS, import_pose_network
from gsocc_core.importers.key_map import carry_over
from gsocc_core.inference.bundle import load_pose_bundle, read_origin
from gsocc_core.networks.backbones import BackboneArgs
from gsocc_core.networks.ego_motion import EgoMotion, rigid_motion

#: Published widths, reduced, and what our configuration calls them.
NARROW = {64: 4, 128: 6, 256: 8, 512: 10}
MODEL = {
    "image_size": [192, 320],
    "motion_backbone": {"model_args": {"embedding_size": 4, "hidden_sizes": [4, 6, 8, 10]}},
    "network": {"motion_dim": 8},
}


def narrow(name):
    layout = table(f"gaussianocc_stage1_{name}")
    return random_numbers({key: tuple(NARROW.get(n, n) for n in shape) for key, shape in layout.items()})


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Their tensors, and our bundle."""
    folder = tmp_path_factory.mktemp("poses") / "stage1_pose_nusc"
    folder.mkdir()
    theirs = {name: narrow(name) for name in ("pose_encoder", "pose")}
    theirs["pose"] = {name: 0.5 * value for name, value in theirs["pose"].items()}
    for name, tensors in theirs.items():
        torch.save(tensors, folder / f"{name}.pth")
    words = [f"--model.{key}={json.dumps(value)}" for key, value in MODEL.items()]
    main(["import", "gaussianocc", str(folder), "--part", "poses", "--out", str(folder.parent / "bundle"), *words])
    return {**theirs["pose_encoder"], **theirs["pose"]}, load_pose_bundle(folder.parent / "bundle"), folder


def test_every_published_tensor_is_accounted_for(monkeypatch):
    for name in ("kaiming_uniform_", "kaiming_normal_", "uniform_"):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)  # slow on meta
    with torch.device("meta"):
        network = EgoMotion(BackboneArgs(**POSE_ARGUMENTS["motion_backbone"]), pretrained=False)
    files = []
    for name in ("pose_encoder", "pose"):
        shapes = table(f"gaussianocc_stage1_{name}").items()
        tensors = {key: torch.empty(shape, device="meta") for key, shape in shapes}
        tensors |= {key: value.long() for key, value in tensors.items() if key.endswith("tracked")}
        files.append(Weights(Path(name), tensors, {}))
    encoder, head = pose_keys()
    carry_over(files, [*encoder, *head], network, "GaussianOcc's pose network")


def encoder(w, x):
    """Last map of a ResNet-34 on (M, 6, H, W), 0..1."""
    x = published.norm(w, "encoder.bn1", functional.conv2d((x - 0.45) / 0.225, w["encoder.conv1.weight"], None, 2, 3))
    x = functional.max_pool2d(x.relu(), 3, 2, 1)
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for i in range(blocks):
            name, step = f"encoder.layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            y = functional.conv2d(x, w[f"{name}.conv1.weight"], None, step, 1)
            y = published.norm(w, f"{name}.bn1", y).relu()
            y = published.norm(w, f"{name}.bn2", functional.conv2d(y, w[f"{name}.conv2.weight"], padding=1))
            if step == 2:
                x = functional.conv2d(x, w[f"{name}.downsample.0.weight"], None, 2)
                x = published.norm(w, f"{name}.downsample.1", x)
            x = (x + y).relu()
    return x


def motion(w, earlier, later):
    """Axis times angle and translation of two moments' pictures (V, 3, H, W), 0..1."""
    x = encoder(w, torch.cat([earlier, later], 1)).mean(0, keepdim=True)
    x = functional.conv2d(x, w["net.0.weight"], w["net.0.bias"]).relu()
    for i in (1, 2):
        x = functional.conv2d(x, w[f"net.{i}.weight"], w[f"net.{i}.bias"], padding=1).relu()
    x = functional.conv2d(x, w["net.3.weight"], w["net.3.bias"]).mean((-2, -1))
    return 0.01 * x[0].view(2, 6)[0]


def matrix(vector, inverted):
    """4 x 4 as published: first turn, then shift, or back."""
    angle = vector[:3].norm()
    x, y, z = vector[:3] / angle
    K = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    R, M = torch.eye(3) + angle.sin() * K + (1 - angle.cos()) * K @ K, torch.eye(4)
    M[:3, :3] = R.T if inverted else R
    M[:3, 3] = -R.T @ vector[3:] if inverted else vector[3:]
    return M


def test_motions_are_the_published_ones(imported):
    theirs, bundle, _ = imported
    network = bundle.method.learned.ego_motion
    pictures = torch.randint(0, 256, (1, 3, 2, 3, 64, 96), generator=torch.Generator().manual_seed(1)).float()
    with torch.no_grad():
        now, before, after = pictures[0] / 255
        # Of a moment before, the pair runs from it to the present, and the result is inverted.
        to_before = matrix(motion(theirs, before, now), inverted=True)
        to_after = matrix(motion(theirs, now, after), inverted=False)
        assert min((to_before - torch.eye(4)).abs().max(), (to_after - torch.eye(4)).abs().max()) > 1e-3
        raw = network(pictures[:, 0], pictures[:, 2], torch.ones(1, 2, dtype=torch.bool))
        torch.testing.assert_close(raw[0], motion(theirs, now, after), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(rigid_motion(raw)[0], to_after, atol=1e-4, rtol=1e-4)
        poses = network.neighbours(pictures, torch.ones(1, 3, 2, dtype=torch.bool), torch.tensor([[0.0, -0.08, 0.08]]))
    # Theirs lead from the present ego frame to the other one.
    torch.testing.assert_close(invert_rigid(poses[0, 1]), to_before, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(invert_rigid(poses[0, 2]), to_after, atol=1e-4, rtol=1e-4)


def test_a_bundle_says_what_it_is_and_knows_the_rig(imported):
    _, bundle, _ = imported
    origin, card = read_origin(bundle.path), (bundle.path / "README.md").read_text()
    assert bundle.method.cameras == SURROUND_CAMERAS
    assert "license: other" in card
    assert "depth network of the first stage was not published" in card
    assert origin.system == "GaussianOcc, pose network of nuScenes"
    rig = bundle.method.learned.rig_poses
    front = SURROUND_CAMERAS.index("CAM_FRONT")
    torch.testing.assert_close(rig[front, :3, 2], torch.tensor([1.0, 0.0, 0.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(rig[front, :3, 3], torch.tensor([1.70, 0.02, 1.51]), atol=0.05, rtol=0)
    # 1266 px of 1600 x 900 pictures that are scaled to 384 rows and cropped to 640 columns
    focal = bundle.method.learned.rig_intrinsics[front, 0, 0].item()
    assert focal == pytest.approx(1266 * 384 / 900 / 640, rel=0.02)


def test_files_that_do_not_fit_are_told_and_nothing_is_written(imported, tmp_path):
    _, _, folder = imported
    out = tmp_path / "bundle"
    with pytest.raises(BundleError, match="no such folder"):
        import_pose_network(tmp_path / "nowhere", out)
    (tmp_path / "weights").mkdir()
    with pytest.raises(BundleError, match=r"pose_encoder\.pth: expected a folder of GaussianOcc with"):
        import_pose_network(tmp_path / "weights", out)
    for name in ("pose_encoder", "pose"):
        (tmp_path / "weights" / f"{name}.pth").symlink_to(folder / f"{name}.pth")
    with pytest.raises(ConfigError, match="trained_on"):
        import_pose_network(tmp_path / "weights", out)
    tensors = torch.load(folder / "pose.pth", weights_only=True)
    (tmp_path / "weights" / "pose.pth").unlink()
    torch.save(tensors | {"net.3.bias": torch.ones(6)}, tmp_path / "weights" / "pose.pth")
    with pytest.raises(BundleError, match=r"net\.3\.bias: expected \(12,\).*received \(6,\)"):
        import_pose_network(tmp_path / "weights", out, "ddad", MODEL)
    assert not out.exists()
