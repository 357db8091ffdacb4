# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of neighbouring views, and of what cameras took between key frames, on a hand-made tree."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.images import decode_image, fit_image
from gsocc_core.data.nuscenes import NuScenesOccupancy, collate
from gsocc_core.data.nuscenes_index import SURROUND_CAMERAS
from gsocc_core.errors import ConfigError, DataError

BETWEEN = 5  # 12 Hz between key frames at 2 Hz
ARGS = {"version": "v1.0-tiny", "view_size": (8, 22), "views": 2, "view_offsets": (-1, 1), "view_images": True}


@pytest.fixture(scope="module")
def swept_tree(tiny_tree, tmp_path_factory):
    """The tiny tree with five pictures of every camera between key frames, one colour each."""
    root = tmp_path_factory.mktemp("data") / "swept"
    shutil.copytree(tiny_tree, root)
    tables = {n: json.loads((root / "v1.0-tiny" / f"{n}.json").read_text()) for n in ("sample_data", "ego_pose")}
    rows = {row["token"]: row for row in tables["sample_data"]}
    for row in [r for r in rows.values() if r["next"] and r["fileformat"] == "jpg"]:
        last, after = row, rows[row["next"]]
        for k in range(1, BETWEEN + 1):
            token = f"{row['token']}+{k}"
            time = row["timestamp"] + k * 500_000 // (BETWEEN + 1)
            name = f"sweeps/{token}.jpg"
            (root / "sweeps").mkdir(exist_ok=True)
            Image.new("RGB", (80, 45), colour(row["token"], k)).save(root / name, quality=95)
            start = next(p for p in tables["ego_pose"] if p["token"] == row["ego_pose_token"])
            x, y, z = start["translation"]
            moved = [x + 5.0 * (time - row["timestamp"]) * 1e-6, y, z]
            tables["ego_pose"].append({**start, "token": f"pose-{token}", "timestamp": time, "translation": moved})
            new = {**row, "token": token, "ego_pose_token": f"pose-{token}", "timestamp": time, "filename": name,
                   "is_key_frame": False, "prev": last["token"], "next": after["token"]}  # fmt: skip
            last["next"] = after["prev"] = token
            tables["sample_data"].append(new)
            last = new
    for name, content in tables.items():
        (root / "v1.0-tiny" / f"{name}.json").write_text(json.dumps(content))
    return root


def colour(token, k):
    camera = next(i for i, name in enumerate(SURROUND_CAMERAS) if token.endswith(name))
    return (40 * k, 40 * camera, 250 if "scene-b" in token else 0)


def test_pictures_of_key_frames_come_at_the_views_size(tiny_tree):
    dataset = NuScenesOccupancy(DataArgs(str(tiny_tree), **ARGS), (32, 64))
    targets = dataset[1].targets
    assert targets.view_images.shape == (1, 2, 6, 3, 8, 22)
    assert targets.view_images.dtype == torch.uint8
    offset = round(targets.view_time_s[0, 1].item() / 0.5)
    for moment, frame in ((0, dataset.key_frame(1)), (1, dataset.key_frame(1 + offset))):
        shot = frame.shots[2]
        expected, camera = fit_image(decode_image(shot.path, min_width=22, min_height=8), shot.camera, 22, 8)
        assert np.array_equal(targets.view_images[0, moment, 2].permute(1, 2, 0).numpy(), expected)
        assert targets.view_cameras.intrinsics[0, moment, 2].numpy() == pytest.approx(camera.intrinsics, abs=1e-3)
    assert NuScenesOccupancy(replace(dataset.args, view_images=False), (32, 64))[1].targets.view_images is None
    # Light changes what the network sees, not what it is compared with.
    lit = NuScenesOccupancy(replace(dataset.args, photometric=0.5), (32, 64))
    assert torch.equal(lit[1, 3].targets.view_images[:, 0], targets.view_images[:, 0])
    # Pictures alone are a target, too.
    alone = replace(dataset.args, depth_dir=None, semantics_dir=None, occ3d_dir=None)
    only = NuScenesOccupancy(alone, (32, 64))[1].targets
    assert torch.equal(only.view_images, targets.view_images)
    assert only.labels is None
    assert (only.view_semantics == 255).all()


def test_sweeps_follow_the_key_frames(swept_tree):
    args = DataArgs(str(swept_tree), **ARGS, view_sweeps=(-1, 1, 2))
    dataset = NuScenesOccupancy(args, (32, 64))
    targets, plain = dataset[1].targets, NuScenesOccupancy(replace(args, view_sweeps=()), (32, 64))[1].targets
    assert targets.view_images.shape == (1, 5, 6, 3, 8, 22)
    for name in ("view_images", "view_semantics", "view_depth_m", "view_valid", "view_time_s"):
        assert torch.equal(getattr(targets, name)[:, :2], getattr(plain, name)), name
    assert targets.view_valid.all()
    cycle = 1 / 12
    assert targets.view_time_s[0, 2:].tolist() == pytest.approx([-cycle, cycle, 2 * cycle], abs=1e-4)
    assert (targets.view_semantics[:, 2:] == 255).all()
    assert not targets.view_depth_m[:, 2:].any()
    shown = targets.view_images.float().mean((-2, -1))
    for v, name in enumerate(SURROUND_CAMERAS):
        for moment, token, k in ((2, f"scene-a-0-{name}", 5), (3, f"scene-a-1-{name}", 1), (4, f"scene-a-1-{name}", 2)):
            assert shown[0, moment, v].tolist() == pytest.approx(colour(token, k), abs=4)
    # The ego drives on at 5 m/s along the world's x axis: the cameras move along with it.
    T = targets.view_cameras.T_ref_cam[0, :, :, :3, 3]
    for moment, seconds in ((2, -cycle), (3, cycle), (4, 2 * cycle)):
        apart = (T[moment] - T[0]).norm(dim=-1)
        assert apart.tolist() == pytest.approx([5 * abs(seconds)] * 6, abs=2e-3)


def test_a_neighbour_that_is_not_there_is_invalid_and_never_a_copy(swept_tree):
    args = DataArgs(str(swept_tree), **{**ARGS, "views": 1}, view_sweeps=(-1, 1))
    dataset = NuScenesOccupancy(args, (32, 64))
    first, last = dataset[0].targets, dataset[2].targets
    assert first.view_valid[0].all(-1).tolist() == [True, False, True]
    assert last.view_valid[0].all(-1).tolist() == [True, True, False]
    assert not first.view_images[0, 1].any()
    assert first.view_time_s[0, 1] == 0
    assert torch.equal(first.view_cameras.T_ref_cam[0, 1], first.view_cameras.T_ref_cam[0, 0])
    assert collate([dataset[0], dataset[4]]).targets.view_images.shape == (2, 3, 6, 3, 8, 22)
    far = NuScenesOccupancy(replace(args, view_sweeps=(7,)), (32, 64))
    assert far[0].targets.view_valid[0, 1].all(), "behind the next key frame"
    assert not far[1].targets.view_valid[0, 1].any()


def test_poses_of_neighbours_can_be_wrong_by_a_known_amount(swept_tree):
    args = DataArgs(str(swept_tree), **{**ARGS, "views": 3}, view_sweeps=(-1, 1))
    plain, wrong = (NuScenesOccupancy(replace(args, view_pose_noise=noise), (32, 64)) for noise in ((0, 0), (0.5, 4.0)))
    moved, turned = [], []
    for index in range(6):
        true, other = (d[index].targets.view_cameras.T_ref_ego[0].double() for d in (plain, wrong))
        assert torch.equal(other[0], true[0]), "never the present's"
        error = torch.linalg.inv(true[1:]) @ other[1:]
        torch.testing.assert_close(error, error[:, :1].expand_as(error), atol=1e-4, rtol=0)
        moved.append(error[:, 0, :3, 3])
        turned.append((error[:, 0, 2, 1] - error[:, 0, 1, 2]) / 2)
        assert torch.equal(other, wrong[index].targets.view_cameras.T_ref_ego[0].double()), "the same every time"
    assert torch.cat(moved).std().item() == pytest.approx(0.5, rel=0.25)
    assert torch.rad2deg(torch.cat(turned)).std().item() == pytest.approx(4.0, rel=0.4)
    with pytest.raises(ConfigError, match="view_pose_noise: expected 0 or more"):
        NuScenesOccupancy(replace(args, view_pose_noise=(-1.0, 0.0)), (32, 64))


def test_one_camera_may_miss_what_others_have(swept_tree, tmp_path):
    root = tmp_path / "tree"
    shutil.copytree(swept_tree, root)
    path = root / "v1.0-tiny" / "sample_data.json"
    rows = json.loads(path.read_text())
    silent = next(row for row in rows if row["token"] == "scene-a-1-CAM_BACK")
    silent["next"] = ""
    path.write_text(json.dumps(rows))
    args = DataArgs(str(root), **{**ARGS, "views": 1}, view_sweeps=(1,))
    valid = NuScenesOccupancy(args, (32, 64))[1].targets.view_valid[0, 1]
    assert valid.tolist() == [name != "CAM_BACK" for name in SURROUND_CAMERAS]


def test_trees_and_arguments_without_sweeps_are_named(tiny_tree, swept_tree, tiny_kitti360, tmp_path):
    args = DataArgs(str(tiny_tree), **ARGS, view_sweeps=(-1, 1))
    with pytest.raises(DataError, match="sample_data.json: view_sweeps: .* received key frames alone"):
        NuScenesOccupancy(args, (32, 64))
    for bad, told in (((0,), "without 0"), ((1, 1), "different numbers")):
        with pytest.raises(ConfigError, match=f"view_sweeps: .*{told}"):
            NuScenesOccupancy(replace(args, view_sweeps=bad), (32, 64))
    with pytest.raises(ConfigError, match="view_sweeps: expected none without view_images"):
        NuScenesOccupancy(replace(args, view_images=False), (32, 64))
    kitti = DataArgs(str(tiny_kitti360), dataset="kitti360", view_images=True, view_sweeps=(1,), views=1)
    with pytest.raises(ConfigError, match="view_sweeps: expected none with kitti360"):
        build_dataset(kitti, (32, 64))
    root = tmp_path / "tree"
    shutil.copytree(swept_tree, root)
    (root / "sweeps" / "scene-a-1-CAM_BACK+1.jpg").unlink()
    with pytest.raises(DataError, match=r"scene-a-1-CAM_BACK\+1.jpg: .*no such file"):
        NuScenesOccupancy(DataArgs(str(root), **ARGS, view_sweeps=(1,)), (32, 64))
