# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Shadow maps of actors: what is drawn once for those that stand is what drawing them every time would give."""

import numpy as np
import pytest

from gsocc_core.synthetic.render.raster_kernels import cover_ground, draw_heights
from gsocc_core.synthetic.render.shadows import ActorShadows, GroundMaps, SunMap
from gsocc_core.synthetic.world.scene import rotation_from_angles

_BOX = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)]) * 0.5
_TRIANGLES = np.array([[0, 1, 3], [0, 3, 2], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4], [2, 3, 7], [2, 7, 6]])


@pytest.fixture
def actors():
    """Poses, sizes (width, length, height) and world corners of boxes; some reach over the edge of the maps."""
    rng, count = np.random.default_rng(0), 12
    poses, sizes = np.tile(np.eye(4), (count, 1, 1)), rng.uniform(0.5, 4.0, (count, 3))
    for pose, size in zip(poses, sizes, strict=True):
        pose[:3, :3] = rotation_from_angles(rng.uniform(-3, 3), 0.0, 0.0)
        pose[:3, 3] = [*rng.uniform(-2.0, 22.0, 2), size[2] / 2]
    corners = (_BOX * sizes[:, None, [1, 0, 2]]) @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3]
    return poses, sizes, corners[:, _TRIANGLES].reshape(-1, 3, 3)


def prepare(actors):
    """Their shadows on a square of ground whose edges are 20 m, every third of them moving."""
    poses, sizes, corners = actors
    ground = np.array([[[0.0, 0, 0], [20, 0, 0], [20, 20, 0]], [[0.0, 0, 0], [20, 20, 0], [0, 20, 0]]])
    sun, maps = SunMap.of(ground, (0.5, -0.3, 0.8)), GroundMaps.of(ground, np.ones(2, bool))
    starts = np.arange(len(poses) + 1)[:, None] * len(_TRIANGLES)
    moves = np.arange(len(poses)) % 3 == 0
    return ActorShadows.of(sun, maps, np.hstack([starts[:-1], starts[1:]]), sizes, moves, corners, poses)


def test_standing_actors_are_drawn_once_and_shade_as_if_drawn_every_time(actors):
    (poses, sizes, corners), shadows = actors, prepare(actors)
    sun, maps, spans, drawn = shadows.sun, shadows.ground, shadows.spans, np.arange(len(poses)) % 4 != 1
    heights = np.zeros_like(sun.heights)
    draw_heights(corners, spans[drawn], sun.frame, 0, 0, heights)
    np.testing.assert_array_equal(shadows.sun_map(corners, drawn), heights)
    cover = np.zeros(maps.height.shape, np.uint8)
    cover_ground(poses[drawn], sizes[drawn], maps.frame, 0, 0, cover)
    np.testing.assert_array_equal(shadows.contact_map(poses, drawn), cover)
    assert (heights > 0).mean() > 0.1
    assert (cover > 0).mean() > 0.1


def test_what_an_actor_darkens_lies_in_its_box_and_the_box_is_no_larger(actors):
    (poses, _, corners), shadows = actors, prepare(actors)
    points = corners.reshape(len(poses), -1, 3)
    lower, upper = shadows.boxes(points.min(1), points.max(1))
    for i in range(len(poses)):
        alone = np.arange(len(poses)) == i
        for raster, frame in (
            (shadows.sun_map(corners, alone), shadows.sun.frame),
            (shadows.contact_map(poses, alone), shadows.ground.frame),
        ):
            row, column = np.nonzero(raster)
            ground = np.stack([column, row], 1) / frame[2] + frame[:2]
            assert (ground > lower[i, :2]).all()
            assert (ground < upper[i, :2]).all()
        top = points[i] - points[i][:, 2:] * np.array([0.5 / 0.8, -0.3 / 0.8, 1.0])
        around = np.concatenate([points[i], top])
        np.testing.assert_array_less(around.min(0) - lower[i], 2.5)
        np.testing.assert_array_less(upper[i] - around.max(0), 2.5)


def test_a_map_holds_the_height_of_what_the_sun_sees_first():
    """The sun at 45 degrees over +x: the top of a wall at x = 2, 3 m high, hides the ground from x = 2 to x = -1."""
    wall = np.array([[[2.0, 0, 0], [2, 8, 0], [2, 8, 3]], [[2.0, 0, 0], [2, 8, 3], [2, 0, 3]]])
    ground = np.array([[[-6.0, 0, 0], [6, 0, 0], [6, 8, 0]], [[-6.0, 0, 0], [6, 8, 0], [-6, 8, 0]]])
    sun = SunMap.of(np.concatenate([ground, wall]), (0.5**0.5, 0.0, 0.5**0.5))
    x0, y0, scale, offset = sun.frame[[0, 1, 2, 5]]
    row = sun.heights[int((4.0 - y0) * scale)]
    for x, height in ((-3.0, 0.0), (-0.5, 2.5), (1.5, 0.5), (4.0, 0.0)):
        assert row[int((x - x0) * scale)] - offset == pytest.approx(height, abs=0.2)
