# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Metres by name, the ego frame, cameras, occupancy and pictures that do not fit together, in a room known exactly."""

import numpy as np
import pytest
import torch
from known_scene import BOX, FLOOR, ROOM, THING, K, KnownScene, look, photos, pose

from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.reconstruction.photos import Photo
from gsocc_core.reconstruction.reconstructor import ReconstructArgs, Reconstructor
from gsocc_core.reconstruction.scale import ScaleHints
from gsocc_core.text.class_prompts import ClassPrompts

POSES = [pose(y=-0.3), pose(y=0.1, yaw=6), pose(y=0.5, z=1.3, yaw=-6)]
#: The room's frame in the ego's: below the first camera, x where that one looks.
T_EGO_ROOM = np.eye(4)
T_EGO_ROOM[:3, 3] = [2.5, 0.3, 0.0]
WORDS = ClassPrompts(("floor", "wall", "ceiling", "box"), ("floor", "wall", "ceiling", "box"), torch.eye(4), "none")


def run(unit_m=1.0, metric=False, hints=None, known=False, poses=POSES, told=None, **args):
    made = Reconstructor(KnownScene(poses, unit_m, metric, told), prompts=WORDS)
    return made(photos(poses, known), hints, ReconstructArgs(**args))


@pytest.mark.parametrize(
    ("hints", "known", "metric", "source"),
    [
        (ScaleHints(), True, True, "poses"),
        (ScaleHints(baseline_m=float(np.hypot(0.8, 0.1)), mounting_height_m=9.0), False, True, "baseline"),
        (ScaleHints("mounting_height", baseline_m=9.0, mounting_height_m=1.2), True, True, "mounting_height"),
        (ScaleHints(mounting_height_m=1.2), False, True, "mounting_height"),
    ],
)
def test_every_source_of_metres_gives_the_true_unit_and_its_name(hints, known, metric, source):
    result = run(0.4, metric, hints, known)
    assert result.scale.source == source
    assert result.scale.unit_m == pytest.approx(0.4, rel=0.01)
    truth = np.stack([T_EGO_ROOM @ T for T in POSES])
    np.testing.assert_allclose([camera.T_ego_cam for camera in result.cameras], truth, atol=0.03)


def test_a_network_that_learned_metres_says_learned_and_one_that_did_not_says_unknown():
    assert run(metric=True).scale.source == "learned"
    result = run()
    assert (result.scale.source, result.scale.unit_m) == ("unknown", 1.0)
    assert any("nothing told metres" in note for note in result.notes)


@pytest.mark.parametrize(
    ("hints", "poses", "message"),
    [
        (ScaleHints("poses"), POSES, "scale poses: expected known poses of two pictures"),
        (ScaleHints("learned"), POSES, "scale: expected a bundle that learned metres"),
        (ScaleHints("baseline", baseline_m=1.0), POSES[:1], "scale baseline: expected a first and a last picture from"),
        (
            ScaleHints("mounting_height", mounting_height_m=1.0),
            [pose(pitch=-50.0)],
            "scale mounting_height: expected .* visible ground, received no plane below the cameras",
        ),
    ],
)
def test_metres_that_are_asked_for_and_not_at_hand_end_in_one_line(hints, poses, message):
    with pytest.raises(ConfigError, match=message):
        run(hints=hints, poses=poses)


def test_what_is_given_and_not_at_hand_gives_way_to_the_next_source_and_is_told():
    result = run(hints=ScaleHints(baseline_m=1.0), poses=POSES[:1], metric=True)
    assert result.scale.source == "learned"
    assert "scale baseline could not be used: cameras that are estimated at one place" in result.notes
    result = run(hints=ScaleHints(mounting_height_m=1.0), poses=[pose(pitch=-50.0)])
    assert result.scale.source == "unknown"
    assert "scale mounting_height could not be used: no plane below the cameras" in result.notes


@pytest.mark.parametrize("strange", [0, 2])
def test_what_is_known_of_a_picture_that_has_no_pose_is_not_taken_for_that_of_another_one(strange):
    given = photos(POSES)
    given[strange] = Photo("elsewhere", np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8), K)
    model = Reconstructor(KnownScene(POSES, 0.4))
    result = model(given, ScaleHints(baseline_m=float(np.hypot(0.8, 0.1))))
    assert len(result.cameras) == 2
    assert result.scale.source == "unknown"
    assert "scale baseline could not be used: the first or the last picture has no pose" in result.notes
    with pytest.raises(ConfigError, match="scale baseline: .* the first or the last picture has no pose"):
        model(given, ScaleHints("baseline", baseline_m=1.0))
    result = model(given, ScaleHints(mounting_height_m=1.2))
    if strange == 0:
        assert result.scale.source == "unknown"
        assert "scale mounting_height could not be used: the first picture has no pose" in result.notes
    else:
        assert result.scale.unit_m == pytest.approx(0.4, rel=0.01)


def test_two_groups_that_see_different_places_are_not_one_scene():
    """Each pair agrees with itself; nothing says how one pair stands to the other."""
    ahead = [pose(x=0.2, y=-0.3), pose(x=0.2, y=0.1, yaw=6), pose(x=0.2, y=0.4)]
    behind = [pose(x=-0.2, yaw=180), pose(x=-0.2, y=0.4, yaw=176)]
    for poses, kept in ((ahead + behind, ["p0", "p1", "p2"]), (behind + ahead, ["p2", "p3", "p4"])):
        result = Reconstructor(KnownScene(poses, metric=True))(photos(poses))
        assert min(result.confidence.values()) > 0.3
        assert [camera.name for camera in result.cameras] == kept
        assert "without a pose and left out" in result.notes[0]
    result = Reconstructor(KnownScene(behind + ahead[:2], metric=True))(photos(behind + ahead[:2]))
    assert [camera.name for camera in result.cameras] == ["p0", "p1"]  # of equal groups that with the first picture


def test_a_model_that_takes_features_wants_what_makes_them():
    method = KnownScene(POSES)
    method.features_input = "required"
    with pytest.raises(ConfigError, match="bundle: expected a bundle with what makes the features .*received none"):
        Reconstructor(method)


def test_lengths_without_sense_are_told_before_anything_is_computed():
    for voxel_m in (0.0, -1.0, 1e4):
        with pytest.raises(ConfigError, match="voxel_m: expected above 0"):
            ReconstructArgs(voxel_m=voxel_m)


def test_known_poses_are_taken_as_they_are_and_gaussians_move_along_with_their_cameras():
    # The network sees the second camera half a metre too far to the side, and its surfaces from there.
    told = [POSES[0], pose(y=0.6, yaw=6), POSES[2]]
    result = run(told=told, known=True, hints=ScaleHints("poses"), least_confidence=0.0)
    assert result.known_poses
    room = result.scene.means.numpy() - T_EGO_ROOM[:3, 3]
    outside = np.maximum(ROOM[0] - room, room - ROOM[1]).max(1)
    assert np.abs(outside[outside > -0.2]).max() < 0.2
    wrong = run(told=told, hints=ScaleHints(mounting_height_m=1.2), least_confidence=0.0)
    assert not wrong.known_poses
    np.testing.assert_allclose(wrong.cameras[1].T_ego_cam[:3, 3], [0.0, 0.9, 1.2], atol=0.03)


def test_voxels_are_occupied_free_or_unobserved_and_free_only_where_a_ray_passed():
    grid = VoxelGrid((0.0, -1.6, -0.2), (5.6, 2.4, 2.8), 0.2)
    result = run(metric=True, grid=grid)
    labels, classes = result.grid.labels.numpy(), result.grid.classes
    assert classes.names == ("floor", "wall", "ceiling", "box", "free")
    centers = grid.centers.numpy() - T_EGO_ROOM[:3, 3]
    inside = ((centers > ROOM[0] + 0.25) & (centers < ROOM[1] - 0.25)).all(-1)
    in_box = ((centers > BOX[0] - 0.25) & (centers < BOX[1] + 0.25)).all(-1)
    air = inside & ~in_box
    free, unknown = labels == classes.free_id, labels == classes.ignore_id
    np.testing.assert_array_equal(result.grid.observed.numpy(), ~unknown)
    assert not (~free & ~unknown)[air].any()
    assert free[air].mean() > 0.3
    # Behind the box, as seen from all cameras, nobody looked.
    shadow = (np.abs(centers - [2.1, -0.1, 0.3]) < 0.11).all(-1)
    assert shadow.any()
    assert unknown[shadow].all()
    # Nothing is known outside the room, and what is occupied lies on its surfaces or the box's, of the right class.
    beyond = ((centers < ROOM[0] - 0.25) | (centers > ROOM[1] + 0.25)).any(-1)
    assert unknown[beyond].all()
    middle = (centers[..., 0] < 0.5) & (np.abs(centers[..., 1]) < 1.5)
    on_floor = (np.abs(centers[..., 2]) < 0.11) & ~in_box & middle
    assert set(labels[on_floor & ~unknown & ~free]) == {FLOOR}
    front = (np.abs(centers - [1.0, -0.1, 0.5]) < [0.11, 0.3, 0.2]).all(-1)
    assert (labels[front] == THING).mean() > 0.4


def test_merging_keeps_to_the_limit_and_says_how_many_there_were():
    result = run(metric=True, most_gaussians=500)
    assert len(result.scene) <= 500
    assert result.unmerged == 3 * 32 * 32
    assert len(result.class_scores) == len(result.text.values) == len(result.scene)


def test_one_picture_works_and_says_what_it_cannot_tell():
    result = run(poses=POSES[:1], hints=ScaleHints(mounting_height_m=1.2), unit_m=0.5)
    assert result.scale.unit_m == pytest.approx(0.5, rel=0.01)
    assert result.notes[0].startswith("one picture")


def test_a_picture_of_another_place_has_no_pose_and_says_so():
    given = photos(POSES)
    strange = np.random.default_rng(0).integers(0, 256, given[1].picture.shape, np.uint8)
    given[1] = Photo("elsewhere", strange, K)
    result = Reconstructor(KnownScene(POSES, metric=True))(given)
    assert [camera.name for camera in result.cameras] == ["p0", "p2"]
    assert result.confidence["elsewhere"] < 0.1 < result.confidence["p0"]
    assert "elsewhere" in result.notes[0]
    given[2] = Photo("alone", strange[::-1].copy(), K)
    alone = Reconstructor(KnownScene(POSES, metric=True))(given)
    assert [camera.name for camera in alone.cameras] == ["p0"]
    assert "nothing in common" in alone.notes[0]


def test_intrinsics_are_kept_where_they_are_known_and_estimated_where_not():
    known = run(metric=True)
    np.testing.assert_array_equal(known.cameras[0].intrinsics, K)
    wide = [Photo(p.name, np.pad(p.picture, ((0, 0), (16, 16), (0, 0)))) for p in photos(POSES)]
    found = Reconstructor(KnownScene(POSES, metric=True))(wide)
    assert (found.cameras[0].width, found.cameras[0].height) == (64, 32)
    np.testing.assert_allclose(found.cameras[0].intrinsics, [[25.6, 0, 32], [0, 25.6, 16], [0, 0, 1]], atol=1e-4)


def test_no_picture_is_one_line():
    with pytest.raises(DataError, match="photos: expected at least one picture, received none"):
        Reconstructor(KnownScene(POSES))([])


def test_a_camera_that_sees_no_ground_stands_above_zero_all_the_same():
    poses = [pose(pitch=-50.0), pose(y=0.2, pitch=-50.0)]
    result = run(poses=poses, metric=True, least_confidence=0.0)
    assert result.ground is None
    assert all(camera.T_ego_cam[2, 3] >= 0.1 for camera in result.cameras)
    assert any("no ground plane" in note for note in result.notes)
    assert look(poses[0])[1].min() > FLOOR
