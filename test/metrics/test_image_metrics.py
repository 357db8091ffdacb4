# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scores in pictures, against loops over pixels and against rays through voxels."""

import math

import numpy as np
import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, Cameras, VoxelGrid
from gsocc_core.errors import ShapeError
from gsocc_core.geometry.virtual_cameras import top_down_camera
from gsocc_core.metrics.image_metrics import TOP_DOWN, ImageMetrics, render_labels

FREE, IGNORE = 17, 255
GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 1.0), 0.5)


def pictures(seed):
    rng = np.random.default_rng(seed)
    shape = (2, 6, 7)
    truth = rng.choice([3, 4, 11, 16, FREE, IGNORE], shape).astype(np.uint8)
    predicted = np.where(rng.random(shape) < 0.6, truth, rng.choice([4, 11, 12, FREE], shape)).astype(np.uint8)
    predicted[predicted == IGNORE] = 4
    depth = np.where(truth == FREE, 0, rng.uniform(0.05, 30, shape)).astype(np.float32)
    return truth, predicted, depth, (depth + rng.normal(0, 2, shape)).astype(np.float32)


def oracle(parts):
    """Mean IoU, IoU and depth error by walking over every pixel."""
    hits, unions, both, either, errors = {}, {}, 0, 0, []
    for truth, predicted, depth, predicted_depth in parts:
        for index in np.ndindex(truth.shape):
            t, p = int(truth[index]), int(predicted[index])
            if depth[index] > 0.1:
                errors.append(abs(float(predicted_depth[index]) - float(depth[index])))
            if t == IGNORE:
                continue
            for c in {t, p} - {FREE}:
                unions[c] = unions.get(c, 0) + 1
                hits[c] = hits.get(c, 0) + (t == p)
            both += FREE not in {t, p}
            either += {t, p} != {FREE}
    return np.mean([hits[c] / unions[c] for c in unions]), both / either, np.mean(errors), len(unions)


def test_scores_equal_a_loop_over_pixels():
    metric = ImageMetrics(OCC3D_NUSCENES)
    parts = {"left": [pictures(0), pictures(1)], "right": [pictures(2)], TOP_DOWN: [pictures(3)]}
    for name, list_of in parts.items():
        for part in list_of:
            metric.update(name, *part)
    everything = {None: parts["left"] + parts["right"], **{(name,): parts[name] for name in parts}}
    for views, list_of in everything.items():
        scores, (miou, iou, depth, present) = metric.scores(views), oracle(list_of)
        assert (scores.classes.miou, scores.classes.iou) == pytest.approx((miou, iou))
        assert scores.depth_l1_m == pytest.approx(depth, rel=1e-5)
        assert len(scores.classes.absent) == 17 - present


def test_absent_classes_count_as_one_on_request():
    metric = ImageMetrics(OCC3D_NUSCENES)
    metric.update("front", np.array([4, FREE], np.uint8), np.array([4, 11], np.uint8), np.zeros(2), np.zeros(2))
    assert metric.scores().classes.miou == pytest.approx(1 / 2), "car 1, driveable_surface 0"
    assert metric.scores(absent="counts_as_one").classes.miou == 1
    assert math.isnan(metric.scores().depth_l1_m)


def test_parts_add_up_to_the_whole():
    whole, first, second = (ImageMetrics(OCC3D_NUSCENES) for _ in range(3))
    for seed, part in ((0, first), (1, first), (2, second)):
        whole.update(f"camera {seed % 2}", *pictures(seed))
        part.update(f"camera {seed % 2}", *pictures(seed))
    first.merge(second)
    assert set(first.views) == set(whole.views)
    for view in whole.views:
        assert np.array_equal(first.matrices[view], whole.matrices[view])
        assert first.scores([view]).depth_l1_m == pytest.approx(whole.scores([view]).depth_l1_m)


def rig(width=60, height=40):
    """Cameras at the left back corner and at the right, outside the grid."""
    back = torch.tensor([[0.0, 0, 1, -6], [-1, 0, 0, 0.2], [0, -1, 0, 0.3], [0, 0, 0, 1]])
    right = torch.tensor([[1.0, 0, 0, 0.3], [0, 0, 1, -7], [0, -1, 0, 0.5], [0, 0, 0, 1]])
    K = torch.tensor([[45.0, 0, width / 2], [0, 45, height / 2], [0, 0, 1]])
    return Cameras(K.expand(1, 2, 3, 3), torch.stack([back, right])[None], width, height)


def scene():
    labels = torch.full((1, *GRID.shape), FREE, dtype=torch.uint8)
    labels[..., 0] = 11
    labels[0, 8:14, 2:6, 1:4] = 4
    labels[0, 14, :, 1:] = 15
    return labels


def march(labels, cameras, step=0.05):
    """Class and depth of the first occupied voxel along every pixel's ray, in small steps."""
    origins, directions = (t.reshape(-1, 3) for t in cameras.rays())
    found = torch.full(origins.shape[:-1], FREE, dtype=torch.uint8)
    depth, on_the_way = torch.zeros(origins.shape[:-1]), torch.arange(len(origins))
    for s in torch.arange(0.5, 16, step):
        index, inside = GRID.index(origins[on_the_way] + s * directions[on_the_way])
        here = torch.where(inside, labels[0][index.unbind(-1)], FREE)
        hit = here != FREE
        found[on_the_way[hit]], depth[on_the_way[hit]] = here[hit], s
        on_the_way = on_the_way[~hit]
    size = (*cameras.intrinsics.shape[:2], cameras.height, cameras.width)
    return found.view(size), depth.view(size)


@pytest.mark.parametrize("above", [False, True])
def test_rendered_labels_are_what_rays_meet(above):
    cameras = top_down_camera(GRID, 60, 60, "orthographic").map(lambda t: t[None]) if above else rig()
    got, (expected, depth) = render_labels(scene(), GRID, OCC3D_NUSCENES, cameras), march(scene(), cameras)
    assert (got.labels == expected).float().mean() > 0.93, "Gaussians round off edges"
    if not above:  # one layer of voxels is not opaque between their middles, and depth is a sum over weights
        error = (got.depth_m - depth).abs()[(depth > 0) & (got.labels == expected)]
        assert error.median() < 0.3, "half a voxel and a little"


def test_voxels_are_scored_per_camera_and_from_above():
    truth, predicted = scene(), scene()
    predicted[0, 8:14, 2:6, 1:4] = FREE  # the car is missing
    metric = ImageMetrics(OCC3D_NUSCENES)
    metric.update_voxels(truth, predicted, GRID, rig(), ("back", "right"), render_width=None, top_down_px=50)
    assert set(metric.views) == {"back", "right", TOP_DOWN}
    for views in (["back"], ["right"], [TOP_DOWN]):
        scores = metric.scores(views)
        assert scores.classes.per_class["car"] == 0
        assert scores.classes.per_class["manmade"] > 0.1
        assert scores.depth_l1_m > 0.02
        assert scores.pixels == (2500 if views == [TOP_DOWN] else 2400)
    same = ImageMetrics(OCC3D_NUSCENES)
    same.update_voxels(truth, truth, GRID, rig(), ("back", "right"), render_width=30)
    assert (same.scores().classes.miou, same.scores().classes.iou, same.scores().depth_l1_m) == (1, 1, 0)


def test_unlabelled_voxels_are_drawn_on_neither_side():
    truth = scene()
    truth[0, 8:14, 2:6, 1:4] = IGNORE
    metric = ImageMetrics(OCC3D_NUSCENES)
    metric.update_voxels(truth, scene(), GRID, rig(), ("back", "right"), render_width=None)
    assert metric.scores().classes.miou == 1


def test_bad_input_is_named():
    metric = ImageMetrics(OCC3D_NUSCENES)
    truth, predicted, depth, predicted_depth = pictures(0)
    with pytest.raises(ShapeError, match="predicted_depth_m"):
        metric.update("a", truth, predicted, depth, predicted_depth[:1])
    with pytest.raises(ShapeError, match="ids below 18"):
        metric.update("a", truth, predicted + 20, depth, predicted_depth)
    with pytest.raises(ShapeError, match="finite metres"):
        metric.update("a", truth, predicted, depth, predicted_depth * np.nan)
    with pytest.raises(ShapeError, match="names"):
        metric.update_voxels(scene(), scene(), GRID, rig(), ("back",))
    with pytest.raises(ShapeError, match="views"):
        metric.scores(["back"])
