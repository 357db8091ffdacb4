# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The predictor: plain arrays in, occupancy out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from gsocc_core import OCC3D_NUSCENES, OccupancyPredictor
from gsocc_core.data.images import decode_image
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy, camera_at
from gsocc_core.errors import DataError, ShapeError
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.methods.build import build_method

from ..conftest import TINY_MODEL  # noqa: TID252 - tests are no package, the fixtures' constants live beside them


@pytest.fixture
def predictor(tiny_bundle):
    return OccupancyPredictor.load(tiny_bundle, device="cpu")


@pytest.fixture
def dataset(tiny_tree, predictor):
    args = DataArgs(str(tiny_tree), version="v1.0-tiny", depth_dir=None, semantics_dir=None)
    return NuScenesOccupancy(args, predictor.image_size)


def pictures(dataset, index):
    frame = dataset.key_frame(index)
    cameras = [camera_at(frame, shot.camera, shot.T_world_ego) for shot in frame.shots]
    return [decode_image(shot.path) for shot in frame.shots], cameras, frame


def test_the_predictor_gives_what_the_method_gives(predictor, dataset):
    images, cameras, frame = pictures(dataset, 2)
    prediction = predictor.predict(images, cameras, reference_stamp_ns=frame.stamp_ns)
    with torch.inference_mode():
        expected = predictor.method.occupancy(predictor.method(dataset[2])).labels[0]
    assert (prediction.grid.labels == expected).float().mean() > 0.999, "reduced decoding may differ by a grey level"
    assert prediction.grid.labels.shape == (200, 200, 16)
    assert prediction.reference_stamp_ns == frame.stamp_ns
    assert set(prediction.latency_ms) == {"preprocess", "network", "splat", "total"}
    parts = sum(v for k, v in prediction.latency_ms.items() if k != "total")
    assert prediction.latency_ms["total"] == pytest.approx(parts)


def test_any_number_and_sizes_of_cameras_and_missing_pictures(predictor, dataset):
    images, cameras, _ = pictures(dataset, 0)
    first = predictor.predict(images[:4], cameras[:4]).grid.labels
    small = images[1][::2, ::2]
    half = cameras[1].resized(small.shape[1], small.shape[0])
    mixed = predictor.predict([images[0], small], [cameras[0], half])
    assert mixed.grid.labels.shape == first.shape
    gone = [images[0], None, *images[2:]]
    a = predictor.predict(gone, cameras).scene.features
    b = predictor.predict([images[0], np.zeros_like(images[1]), *images[2:]], cameras).scene.features
    assert not torch.allclose(a, b), "a missing picture is not a black one"


def test_pictures_are_arrays_pillows_or_files_in_order_or_by_name(predictor, dataset, tmp_path):
    images, cameras, frame = pictures(dataset, 0)
    paths = [shot.path for shot in frame.shots]
    expected = predictor.predict(images, cameras)
    small = [decode_image(path, min_width=64, min_height=32) for path in paths]
    for given in (
        [Image.fromarray(image) for image in images],
        {camera.name: image for camera, image in reversed(list(zip(cameras, images)))},
    ):
        assert torch.equal(predictor.predict(given, cameras).scene.features, expected.scene.features)
    reduced = predictor.predict(small, cameras).scene.features
    assert torch.equal(predictor.predict([str(paths[0]), *paths[1:]], cameras).scene.features, reduced)
    lost = predictor.predict([None, *images[1:]], cameras).scene.features
    by_name = dict(zip([camera.name for camera in cameras[1:]], images[1:]))
    assert torch.equal(predictor.predict(by_name, cameras).scene.features, lost)
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(images[0])))
    turned.getexif()[ExifTags.Base.Orientation] = 6
    turned.save(tmp_path / "turned.png", exif=turned.getexif())
    with Image.open(tmp_path / "turned.png") as opened:
        found = predictor.predict([opened, *images[1:]], cameras)
    assert torch.equal(found.scene.features, expected.scene.features)
    with pytest.raises(ShapeError, match=r"images\['CAM_TOP'\]: expected names among CAM_FRONT"):
        predictor.predict({"CAM_TOP": images[0]}, cameras)
    with pytest.raises(DataError, match=r"missing\.png: file: expected a JPEG, .*, received no such file"):
        predictor.predict([tmp_path / "missing.png", *images[1:]], cameras)


def test_a_prediction_prints_in_three_lines(predictor, dataset):
    images, cameras, _ = pictures(dataset, 0)
    prediction = predictor.predict([None, *images[1:]], cameras, reference_stamp_ns=7)
    labels = torch.full_like(prediction.grid.labels, 17)
    labels[:3, 0, 0], labels[5, 5, 5] = 4, 255
    labels[9, 9, 9] = 11
    shown = replace(prediction, grid=replace(prediction.grid, labels=labels))
    first, second, third = str(shown).splitlines()
    assert first == "Occupancy at 7 ns: 4 of 200 x 200 x 16 voxels of 0.4 m occupied"
    assert second == "car 75.0 %, driveable_surface 25.0 %"
    assert third.startswith("5 pictures, 50 Gaussians, ")
    assert "(preprocess " in third
    free = replace(prediction, grid=replace(prediction.grid, labels=torch.full_like(labels, 17)))
    assert repr(free).splitlines()[1] == "all is free"


def test_a_fisheye_camera_works(predictor, dataset):
    images, cameras, _ = pictures(dataset, 0)
    fisheye = replace(cameras[0], model="fisheye", distortion=(0.05, -0.01, 0.0, 0.0))
    assert predictor.predict(images[:1], [fisheye]).grid.labels.shape == (200, 200, 16)


def test_memory_is_carried_and_reset(predictor, dataset):
    images, cameras, frame = pictures(dataset, 0)
    predictor.predict(images, cameras, reference_stamp_ns=frame.stamp_ns)
    assert predictor._memory is not None
    predictor.reset()
    assert predictor._memory is None
    predictor.predict(images, cameras, reference_stamp_ns=10)
    predictor.predict(images, cameras, reference_stamp_ns=5)  # time runs backwards: a loop of a recording
    assert predictor._last[0] == 5


@pytest.fixture
def streaming(tmp_path):
    model = {**TINY_MODEL, "memory": {"carried": 20}, "flow": {"hidden": 16, "layers": 2}}
    classes = OCC3D_NUSCENES.with_channels(range(1, 17))
    torch.manual_seed(0)
    method = build_method("gaussianflowocc", model, classes, pretrained=False)
    save_bundle(tmp_path / "streaming", "gaussianflowocc", model, method, "# streaming\n")
    return OccupancyPredictor.load(tmp_path / "streaming", device="cpu")


def test_a_stream_remembers_where_it_was(streaming, dataset):
    def run(pose_of, keep=True):
        features = []
        for index in range(2):
            images, cameras, frame = pictures(dataset, index)
            if not keep:
                streaming.reset()
            pose = pose_of(frame.T_world_ego)
            found = streaming.predict(images, cameras, reference_stamp_ns=frame.stamp_ns, T_world_ego=pose)
            features.append(found.scene.features[:50])
        streaming.reset()
        return features

    known, shifted = (
        run(lambda T: T),
        run(lambda T: np.array([[1.0, 0, 0, 9], [0, 1, 0, -7], [0, 0, 1, 0], [0, 0, 0, 1]]) @ T),
    )
    fresh, lost, still = run(lambda T: T, keep=False), run(lambda _: None), run(lambda _: np.eye(4))
    torch.testing.assert_close(known[1], shifted[1], rtol=1e-3, atol=1e-4)  # the world's origin does not matter
    torch.testing.assert_close(lost[1], fresh[1])  # without odometry there is no memory, and no wrong one either
    assert not torch.allclose(known[1], fresh[1], atol=1e-4)
    assert not torch.allclose(known[1], still[1], atol=1e-5), "the ego motion moves the memory"


def test_velocities_come_with_the_grid(streaming, dataset):
    found = streaming.predict_frames(dataset[0])
    assert found.grid.velocity.shape == (*found.grid.labels.shape, 3)
    assert found.scene.velocities.shape == found.scene.means.shape


def test_bad_input_is_named(predictor, dataset):
    images, cameras, _ = pictures(dataset, 0)
    with pytest.raises(ShapeError, match="equal lengths"):
        predictor.predict(images[:3], cameras)
    with pytest.raises(ShapeError, match="at least one"):
        predictor.predict([], [])
    with pytest.raises(ShapeError, match="stamps: expected nanoseconds within 64 bits"):
        predictor.predict(images, cameras, reference_stamp_ns=1 << 63)


def test_no_picture_at_all_is_an_error_and_no_scene(predictor, dataset):
    images, cameras, _ = pictures(dataset, 0)
    with pytest.raises(DataError, match="predict: images: expected a picture of at least one camera, received none"):
        predictor.predict([None] * len(images), cameras)
    frames = dataset[0]
    with pytest.raises(DataError, match="at least one camera"):
        predictor.predict_frames(replace(frames, valid=torch.zeros_like(frames.valid)))
    assert predictor._memory is None
    assert predictor.predict([None] * 5 + images[5:], cameras).grid.labels.shape == (200, 200, 16)


def test_numbers_that_are_not_finite_become_no_labels(predictor, dataset):
    with torch.no_grad():
        predictor.method.heads["logits"][-1].bias[2] = torch.nan
    expected = rf"gaussianflowocc of {predictor.bundle.id}: scene.features: expected finite numbers, received 50 NaN"
    with pytest.raises(ShapeError, match=expected):
        predictor.predict_frames(dataset[0])
    assert predictor._memory is None, "what is not finite is not remembered"


def test_warm_up_leaves_no_memory(predictor):
    predictor.warm_up()
    assert predictor._memory is None
