# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of unposed views: baselines against plain loops, alignment, a model that knows the truth, and the command."""

import json
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from gsocc_core.commands.cli import main
from gsocc_core.data.scannet import SCANNET8
from gsocc_core.data.view_args import ViewArgs
from gsocc_core.data.view_dataset import ViewDataset
from gsocc_core.data.view_schedule import SpanStage, ViewSchedule
from gsocc_core.errors import ConfigError
from gsocc_core.evaluation import view_score
from gsocc_core.evaluation.view_alignment import align_poses
from gsocc_core.evaluation.view_baselines import baseline_pictures, nearest_views
from gsocc_core.evaluation.view_report import view_markdown
from gsocc_core.evaluation.view_score import ViewScoring, score_view_bundle
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.spherical_harmonics import SH_C0
from gsocc_core.geometry.view_sets import ViewSet
from gsocc_core.inference import lseg
from gsocc_core.inference.bundle import OtherBundle, save_bundle
from gsocc_core.methods.method import Reconstruction
from gsocc_core.methods.uni3r import Uni3R
from gsocc_core.methods.uni3r_args import GaussianArgs, NetworkArgs, SemanticArgs
from gsocc_core.networks.backbones import BackboneArgs
from gsocc_core.networks.lseg import LSegPictures
from gsocc_core.splat.to_color import splat_to_color

from ..tiny_videos import FOCAL, WALL_M, write_videos  # noqa: TID252 - tests are no package

SIZE = (24, 32)


def wall(rng, count=400, scale_m=0.08):
    """Coloured Gaussians about 2 m ahead; at one depth the least turn would change their order."""
    means = torch.from_numpy(np.column_stack([rng.uniform(-2, 2, (count, 2)), WALL_M + rng.random(count)])).float()
    colors = torch.from_numpy(rng.random((count, 1, 3))).float()
    return Gaussians(
        means, torch.full((count, 3), scale_m), torch.tensor([1.0, 0, 0, 0]).expand(count, 4),
        torch.full((count,), 0.95), torch.zeros(count, 2), colors_sh=(colors - 0.5) / SH_C0,
    ).map(lambda t: t[None])  # fmt: skip


def cameras(*positions):
    """Cameras that look ahead, (1, V)."""
    height, width = SIZE
    T = torch.eye(4).repeat(len(positions), 1, 1)
    T[:, :3, 3] = torch.tensor(positions)
    K = torch.tensor([[FOCAL, 0, width / 2], [0, FOCAL, height / 2], [0, 0, 1]]).repeat(len(positions), 1, 1)
    return Cameras(K[None], T[None], width, height)


def sample(scene, context, targets):
    """What cameras see of a scene, as views."""

    def views(rig, **more):
        colors = splat_to_color(scene, rig).colors.movedim(-1, -3)
        shape = (*rig.T_ref_cam.shape[:2], *SIZE)
        images = (colors.clamp(0, 1) * 255).round().to(torch.uint8)
        depth = torch.full(shape, WALL_M)
        return ViewSet(images, rig.intrinsics, rig.T_ref_cam, torch.ones(shape[:2], dtype=torch.bool), depth, **more)

    return views(context, targets=views(targets, scene_names=("room",), frame_names=(("a", "b"),)))


def test_baselines_are_what_plain_loops_make_of_the_pictures():
    rng = np.random.default_rng(0)
    views = sample(wall(rng), cameras((0.0, 0, 0), (0.8, 0, 0)), cameras((0.2, 0, 0), (0.5, 0.1, 0)))
    assert nearest_views(views, torch.tensor([2.0, 2.0])).tolist() == [0, 1]
    found = baseline_pictures(views)
    pictures = views.images[0].numpy() / 255
    np.testing.assert_allclose(found["nearest"].numpy(), pictures, atol=1e-6)
    np.testing.assert_allclose(found["mean_color"][1, :, 3, 4].numpy(), pictures.mean((0, 2, 3)), atol=1e-5)
    # Every pixel of the target by itself: out to the plane, into the other camera, between its four pixels.
    expected = np.zeros((3, *SIZE))
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            x = ((column + 0.5 - 16) / FOCAL * WALL_M + 0.2) / WALL_M * FOCAL + 16 - 0.5
            y = ((row + 0.5 - 12) / FOCAL * WALL_M) / WALL_M * FOCAL + 12 - 0.5
            x, y = np.clip(x, 0, SIZE[1] - 1), np.clip(y, 0, SIZE[0] - 1)
            left, top = min(int(x), SIZE[1] - 2), min(int(y), SIZE[0] - 2)
            a, b = x - left, y - top
            p = pictures[0][:, top : top + 2, left : left + 2]
            expected[:, row, column] = p @ [1 - a, a] @ [1 - b, b]
    np.testing.assert_allclose(found["warped"][0].numpy(), expected, atol=1e-4)
    lost = replace(views, intrinsics=torch.full_like(views.intrinsics, torch.nan))
    assert set(baseline_pictures(lost)) == {"nearest", "mean_color"}


def test_a_view_turned_away_is_not_the_nearest():
    views = sample(wall(np.random.default_rng(0)), cameras((0.1, 0, 0), (0.3, 0, 0)), cameras((0.0, 0, 0)))
    T = views.T_first_cam.clone()
    c, s = math.cos(0.5), math.sin(0.5)
    T[0, 0, :3, :3] = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    assert nearest_views(replace(views, T_first_cam=T), torch.tensor([2.0])).tolist() == [1]
    T[0, 1] = torch.nan
    assert nearest_views(replace(views, T_first_cam=T), torch.tensor([2.0])).tolist() == [0]


def test_alignment_finds_the_camera_again():
    scene = wall(np.random.default_rng(3), 60, 0.25)
    true, begin = cameras((0.0, 0, 0), (0.3, 0, 0)), cameras((0.06, 0, 0), (0.3, -0.05, 0))
    pictures = splat_to_color(scene, true).colors.movedim(-1, -3)
    assert not pictures.requires_grad
    found = align_poses(scene, begin, pictures, steps=20)

    def errors(rig):
        return (splat_to_color(scene, rig).colors.movedim(-1, -3) - pictures).abs().mean((-3, -2, -1))[0]

    assert (errors(found) < 0.3 * errors(begin)).all()
    apart = [(rig.T_ref_cam - true.T_ref_cam)[0, :, :3, 3].norm(dim=-1) for rig in (found, begin)]
    assert (apart[0] < 0.7 * apart[1]).all()  # a turn makes up for the rest
    torch.testing.assert_close(align_poses(scene, begin, pictures, steps=0).T_ref_cam, begin.T_ref_cam)


class Knows(nn.Module):
    """A method that is told the truth: a wall of the pixels' classes, and the true poses."""

    image_size, teacher_dim, features_input = SIZE, 2, "unused"

    def reconstruct(self, views):
        return views

    def in_metres(self, output, views):
        rows, columns = torch.meshgrid(torch.arange(24), torch.arange(64), indexing="ij")
        x, y = (columns.flatten() + 0.5 - 16) / FOCAL * WALL_M, (rows.flatten() + 0.5 - 12) / FOCAL * WALL_M
        means = torch.stack([x, y, torch.full_like(x, WALL_M)], -1)[None]
        count = means.shape[1]
        left = (columns.flatten() < 16).float()
        scene = Gaussians(
            means, torch.full((1, count, 3), 0.02), torch.tensor([1.0, 0, 0, 0]).expand(1, count, 4),
            torch.full((1, count), 0.99), torch.stack([left, 1 - left], -1)[None],
            colors_sh=torch.zeros(1, count, 1, 3),
        )  # fmt: skip
        return Reconstruction(scene, views.T_first_cam)

    def expand(self, features):
        return features


@pytest.fixture
def videos(tmp_path):
    return write_videos(tmp_path / "videos", frames=9, step_m=0.02)


def test_a_model_that_knows_the_truth_is_right(videos, monkeypatch, tmp_path):
    monkeypatch.setattr(view_score, "load_view_bundle", lambda bundle: OtherBundle(tmp_path, "knows", {}, Knows()))
    monkeypatch.setattr(view_score, "_words", lambda *_: (torch.eye(2), torch.tensor([4, 1])))  # chair, wall
    schedule = ViewSchedule((2,), (SpanStage(0, (4, 4)),), targets=1)
    data = ViewArgs(str(videos), schedule=schedule)
    scoring = ViewScoring((2, 3), align_steps=2, turned_deg=(0.0, 180.0), pictures=str(tmp_path / "drawn"))
    report = score_view_bundle("knows", "x", data, scoring)
    drawn = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    given = ("000000-000002-000004", "000000-000004")
    assert drawn == [f"scene000{i}_00-{frames}-of-000003.png" for i in range(2) for frames in given]
    with Image.open(tmp_path / "drawn" / drawn[0]) as picture:
        pixels = np.asarray(picture)
    top, height = 20, 120  # a line of words, and 24 rows of 32 pixels enlarged to a width of 160
    chair, wall = SCANNET8.palette()[[4, 1]].tolist()
    second = pixels[2 * top + height : 2 * (top + height)]
    truth, shown = second[:, 4 * 160 : 5 * 160], second[:, 5 * 160 : 6 * 160]
    assert truth[2, 2].tolist() == shown[2, 2].tolist() == chair
    assert truth[60, 155].tolist() == shown[60, 155].tolist() == wall
    depth = second[60, 2 * 160 + 80], second[60, 3 * 160 + 80]
    assert (depth[0] == depth[1]).all()
    assert depth[0][0] == round(40 + 215 * math.sqrt((1 / WALL_M - 0.1) / (2 - 0.1)))
    assert (report.samples, report.scenes) == (2, 2)
    for count, pairs in ((2, 2), (3, 6)):
        model = report.views[count]["model"]
        assert model.depth.abs_rel == pytest.approx(0, abs=1e-5)
        assert model.fitted_depth.delta[0] == 1
        assert model.poses.both_within == 1
        assert model.poses.pairs == pairs
        assert report.views[count]["no_motion"].poses.both_within == 0
        assert report.views[count]["no_motion"].poses.rotation_deg == 0
        assert report.views[count]["median_depth"].depth.abs_rel == 0
        # The chair's edge is where the first picture has it, half a pixel's width from where the target has it.
        assert model.classes.accuracy > 0.94
        common = report.views[count]["commonest_class"].classes
        assert common.accuracy == pytest.approx(384 / (384 + 16 * 23))
        assert common.miou == pytest.approx(common.accuracy / 2)
        assert set(report.views[count]) == {"model", "nearest", "mean_color", "warped", "median_depth",
                                            "commonest_class", "no_motion"}  # fmt: skip
        assert model.aligned.psnr_db >= model.pictures.psnr_db - 1e-3
    # Both numbers of views are asked for the same targets, and so are the baselines.
    assert report.views[2]["mean_color"].pictures.pictures == report.views[3]["mean_color"].pictures.pictures == 2
    assert "| 3 | model |" in view_markdown(report)


def write_bundle(path, residual=False, beside=None):
    """A bundle of a tiny model; with ``residual`` it takes features of a teacher."""
    arguments = {
        "image_size": [16, 16],
        "encoder": {"model_type": "dinov2_with_registers", "out_indices": [1],
                    "model_args": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                                   "patch_size": 4, "image_size": 16, "num_register_tokens": 1}},
        "network": {"depth": 1, "heads": 2, "registers": 1, "taps": [0, 0, 0, 0], "camera_depth": 1, "camera_heads": 2,
                    "iterations": 1, "head_width": 8, "head_levels": [4, 8, 8, 8], "head_hidden": 8},
        "gaussians": {"stride": 2, "scale_factor": 0.7, "sh_degree": 1},
        "semantics": {"teacher_dim": 256, "dim": 4, "residual": residual},
    }  # fmt: skip
    torch.manual_seed(0)
    encoder = arguments["encoder"] | {"out_indices": (1,)}
    method = Uni3R(
        (16, 16), BackboneArgs(**encoder), NetworkArgs(**arguments["network"]), GaussianArgs(**arguments["gaussians"]),
        SemanticArgs(**arguments["semantics"]), pretrained=False,
    )  # fmt: skip
    card = "# x\n<!-- scores -->\n<!-- end of scores -->\n"
    save_bundle(path, "uni3r", arguments, method, card, half=False, beside=beside)
    return path


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle")


def test_the_command_scores_a_bundle_beside_the_baselines(bundle, videos, tmp_path, capsys):
    words = [
        "evaluate-views",
        str(bundle),
        "--dataroot",
        str(videos),
        "--views",
        "2,4",
        "--span",
        "6",
        "--targets",
        "2",
    ]
    out = tmp_path / "scores"
    main([*words, "--align_steps", "1", "--turned_deg", "0,180", "--out", str(out), "--update_card", "--limit", "1"])
    (report,) = json.loads((tmp_path / "scores.json").read_text())
    assert list(report["views"]) == ["2", "4"]
    model = report["views"]["4"]["model"]
    assert model["pictures"]["pictures"] == model["aligned"]["pictures"] == 2
    assert 0 <= model["classes"]["accuracy"] <= 1
    assert model["poses"]["pairs"] == 6
    printed = capsys.readouterr().out
    assert "| 4 | mean color |" in printed
    assert "| 2 | model |" in (bundle / "README.md").read_text()
    # One view has no pair to tell a pose from; its targets lie behind it.
    main(["evaluate-views", str(bundle), "--dataroot", str(videos), "--views", "1", "--span", "4", "--targets", "1",
          "--align_steps", "0", "--out", str(out), "--encoder", "null"])  # fmt: skip
    (alone,) = json.loads((tmp_path / "scores.json").read_text())
    model = alone["views"]["1"]["model"]
    assert model["pictures"]["pictures"] == 2
    assert (model["aligned"], model["classes"], model["poses"]) == (None, None, None)
    # The mean colour by hand: the first and last picture of the span are the context, frames 1 and 4 the targets.
    schedule = ViewSchedule((2,), (SpanStage(0, (6, 6)),), targets=2, avoid=(2, 4))
    views = ViewDataset(ViewArgs(str(videos), schedule=schedule), (16, 16))[0]
    assert views.targets.frame_names == (("000001", "000005"),)
    mean = views.images[0].double().mean((0, 2, 3)) / 255
    error = ((views.targets.images[0].double() / 255 - mean[:, None, None]) ** 2).mean((1, 2, 3))
    expected = float((-10 * error.log10()).mean())
    assert report["views"]["2"]["mean_color"]["pictures"]["psnr_db"] == pytest.approx(expected, abs=1e-4)


def test_what_cannot_be_scored_is_one_clear_line(bundle, videos, tmp_path, capsys):
    bare = write_videos(tmp_path / "bare", without=("camera_intrinsics",))
    lost = write_videos(tmp_path / "lost", without=("camera_pose",))
    for tree, words, message in (
        (videos, ["--views", "9", "--span", "6"], "expected frames for 9 context views and 2 targets between them"),
        (videos, ["--views", "2,2"], "views: expected one or more different numbers"),
        (videos, ["--targets", "0"], "targets: expected 1 or more views to score"),
        (videos, ["--align_steps", "-1"], "align_steps: expected 0 or more"),
        (videos, ["--within_deg", "0"], "within_deg: expected above 0"),
        (bare, [], "intrinsics: expected the intrinsics of a target view"),
        (lost, [], "pose: expected the pose of a target view"),
    ):
        with pytest.raises(SystemExit):
            main(["evaluate-views", str(bundle), "--dataroot", str(tree), "--span", "6", "--views", "2", *words])
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert message in error
    method = Knows()
    dataset = ViewDataset(ViewArgs(str(videos), schedule=ViewSchedule()), SIZE)
    with pytest.raises(
        ConfigError, match="encoder: expected one whose vectors have 2 numbers.* received wordllama, 256"
    ):
        view_score._words(method, dataset, ViewScoring())
    assert view_score._words(method, dataset, ViewScoring(encoder=None)) is None
    assert SCANNET8.names[0] == "free"


def test_lseg_in_the_bundle_makes_the_features_that_the_model_takes(videos, tmp_path, capsys, monkeypatch):
    sizes = {"dim": 8, "depth": 2, "heads": 2, "patch": 4, "grid": 2, "taps": (0, 0, 1, 1), "levels": (4, 4, 4, 4),
             "width": 4, "out": 256}  # fmt: skip
    monkeypatch.setattr(lseg, "LSegPictures", partial(LSegPictures, **sizes))
    torch.manual_seed(5)
    network = LSegPictures(**sizes)
    network.head.weight.mul_(200)  # else the model's own numbers decide
    embeddings, ids = functional.normalize(torch.randn(16, 256), dim=-1), torch.tensor([4, 1] * 8)  # chair, wall
    monkeypatch.setattr(view_score, "_words", lambda *_: (embeddings, ids))
    folder = write_bundle(tmp_path / "imported", residual=True, beside={lseg.LSEG: network.state_dict()})
    words = ["--dataroot", str(videos), "--views", "2", "--span", "6", "--align_steps", "0", "--limit", "1"]
    out = tmp_path / "scores"
    main(["evaluate-views", str(folder), *words, "--out", str(out)])
    assert "Features of the pictures: LSeg's, by the network in the bundle." in capsys.readouterr().out
    (report,) = json.loads((tmp_path / "scores.json").read_text())
    schedule = ViewSchedule((2,), (SpanStage(0, (6, 6)),), targets=2, avoid=(2,))
    dataset = ViewDataset(ViewArgs(str(videos), schedule=schedule), (16, 16))
    views, method = dataset[0], view_score.load_view_bundle(folder).method

    def accuracy(features):
        """Share of the target views' labelled pixels whose class is that of the nearest word."""
        with torch.no_grad():
            found = method.in_metres(method(views.images, views.intrinsics, features), views)
            rig = Cameras(views.targets.intrinsics, views.targets.T_first_cam, 16, 16)
            seen = method.expand(splat_to_color(found.scene, rig).features)[0]
            cosines = functional.normalize(seen, dim=-1) @ embeddings.T
            large = functional.interpolate(cosines.movedim(-1, 1), (16, 16), mode="bilinear", align_corners=False)
        truth = views.targets.semantics[0]
        return float((ids[large.argmax(1)] == truth)[truth != 255].float().mean())

    expected = accuracy(network(views.images[0])[None])
    assert report["views"]["2"]["model"]["classes"]["accuracy"] == pytest.approx(expected)
    assert 0 < expected != pytest.approx(accuracy(torch.zeros(1, 2, 256, 8, 8)))
    # Without LSeg, and without files, there is nothing to give to it.
    (folder / lseg.LSEG).unlink()
    with pytest.raises(SystemExit) as end:
        main(["evaluate-views", str(folder), *words])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "features_dir: expected a folder of the features that the model takes, or a bundle with LSeg" in line
