# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What is drawn lies where the camera's formula says, bends with the lens and moves with a wrong calibration."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from gsocc_core import Camera
from gsocc_core.commands.cli import main
from gsocc_core.errors import OutputExistsError
from gsocc_core.rigs.check_picture import check_and_draw
from gsocc_core.rigs.overlay import _HORIZON, draw_calibration
from gsocc_core.rigs.rig_file import CameraRig, looking

EXAMPLE = Path(__file__).parents[2] / "config" / "rigs" / "example_calibrated.yaml"
K = np.array([[400.0, 0, 400], [0, 400, 300], [0, 0, 1]])
FRONT = Camera("front", K, looking((1.5, 0, 1.5), (0, 10, 0)), 800, 600)


def like(picture, color, tolerance=40):
    """(N, 2) columns and rows of pixels of a colour."""
    near = np.abs(np.asarray(picture).astype(int) - color).max(-1) < tolerance
    return np.argwhere(near)[:, ::-1]


def test_the_horizon_lies_at_the_pitch():
    picture = draw_calibration(None, [FRONT], 0, width=800)
    rows = like(picture, _HORIZON)[:, 1]
    # Ten degrees down: level directions appear tan(10 deg) * f above the principal point.
    assert np.median(rows) == pytest.approx(300 - 400 * np.tan(np.radians(10)), abs=2)
    turned = replace(FRONT, T_ego_cam=looking((1.5, 0, 1.5), (0, 12, 0)))
    moved = like(draw_calibration(None, [turned], 0, width=800), _HORIZON)[:, 1]
    assert np.median(rows) - np.median(moved) == pytest.approx(400 * (np.tan(0.2094) - np.tan(0.1745)), abs=2)


def test_lines_bend_with_the_lens():
    fisheye = replace(FRONT, model="fisheye", intrinsics=np.array([[250.0, 0, 400], [0, 250, 300], [0, 0, 1]]))
    for camera, bent in ((FRONT, False), (fisheye, True)):
        pixels = like(draw_calibration(None, [camera], 0, width=800), _HORIZON)
        pixels = pixels[(pixels[:, 1] > 50)]
        line = np.polyfit(pixels[:, 0], pixels[:, 1], 1)
        error = np.abs(np.polyval(line, pixels[:, 0]) - pixels[:, 1]).max()
        assert (error > 8) == bent
    # Independent formula: a level direction at 40 degrees to the left in the equidistant model.
    T = fisheye.T_ego_cam
    d = T[:3, :3].T @ [np.cos(np.radians(40)), np.sin(np.radians(40)), 0]
    theta, phi = np.arccos(d[2]), np.arctan2(d[1], d[0])
    u, v = 400 + 250 * theta * np.cos(phi), 300 + 250 * theta * np.sin(phi)
    pixels = like(draw_calibration(None, [fisheye], 0, width=800), _HORIZON)
    assert np.hypot(*(pixels - [u, v]).T).min() < 3


def test_a_point_is_drawn_where_it_projects_near_over_far():
    at = np.array([[8.0, 2.3, 0.4], [0.0, 0.0, 0.0]])  # both on one ray of the camera
    at[1] = FRONT.T_ego_cam[:3, 3] + 2 * (at[0] - FRONT.T_ego_cam[:3, 3])
    picture = np.asarray(draw_calibration(np.zeros((600, 800, 3), np.uint8), [FRONT], 0, 800, at))
    c = FRONT.T_ego_cam[:3, :3].T @ (at[0] - FRONT.T_ego_cam[:3, 3])
    u, v = 400 + 400 * c[0] / c[2], 300 + 400 * c[1] / c[2]
    color = picture[int(v), int(u)].astype(int)
    assert color[0] > 100, "the near point's colour, not the far one's"
    assert color[2] < 80


def test_neighbours_appear_in_their_colours():
    left = replace(FRONT, name="left", T_ego_cam=looking((1.4, 0.5, 1.5), (60, 10, 0)))
    alone = draw_calibration(None, [FRONT], 0, width=400)
    both = draw_calibration(None, [FRONT, left], 0, width=400)
    assert len(like(both, (255, 176, 0))) > len(like(alone, (255, 176, 0))) + 100


def test_the_whole_picture_is_written_once(tmp_path):
    rig = CameraRig.load(EXAMPLE)
    for camera in rig.cameras:
        Image.new("RGB", (camera.width, camera.height), (60, 80, 60)).save(tmp_path / f"{camera.name}.png")
    np.save(tmp_path / "cloud.npy", np.random.default_rng(0).uniform(-20, 20, (500, 4)) * [1, 1, 0, 1])
    out = tmp_path / "check.png"
    words = [
        "--images",
        str(tmp_path),
        "--out",
        str(out),
        "--points",
        str(tmp_path / "cloud.npy"),
        "--tile_width",
        "320",
    ]
    main(["check-rig", str(EXAMPLE), *words])
    with Image.open(out) as picture:
        assert picture.size[0] == 3 * 420
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 500
    with pytest.raises(OutputExistsError):
        check_and_draw(rig, None, out)


def test_turned_pictures_are_drawn_upright(tmp_path):
    """A picture of a camera that hangs on its side: its EXIF orientation makes it the one that the rig describes."""
    exif, stored = Image.Exif(), Image.new("RGB", (600, 800), (60, 80, 60))
    stored.paste((250, 250, 250), (0, 0, 300, 800))
    exif[ExifTags.Base.Orientation] = 6  # turn it clockwise to see it: left becomes up
    stored.save(tmp_path / "front.png", exif=exif)
    rig = CameraRig.of([FRONT])
    assert not [finding for finding in check_and_draw(rig, tmp_path, tmp_path / "out.png") if finding.level == "error"]
    drawn = np.asarray(Image.open(tmp_path / "out.png").convert("RGB").crop((0, 0, 800, 600))).astype(int).mean(-1)
    assert np.median(drawn[:280]) > np.median(drawn[320:]) + 100
    (fault,) = [f for f in check_and_draw(CameraRig.of([replace(FRONT, width=600, height=800)]), tmp_path, None)
                if f.level == "error"]  # fmt: skip
    assert fault.what == "the picture is 800 x 600, the rig says 600 x 800"
