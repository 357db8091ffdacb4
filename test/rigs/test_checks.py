# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Every fault of a rig that can be made is found and told, and a good rig is left alone."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gsocc_core import Camera
from gsocc_core.commands.cli import main
from gsocc_core.rigs.checks import check_rig, table
from gsocc_core.rigs.coverage import AZIMUTHS, field_of_view_deg, seen_around
from gsocc_core.rigs.rig_file import CameraRig, looking
from gsocc_core.synthetic.sensors.rig import make_rig

EXAMPLE = Path(__file__).parents[2] / "config" / "rigs" / "example_calibrated.yaml"
K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
FRONT = Camera("front", K, looking((1.5, 0, 1.5), (0, 0, 0)), 640, 480)


def levels(rig, **given):
    return {finding.level for finding in check_rig(rig, **given)}


def only(camera, **given):
    """Findings about one camera that are more than ok."""
    found = check_rig(CameraRig.of([camera]), **given)
    return [finding for finding in found if finding.level != "ok" and finding.camera in {camera.name, "points"}]


@pytest.mark.parametrize("seed", range(3))
def test_good_rigs_have_no_fault(seed):
    rig = CameraRig.of(make_rig(np.random.default_rng(seed)).cameras)
    assert not levels(rig) & {"warning", "error"}, table(check_rig(rig))
    assert not levels(CameraRig.load(EXAMPLE)) & {"warning", "error"}


def posed(edit):
    T = FRONT.T_ego_cam.copy()
    edit(T)
    return replace(FRONT, T_ego_cam=T)


def scaled(T):
    T[:3, :3] *= 1.02


def mirrored(T):
    T[:3, 0] *= -1


def lower(T):
    T[2, 3] = -0.4


def far(T):
    T[:3, 3] *= 1000


def inverse(T):
    T[:] = np.linalg.inv(T)


def body(T):
    T[:3, :3] = np.eye(3)


def upside_down(T):
    T[:3, :2] *= -1


def rolled(T):
    T[:] = looking((1.5, 0, 1.5), (0, 0, 30))


def skyward(T):
    T[:] = looking((1.5, 0, 1.5), (0, -50, 0))


@pytest.mark.parametrize(
    ("camera", "level", "what", "do"),
    [
        (posed(scaled), "error", "not orthonormal", "quaternion"),
        (posed(mirrored), "error", "mirrors", "x right, y down"),
        (posed(lower), "error", "0.40 m below the ground", "z up"),
        (posed(far), "error", "m from the ego origin", "metres"),
        (posed(inverse), "warning", "mostly", "T_cam_ego"),
        (posed(body), "error", "straight up", "body frame"),
        (posed(upside_down), "warning", "upside down", "180"),
        (posed(rolled), "warning", "rolled by", "horizon"),
        (posed(skyward), "warning", "no ground", "pitch"),
        (replace(FRONT, intrinsics=K * [[2.5], [2.5], [1]]), "error", "outside the picture", "same picture size"),
        (replace(FRONT, intrinsics=K * [[1, 1, 1.5], [1, 1, 1], [1, 1, 1]]), "warning", "far from the middle", "crop"),
        (replace(FRONT, intrinsics=K * [[1, 1, 1], [1, 1.3, 1], [1, 1, 1]]), "warning", "differ much", "stretched"),
        (replace(FRONT, intrinsics=K * [[0.1, 1, 1], [1, 0.1, 1], [1, 1, 1]]), "warning", "field of view", "fisheye"),
        (replace(FRONT, distortion=(-0.9, 0.1, 0.0, 0.0)), "warning", "distortion folds", "corners"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_fault_is_found_with_what_to_do(camera, level, what, do):
    matching = [f for f in only(camera) if f.level == level and what in f.what]
    # An inverted pose of this camera lands below the ground, or looks up or down, depending on its place.
    if not matching and what == "mostly":
        matching = [f for f in only(camera) if "T_cam_ego" in f.do]
    assert matching, table(check_rig(CameraRig.of([camera])))
    assert do in matching[0].do


def test_pictures_of_another_size_tell_the_factor():
    (same,) = only(FRONT, picture_sizes={"front": (1280, 960)})
    assert same.level == "error"
    assert "multiply intrinsics, width and height by 2" in same.do
    (other,) = only(FRONT, picture_sizes={"front": (640, 400)})
    assert "another shape" in other.do
    (turned,) = only(FRONT, picture_sizes={"front": (480, 640)})
    assert "remove its EXIF orientation" in turned.do
    (none,) = only(FRONT, picture_sizes={"front": None})
    assert (none.level, none.what) == ("warning", "no picture")
    assert not only(FRONT, picture_sizes={"front": (640, 480)})


def test_copies_overlaps_and_blind_directions():
    copy = replace(FRONT, name="copy")
    (twin,) = [f for f in check_rig(CameraRig.of([FRONT, copy])) if f.level == "error"]
    assert twin.camera == "front, copy"
    left = replace(FRONT, name="left", T_ego_cam=looking((1.5, 0, 1.5), (50, 0, 0)))
    text = table(check_rig(CameraRig.of([FRONT, left])))
    expected = float((seen_around(FRONT) & seen_around(left)).sum() * 360 / AZIMUTHS)
    assert expected > 10
    assert f"overlap by {expected:.0f} deg" in text
    assert "nobody sees" in text
    apart = replace(left, T_ego_cam=looking((1.5, 0, 1.5), (180, 0, 0)))
    assert "do not overlap at 10 m; their axes are 180 deg apart" in table(check_rig(CameraRig.of([FRONT, apart])))


def test_points_in_the_wrong_frame_are_noticed():
    rng = np.random.default_rng(0)
    ground = np.column_stack([rng.uniform(-15, 15, (3000, 2)), rng.normal(0, 0.02, 3000)])
    assert not only(FRONT, points_m=ground)
    (found,) = only(FRONT, points_m=ground - [0, 0, 1.8])
    assert "z = -1.8" in found.what
    assert "--T_ego_lidar" in found.do
    assert any(f.level == "error" for f in only(FRONT, points_m=ground * [0.01, 0.01, 1] - [30, 0, 0]))


def test_a_fisheye_sees_more_than_half_around():
    wide = replace(FRONT, intrinsics=np.array([[180.0, 0, 320], [0, 180, 240], [0, 0, 1]]), model="fisheye")
    across, down = field_of_view_deg(wide)
    assert across == pytest.approx(np.degrees(640 / 180), rel=0.01)  # equidistant: r = f theta
    assert down == pytest.approx(np.degrees(480 / 180), rel=0.01)
    assert seen_around(wide).sum() * 360 / AZIMUTHS > 180


def test_the_command_prints_and_ends_with_status_one_on_errors(tmp_path, capsys):
    main(["check_rig", str(EXAMPLE)])
    assert "ok       rig" in capsys.readouterr().out
    CameraRig.of([posed(lower)]).save(tmp_path / "rig.yaml")
    with pytest.raises(SystemExit) as end:
        main(["check-rig", str(tmp_path / "rig.yaml")])
    assert end.value.code == 1
    assert "below the ground" in capsys.readouterr().out


def test_a_rig_of_topics_alone_is_checked_as_far_as_it_goes(tmp_path, capsys):
    main(["check-rig", "nuscenes"])
    told = capsys.readouterr().out
    assert re.search(r"ok +CAM_FRONT +fires 7.6 ms after the begin of a cycle", told)
    assert re.search(r"note +rig +no calibration in this file", told)
    assert "CameraInfo" in told
    with pytest.raises(SystemExit) as end:
        main(["check-rig", "nuscenes", "--out", str(tmp_path / "a.png")])
    assert end.value.code == 2
    assert "cameras.CAM_FRONT_LEFT: expected a calibration" in capsys.readouterr().err
    (tmp_path / "rig.yaml").write_text("cameras: {front: {topic: /a, trigger_offset_ms: null}}")
    main(["check-rig", str(tmp_path / "rig.yaml")])
    assert re.search(r"note +front +when it fires within a cycle is unknown", capsys.readouterr().out)
