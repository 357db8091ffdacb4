# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Predicted against true voxels in pictures: what is drawn where, and files."""

import numpy as np
import pytest
import torch
from PIL import Image

from gsocc_core import OCC3D_NUSCENES, Camera, SemanticGrid, VoxelGrid
from gsocc_core.errors import ShapeError
from gsocc_core.pictures.compare_views import (
    INVENTED,
    MISSING,
    WRONG,
    blink_views,
    compare_views,
    see_voxels,
    view_colors,
)
from gsocc_core.pictures.film import write_pictures

GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 3.0), 0.5)
T_FRONT = np.array([[0.0, 0, 1, -7], [-1, 0, 0, 0], [0, -1, 0, 1.0], [0, 0, 0, 1]])
FREE, CAR, ROAD, TREE = 17, 4, 11, 16


def camera(name, width=80, height=40):
    return Camera(name, np.array([[width * 0.75, 0, width / 2], [0, width * 0.75, height / 2], [0, 0, 1]]), T_FRONT,
                  width, height)  # fmt: skip


def scene(car=None):
    labels = torch.full(GRID.shape, FREE, dtype=torch.uint8)
    labels[..., 0] = ROAD
    if car is not None:
        labels[6:10, 6:10, 1:7] = car
    return SemanticGrid(labels, GRID, OCC3D_NUSCENES)


def count(picture, color):
    return int((np.asarray(picture) == np.asarray(color)).all(-1).sum())


@pytest.mark.parametrize(
    ("predicted", "true", "color"), [(CAR, None, INVENTED), (None, CAR, MISSING), (TREE, CAR, WRONG)]
)
def test_the_difference_names_the_kind_of_error(predicted, true, color):
    """Against the sky an object is invented or missing; before or over the road it is of another class."""
    picture = np.asarray(compare_views(scene(predicted), scene(true), [camera("front")], tile_width=80))
    difference = picture[-80:]
    sky = difference[:12, :80]
    if color != WRONG:
        assert count(sky, color) > 20
        assert count(difference[:, 80:], WRONG) == pytest.approx(16 * 25, rel=0.5), "4 x 4 voxels of 5 x 5 pixels above"
    others = {INVENTED, MISSING, WRONG} - {color, WRONG}
    assert all(count(sky, other) == 0 for other in others)
    same = np.asarray(compare_views(scene(CAR), scene(CAR), [camera("front")], tile_width=80))
    assert all(count(same[-80:], c) == 0 for c in (INVENTED, MISSING, WRONG))


def test_voxels_without_a_label_are_drawn_on_neither_side():
    true = scene(CAR)
    true.labels[6:10, 6:10, 1:7] = 255
    picture = np.asarray(compare_views(scene(CAR), true, [camera("front")], tile_width=80))
    assert all(count(picture[-80:], c) == 0 for c in (INVENTED, MISSING, WRONG))


def test_above_x_is_up_and_y_to_the_left():
    only = scene()
    only.labels[...] = FREE
    only.labels[14:, 0:2, 0] = CAR  # far ahead, far right
    above = see_voxels(only, [camera("front")], 80).above
    assert above.shape == (80, 80)
    rows, columns = np.nonzero(above == CAR)
    assert rows.max() < 15
    assert columns.min() > 65


def test_cameras_of_other_sizes_and_lenses_stand_side_by_side_with_their_photos():
    fish = Camera("fish", np.diag([30.0, 30.0, 1.0]), T_FRONT, 64, 64, "fisheye", (0.1, 0.0, 0.0, 0.0))
    photos = {"front": np.full((20, 40, 3), 77, np.uint8), "fish": None}
    picture = compare_views(scene(CAR), scene(), [camera("front"), fish], photos, tile_width=80)
    without = compare_views(scene(CAR), scene(), [camera("front"), fish], tile_width=80)
    assert picture.width == without.width == 2 * 80 + 80
    assert picture.height == without.height + 40
    assert picture.getpixel((20, 10)) == (77, 77, 77)


def test_a_film_keeps_the_colours_of_classes_and_differences(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 80, 3)).astype(np.uint8)
    drawn = compare_views(scene(CAR), scene(TREE), [camera("front")], {"front": noise}, tile_width=80)
    write_pictures(tmp_path / "views.gif", [drawn], colors=view_colors(OCC3D_NUSCENES))
    with Image.open(tmp_path / "views.gif") as film:
        shown = np.asarray(film.convert("RGB")).astype(int)
    differs = (np.asarray(drawn) == WRONG).all(-1)
    assert differs.sum() > 300
    assert (shown[differs] == WRONG).all()
    # The palette may give a shade of a class another brightness, and never another class.
    red, green, blue = np.moveaxis(np.asarray(drawn).astype(int), -1, 0)
    tree = (red == 0) & (green > 4 * blue) & (green > 60)
    tree[:40] = False  # the photograph
    assert tree.sum() > 300
    assert (shown[tree][:, 1] > 2 * shown[tree][:, (0, 2)].max(-1)).all()


def test_png_and_blinking_gif(tmp_path):
    frames = blink_views(scene(CAR), scene(), [camera("front")], "key frame 3", tile_width=80)
    write_pictures(tmp_path / "views.gif", frames, fps=1)
    with Image.open(tmp_path / "views.gif") as film:
        assert (film.n_frames, film.size) == (2, frames[0].size)
    write_pictures(tmp_path / "views.png", [compare_views(scene(CAR), scene(), [camera("front")])])
    with Image.open(tmp_path / "views.png") as still:
        assert still.size == (320 + 320, 3 * (320 + 26))
    blue = OCC3D_NUSCENES.colors[CAR]
    bluish = [(np.asarray(f).astype(int) @ [-1, 0, 1] > blue[2] // 3).sum() for f in frames]
    assert bluish[0] > 50 > bluish[1], "the car is in the first picture only"


def test_bad_input_is_named():
    with pytest.raises(ShapeError, match="at least one"):
        compare_views(scene(), scene(), [])
    other = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 3.0), 1.0)
    small = SemanticGrid(torch.full(other.shape, FREE, dtype=torch.uint8), other, OCC3D_NUSCENES)
    with pytest.raises(ShapeError, match="grid"):
        compare_views(small, scene(), [camera("front")])
    batch = SemanticGrid(scene().labels[None], GRID, OCC3D_NUSCENES)
    with pytest.raises(ShapeError, match="labels"):
        see_voxels(batch, [camera("front")])
