# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The loader of SSCBench-KITTI360 on a tree made by hand."""

import json

import numpy as np
import pytest
import torch

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.kitti360_index import SPLITS, choose_drives
from gsocc_core.errors import ConfigError, DataError

from ..tiny_kitti360 import DRIVE, words, write_kitti360  # noqa: TID252 - tests are no package


@pytest.fixture
def root(tmp_path):
    return write_kitti360(tmp_path / "tree")


def opened(root, size=(24, 88), **changes):
    return build_dataset(DataArgs(str(root), dataset="kitti360", views=1, **changes), size)


def test_a_frame_set(root):
    data = opened(root, split="train", scenes=(DRIVE,), history=1)
    assert [data.key_frame(i).token for i in range(3)] == ["000000", "000005", "000010"]
    frames = data[1]
    assert frames.images.shape == (1, 2, 1, 3, 24, 88)
    assert frames.camera_names == ("image_00",)
    assert frames.scene_names == (DRIVE,)
    assert frames.targets.labels.shape == (1, 256, 256, 32)
    assert frames.targets.labels[0, 100, 120, 10] == 2
    assert not frames.targets.mask_camera[0, :10].any(), "voxels without a label count nowhere"
    assert frames.targets.mask_camera[0, 10:].all()
    moved = frames.T_ref_ego[0, 1, :3, 3]
    assert moved.tolist() == pytest.approx([-5.0, 0.0, 0.0], abs=1e-4), "5 m in five frames"
    stamps = frames.reference_stamp_ns[0].tolist()
    assert stamps[0] - stamps[1] == 5_000_000_000
    assert stamps[0] == int(np.datetime64("2013-05-28T08:46:07.123456789", "ns").astype(int))
    assert frames.T_world_ego[0, 2, 2] == pytest.approx(1.0), "the Velodyne stands upright in the world"
    assert frames.T_world_ego[0, :3, 3].tolist() == pytest.approx([1006.0, 0.0, 2.0])


def test_a_point_projects_through_the_rectified_cameras(root):
    """10.5 m ahead of the Velodyne and 0.2 m left: on the left camera's axis, 0.6 m left of the right camera's."""
    frames = opened(root, cameras=("image_01", "image_00"))[0]
    uv, depth, valid = frames.cameras.map(lambda t: t[0, 0]).project(torch.tensor([[10.5, 0.2, 0.0]]))
    assert valid.all()
    assert depth[:, 0].tolist() == pytest.approx([10.0, 10.0], abs=1e-4)
    assert uv[1, 0].tolist() == pytest.approx([44.0, 12.0], abs=1e-3)
    assert uv[0, 0].tolist() == pytest.approx([44.0 - 40 * 0.06, 12.0], abs=1e-3)


def test_official_splits_and_own_ones(root):
    assert sum(map(len, SPLITS.values())) == 9
    assert SPLITS["val"] == ("2013_05_28_drive_0006_sync",)
    with pytest.raises(DataError, match="drive 2013_05_28_drive_0006_sync: expected all drives of the split"):
        choose_drives(root, "val", None)
    with pytest.raises(DataError, match="split vall: expected one of"):
        choose_drives(root, "vall", None)
    (root / "splits.json").write_text(json.dumps({"mine": [DRIVE]}))
    assert choose_drives(root, "mine", None) == [DRIVE]
    assert choose_drives(root, None, None) == [DRIVE]


def test_raw_voxels_serve_as_labels_and_list_the_frames(root):
    folder = root / "data_2d_raw" / DRIVE / "voxels"
    folder.mkdir()
    (folder / "000005.bin").write_bytes(b"")
    raw = np.zeros((256, 256, 32), np.uint16)
    raw[1, 2, 3] = 40
    raw.tofile(folder / "000005.label")
    np.zeros(2**21 // 8, np.uint8).tofile(folder / "000005.invalid")
    data = opened(root, sscbench_dir="data_2d_raw")
    assert len(data) == 1
    labels = data[0].targets.labels[0]
    assert labels[1, 2, 3] == 7
    assert int(labels.sum()) == 7


def test_pictures_alone_suffice_for_predictions(root):
    data = opened(root, sscbench_dir=None)
    assert len(data) == 3
    assert data[0].targets is None
    with pytest.raises(DataError, match="sscbench_dir: expected a folder with voxel labels"):
        data.voxel_labels(0)


def test_ten_digit_names_of_kitti360_are_found(root):
    for path in (root / "data_2d_raw" / DRIVE).glob("image_0*/data_rect/*.png"):
        path.rename(path.with_name(f"{int(path.stem):010d}.png"))
    assert opened(root)[2].images.shape[-2:] == (24, 88)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda r: (r / "calibration/perspective.txt").unlink(), r"perspective\.txt: file"),
        (lambda r: (r / "calibration/calib_cam_to_velo.txt").write_text("1 2 3\n"), "12 numbers, received 3 numbers"),
        (lambda r: (r / "data_2d_raw" / DRIVE / "poses.txt").unlink(), r"poses\.txt: file: expected poses"),
        (lambda r: (r / "data_2d_raw" / DRIVE / "poses.txt").write_text("0 1 2\n"), r"poses\.txt: line 1"),
        (lambda r: (r / "data_2d_raw" / DRIVE / "poses.txt").write_text(f"0 {words(np.eye(4)[:3])}\n"), "frame 5"),
        (lambda r: (r / "data_2d_raw" / DRIVE / "image_00/data_rect/000010.png").unlink(), r"000010\.png: file"),
        (lambda r: (r / "data_2d_raw" / DRIVE / "image_00/timestamps.txt").write_text("noon\n"), r"timestamps\.txt"),
        (
            lambda r: (r / "data_2d_raw" / DRIVE / "image_00/timestamps.txt").write_text("2013-05-28 08:46:02\n" * 10),
            r"timestamps\.txt: lines: expected a line per frame, at least 11",
        ),
        (lambda r: [p.unlink() for p in (r / "preprocess/labels" / DRIVE).iterdir()], "key frames: expected"),
    ],
)
def test_bad_trees_are_named(root, damage, expected):
    damage(root)
    with pytest.raises(DataError, match=expected):
        opened(root)


def test_bad_arguments_are_named(root, tmp_path):
    with pytest.raises(ConfigError, match="cameras: expected names among"):
        opened(root, cameras=("CAM_FRONT",))
    with pytest.raises(DataError, match="sscbench_dir: expected a folder with labels"):
        opened(root, sscbench_dir="labels")
    with pytest.raises(DataError, match="drives: expected folders such as"):
        choose_drives(tmp_path / "nowhere", None, None)
