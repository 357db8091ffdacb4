# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``gsocc_core reconstruct`` on the example pictures with a small model of random weights, end to end."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from gsocc_core.commands.cli import main
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.methods.build import build_trainable
from gsocc_core.viewer.snapshot import SnapshotSource

ROOT = Path(__file__).resolve().parents[2]
PHOTOS, SHIPPED = ROOT / "examples" / "rooms_photos", ROOT / "bundles" / "rooms-uni3r"
ARGUMENTS = {
    "image_size": [32, 32],
    "encoder": {
        "model_type": "dinov2_with_registers", "out_indices": [1],
        "model_args": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8,
                       "image_size": 32, "num_register_tokens": 1},
    },
    "network": {"depth": 1, "heads": 2, "registers": 1, "taps": [0, 0, 0, 0], "camera_depth": 1, "camera_heads": 2,
                "iterations": 1, "head_width": 8, "head_levels": [4, 8, 8, 8], "head_hidden": 8, "unit": "metre"},
    "gaussians": {"stride": 2, "scale_factor": 0.7, "sh_degree": 1, "pixel_color": True, "first_depth": 3.0},
    "semantics": {"teacher_dim": 256, "dim": 4, "residual": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundles") / "tiny"
    torch.manual_seed(0)
    save_bundle(path, "uni3r", ARGUMENTS, build_trainable("uni3r", ARGUMENTS, None, pretrained=False), "A test.")
    return path


def test_the_command_writes_what_view_query_and_check_rig_read(bundle, tmp_path, capsys):
    out = tmp_path / "out"
    words = [str(PHOTOS), "--bundle", str(bundle), "--out", str(out), "--show", "false", "--least_confidence", "0"]
    main(["reconstruct", *words, "--prompts", "config/prompts/rooms.yaml"])
    told = capsys.readouterr()
    assert "pictures: 4 of 4 used, poses estimated" in told.out
    assert "metres: learned, 1 m per unit" in told.out
    assert "100%" in told.err
    about = json.loads((out / "reconstruction.json").read_text())
    assert about["bundle"] == "tiny"
    assert list(about["confidence"]) == ["room_0", "room_1", "room_2", "room_3"]
    rig = yaml.safe_load((out / "cameras.yaml").read_text())
    focal = rig["cameras"]["room_0"]["intrinsics"][0]
    assert focal == pytest.approx(26 / np.hypot(36, 24) * np.hypot(64, 64))  # EXIF's 26 mm
    main(["check-rig", str(out / "cameras.yaml"), "--images", str(out / "pictures")])
    assert "error" not in capsys.readouterr().out
    frame = SnapshotSource(out).frame(0)
    assert [view.camera.name for view in frame.views] == list(about["confidence"])
    assert frame.prediction.classes.names[-2:] == ("other", "free")
    main(["query", str(out), "sofa", "--out", str(tmp_path / "asked")])
    assert "sofa" in capsys.readouterr().out
    assert (tmp_path / "asked" / "picture.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mounting_height_m", "-1"], "reconstruct: mounting_height_m: expected above 0 m, received -1.0"),
        (["--scale", "baseline"], "reconstruct: baseline_m: expected a length in metres, for scale baseline"),
        (["--scale", "poses"], "reconstruct: scale poses: expected known poses of two pictures from different places"),
        (["--prompts", "config/prompts/none.yaml"], "config/prompts/none.yaml: file: expected"),
        (["--max_views", "0"], "reconstruct: max_views: expected 1 or more, received 0"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(bundle, tmp_path, capsys, words, message):
    out = tmp_path / "out"
    with pytest.raises(SystemExit):
        main(["reconstruct", str(PHOTOS), "--bundle", str(bundle), "--out", str(out), "--show", "false", *words])
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_the_page_of_a_reconstruction_begins_with_coloured_gaussians(bundle, tmp_path):
    pytest.importorskip("viser")
    from gsocc_core.viewer.page import ViewerPage

    out = tmp_path / "out"
    main(["reconstruct", str(PHOTOS), "--bundle", str(bundle), "--out", str(out), "--show", "false"])
    page = ViewerPage(SnapshotSource(out), port=8300)
    try:
        assert page.wait_for(1, 60)
        wanted = page._panel.wanted()
        assert (wanted.gaussians, wanted.voxels) == (True, "none")
        assert "/gaussians" in page._nodes
        # Far nearer than the 44 m of a drive: as far as the grid is wide.
        grid = SnapshotSource(out).frame(0).prediction.grid
        assert page._span_m == pytest.approx(max(np.asarray(grid.shape[:2]) * grid.size_m[0]))
    finally:
        page.close()


def test_the_shipped_model_finds_the_room_of_the_shipped_pictures(tmp_path):
    """The generator holds cameras 1.25 to 1.65 m above the floor, and turns them by 50 to 80 degrees in all."""
    out = tmp_path / "room"
    main(["reconstruct", str(PHOTOS), "--bundle", str(SHIPPED), "--out", str(out), "--show", "false"])
    poses = [np.array(c["T_ego_cam"]) for c in yaml.safe_load((out / "cameras.yaml").read_text())["cameras"].values()]
    assert len(poses) >= 3
    assert all(1.1 < pose[2, 3] < 1.8 for pose in poses)
    assert 10 < np.degrees(np.arccos(poses[0][:3, 2] @ poses[-1][:3, 2])) < 80
    occupancy = np.load(out / "occupancy.npz")
    names, labels = occupancy["names"].tolist(), occupancy["labels"]
    floor, wall = (np.argwhere(labels == names.index(name)) for name in ("floor", "wall"))
    height_m = occupancy["lower_m"][2] + (floor[:, 2] + 0.5) * occupancy["voxel_size_m"][2]
    assert abs(np.median(height_m)) < 0.2
    assert np.median(wall[:, 2]) > np.median(floor[:, 2]) + 2
    assert min(len(floor), len(wall)) > 100
    assert (labels == names.index("free")).sum() > 200
