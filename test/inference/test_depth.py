# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth and features beside the pictures, given or made by the bundle's own model."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gsocc_core import Camera, OccupancyPredictor
from gsocc_core.errors import ConfigError, DataError, ShapeError
from gsocc_core.labels.depth import load_depth
from gsocc_core.rigs.rig_file import looking

from ..labels.conftest import make_depth_anything  # noqa: TID252 - tests are no package
from ..seen_depth import write_bundle  # noqa: TID252

K = np.array([[100.0, 0, 80], [0, 100, 45], [0, 0, 1]])
CAMERAS = [
    Camera("front", K, looking((1, 0, 1), (0, 0, 0)), 160, 90),
    Camera("left", K, looking((0, 1, 1), (90, 0, 0)), 160, 90),
]
IMAGES = [np.random.default_rng(i).integers(0, 256, (90, 160, 3)).astype(np.uint8) for i in range(2)]


@pytest.fixture
def make(monkeypatch, tmp_path):
    """A predictor of a method that labels where its depth lies."""

    def made(**arguments):
        return OccupancyPredictor.load(write_bundle(monkeypatch, tmp_path / "bundle", **arguments), "cpu")

    return made


@pytest.fixture(scope="module")
def depth_model(tmp_path_factory):
    return str(make_depth_anything(tmp_path_factory.mktemp("models") / "tiny"))


def voxel(predictor, point):
    grid = predictor.grid
    return tuple(int(i) for i in np.floor((np.asarray(point) - grid.lower) / grid.size_m))


def test_a_wall_lies_where_the_depth_says(make):
    predictor = make()
    small = np.full((45, 80), 12.0, np.float16)
    small[:, :40] = np.nan  # the left half is unknown
    found = predictor.predict(IMAGES, CAMERAS, depths_m=[small, np.full((90, 160), 6.0)])
    labels = found.grid.labels
    assert labels[voxel(predictor, (13, -1.3, 1.3))] == 1
    assert labels[voxel(predictor, (13, 1.3, 1.3))] == predictor.classes.free_id, "unknown"
    assert labels[voxel(predictor, (0.2, 7, 1.3))] == 2
    assert set(found.latency_ms) == {"preprocess", "network", "splat", "total"}
    seen = predictor.method.seen.depth_m
    assert seen.dtype == torch.float32
    assert seen.shape == (1, 1, 2, 32, 64)
    assert set(seen.unique().tolist()) == {0.0, 6.0, 12.0}


def test_depth_of_a_missing_picture_is_passed_over_and_missing_depth_is_unknown(make):
    predictor = make()
    predictor.predict([IMAGES[0], None], CAMERAS, depths_m=[np.ones((90, 160)), np.full((3, 3), -1.0)])
    assert predictor.method.seen.depth_m[0, 0, :, 5, 5].tolist() == [1, 0]
    predictor.predict(IMAGES, CAMERAS, depths_m=[None, np.ones((90, 160))])
    assert predictor.method.seen.depth_m[0, 0, :, 5, 5].tolist() == [0, 1]


def test_what_a_method_does_not_use_is_passed_over(make, depth_model):
    predictor = make(depth_input="unused", depth_model=depth_model)
    found = predictor.predict(IMAGES, CAMERAS, depths_m=[np.full((90, 160), -1), None], features=[None, np.ones(1)])
    assert predictor.method.seen.depth_m is None
    assert predictor.method.seen.features is None
    assert "depth" not in found.latency_ms


def test_no_depth_for_a_method_that_requires_it_names_the_camera(make):
    predictor = make()
    told = "depth_m of camera left: expected a depth map .metres., which the method requires: .*, received none"
    for depths_m in (None, [None, None], [np.ones((90, 160)), None], [None, np.zeros((90, 160))]):
        with pytest.raises(DataError, match=told) as caught:
            predictor.predict([None, IMAGES[1]], CAMERAS, depths_m=depths_m)
        assert "\n" not in str(caught.value)
    assert predictor.depth_input == "required"
    predictor.warm_up(2)
    assert predictor.predict(IMAGES, CAMERAS, depths_m=[np.ones((90, 160)), None]).grid.labels.shape == (200, 200, 16)


def test_bad_depth_is_told_by_its_camera(make):
    predictor = make(depth_input="optional")
    assert predictor.predict(IMAGES, CAMERAS).grid.labels.unique().tolist() == [predictor.classes.free_id]
    assert predictor.method.seen.depth_m is None
    with pytest.raises(ShapeError, match="predict: depths_m: expected one per camera, 2, received 1"):
        predictor.predict(IMAGES, CAMERAS, depths_m=[None])
    with pytest.raises(ShapeError, match="left: depth: .*90 : 160, received .120, 160."):
        predictor.predict(IMAGES, CAMERAS, depths_m=[None, np.ones((120, 160))])
    with pytest.raises(DataError, match="left: depth: .*looks like millimetres"):
        predictor.predict(IMAGES, CAMERAS, depths_m=[None, np.full((90, 160), 1500, np.uint16)])


def test_the_bundles_own_model_fills_in_where_none_is_given(make, depth_model):
    predictor = make(depth_model=depth_model)
    assert predictor.depth_input == "optional"
    assert predictor._missing_depth._model is None, "loaded when it is needed"
    found = predictor.predict(IMAGES, CAMERAS, depths_m=[np.full((90, 160), 7.0), None])
    frames = predictor.method.seen
    assert (frames.depth_m[0, 0, 0] == 7).all()
    with torch.inference_mode():
        expected = load_depth(depth_model, torch.device("cpu"))(frames.images[0, 0, 1:], CAMERAS[1:], (32, 64))
    torch.testing.assert_close(frames.depth_m[0, 0, 1:], expected)
    assert expected.std() > 0
    parts = {key: value for key, value in found.latency_ms.items() if key != "total"}
    assert list(parts) == ["preprocess", "depth", "network", "splat"]
    assert found.latency_ms["total"] == pytest.approx(math.fsum(parts.values()))
    loaded = predictor._missing_depth._model
    again = predictor.predict([IMAGES[0], None], CAMERAS)
    assert predictor._missing_depth._model is loaded
    assert again.latency_ms["depth"] > 0
    assert (predictor.method.seen.depth_m[0, 0, 1] == 0).all(), "no picture, no depth"
    full = predictor.predict(IMAGES, CAMERAS, depths_m=[np.ones((90, 160))] * 2)
    assert "depth" not in full.latency_ms


def test_the_model_fills_in_earlier_moments_and_maps_of_a_fraction_of_the_size(make, depth_model):
    predictor = make(depth_model=depth_model, depth_input="optional")
    predictor.predict(IMAGES, CAMERAS)
    one = predictor.method.seen
    both = replace(
        one,
        **{key: torch.cat([getattr(one, key)] * 2, 1) for key in
           ("images", "camera_stamps_ns", "reference_stamp_ns", "T_ref_ego", "valid", "pose_valid")},
        cameras=one.cameras.map(lambda t: torch.cat([t] * 2, 1)),
        depth_m=torch.tensor([0.0, 3.0]).view(1, 1, 2, 1, 1).expand(1, 2, 2, 16, 32),
    )  # fmt: skip
    predictor.predict_frames(replace(both, images=both.images.float()))
    filled = predictor.method.seen.depth_m
    assert filled.shape == (1, 2, 2, 16, 32)
    assert (filled[:, :, 1] == 3).all()
    assert filled[0, 0, 0].std() > 0
    torch.testing.assert_close(filled[:, 0], filled[:, 1])


@pytest.mark.parametrize("kind", ["nowhere", "relative", "another kind"])
def test_a_depth_model_that_is_not_there_is_one_line(make, tmp_path, kind):
    source = tmp_path / "model"
    if kind == "relative":
        make_depth_anything(source, depth_estimation_type="relative")
    elif kind == "another kind":
        source.mkdir()
        (source / "config.json").write_text('{"model_type": "bert"}')
    predictor = make(depth_model=str(source))
    told = r"bundle: depth_model: expected .*; or depth with every picture, received .*model"
    with pytest.raises(ConfigError, match=told) as caught:
        predictor.predict(IMAGES, CAMERAS)
    assert "\n" not in str(caught.value)
    assert predictor.predict(IMAGES, CAMERAS, depths_m=[np.ones((90, 160))] * 2).grid.labels.min() == 1


def test_features_are_handed_through(make):
    predictor = make(depth_input="optional", features_input="required")
    given = np.random.default_rng(0).normal(size=(5, 4, 8)).astype(np.float16)
    predictor.predict(IMAGES, CAMERAS, features=[None, given])
    features = predictor.method.seen.features
    assert features.shape == (1, 1, 2, 5, 4, 8)
    assert not features[0, 0, 0].any()
    np.testing.assert_array_equal(features[0, 0, 1], given.astype(np.float32))
    with pytest.raises(
        DataError,
        match="features: expected features of the pictures, .*--input_features_dir .*, received none for front, left",
    ):
        predictor.predict(IMAGES, CAMERAS)
    with pytest.raises(ShapeError, match="features of left: expected .D, h, w., the same of all cameras"):
        predictor.predict(IMAGES, CAMERAS, features=[given, given[:3]])
    with pytest.raises(ShapeError, match="features: expected one per camera, 2, received 1"):
        predictor.predict(IMAGES, CAMERAS, features=[given])
    fisheye = replace(CAMERAS[1], model="fisheye")
    with pytest.raises(ShapeError, match="cameras of one lens model"):
        predictor.predict(IMAGES, [CAMERAS[0], fisheye], features=[given, given])
    predictor.warm_up(1)


def test_depth_of_a_fisheye_is_cut_with_its_picture(make):
    """A round room of 9 m: whatever view shows a point, the point lies there."""
    predictor = make()
    lens = np.array([[60.0, 0, 80], [0, 60, 45], [0, 0, 1]])
    fisheye = Camera("left", lens, looking((0, 0, 1), (90, 0, 0)), 160, 90, "fisheye")
    v, u = np.meshgrid(np.arange(90) + 0.5, np.arange(160) + 0.5, indexing="ij")
    theta = np.hypot((u - 80) / 60, (v - 45) / 60)
    depth = 9 * np.cos(theta)  # beyond 90 degrees negative: no depth
    depth[theta > np.radians(89)] = 0
    predictor.predict(IMAGES, [CAMERAS[0], fisheye], depths_m=[None, depth])
    frames = predictor.method.seen
    assert frames.camera_names == ("front", "left/0", "left/1")
    origins, directions = frames.cameras.rays()
    known = frames.depth_m[0, 0] > 0
    assert not known[0].any()
    assert known[1:].float().mean() > 0.8
    points = (origins + frames.depth_m[..., None] * directions)[0, 0][known]
    radius = (points - torch.tensor([0, 0, 1.0])).norm(dim=-1)
    assert (radius - 9).abs().max() < 0.2
