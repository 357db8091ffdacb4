# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes in map coordinates, thousands of kilometres from the origin, splat as they do beside it: exact to 1 mm."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, Cameras, VoxelGrid, splat_to_image, splat_to_labels, splat_to_voxels
from gsocc_core.splat.near_origin import scene_near_cameras, scene_near_grid
from gsocc_core.splat.neighborhood import splat_to_neighborhood

#: Easting, northing and height of a place in UTM zone 32, metres: no whole steps of anything.
UTM_M = np.array([691_234.123, 5_334_765.417, 519.337])
GRID = VoxelGrid((-4.0, -3.2, -1.0), (4.0, 3.2, 2.2), 0.4)


def pose(yaw, place):
    T = np.eye(4)
    T[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    T[:3, 3] = place
    return T


def moved(scene, T):
    """The same scene in the frame a of T_a_b; rotations by yaw."""
    yaw = math.atan2(T[1, 0], T[0, 0])
    w, x, y, z = scene.quats.unbind(-1)
    c, s = math.cos(yaw / 2), math.sin(yaw / 2)
    quats = torch.stack([c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w], dim=-1)
    turn = torch.from_numpy(T[:3, :3].T.copy())
    return scene.replace(means=scene.means @ turn + torch.from_numpy(T[:3, 3].copy()), quats=quats)


def rows(T):
    return tuple(map(tuple, T.tolist()))


def far_places():
    """Name -> (T_ego_near, grid): GRID and its scene somewhere else, by each way to say so."""
    whole = np.round(UTM_M / 0.4) * 0.4
    by_corners = replace(GRID, lower=tuple(GRID.lower + whole), upper=tuple(GRID.upper + whole))
    T = pose(0.7, UTM_M)
    # A grid of the map's frame around a robot whose ego frame is its own: both numbers are large and cancel.
    T_map_ego = pose(0.7, whole + np.array([1.0, 2.0, 0.1]))
    T_ego_map = np.linalg.inv(T_map_ego)
    near = T_ego_map @ pose(0.0, whole)
    return {
        "by its corners": (pose(0.0, whole), by_corners),
        "by its pose": (T, replace(GRID, T_ego_grid=rows(T))),
        "by both": (near, replace(by_corners, T_ego_grid=rows(T_ego_map))),
    }


@pytest.mark.parametrize("place", far_places())
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_voxels_are_those_beside_the_origin(place, backend, random_scene):
    T, grid = far_places()[place]
    scene = random_scene(30, 4, sigma=(0.2, 0.8))
    expected = splat_to_voxels(scene, GRID, backend="reference")
    got = splat_to_voxels(moved(scene, T), grid, backend=backend)
    assert got.grid == grid
    # Densities of such Gaussians change by up to 0.03 over a centimetre; half a metre changes all of them.
    inside = (got.density - expected.density).abs() < 1e-4
    assert inside.float().mean() > 0.999, "voxels at a cutoff may flip"
    assert (got.features - expected.features)[inside].abs().max() < 1e-2
    assert expected.density.max() > 1


def test_gradients_are_those_beside_the_origin(random_scene):
    T, grid = far_places()["by its pose"]
    scene = random_scene(20, 2, sigma=(0.3, 0.8))
    results = []
    for one, box in ((scene, GRID), (moved(scene, T), grid)):
        means = one.means.clone().requires_grad_()
        splat_to_voxels(one.replace(means=means), box, cutoff=5.0).density.square().sum().backward()
        results.append(means.grad)
    near, far = results
    assert far.dtype == torch.float64
    turned = near @ torch.from_numpy(T[:3, :3].T.copy())
    assert (far - turned).abs().max() < 2e-3 * near.abs().max()


@pytest.mark.parametrize("place", far_places())
def test_labels_and_the_published_rule_too(place, random_scene):
    T, grid = far_places()[place]
    scene = random_scene(30, 16, sigma=(0.2, 0.8))
    classes = OCC3D_NUSCENES.with_channels(range(1, 17))
    expected = splat_to_labels(scene, GRID, classes, threshold=0.3)
    got = splat_to_labels(moved(scene, T), grid, classes, threshold=0.3)
    assert got.grid == grid
    assert (got.labels == expected.labels).float().mean() > 0.999
    assert (got.confidence - expected.confidence).abs().median() < 1e-5
    cube = splat_to_neighborhood(scene, GRID, 2).density
    assert ((splat_to_neighborhood(moved(scene, T), grid, 2).density - cube).abs() < 1e-4).float().mean() > 0.999


def cameras(T, dtype=torch.float64):
    """Two that look along the world's x axis, one of them moved by its own ego motion."""
    T_ego_cam = np.array([[0.0, 0, 1, -9], [-1, 0, 0, 0.4], [0, -1, 0, 0.6], [0, 0, 0, 1]])
    K = torch.tensor([[25.0, 0, 15], [0, 25, 9], [0, 0, 1]], dtype=dtype).expand(2, 3, 3)
    poses = torch.from_numpy(np.stack([T_ego_cam, T_ego_cam])).to(dtype)
    motion = torch.from_numpy(np.stack([T, T @ pose(0.1, [0.5, -0.8, 0.0])])).to(dtype)
    return Cameras(K, poses, 30, 18, T_ref_ego=motion)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_pictures_are_those_beside_the_origin(backend, random_scene):
    scene, T = random_scene(60, 3, sigma=(0.2, 0.6)), pose(0.7, UTM_M)
    expected = splat_to_image(scene, cameras(np.eye(4)), backend="reference")
    got = splat_to_image(moved(scene, T), cameras(T), backend=backend)
    assert expected.alpha.max() > 0.9
    assert (got.alpha - expected.alpha).abs().median() < 1e-5
    assert ((got.depth - expected.depth).abs() < 1e-3).float().mean() > 0.995, "pixels at a limit of opacity may flip"
    assert ((got.features - expected.features).abs() < 2e-3).float().mean() > 0.995


def test_poses_of_far_cameras_have_gradients(random_scene):
    scene, T = random_scene(40, 2, sigma=(0.3, 0.6)), pose(0.0, UTM_M)
    results = []
    for one, place in ((scene, np.eye(4)), (moved(scene, T), T)):
        views = cameras(place)
        poses = views.T_ego_cam.clone().requires_grad_()
        splat_to_image(one, replace(views, T_ego_cam=poses)).features.square().sum().backward()
        results.append(poses.grad[:, :3])  # the last row of a pose is constant
    near, far = results
    assert near.abs().max() > 1
    assert (far - near).abs().max() < 1e-2 * near.abs().max()


def test_beside_the_origin_nothing_changes(random_scene):
    scene = random_scene(5, 2)
    for grid in (GRID, replace(GRID, T_ego_grid=rows(pose(0.7, [3.0, -400.0, 2.0])))):
        same, box = scene_near_grid(scene, grid)
        assert same is scene
        assert box is grid
    views = cameras(pose(0.7, [3.0, -400.0, 2.0]))
    same, rig = scene_near_cameras(scene, views)
    assert torch.equal(same.means, scene.means)
    assert torch.equal(rig.T_ref_cam, views.T_ref_cam)
    none = replace(views.map(lambda t: t[:0]), T_ref_ego=None)
    assert scene_near_cameras(scene, none)[1].intrinsics.shape[0] == 0


def test_a_batch_may_lie_in_several_places(random_scene):
    scene, T = random_scene(60, 3, sigma=(0.2, 0.6)), pose(0.7, UTM_M)
    both = [moved(scene, place) for place in (T, pose(-0.3, [5.0, 6.0, 0.0]))]
    stacked = replace(scene, **{
        key: torch.stack([getattr(one, key) for one in both])
        for key in ("means", "scales", "quats", "opacities", "features")
    })  # fmt: skip
    rigs = [cameras(T), cameras(pose(-0.3, [5.0, 6.0, 0.0]))]
    rig = Cameras(*(torch.stack([getattr(r, key) for r in rigs]) for key in ("intrinsics", "T_ego_cam")), 30, 18,
                  T_ref_ego=torch.stack([r.T_ref_ego for r in rigs]))  # fmt: skip
    got = splat_to_image(stacked, rig).depth
    for one, views, depth in zip(both, rigs, got):
        assert torch.equal(depth, splat_to_image(one, views).depth)
