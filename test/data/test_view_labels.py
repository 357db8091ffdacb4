# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Folders with one file per picture, as the published ones of GaussTR, and folders of features, through the loader."""

import json
import shutil

import numpy as np
import pytest
import torch

from gsocc_core.data.feature_files import encode_features
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.data.nuscenes_index import SURROUND_CAMERAS
from gsocc_core.data.view_label_files import encode_depth, write_folder_content
from gsocc_core.errors import DataError

FRAMES = [f"scene-{s}-{i}" for s in "ab" for i in range(3)]
SKY, ROAD = 17, 11


def stem(sample, channel):
    return f"{sample}__{channel}"


@pytest.fixture(scope="module")
def tree(tiny_tree, tmp_path_factory):
    """The tiny tree with pictures of different names, as nuScenes has them, and the three published folders."""
    root = shutil.copytree(tiny_tree, tmp_path_factory.mktemp("by_picture") / "tree")
    table = root / "v1.0-tiny" / "sample_data.json"
    rows = json.loads(table.read_text())
    for row in rows:
        if row["fileformat"] == "jpg":
            _, channel, name = row["filename"].split("/")
            renamed = f"samples/{channel}/{stem(name[:-4], channel)}.jpg"
            (root / row["filename"]).rename(root / renamed)
            row["filename"] = renamed
    table.write_text(json.dumps(rows))
    for folder in ("nuscenes_metric3d", "nuscenes_featup", "nuscenes_grounded_sam2"):
        (root / folder).mkdir()
    for f, sample in enumerate(FRAMES):
        for v, channel in enumerate(SURROUND_CAMERAS):
            name = f"{stem(sample, channel)}.npy"
            depth = np.full((45, 80), 5.0 + v + 10 * f, np.float32)
            depth[:20] = 150.0
            ids = np.full((45, 80), ROAD, np.uint8)
            ids[:30], ids[:, :10] = SKY, 0
            features = np.full((4, 9, 16), v + 10 * f, np.float32)
            features[1] = np.arange(9)[:, None]
            np.save(root / "nuscenes_metric3d" / name, depth)
            np.save(root / "nuscenes_grounded_sam2" / name, ids)
            np.save(root / "nuscenes_featup" / name, features)
    return root


@pytest.fixture
def copy(tree, tmp_path):
    return shutil.copytree(tree, tmp_path / "tree")


def opened(root, **options):
    options = {"depth_dir": "nuscenes_metric3d", "semantics_dir": "nuscenes_grounded_sam2",
               "features_dir": "nuscenes_featup", "view_size": (45, 80), "views": 2, "view_offsets": (-1, 1),
               "max_view_depth_m": 100.0, "occ3d_dir": None} | options  # fmt: skip
    return NuScenesOccupancy(DataArgs(str(root), "v1.0-tiny", **options), (45, 80))


def test_published_folders_are_read_as_they_are(tree):
    targets = opened(tree)[1].targets
    assert targets.view_depth_m[0, 0, :, 44, 40].tolist() == [15, 16, 17, 18, 19, 20], "the second key frame"
    assert targets.view_depth_m[0, 1, :, 44, 40].tolist() == [5, 6, 7, 8, 9, 10], "the first, its nearest neighbour"
    assert not targets.view_depth_m[0, :, :, :20].any(), "too far"
    assert targets.view_features.shape == (1, 2, 6, 4, 9, 16)
    assert targets.view_features.dtype == torch.float32
    assert targets.view_features[0, 0, :, 0, 0, 0].tolist() == [10, 11, 12, 13, 14, 15]
    assert targets.view_features[0, 1, :, 0, 8, 15].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("asked", [False, True])
def test_sky_is_a_class_only_for_those_who_ask(tree, asked):
    seen = opened(tree, label_sky=asked)[0].targets.view_semantics[0, 0, 2]
    sky = SKY if asked else 255
    assert seen[0, 40].item() == sky, "at whatever depth"
    assert seen[25, 40].item() == sky, "and where depth says 7 m"
    assert seen[44, 40].item() == ROAD
    assert (seen[:, :10] == 255).all()


def test_sky_is_no_class_in_other_folders(copy):
    (copy / "nuscenes_grounded_sam2" / "cameras.json").write_text(json.dumps(list(SURROUND_CAMERAS)))
    (copy / "nuscenes_grounded_sam2" / "scene-a").mkdir()
    stacked = np.full((6, 45, 80), SKY, np.int8)
    np.save(copy / "nuscenes_grounded_sam2" / "scene-a" / "scene-a-0.npy", stacked)
    with pytest.raises(DataError, match=r"scene-a-0\.npy: class ids: expected below 17, 0 = none, received 17"):
        opened(copy, label_sky=True)[0]


def test_a_folder_of_another_name_is_known_by_its_first_file(copy):
    (copy / "nuscenes_metric3d").rename(copy / "mine")
    assert opened(copy, depth_dir="mine")[0].targets.view_depth_m[0, 0, 1, 44, 0].item() == 6
    next((copy / "mine").glob("scene-a-0__CAM_FRONT_LEFT*")).unlink()
    with pytest.raises(DataError, match=r"mine/cameras\.json.*or a folder with one \.npy per picture"):
        opened(copy, depth_dir="mine")


def test_crops_and_history_of_features(tree):
    data = DataArgs(str(tree), "v1.0-tiny", depth_dir=None, semantics_dir=None, occ3d_dir=None, history=1,
                    input_features_dir="nuscenes_featup")  # fmt: skip
    frames = NuScenesOccupancy(data, (30, 80))[1]
    assert frames.targets is None
    assert frames.features.shape == (1, 2, 6, 4, 6, 16), "the upper third is cut off"
    assert frames.features[0, 0, 0, 1, :, 0].tolist() == pytest.approx([3, 4, 5, 6, 7, 8])
    assert frames.features[0, :, :, 0, 0, 0].tolist() == [[10, 11, 12, 13, 14, 15], [0, 1, 2, 3, 4, 5]]
    assert not NuScenesOccupancy(data, (30, 80))[3].features[0, 1].any(), "before the drive's beginning"


def test_missing_views_have_no_features(tree):
    targets = opened(tree, views=3)[0].targets
    assert targets.view_valid[0, :, 0].tolist() == [True, True, False]
    assert targets.view_features[0, :2].any()
    assert not targets.view_features[0, 2].any()


def test_features_of_key_frames_in_one_file(tree, tmp_path):
    folder = tmp_path / "features"
    write_folder_content(folder, {"kind": "features", "cameras": SURROUND_CAMERAS})
    for sample in FRAMES:
        path = folder / sample[:7] / f"{sample}.zip"
        path.parent.mkdir(exist_ok=True)
        maps = {c: np.load(tree / "nuscenes_featup" / f"{stem(sample, c)}.npy") for c in reversed(SURROUND_CAMERAS)}
        path.write_bytes(encode_features(maps))
    data = opened(tree, features_dir=str(folder), input_features_dir=str(folder))
    assert torch.equal(data[4].targets.view_features, opened(tree)[4].targets.view_features)
    assert torch.equal(data[4].features[:, 0], data[4].targets.view_features[:, 0])
    path.write_bytes(encode_depth({"CAM_FRONT": np.ones((9, 16))}))
    with pytest.raises(DataError, match=r"scene-b-2\.zip: kind: expected features, received depth"):
        data[5]
    path.unlink()
    with pytest.raises(DataError, match=r"scene-b-2\.zip: file: expected labels per picture.*no such file"):
        data[5]


WRONG = {
    "missing": ("nuscenes_metric3d", None, r"CAM_BACK\.npy: file: expected depth of one picture.*no such file"),
    "aspect": ("nuscenes_metric3d", np.ones((45, 60), np.float32),
               r"CAM_BACK\.npy: size of CAM_BACK: expected \(45, 80\) as the picture.*received \(45, 60\)"),
    "millimetres": ("nuscenes_metric3d", np.full((45, 80), 5200.0, np.float32),
                    r"CAM_BACK\.npy: depth of CAM_BACK: expected metres.*received 5200 .metres expected, looks like"),
    "whole numbers": ("nuscenes_metric3d", np.full((45, 80), 5200, np.uint16),
                      r"CAM_BACK\.npy: kind: expected depth, received numbers of type uint16"),
    "three axes": ("nuscenes_grounded_sam2", np.ones((1, 45, 80), np.uint8),
                   r"CAM_BACK\.npy: shape: expected \(H, W\), \(45, 80\) as the picture, received \(1, 45, 80\)"),
    "unknown id": ("nuscenes_grounded_sam2", np.full((45, 80), 18, np.uint8),
                   r"CAM_BACK\.npy: class ids: expected below 17, 0 = none, received 18"),
    "channels": ("nuscenes_featup", np.ones((3, 9, 16), np.float32),
                 r"CAM_BACK\.npy: features of CAM_BACK: expected 4 channels as in the other pictures, received 3"),
    "cells": ("nuscenes_featup", np.ones((4, 9, 12), np.float32),
              r"CAM_BACK\.npy: size of CAM_BACK: expected \(9, 16\) after fitting.*received \(9, 12\)"),
    "no features": ("nuscenes_featup", np.ones((9, 16), np.float32),
                    r"CAM_BACK\.npy: CAM_BACK: expected features, \(D, h, w\) float, received \(9, 16\)"),
    "nan": ("nuscenes_featup", np.full((4, 9, 16), np.nan, np.float32),
            r"CAM_BACK\.npy: features of CAM_BACK: expected finite numbers"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_named_in_one_line(copy, case):
    folder, content, message = WRONG[case]
    path = copy / folder / f"{stem('scene-a-0', 'CAM_BACK')}.npy"
    path.unlink()
    if content is not None:
        np.save(path, content)
    data = opened(copy)
    data[4]
    with pytest.raises(DataError, match=message) as caught:
        data[0]
    assert "\n" not in str(caught.value)


def test_no_folder_is_named(tree):
    for key in ("features_dir", "input_features_dir", "depth_dir"):
        with pytest.raises(DataError, match="nuscenes_nothing"):
            opened(tree, **{key: "nuscenes_nothing"})
