# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Samples of unposed views: what they hold, what is drawn, and videos that lack something."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from gsocc_core.data.feature_files import encode_features
from gsocc_core.data.view_args import ViewArgs
from gsocc_core.data.view_dataset import ViewDataset
from gsocc_core.data.view_label_files import write_folder_content
from gsocc_core.data.view_schedule import SpanStage, ViewSchedule
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.view_sets import collate_views

from ..tiny_videos import write_videos  # noqa: TID252 - tests are no package, what they share lies beside them

SPAN4 = ViewSchedule(stages=(SpanStage(0, (4, 4)),), stride=4)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos") / "tree")


def opened(root, size=(24, 32), **keys):
    return ViewDataset(ViewArgs(str(root), **{"schedule": SPAN4, **keys}), size)


def test_a_sample_holds_context_and_target_views(tree):
    dataset = opened(tree)
    assert dataset.items == [(0, 0), (0, 4), (1, 0), (1, 4)]
    views = dataset[1]
    assert views.images.shape == (1, 2, 3, 24, 32)
    assert (views.scene_names, views.frame_names) == (("scene0000_00",), (("000004", "000008"),))
    assert views.targets.frame_names == (("000006",),)
    with Image.open(tree / "scene0000_00" / "color" / "000008.png") as picture:
        np.testing.assert_array_equal(views.images[0, 1].permute(1, 2, 0), np.asarray(picture))
    assert torch.equal(views.T_first_cam[0, 0], torch.eye(4))
    np.testing.assert_allclose(views.T_first_cam[0, 1, :3, 3], [0.4, 0, 0], atol=1e-6)
    np.testing.assert_allclose(views.targets.T_first_cam[0, 0, :3, 3], [0.2, 0, 0], atol=1e-6)
    assert views.T_world_first.dtype == torch.float64
    np.testing.assert_allclose(views.T_world_first[0, :3, 3], [100.4, 7, 0])
    assert (views.depth_m == 2).all()
    names = [dataset.source.names[i] for i in views.name_ids[0, 0, 0, [0, 31]]]
    classes = [dataset.source.classes.names[i] for i in views.semantics[0, 0, 0, [0, 31]]]
    assert (names, classes) == (["office chair", "wall"], ["chair", "wall"])
    assert (views.semantics[0, 0, 23, 31], views.name_ids[0, 0, 23, 31]) == (255, -1)
    np.testing.assert_allclose(views.overlap, [[1 - 0.4 * 15 / 32] * 2], atol=1 / 32)


def test_another_aspect_is_cropped_with_all_that_belongs_to_it(tree, tmp_path):
    """Pictures of 32 x 24 and, of one frame, 24 x 32 become 24 x 24; cut off is the top, or both sides alike."""
    mixed = shutil.copytree(tree, tmp_path / "mixed")
    other = write_videos(tmp_path / "other", size=(24, 32))
    for kind in ("color", "depth", "labels", "pose"):
        name = "000004.npz" if kind == "pose" else "000004.png"
        shutil.copy(other / "scene0000_00" / kind / name, mixed / "scene0000_00" / kind / name)
    views = opened(mixed, (24, 24))[0]
    assert views.intrinsics[0, 0].tolist() == [[30, 0, 12], [0, 30, 12], [0, 0, 1]], "4 columns cut off at the left"
    assert views.intrinsics[0, 1].tolist() == [[30, 0, 12], [0, 30, 8], [0, 0, 1]], "8 rows cut off at the top"
    assert (views.semantics[0, 0, 0] == 1).sum() == 12, "half of a row"


def test_a_seed_draws_and_a_step_decides_the_number_of_views_for_all_of_its_samples(tree):
    schedule = ViewSchedule(context=(1, 2, 4), stages=(SpanStage(0, (6, 8)),), avoid=(2, 4))
    dataset = opened(tree, schedule=schedule)
    drawn = [dataset[0, seed] for seed in range(20)]
    assert len({v.images.shape[1] for v in drawn}) == 3
    assert len({v.frame_names for v in drawn}) > 5
    assert dataset[0, 3].frame_names == drawn[3].frame_names
    assert dataset[0].images.shape[1] == 1, "without a seed the first number"
    assert collate_views(drawn).valid.sum(1).tolist() == [v.images.shape[1] for v in drawn]
    for step in range(4):
        assert {dataset[i % len(dataset), seed, step].images.shape[1] for i, seed in enumerate(range(4))} == {
            schedule.views_at(step)
        }


def test_one_view_is_enough(tree):
    views = opened(tree, schedule=ViewSchedule(context=(1,), targets=2))[0]
    assert views.images.shape[:2] == (1, 1)
    assert views.targets.frame_names == (("000002", "000004"),)
    assert views.overlap.isnan().all(), "nobody to share with"


def test_views_without_overlap_are_told_or_taken_nearer(tmp_path):
    """Each camera sees 2.13 m of the wall and stands 0.6 m beside the last: four steps apart they share nothing."""
    far = write_videos(tmp_path / "far", step_m=0.6)
    assert opened(far)[0].overlap.tolist() == [[0.0, 0.0]], "as they come, unless asked for"
    told = r"scene0000_00: overlap of frames 000000, 000004: expected at least 0\.3, received 0\.00"
    with pytest.raises(DataError, match=told):
        opened(far, min_overlap=0.3)[0]
    near = opened(far, min_overlap=0.3)[0, 5]
    assert int(near.frame_names[0][1]) - int(near.frame_names[0][0]) == 2
    with pytest.raises(DataError, match="expected at least 0.9"):
        opened(far, min_overlap=0.9)[0, 5]


@pytest.mark.parametrize("hidden", [False, True])
def test_intrinsics_may_be_unknown(tree, tmp_path, hidden):
    root = tree if hidden else write_videos(tmp_path / "t", without=("camera_intrinsics",))
    views = opened(root, hide_intrinsics=hidden)[0]
    assert views.intrinsics.isnan().all()
    assert not views.intrinsics_known.any()
    assert views.pose_known.all()
    assert views.targets.intrinsics_known.all() == hidden, "hidden ones are kept for rendering"


def test_poses_depth_and_labels_may_be_unknown(tmp_path):
    views = opened(write_videos(tmp_path / "t", without=("camera_pose", "depth", "labels")))[0]
    assert not views.pose_known.any()
    assert not views.targets.pose_known.any()
    assert views.T_world_first.isnan().all()
    assert views.depth_m is views.semantics is views.name_ids is None
    assert views.overlap.isnan().all()


def test_stored_features_come_along_in_both_layouts(tree, tmp_path):
    maps = {i: np.full((5, 3, 4), i, np.float16) for i in range(9)}
    zipped, plain = tmp_path / "zipped", tmp_path / "plain"
    for scene in ("scene0000_00", "scene0001_00"):
        for folder in (zipped, plain):
            (folder / scene).mkdir(parents=True)
        for i, array in maps.items():
            (zipped / scene / f"{i:06d}.zip").write_bytes(encode_features({"color": array}))
            np.save(plain / scene / f"{i:06d}.npy", array)
    write_folder_content(zipped, {"kind": "features", "cameras": ["color"], "model": "mine"})
    (plain / "cameras.json").write_text('["color"]')
    for folder in (zipped, plain):
        dataset = opened(tree, features_dir=str(folder))
        views = dataset[1]
        assert views.features.shape == (1, 2, 5, 3, 4)
        assert views.features[0, :, 0, 0, 0].tolist() == [4, 8]
        assert views.targets.features[0, 0, 0, 0, 0] == 6
    (plain / "scene0000_00" / "000006.npy").unlink()
    with pytest.raises(DataError, match="000006"):
        opened(tree, features_dir=str(plain))[1]


def test_frames_are_kept_as_many_as_asked_for(tree, monkeypatch):
    opened_frames = []
    plain, keeping = opened(tree), opened(tree, keep_frames=3)
    source = keeping.source
    frame = source.frame
    monkeypatch.setattr(source, "frame", lambda scene, i: opened_frames.append((scene, i)) or frame(scene, i))
    for index in (0, 0, 1, 0):
        expected, found = plain[index], keeping[index]
        for one, other in ((expected, found), (expected.targets, found.targets)):
            for key in ("images", "intrinsics", "T_first_cam", "depth_m", "semantics", "name_ids"):
                assert torch.equal(getattr(one, key), getattr(other, key))
        found.images.zero_()  # what a sample holds is its own
    # 0, 4 and 2 are there the second time; then 8 and 6 push out 0 and 2, and these push out 4 in turn.
    assert opened_frames == [(0, i) for i in (0, 4, 2, 8, 6, 0, 4, 2)]
    monkeypatch.undo()
    assert len(pickle.loads(pickle.dumps(keeping))) == len(plain), "as spawned workers get it"


def test_half_of_the_drawn_samples_are_mirrored(tree):
    plain, mirroring = opened(tree), opened(tree, mirror=True)
    turned = 0
    for seed in range(40):
        one, other = plain[0, seed], mirroring[0, seed]
        turned += (mirrored := bool((one.images != other.images).any()))
        assert torch.equal(other.images, one.images.flip(-1) if mirrored else one.images)
        assert torch.equal(other.targets.T_first_cam[..., 0, 3], one.targets.T_first_cam[..., 0, 3] * (-1) ** mirrored)
    assert 10 < turned < 30
    assert torch.equal(mirroring[0].images, plain[0].images), "without a seed as they are"


def test_one_camera_of_a_drive_is_a_video(tiny_tree):
    schedule = ViewSchedule(stages=(SpanStage(0, (2, 2)),))
    dataset = opened(tiny_tree, (18, 32), layout="nuscenes", version="v1.0-tiny", camera="CAM_BACK", schedule=schedule)
    assert [scene.name for scene in dataset.source.scenes] == ["scene-a", "scene-b"]
    views = dataset[0]
    assert views.images.shape == (1, 2, 3, 18, 32)
    assert views.frame_names == (("scene-a-0", "scene-a-2"),)
    frames = [dataset.source.frame(0, i) for i in (0, 2)]
    expected = np.linalg.inv(frames[0].T_world_cam) @ frames[1].T_world_cam
    np.testing.assert_allclose(views.T_first_cam[0, 1], expected, atol=1e-5)
    shot = frames[1].record.shots[0]
    assert (shot.camera.name, shot.path) == ("CAM_BACK", frames[1].path)
    np.testing.assert_allclose(frames[1].T_world_cam, shot.T_world_ego @ shot.camera.T_ego_cam)
    assert views.depth_m.any()
    assert (views.semantics != 255).any()
    assert views.name_ids is None


def test_pictures_between_key_frames_belong_to_the_video_on_request(tiny_tree, tmp_path):
    """One picture of the front camera is put between the first two key frames."""
    root = shutil.copytree(tiny_tree, tmp_path / "tree")
    path = root / "v1.0-tiny" / "sample_data.json"
    rows = json.loads(path.read_text())
    rows_of = {row["token"]: row for row in rows}
    first, second = (rows_of[f"scene-a-{i}-CAM_FRONT"] for i in range(2))
    between = {**first, "token": "between", "timestamp": first["timestamp"] + 250_000, "is_key_frame": False,
               "prev": first["token"], "next": second["token"], "filename": "sweeps/between.jpg"}  # fmt: skip
    first["next"] = second["prev"] = "between"
    (root / "sweeps").mkdir()
    shutil.copy(root / first["filename"], root / "sweeps" / "between.jpg")
    path.write_text(json.dumps([*rows, between]))
    keys = {"layout": "nuscenes", "version": "v1.0-tiny", "scenes": ("scene-a",),
            "schedule": ViewSchedule(stages=(SpanStage(0, (2, 2)),))}  # fmt: skip
    assert opened(root, **keys)[0].frame_names == (("scene-a-0", "scene-a-2"),)
    views = opened(root, sweeps=True, **keys)[0]
    assert views.frame_names == (("scene-a-0", "scene-a-1"),)
    assert views.targets.frame_names == (("between",),)
    assert views.depth_m.any()
    assert not views.targets.depth_m.any(), "nobody labelled it"
    assert (views.targets.semantics == 255).all()
    assert views.targets.pose_known.all()


def test_what_cannot_be_is_told(tree, tiny_tree, tmp_path):
    with pytest.raises(ConfigError, match="data: layout: expected one of scannet, nuscenes"):
        opened(tree, layout="kitti")
    with pytest.raises(ConfigError, match=r"data: min_overlap: expected 0 \.\.\. 1"):
        ViewArgs("t", min_overlap=2.0)
    with pytest.raises(ConfigError, match="data: keep_frames: expected 0 or more, received -1"):
        ViewArgs("t", keep_frames=-1)
    short = write_videos(tmp_path / "short", frames=2)
    with pytest.raises(DataError, match="scene0000_00: frames: expected frames for 2 context views and 1 targets"):
        opened(short)
    with pytest.raises(DataError, match="expected a key frame of CAM_TOP"):
        opened(tiny_tree, layout="nuscenes", camera="CAM_TOP", version="v1.0-tiny")
