# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The JSON of GaussianOcc's info pickles: which samples, and where the cameras were."""

import json
import pickle
import shutil

import numpy as np
import pytest

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.errors import DataError

from ..tiny_ddad import (  # noqa: TID252 - tests are no package
    FIRST,
    LIDAR_DELAY,
    STEP,
    T_ego_cam,
    T_world_ego,
    write_ddad,
    write_info,
)

STAMPS = [str(FIRST + i * STEP) for i in range(4)]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Four samples per scene, of which the info knows the first three."""
    root = write_ddad(tmp_path_factory.mktemp("data") / "ddad", samples=4)
    (root / "info").mkdir()
    for split in ("train", "val"):
        (root / "info" / f"info_{split}.json").write_text(json.dumps(write_info(root, split)))
    return root


@pytest.fixture
def root(tree, tmp_path):
    """A copy to damage."""
    return shutil.copytree(tree, tmp_path / "ddad")


def opened(root, **changes):
    return build_dataset(DataArgs(str(root), dataset="ddad", **{"views": 1, "info_dir": "info", **changes}), (40, 64))


def test_samples_and_poses_are_those_of_the_info(tree):
    data = opened(tree, split="val", history=1)
    assert [data.key_frame(i).token for i in range(len(data))] == STAMPS[:3]
    frame = data.key_frame(2)
    higher = np.array([0, 0, 7.0])
    for shot in frame.shots:
        expected = T_world_ego(FIRST + 2 * STEP, 1)
        expected[:3, 3] += higher
        assert shot.T_world_ego == pytest.approx(expected)
        assert shot.camera.T_ego_cam == pytest.approx(T_ego_cam(shot.camera.name), abs=1e-9)
    expected = T_world_ego(FIRST + 2 * STEP + LIDAR_DELAY, 1)
    expected[:3, 3] += higher
    assert frame.T_world_ego == pytest.approx(expected), "the LiDAR's time lies 10 ms later"
    assert data[2].T_ref_ego[0, 1, :3, 3].tolist() == pytest.approx([-1.0, 0.0, 0.0], abs=1e-4)


def test_calibration_is_that_of_the_info(root):
    path = root / "info" / "info_train.json"
    content = json.loads(path.read_text())
    content[STAMPS[1]]["CAMERA_07"]["intrinsics"][0][0] = 44.0
    path.write_text(json.dumps(content))
    data = opened(root, split="train")
    focal = {i: [shot.camera.intrinsics[0, 0] for shot in data.key_frame(i).shots] for i in range(3)}
    assert focal == {0: [40.0] * 6, 1: [40.0, 40.0, 44.0, 40.0, 40.0, 40.0], 2: [40.0] * 6}


def test_without_a_split_all_of_them(tree):
    data = opened(tree)
    assert {data.key_frame(i).scene_name for i in range(len(data))} == {"000000", "000001"}
    assert len(data) == 6
    assert len(opened(tree, scenes=("000001",))) == 3


def test_a_list_of_stamps_says_which_are_samples(root):
    """As the authors' ``train.txt``: the others are still neighbours."""
    (root / "info" / "train.txt").write_text(f"{STAMPS[1]}\n")
    data = opened(root, split="train", history=1, view_images=True, views=3, view_offsets=(-1, 1))
    assert [data.key_frame(i).token for i in range(len(data))] == [STAMPS[1]]
    frames = data[0]
    assert frames.valid.all()
    assert frames.targets.view_valid.all()
    assert sorted(np.round(frames.targets.view_time_s[0].tolist(), 3)) == [-0.1, 0.0, 0.1]


def changed(root, change):
    path = root / "info" / "info_train.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def to_pickle(root):
    path = root / "info" / "info_train.json"
    path.with_suffix(".pkl").write_bytes(pickle.dumps({}))
    path.unlink()


BAD = {
    "a pickle instead": (
        to_pickle,
        r"info_train\.json: file: expected JSON that scripts/ddad_info.* received info_train\.pkl, a pickle, which is",
    ),
    "a pickle of that name": (
        lambda r: (r / "info" / "info_train.json").write_bytes(pickle.dumps({"1": 2})),
        r"info_train\.json: content: expected JSON that scripts/ddad_info_to_json\.py made",
    ),
    "nothing": (lambda r: (r / "info" / "info_train.json").unlink(), "info_train.json: file: .* no such file"),
    "no samples by stamp": (lambda r: (r / "info" / "info_train.json").write_text("[1]"), "content: expected {time st"),
    "unknown stamp": (
        lambda r: changed(r, lambda c: c.update({"17": c[STAMPS[0]]})),
        "info_train.json: 17: expected a time stamp of scene 000000 of the tree, received no such picture",
    ),
    "missing camera": (
        lambda r: changed(r, lambda c: c[STAMPS[1]].pop("CAMERA_08")),
        rf"info_train\.json: {STAMPS[1]}: expected a camera CAMERA_08, received only \['CAMERA_01'",
    ),
    "no pose": (
        lambda r: changed(r, lambda c: c[STAMPS[1]]["CAMERA_08"].pop("pose")),
        rf"info_train\.json: {STAMPS[1]}: content: expected intrinsics, extrinsics and pose of every camera",
    ),
    "unknown scene": (
        lambda r: changed(r, lambda c: [s.update(scene_name="000009") for s in c.values()]),
        "scene 000009: expected one of",
    ),
    "stamp of the list": (lambda r: (r / "info" / "train.txt").write_text("99\n"), r"train\.txt: 99: expected time st"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_infos_are_named(root, case):
    damage, expected = BAD[case]
    damage(root)
    with pytest.raises(DataError, match=expected):
        opened(root, split="train")


def test_a_pickle_named_as_the_folder_is_refused(root):
    (root / "info_train.pkl").write_bytes(pickle.dumps({}))
    with pytest.raises(DataError, match="a pickle, which is not read"):
        opened(root, split="train", info_dir="info_train.pkl")
