# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Trees whose rows of ego_pose hold null: what still works, and what is refused in one line."""

import numpy as np
import pytest
import torch

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.drives import collate
from gsocc_core.data.video_sources import DriveSource
from gsocc_core.data.view_args import ViewArgs
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.evaluation.score import lidar_positions, score_baseline
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.methods.stream_memory import StreamMemory

from ..changed_poses import change_poses, unknown  # noqa: TID252 - tests are no package

VERSION = "v1.0-tiny"


@pytest.fixture(scope="module")
def tree(tiny_tree, tmp_path_factory):
    return change_poses(tiny_tree, tmp_path_factory.mktemp("unknown") / "tree", unknown)


def args(root, **changes):
    plain = {"views": 2, "view_offsets": (-1, 1), "view_size": (16, 32), "view_images": True}
    return DataArgs(str(root), VERSION, **plain | changes)


def test_pictures_are_there_and_the_ego_rests_within_a_key_frame(tree, tiny_tree):
    found, known = (build_dataset(args(root), (16, 32)) for root in (tree, tiny_tree))
    assert (found.poses_known, known.poses_known) == (False, True)
    one, other = found[1], known[1]
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.targets.view_images, other.targets.view_images)
    assert torch.equal(one.targets.view_valid, other.targets.view_valid)
    assert one.targets.view_valid.all()
    torch.testing.assert_close(one.cameras.T_ref_ego, torch.eye(4).expand(1, 1, 6, 4, 4))
    assert not torch.allclose(other.cameras.T_ref_ego, torch.eye(4))
    views = one.targets.view_cameras
    torch.testing.assert_close(views.T_ref_ego[:, 0], torch.eye(4).expand(1, 6, 4, 4))
    assert views.T_ref_ego[:, 1].isnan().all(), "no number stands for a pose that nobody knows"
    assert views.T_ego_cam.isfinite().all()
    assert one.T_world_ego is None
    assert one.targets.view_travelled_m is None
    batch = collate([one, found[2]])
    assert batch.T_world_ego is None
    assert len(batch.images) == 2


def test_a_memory_of_unknown_poses_is_used_for_nothing(tree):
    before, now = (build_dataset(args(tree), (16, 32))[i] for i in (0, 1))
    assert isinstance(now, FrameSet)
    memory = StreamMemory(
        Gaussians(*(torch.ones(1, 2, n) for n in (3, 3, 4)), torch.ones(1, 2), torch.ones(1, 2, 4)),
        torch.zeros(1, 2, 4), *[torch.zeros(1, 2, dtype=torch.bool)] * 2, before.reference_stamp_ns[:, 0],
        before.T_world_ego, torch.ones(1, dtype=torch.bool), before.scene_names,
    )  # fmt: skip
    assert memory.usable_for(now, 10.0).tolist() == [False]


def test_videos_of_one_camera_have_no_poses(tree):
    source = DriveSource(ViewArgs(str(tree), version=VERSION, camera="CAM_FRONT", depth_dir=None,
                                  semantics_dir=None))  # fmt: skip
    frame = source.frame(0, 1)
    assert frame.T_world_cam is None
    assert frame.intrinsics is not None


def test_what_needs_poses_is_refused_by_name(tree, tiny_tree, tmp_path):
    for key, value in (("history", 1), ("remembered", 1), ("view_pose_noise", (0.1, 0.0))):
        with pytest.raises(ConfigError, match=rf"data: {key}: expected none, since the poses of .*tree are unknown"):
            build_dataset(args(tree, **{key: value}), (16, 32))
    with pytest.raises(DataError, match=r"ego pose: expected a known one, for boxes, received none"):
        build_dataset(args(tree, boxes=True), (16, 32))
    dataset = build_dataset(args(tree), (16, 32))
    with pytest.raises(DataError, match=r"scene-a/scene-a-0: ego pose: expected a known one, for RayIoU"):
        lidar_positions(dataset, dataset.key_frame(0))
    some = change_poses(tiny_tree, tmp_path / "some", lambda k, row: unknown(k, row) if k == 4 else row)
    with pytest.raises(DataError, match=r"ego poses: expected of all pictures, or of none .*, received 20 of 21"):
        build_dataset(args(some, scenes=("scene-a",)), (16, 32))
    assert build_dataset(args(some, scenes=("scene-b",)), (16, 32)).poses_known
    half = change_poses(tiny_tree, tmp_path / "half", lambda k, row: row | {"rotation": None})
    with pytest.raises(DataError, match=r"ego_pose.json: token .*: expected translation and rotation both null"):
        build_dataset(args(half), (16, 32))


def test_voxels_are_scored_without_rays(tree):
    data = args(tree, views=1, view_images=False, depth_dir=None, semantics_dir=None)
    scores = score_baseline("ground", data, limit=1)
    assert np.isnan(scores.rayiou)
    assert scores.miou >= 0
    with pytest.raises(ConfigError, match="rays: expected none: where the drive led"):
        score_baseline("ground", data, limit=1, rays=True)


def test_an_odometer_counts_from_each_cameras_own_picture(tiny_tree, tmp_path):
    """10 m per second of a row's own stamp, in a tree that has no poses."""
    root = change_poses(
        tiny_tree, tmp_path / "counted",
        lambda k, row: unknown(k, row, travelled_m=1000.0 + (row["timestamp"] - 1_500_000_000_000_000) * 1e-5),
    )  # fmt: skip
    travelled = build_dataset(args(root), (16, 32))[1].targets.view_travelled_m
    assert travelled.shape == (1, 2, 6)
    assert travelled[0, 0].tolist() == [0.0] * 6
    assert travelled[0, 1].tolist() == pytest.approx([-5.0] * 6, abs=1e-3)
    first = build_dataset(args(root, views=3), (16, 32))[0].targets
    assert first.view_valid[0, :, 0].tolist() == [True, True, False]
    assert first.view_travelled_m[0, 2].isnan().all(), "there is no picture"
