# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rooms: what stands there keeps clear of everything, names tell classes, the hand moves as hands do."""

from dataclasses import replace

import numpy as np
import pytest

from gsocc_core.data.scannet import SCANNET8
from gsocc_core.errors import ConfigError
from gsocc_core.synthetic.render.camera import render_camera
from gsocc_core.synthetic.world.furniture import NAMES
from gsocc_core.synthetic.world.rooms import build_room
from gsocc_core.synthetic.world.scene import SKY

K = np.array([[88.0, 0, 56], [0, 88.0, 56], [0, 0, 1]])


@pytest.fixture(scope="module")
def rooms():
    return [build_room(seed) for seed in range(12)]


def test_the_same_seed_gives_the_same_room(rooms):
    again = build_room(3)
    np.testing.assert_array_equal(again.scene.static.vertices_m, rooms[3].scene.static.vertices_m)
    np.testing.assert_array_equal(again.scene.materials.colors, rooms[3].scene.materials.colors)
    np.testing.assert_array_equal(again.T_world_cam(0.3), rooms[3].T_world_cam(0.3))
    assert again.scene.light != rooms[4].scene.light


def test_every_class_and_name_occurs_and_names_tell_classes(rooms):
    names = np.concatenate([room.scene.static.name_ids for room in rooms])
    classes = np.concatenate([room.scene.static.class_ids for room in rooms])
    assert set(np.unique(classes)) == set(range(1, 9))
    assert len(np.unique(names)) >= len(NAMES.names) - 2
    np.testing.assert_array_equal(NAMES.class_of_name()[names], classes)


def test_the_camera_stays_in_the_room_and_out_of_things(rooms):
    """Nothing comes nearer than 10 cm to it, and every ray ends in the room."""
    for room in rooms[:4]:
        for share in np.linspace(0, 1, 4):
            view = render_camera(room.scene, 0.0, K, room.T_world_cam(share), 112, 112)
            assert (view.class_ids != SKY).all()
            assert view.depth_m.min() > 0.1
            assert view.depth_m.max() < 9.0
            np.testing.assert_array_equal(NAMES.class_of_name()[view.name_ids], view.class_ids)
            assert 20 < view.rgb.mean() < 225


def test_light_comes_through_walls_and_ceiling(rooms):
    """If they cast shadows, the lamp above would light nothing."""
    scene = rooms[0].scene
    closed = replace(scene, kind=replace(scene.kind, lit_through_ids=()), _cache={})
    lit, dark = (render_camera(s, 0.0, K, rooms[0].T_world_cam(0.5), 112, 112).rgb.mean() for s in (scene, closed))
    assert lit > 1.15 * dark


def test_pairs_some_frames_apart_turn_by_10_to_40_degrees_and_move(rooms):
    turns, ways = [], []
    for room in rooms:
        poses = [room.T_world_cam(share) for share in np.linspace(0, 1, 24)]
        for a, b in zip(poses, poses[8:]):
            turns.append(np.degrees(np.arccos(np.clip((np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2, -1, 1))))
            ways.append(np.linalg.norm(a[:3, 3] - b[:3, 3]))
        np.testing.assert_allclose([np.linalg.det(pose[:3, :3]) for pose in poses], 1.0)
    assert np.mean((np.array(turns) > 10) & (np.array(turns) < 40)) > 0.7
    assert np.percentile(ways, 5) > 0.15


def test_colours_and_light_differ_from_room_to_room(rooms):
    chairs = SCANNET8.names.index("chair")
    seen = []
    for room in rooms:
        chosen = room.scene.static.material_ids[room.scene.static.class_ids == chairs]
        if len(chosen):
            seen.append(room.scene.materials.colors[chosen[0], 0])
    assert np.std(seen, axis=0).max() > 0.03
    assert len({room.scene.light.exposure for room in rooms}) == len(rooms)


def test_a_negative_seed_is_told():
    with pytest.raises(ConfigError, match="build_room: seed: expected 0 or more"):
        build_room(-1)
