# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The score of a recording is the score of the model: the same JPEG bytes give the same answer by every door."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gsocc_core import OCC3D_NUSCENES, Camera, OccupancyPredictor
from gsocc_core.commands.cli import main
from gsocc_core.data.images import decode_image, fit_camera
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_ros.bags.bag_files import open_bag, read_messages
from gsocc_ros.bags.bag_replay import replay_occupancy
from gsocc_ros.messages.occupancy_messages import read_occupancy
from gsocc_ros.messages.outputs import GRID_TOPIC
from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline
from gsocc_ros.pipeline.rig import Rig

RIG = """
base_frame: base_link
fixed_frame: null
anchor: front
cameras:
  front: {topic: /front/image/compressed, camera_info_topic: /front/camera_info, frame: front}
  side: {topic: /side/image/compressed, camera_info_topic: /side/camera_info, frame: side}
"""
#: Both round up at 1/8. A picture of the second size is wider at 1/8 than a pixel's tolerance allows.
SIZES = {"front": (1600, 900), "side": (1640, 922)}
#: As ``robot`` mounts them.
T_EGO_CAM = np.array([[0, 0, 1.0, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])


def encoded(width, height, seed):
    """A picture with something to see everywhere."""
    few = np.random.default_rng(seed).integers(0, 256, (9, 16, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(few).resize((width, height), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


@pytest.fixture(params=["pinholes", "with a fisheye"])
def rig(request, robot, tmp_path):
    """Rig file, events of three sets of the same pictures, the pictures and their cameras."""
    (tmp_path / "rig.yaml").write_text(RIG)
    rig = Rig.load(tmp_path / "rig.yaml")
    pictures = {name: encoded(*size, seed) for seed, (name, size) in enumerate(SIZES.items())}
    events = robot(rig, sizes=SIZES, cycles=3).events()
    models = {"front": "pinhole", "side": "fisheye" if request.param == "with a fisheye" else "pinhole"}
    for i, event in enumerate(events):
        name = event.topic.split("/")[1]
        if event.topic.endswith("/compressed"):
            message = replace(event.message, data=np.frombuffer(pictures[name], np.uint8))
            events[i] = replace(event, message=message)
        elif event.topic.endswith("/camera_info") and models[name] == "fisheye":
            message = replace(event.message, distortion_model="equidistant", d=np.array([0.02, -0.01, 0.0, 0.0]))
            events[i] = replace(event, message=message)
    cameras = []
    for i, (name, (width, height)) in enumerate(SIZES.items()):
        K = np.array([[width / 2, 0, width / 2], [0, width / 2, height / 2], [0, 0, 1]])
        T_ego_cam = T_EGO_CAM + np.array([[0, 0, 0, i], [0] * 4, [0] * 4, [0] * 4])
        distortion = (0.02, -0.01, 0.0, 0.0) if models[name] == "fisheye" else None
        cameras.append(Camera(name, K, T_ego_cam, width, height, models[name], distortion))
    return rig, events, pictures, cameras


def through_the_library(bundle, pictures, cameras):
    predictor = OccupancyPredictor.load(bundle, "cpu")
    images = []
    for camera in cameras:
        height, width = predictor.least_size(camera.model)
        images.append(decode_image(pictures[camera.name], min_width=width, min_height=height))
    return predictor.predict(images, cameras)


def through_predict(bundle, pictures, cameras, folder: Path):
    CameraRig.of(cameras).save(folder / "cameras.yaml")
    for name, data in pictures.items():
        (folder / "pictures" / name).mkdir(parents=True)
        (folder / "pictures" / name / "0.jpg").write_bytes(data)
    words = ["--images", f"{folder}/pictures", "--rig", f"{folder}/cameras.yaml", "--out", f"{folder}/predicted"]
    main(["predict", "--bundle", str(bundle), *words, "--pictures", "true", "--device", "cpu"])
    with np.load(folder / "predicted" / "0" / "labels.npz") as stored:
        return stored["semantics"]


def through_the_pipeline(bundle, events, rig):
    pipeline = OccupancyPipeline(rig, OccupancyPredictor.load(bundle, "cpu"))
    for event in events:
        pipeline.feed(event.topic, event.message)
    pipeline.finish()
    prediction = pipeline.predict(pipeline.take()).prediction
    pipeline.close()
    return prediction


def through_replay(bundle, events, rig, bag_of, folder):
    replay_occupancy(str(bag_of(folder / "bag", events)), f"{folder}/replayed", str(bundle), rig=str(rig.path))
    with open_bag(folder / "replayed") as bag:
        _, _, message = next(iter(read_messages(bag, [GRID_TOPIC])))
    return read_occupancy(message, OCC3D_NUSCENES, GRID_TOPIC).labels.numpy()


def test_every_door_gives_the_same_answer(rig, tiny_bundle, bag_of, tmp_path):
    rig, events, pictures, cameras = rig
    expected = through_the_library(tiny_bundle, pictures, cameras)
    height, width = OccupancyPredictor.load(tiny_bundle, "cpu").image_size
    front = fit_camera(cameras[0], width, height).intrinsics
    np.testing.assert_allclose(expected.cameras.intrinsics[0], front, rtol=1e-6)
    if cameras[1].model == "fisheye":
        assert expected.cameras.model == "pinhole"
        assert expected.cameras.intrinsics.shape[0] == 3  # front, and two views of a lens that sees 118 degrees

    piped = through_the_pipeline(tiny_bundle, events, rig)
    np.testing.assert_array_equal(piped.cameras.intrinsics, expected.cameras.intrinsics)
    np.testing.assert_allclose(piped.cameras.T_ego_cam, expected.cameras.T_ego_cam, atol=1e-6)
    labels = expected.grid.labels.numpy()
    assert len(np.unique(labels)) > 2
    np.testing.assert_array_equal(piped.grid.labels.numpy(), labels)
    np.testing.assert_array_equal(through_predict(tiny_bundle, pictures, cameras, tmp_path), labels)
    np.testing.assert_array_equal(through_replay(tiny_bundle, events, rig, bag_of, tmp_path), labels)
