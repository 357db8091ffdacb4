# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Occupancy labels of scenes made by hand: what is seen is labelled, what is hidden is not, rays mark their voxels."""

from dataclasses import replace

import numpy as np

from gsocc_core.data.occ3d import write_occ3d
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.synthetic.world.detailed import DETAILED, name_id
from gsocc_core.synthetic.world.scene import Actor, Light, Materials, Mesh, StreetScene, Trajectory
from gsocc_core.synthetic.write.occupancy import SurfaceMemory, sample_mesh

GRID = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 3.0), 0.4)
GRAY = (1.0, 1.0, 1.0)


def mesh_of(quads):
    """Mesh of (four corners, class id)."""
    vertices = np.array([corner for corners, _ in quads for corner in corners], np.float32).reshape(-1, 3)
    first = 4 * np.arange(len(quads))[:, None]
    triangles = (
        np.concatenate([first + np.array(corners) for corners in ((0, 1, 2), (0, 2, 3))], 1)
        .reshape(-1, 3)
        .astype(np.int32)
    )
    classes = np.repeat([class_id for _, class_id in quads], 2).astype(np.uint8)
    zeros = np.zeros(len(vertices), np.float32)
    normals, uv = np.stack([zeros, zeros, zeros + 1], 1), np.stack([zeros, zeros], 1)
    return Mesh(vertices, triangles, classes, classes, np.zeros(len(triangles), np.int32), normals, uv)


def box_quads(size, class_id):
    l, w, h = np.asarray(size) / 2  # noqa: E741
    c = np.array([[x, y, z] for x in (-l, l) for y in (-w, w) for z in (-h, h)])
    faces = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    return [(c[list(face)], class_id) for face in faces]


def wall(x, class_id, low=-3.0, high=3.0, top=2.0):
    return (np.array([[x, low, 0], [x, high, 0], [x, high, top], [x, low, top]]), class_id)


def scene_of(quads, actors=()):
    light = Light((0, 0, 1), GRAY, GRAY, GRAY, GRAY, 0.0, 0.0, 1.0, GRAY, 0.0, 0.0)
    materials = Materials(np.zeros(1, np.int32), np.zeros((1, 2, 3), np.float32), np.zeros((1, 8), np.float32))
    ego = Trajectory.standing(np.zeros(3), 0.0)
    return StreetScene(
        0, DETAILED, 10.0, mesh_of(quads), tuple(actors), materials, np.zeros((2, 2, 3), np.uint8), light, ego
    )


def forward_camera(depth_m, width=160, height=90):
    """Intrinsics, pose (ego origin, 1 m up, looking along x) and a constant depth picture."""
    K = np.array([[80.0, 0, width / 2], [0, 80.0, height / 2], [0, 0, 1]])
    T = np.eye(4)
    T[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    T[2, 3] = 1.0
    return K, T, np.full((height, width), depth_m, np.float32)


def voxel(point):
    return tuple(np.floor((np.asarray(point) - GRID.lower) / GRID.size_m).astype(int))


def test_samples_cover_a_triangle_and_stay_on_it():
    rng = np.random.default_rng(0)
    for _ in range(20):
        corners = rng.uniform(-3, 3, (4, 3))
        corners[3] = corners[2]
        mesh = mesh_of([(corners, 4)])
        points, triangles = sample_mesh(mesh, 0.1)
        assert (triangles < 2).all()
        a, b, c = mesh.vertices_m[:3].astype(float)
        probes = rng.dirichlet(np.ones(3), 200) @ np.stack([a, b, c])
        gaps = np.linalg.norm(probes[:, None] - points[None], axis=-1).min(1)
        assert gaps.max() < 0.1
        normal = np.cross(b - a, c - a)
        assert np.abs((points - a) @ normal / np.linalg.norm(normal)).max() < 1e-5


def test_a_sliver_gets_few_samples():
    corners = np.array([[0, 0, 0], [100, 0, 0], [100, 0.02, 0], [100, 0.02, 0]])
    points, _ = sample_mesh(mesh_of([(corners, 1)]), 0.1)
    assert 400 < len(points) < 2500


def test_seen_wall_is_labelled_and_the_wall_behind_it_is_not():
    scene = scene_of([wall(4.1, 15), wall(6.1, 16)])
    memory = SurfaceMemory(scene, np.eye(4)[None], GRID)
    assert (memory.labels(np.eye(4), 0.0) == DETAILED.classes.free_id).all()
    K, T, depth = forward_camera(4.1)
    memory.see_camera(K, T, 0.0, depth)
    labels = memory.labels(np.eye(4), 0.0)
    assert set(np.unique(labels)) == {15, DETAILED.classes.free_id}
    occupied = np.argwhere(labels == 15)
    assert set(occupied[:, 0]) == {voxel((4.1, 0, 0))[0]}
    assert labels[voxel((4.1, 0.1, 1.0))] == 15


def test_open_sky_behind_the_edge_of_a_wall_hides_nothing():
    memory = SurfaceMemory(scene_of([wall(4.1, 15)]), np.eye(4)[None], GRID)
    K, T, depth = forward_camera(0.0)
    memory.see_camera(K, T, 0.0, depth)
    assert (memory.labels(np.eye(4), 0.0) == 15).any()


def test_lidar_returns_reveal_their_surroundings_only():
    memory = SurfaceMemory(scene_of([wall(4.1, 15)]), np.eye(4)[None], GRID)
    memory.see_lidar(np.array([[4.1, 0.0, 1.0]]), np.array([-1]), 0.0)
    occupied = np.argwhere(memory.labels(np.eye(4), 0.0) == 15)
    assert 1 <= len(occupied) <= 8
    assert np.abs(occupied - voxel((4.1, 0.0, 1.0))).max() <= 1


def test_a_moving_box_keeps_what_was_seen_of_it_and_is_labelled_where_it_is_now():
    motion = Trajectory(
        np.array([0.0, 10.0]), np.array([[4.0, -5.0, 0.7], [4.0, 5.0, 0.7]]),
        np.array([[0.0, 1.0, 0.0]] * 2), np.zeros((2, 3)),
    )  # fmt: skip
    car = Actor(0, "vehicle.car", None, 4, (1.0, 2.0, 1.4), mesh_of(box_quads((2.0, 1.0, 1.4), 4)), motion)
    ground = (np.array([[-8, -8, -0.02], [8, -8, -0.02], [8, 8, -0.02], [-8, 8, -0.02]]), 11)
    memory = SurfaceMemory(scene_of([ground], [car]), np.eye(4)[None], GRID)
    K, T, depth = forward_camera(3.05)
    memory.see_camera(K, T, 5.0, depth)  # sees the face towards the camera, at y = 0
    for t_s, y in ((5.0, 0.0), (8.0, 3.0)):
        labels = memory.labels(np.eye(4), t_s)
        cells = np.argwhere(labels == 4)
        centers = (cells + 0.5) * 0.4 + GRID.lower
        assert len(cells) > 6
        assert np.abs(centers[:, 1] - y).max() < 0.5 + 0.3
        assert np.abs(centers[:, 0] - 3.0).max() < 0.31, "only the face was seen"
        assert (labels == 11).any()


def test_small_things_keep_their_voxel():
    cone = box_quads((0.25, 0.25, 0.5), 8)
    quads = [(corners + np.array([4.1, 0.1, 0.25]), class_id) for corners, class_id in cone]
    ground = (np.array([[-8, -8, 0.0], [8, -8, 0.0], [8, 8, 0.0], [-8, 8, 0.0]]), 11)
    memory = SurfaceMemory(scene_of([ground, *quads]), np.eye(4)[None], GRID)
    K, T, depth = forward_camera(0.0)
    memory.see_camera(K, T, 0.0, depth)
    labels = memory.labels(np.eye(4), 0.0)
    assert labels[voxel((4.1, 0.1, 0.1))] == 8
    assert labels[voxel((4.1, 2.1, 0.0))] == 11


def test_visible_voxels_are_those_of_one_moment():
    memory = SurfaceMemory(scene_of([wall(4.1, 15), wall(-4.1, 15)]), np.eye(4)[None], GRID)
    K, T, depth = forward_camera(4.1)
    memory.see_camera(K, T, 0.0, depth)
    ahead = memory.end_moment()
    memory.see_camera(K, np.diag([-1.0, -1, 1, 1]) @ T, 0.0, depth)
    behind = memory.end_moment()
    first, second = (memory.visible_voxels(bits, np.eye(4), 0.0) for bits in (ahead, behind))
    assert set(np.argwhere(first)[:, 0]) == {voxel((4.1, 0, 0))[0]}
    assert set(np.argwhere(second)[:, 0]) == {voxel((-4.1, 0, 0))[0]}
    np.testing.assert_array_equal(memory.labels(np.eye(4), 0.0) == 15, (first | second) == 1)
    assert not memory.visible_voxels(memory.end_moment(), np.eye(4), 0.0).any()


def test_a_voxel_has_the_name_of_most_of_what_was_seen_in_it_and_has_its_class():
    bench, lamp, dog = (name_id(name) for name in ("bench", "street lamp", "dog"))

    def stripe(y, z0, z1):
        return (np.array([[4.1, y, z0], [4.1, y + 3, z0], [4.1, y + 3, z1], [4.1, y, z1]]), 15)

    # In the voxels between 0.2 m and 0.6 m the upper stripe has three quarters, and is met first or last.
    stripes = [stripe(-3.0, 0.3, 0.6), stripe(-3.0, 0.0, 0.3), stripe(0.0, 0.0, 0.3), stripe(0.0, 0.3, 0.6)]
    scene = scene_of([*stripes, wall(4.1, 0, -7.0, -5.0), wall(6.1, 16)])
    names = np.repeat([bench, lamp, bench, lamp, dog, 16], 2).astype(np.uint8)
    scene = replace(scene, static=replace(scene.static, name_ids=names))
    memory = SurfaceMemory(scene, np.eye(4)[None], GRID)
    K, T, depth = forward_camera(4.1)
    memory.see_camera(K, T, 0.0, depth)
    labels = memory.labels(np.eye(4), 0.0)
    names = memory.names(labels, np.eye(4), 0.0)
    assert names[voxel((4.1, -1.0, 0.4))] == bench
    assert names[voxel((4.1, 1.0, 0.4))] == lamp
    np.testing.assert_array_equal(names == 255, labels == DETAILED.classes.free_id)
    assert (DETAILED.names.class_of_name()[names] == labels)[names != 255].all()
    assert set(np.unique(names)) == {bench, lamp, 255}, "the others were not seen"


def test_labels_follow_the_ego():
    memory = SurfaceMemory(scene_of([wall(4.1, 15)]), np.eye(4)[None], GRID)
    memory.see_lidar(np.array([[4.1, 0.0, 1.0]]), np.array([-1]), 0.0)
    T = np.eye(4)
    T[0, 3] = 2.0
    here, ahead = memory.labels(np.eye(4), 0.0), memory.labels(T, 0.0)
    np.testing.assert_array_equal(here[5:], ahead[:-5])


def test_files_are_as_occ3d_writes_them(tmp_path):
    shape = (200, 200, 16)
    labels = np.full(shape, 17, np.uint8)
    masks = np.zeros(shape, np.uint8), np.ones(shape, np.uint8)
    write_occ3d(tmp_path / "a", labels, *masks)
    write_occ3d(tmp_path / "b", labels, *masks)
    with np.load(tmp_path / "a" / "labels.npz") as content:
        assert {k: (v.shape, v.dtype) for k, v in content.items()} == {
            k: (shape, np.dtype(np.uint8)) for k in ("semantics", "mask_lidar", "mask_camera")
        }
        assert content["mask_camera"].all()
    assert (tmp_path / "a" / "labels.npz").read_bytes() == (tmp_path / "b" / "labels.npz").read_bytes()
