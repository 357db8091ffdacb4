# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Trees of data sets with one damaged file: an error of the project that names it."""

import json
import shutil

import pytest

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset

from ..damage import attempt, damaged, slightly_damaged  # noqa: TID252 - tests are no package
from ..tiny_ddad import write_ddad, write_info  # noqa: TID252
from ..tiny_kitti360 import DRIVE  # noqa: TID252


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    ["calibration/perspective.txt", "calibration/calib_cam_to_pose.txt", "calibration/calib_cam_to_velo.txt",
     "data_2d_raw/{drive}/poses.txt", "data_2d_raw/{drive}/image_00/timestamps.txt"],
)  # fmt: skip
def test_damaged_text_of_kitti360(name, tiny_kitti360, tmp_path):
    root = tmp_path / "tree"
    shutil.copytree(tiny_kitti360, root)
    path = root / name.format(drive=DRIVE)
    args = DataArgs(str(root), dataset="kitti360")
    good = path.read_bytes()

    def read(_):
        build_dataset(args, (24, 88))

    assert attempt("", read, path)
    for what, content in damaged(good):
        path.write_bytes(content)
        assert not attempt("", read, path) or (what == "emptied" and path.name == "timestamps.txt")
    for content in slightly_damaged(name, good):
        path.write_bytes(content)
        attempt("", read, path)
    for old in (b"1", b"0"):
        for new in (b"nan", b"inf", b"9" * 400, b"1e400", b"-"):
            path.write_bytes(good.replace(old, new, 5))
            attempt("", read, path)


@pytest.mark.parametrize("table", ["sample", "sample_data", "calibrated_sensor", "ego_pose", "scene", "splits"])
def test_damaged_tables_of_nuscenes(table, tiny_tree, tmp_path):
    root = tmp_path / "tree"
    shutil.copytree(tiny_tree, root, ignore=shutil.ignore_patterns("gts", "*_nusc"))
    path = root / "v1.0-tiny" / f"{table}.json"
    args = DataArgs(str(root), "v1.0-tiny", "val", occ3d_dir=None, depth_dir=None, semantics_dir=None, views=1)
    good = path.read_bytes()

    def read(_):
        build_dataset(args, (32, 64))

    assert attempt("", read, path)
    contents = [content for _, content in damaged(good)] + [b"[" * 100_000, b"[1, 2]", b"{}", b"null"]
    if table != "splits":
        rows = json.loads(good)
        for key in rows[0]:
            contents += [json.dumps([{**row, key: value} for row in rows]).encode() for value in (None, "x", [[]])]
    told = 0
    for content in contents:
        path.write_bytes(content)
        told += not attempt("", read, path)
    assert told >= 6


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    ["ddad.json", "000000/scene_0abc.json", "000000/calibration/c0ffee.json", "info/info_train.json",
     "mask/CAMERA_07/000000/mask.png"],
)  # fmt: skip
def test_damaged_files_of_ddad(name, tmp_path):
    root = write_ddad(tmp_path / "tree", samples=1)
    (root / "info").mkdir()
    (root / "info" / "info_train.json").write_text(json.dumps(write_info(root, samples=1)))
    path, args = root / name, DataArgs(str(root), dataset="ddad", split="train", info_dir="info", views=1)
    good = path.read_bytes()

    def read(_):
        assert build_dataset(args, (40, 64))[0].usable is not None

    assert attempt("", read, path)
    for _, content in damaged(good):
        path.write_bytes(content)
        assert not attempt("", read, path)
    for content in slightly_damaged(name, good):
        path.write_bytes(content)
        attempt("", read, path)
    if path.suffix == ".json":
        for old in (b"1", b"0"):
            for new in (b"NaN", b"Infinity", b"9" * 400, b"1e400", b"null", b"[]", b'"x"'):
                path.write_bytes(good.replace(b": " + old, b": " + new, 5))
                attempt("", read, path)
