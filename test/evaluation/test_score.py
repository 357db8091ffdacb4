# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of one loop over a data set: what a perfect, a shifted and an empty answer get, in voxels and in pictures."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.commands.cli import main
from gsocc_core.data.build import build_dataset
from gsocc_core.evaluation.label_sources import Answer, donor_from_another_scene
from gsocc_core.evaluation.report import markdown, write_report
from gsocc_core.evaluation.score import score, scoring_data
from gsocc_core.viewer.open_source import open_source

from ..seen_depth import write_bundle  # noqa: TID252 - tests are no package

FREE = OCC3D_NUSCENES.free_id


@pytest.fixture(scope="module")
def scores(tiny_tree):
    """Scores of one key frame for several answers."""
    dataset = build_dataset(scoring_data(str(tiny_tree), "v1.0-tiny"), (16, 28))

    def of(change, **options):
        def answer(frames):
            return Answer(change(frames.targets.labels[0].numpy().copy()))

        return score("x", dataset, answer, limit=1, rays=False, **{"image_width": 24, **options})

    return of


def test_the_truth_is_perfect(scores):
    found = scores(lambda labels: labels)
    assert (found.miou, found.iou) == (1.0, 1.0)
    for images in (found.images, found.top_down):
        assert (images.classes.miou, images.classes.iou, images.depth_l1_m) == (1.0, 1.0, 0.0)
        assert images.depth_pixels > 0


def test_only_voxels_that_count_are_drawn(scores, tiny_tree):
    dataset = build_dataset(scoring_data(str(tiny_tree), "v1.0-tiny"), (16, 28))
    mask = dataset[0].targets.mask_camera[0].numpy()

    def fill_unseen(labels):
        labels[~mask] = 15
        return labels

    assert scores(fill_unseen).images.classes.miou == 1.0
    assert scores(fill_unseen, mask="none").images.classes.miou < 1.0


def test_pictures_tell_a_near_miss_from_nothing(scores):
    near = scores(lambda labels: np.roll(labels, 1, axis=2))  # the road one voxel higher
    nothing = scores(lambda labels: np.full_like(labels, FREE))
    assert nothing.images.classes.miou == nothing.images.classes.iou == 0.0
    assert near.iou < 0.5 < near.images.classes.iou
    assert near.images.depth_l1_m < nothing.images.depth_l1_m
    assert near.top_down.depth_l1_m < 0.1 * nothing.top_down.depth_l1_m


def test_one_scene_has_no_interval_over_scenes(scores):
    found = scores(lambda labels: labels)
    assert found.scenes == 1
    assert " to " not in markdown([found]).splitlines()[2]
    assert " to " in markdown([replace(found, scenes=2)]).splitlines()[2]


def test_reports_hold_pictures_only_when_asked_for(scores, tmp_path):
    with_pictures, without = scores(lambda labels: labels), scores(lambda labels: labels, image_width=None)
    assert without.images is None
    assert "voxels in pictures" not in markdown([without])
    text = markdown([without, with_pictures])
    assert "| x | cameras | 100.0 | 100.0 | 0.00 |" in text
    assert "| x | above | 100.0 | 100.0 | 0.00 |" in text
    write_report([with_pictures], tmp_path / "scores")
    (stored,) = json.loads((tmp_path / "scores.json").read_text())
    assert stored["images"]["classes"]["miou"] == 1.0
    assert stored["top_down"]["depth_l1_m"] == 0.0
    assert math.isnan(stored["rayiou"])


@pytest.fixture(scope="module")
def with_depth(tiny_tree, tmp_path_factory):
    """A tree whose input depth is 10 m in one scene and 20 m in the other."""
    root = tmp_path_factory.mktemp("metric_3d")
    for scene, metres in (("scene-a", 10.0), ("scene-b", 20.0)):
        (root / scene).mkdir()
        for i in range(3):
            np.save(root / scene / f"{scene}-{i}.npy", np.full((6, 9, 16), metres, np.float32))
    return root


def test_depth_of_the_data_set_goes_to_the_model(tiny_tree, with_depth, monkeypatch, tmp_path, capsys):
    bundle = write_bundle(monkeypatch, tmp_path / "bundle")
    words = ["--bundle", str(bundle), "--dataroot", str(tiny_tree), "--version", "v1.0-tiny", "--device", "cpu"]
    main(["predict", *words, "--out", str(tmp_path / "out"), "--input_depth_dir", str(with_depth)])
    with np.load(tmp_path / "out" / "scene-b" / "scene-b-1" / "labels.npz") as stored:
        x, _, _ = np.nonzero(stored["semantics"] == 2)  # CAM_FRONT, which looks ahead
    assert x.size
    assert np.all(np.abs((x + 0.5) * 0.4 - 40 - 1.5 - 20) < 0.6), "20 m before the camera"
    more = ["--rays", "false", "--limit", "2"]
    main(["evaluate", *words, *more, "--input_depth_dir", str(with_depth), "--out", str(tmp_path / "scores")])
    assert json.loads((tmp_path / "scores.json").read_text())
    depth = ["--input_depth_dir", str(with_depth)]
    main(["export", str(bundle), *words[2:], *depth, "--out", str(tmp_path / "exported"), "--formats", "occ3d"])
    for scene, frame in (("scene-a", "scene-a-2"), ("scene-b", "scene-b-0")):
        exported, predicted = (tmp_path / name / scene / frame / "labels.npz" for name in ("exported", "out"))
        np.testing.assert_array_equal(np.load(exported)["semantics"], np.load(predicted)["semantics"])
    source = open_source(tiny_tree, "v1.0-tiny", "scene-b", bundle, device="cpu", input_depth_dir=str(with_depth))
    shown = source.frame(1).prediction.labels.numpy()
    source.close()
    np.testing.assert_array_equal(
        shown, np.load(tmp_path / "out" / "scene-b" / "scene-b-1" / "labels.npz")["semantics"]
    )
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["evaluate", *words, *more])
    assert "depth_m of camera CAM_FRONT_LEFT: expected a depth map (metres)" in capsys.readouterr().err


def test_swapped_pictures_come_with_their_own_depth(tiny_tree, with_depth):
    data = scoring_data(str(tiny_tree), "v1.0-tiny", input_depth_dir=str(with_depth))
    dataset, seen = build_dataset(data, (16, 28)), []

    def answer(frames):
        seen.append(float(frames.depth_m.median()))
        return Answer(frames.targets.labels[0].numpy())

    score("x", dataset, answer, rays=False)
    score("x", dataset, answer, rays=False, donor=donor_from_another_scene(dataset))
    assert seen == [10.0] * 3 + [20.0] * 6 + [10.0] * 3


def test_voxels_seen_before_have_scores_of_their_own(tiny_tree, tmp_path):
    dataset = build_dataset(scoring_data(str(tiny_tree), "v1.0-tiny", remembered=2), (16, 28))

    def of(change):
        def answer(frames):
            labels = frames.targets.labels[0].numpy().copy()
            change(labels, frames.targets.mask_remembered[0].numpy())
            return Answer(labels)

        return score("x", dataset, answer, rays=False)

    def forget(labels, mask):
        labels[mask] = FREE

    def forget_others(labels, mask):
        labels[~mask] = FREE

    def half(labels, mask):
        places = np.argwhere(mask & (labels == 11))
        labels[tuple(places[::2].T)] = FREE

    perfect, without, kept = of(lambda labels, mask: None), of(forget), of(forget_others)
    assert (perfect.miou_remembered, perfect.iou_remembered) == (1.0, 1.0)
    assert (without.miou_remembered, without.iou_remembered, without.miou) == (0.0, 0.0, 1.0)
    assert (kept.miou_remembered, kept.miou) == (1.0, 0.0)
    assert of(half).miou_remembered == pytest.approx(0.5, abs=1e-3)
    assert perfect.remembered_voxels == sum(int(dataset[i].targets.mask_remembered.sum()) for i in range(6))
    assert perfect.intervals["miou_remembered"] == (1.0, 1.0)
    text = markdown([kept])
    assert f"| x | {kept.remembered_voxels} | 100.0 (100.0 to 100.0) | 100.0 |" in text
    write_report([kept], tmp_path / "scores")
    assert json.loads((tmp_path / "scores.json").read_text())[0]["miou_remembered"] == 1.0
    assert "seen before" not in markdown([replace(kept, remembered_voxels=0)])


def test_a_source_with_a_memory_is_shown_what_is_not_scored(tiny_tree):
    dataset, seen = build_dataset(scoring_data(str(tiny_tree), "v1.0-tiny"), (16, 28)), []

    def source(remembers):
        def answer(frames):
            seen.append(frames.sample_tokens[0])
            return Answer(frames.targets.labels[0].numpy(), remembers=remembers)

        return answer

    score("x", dataset, source(False), limit=3, rays=False)
    score("x", dataset, source(True), limit=3, rays=False)
    score("x", dataset, source(True), rays=False)
    picked, between = ["scene-a-0", "scene-a-2", "scene-b-2"], [f"scene-{s}-{i}" for s in "ab" for i in range(3)]
    assert seen == picked + between + between
