# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Trees in ScanNet's prepared layouts: scenes, splits, ids, and files that are wrong."""

import json

import numpy as np
import pytest
from PIL import Image

from gsocc_core.data.scannet import (
    SCANNET8,
    is_scannet_tree,
    list_scenes,
    read_depth,
    read_frame,
    read_ids,
    read_label_table,
    read_scannet_key_frames,
)
from gsocc_core.errors import DataError

from ..tiny_videos import write_videos  # noqa: TID252 - tests are no package, what they share lies beside them


@pytest.fixture(scope="module", params=["color", "images"])
def tree(request, tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos") / request.param, frames=3, layout=request.param)


def test_both_layouts_say_the_same(tree):
    scenes = list_scenes(tree)
    assert [scene.name for scene in scenes] == ["scene0000_00", "scene0001_00"]
    assert [len(scene.frames) for scene in scenes] == [3, 3]
    frame = read_frame(tree, "scene0001_00", scenes[1].frames[2])
    assert (frame.name, frame.width, frame.height) == ("000002", 32, 24)
    assert frame.intrinsics[0].tolist() == [30.0, 0.0, 16.0]
    assert frame.T_world_cam[:3, 3].tolist() == pytest.approx([100.2, 7.0, 0.0])
    assert (read_depth(frame, 16, 12) == 2.0).all()
    ids = read_ids(frame, 32, 24)
    assert ids[0, [0, 31]].tolist() == [22, 1]
    assert ids[23, 31] == 0


def test_ids_have_names_and_one_of_eight_classes(tree):
    table = read_label_table(tree / "scannetv2-labels.combined.tsv")
    assert table.names == ("wall", "office chair", "shelf")
    assert [SCANNET8.names[table.class_of_id[i]] for i in (1, 22, 35, 999)] == ["wall", "chair", "other", "other"]
    assert table.row_of_id[[1, 22, 999, 0]].tolist() == [0, 1, -1, -1]
    assert table.class_of_id[0] == 255, "no label"


def test_frames_are_key_frames_of_one_camera(tree):
    frames = read_scannet_key_frames(tree, scenes=["scene0001_00"])
    assert [(f.scene_name, f.token, f.index) for f in frames] == [("scene0001_00", f"{i:06d}", i) for i in range(3)]
    assert [shot.camera.name for shot in frames[0].shots] == ["color"]


def test_what_is_not_there_is_unknown(tmp_path):
    bare = write_videos(tmp_path / "t", frames=1, without=("camera_intrinsics", "camera_pose", "depth", "labels"))
    frame = read_frame(bare, "scene0000_00", "000000.png")
    assert frame.intrinsics is frame.T_world_cam is read_depth(frame, 8, 8) is read_ids(frame, 8, 8) is None
    (bare / "scene0000_00" / "pose" / "000000.npz").unlink()
    assert read_frame(bare, "scene0000_00", "000000.png").T_world_cam is None
    assert not is_scannet_tree(tmp_path / "nowhere")
    assert not is_scannet_tree(bare / "scene0000_00")


def test_splits_are_those_of_the_file_else_the_published_rule(tmp_path):
    names = [f"scene{i:04d}_00" for i in range(152)]
    for name in names:
        (tmp_path / name / "color").mkdir(parents=True)
        (tmp_path / name / "color" / "000000.png").touch()
    assert [s.name for s in list_scenes(tmp_path, "train")] == names[:2]
    assert [s.name for s in list_scenes(tmp_path, "val")] == names[2:]
    (tmp_path / "splits.json").write_text(json.dumps({"mine": [names[7]]}))
    assert [s.name for s in list_scenes(tmp_path, "mine")] == [names[7]]
    with pytest.raises(DataError, match=r"split train: expected one of \['mine'\]"):
        list_scenes(tmp_path, "train")


def test_wrong_trees_are_told_in_a_line(tree, tmp_path):
    with pytest.raises(DataError, match="folder: expected scenes with a folder color .*received no such folder"):
        list_scenes(tmp_path / "nowhere")
    with pytest.raises(DataError, match="scene mine: expected one of"):
        list_scenes(tree, scenes=["mine"])
    with pytest.raises(DataError, match="split val: expected splits.json, or more than 150 scenes.*received 2 scenes"):
        list_scenes(tree, "val")
    (tmp_path / "t" / "a" / "color").mkdir(parents=True)
    with pytest.raises(DataError, match=r"color: pictures: expected files that end in \.png"):
        list_scenes(tmp_path / "t")


POSE = np.eye(4)
BENT, LOST = np.diag([1.0, 1.0, -1.0, 1.0]), np.full((4, 4), -np.inf)


@pytest.mark.parametrize(("arrays", "told"), [
    ({"camera_pose": LOST}, r"camera_pose: expected \(4, 4\) finite numbers, or no such array.*nan or infinity"),
    ({"camera_pose": BENT}, "camera_pose: expected a rotation.*received a matrix that mirrors"),
    ({"camera_pose": np.eye(3)}, r"camera_pose: expected \(4, 4\)"),
    ({"camera_intrinsics": np.zeros((3, 3))}, "camera_intrinsics: expected focal lengths above 0"),
])  # fmt: skip
def test_a_wrong_pose_file_is_told(tmp_path, arrays, told):
    tree = write_videos(tmp_path / "t", scenes=("s",), frames=1)
    np.savez(tree / "s" / "pose" / "000000.npz", **arrays)
    with pytest.raises(DataError, match=rf"000000\.npz: {told}"):
        read_frame(tree, "s", "000000.png")


def test_wrong_depth_and_labels_are_told(tmp_path):
    tree = write_videos(tmp_path / "t", scenes=("s",), frames=1)
    frame = read_frame(tree, "s", "000000.png")
    Image.fromarray(np.zeros((32, 24), np.uint16)).save(tree / "s" / "depth" / "000000.png")
    with pytest.raises(DataError, match="000000.png: size: expected the aspect of the picture, 24 x 32"):
        read_depth(frame, 8, 8)
    Image.new("RGB", (32, 24)).save(tree / "s" / "labels" / "000000.png")
    with pytest.raises(DataError, match="000000.png: content: expected a grey PNG of 8 or 16 bits with ids"):
        read_ids(frame, 8, 8)
    (tree / "scannetv2-labels.combined.tsv").write_text("id\tcategory\n1\twall\n")
    with pytest.raises(DataError, match="combined.tsv: raw_category: expected tab-separated columns"):
        read_label_table(tree / "scannetv2-labels.combined.tsv")
