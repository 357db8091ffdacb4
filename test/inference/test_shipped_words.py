# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The shipped model that can be asked for words, about the pictures that are shipped with it."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gsocc_core import OccupancyPredictor
from gsocc_core.inference.found import find_clusters, find_voxels
from gsocc_core.rigs.rig_file import CameraRig

ROOT = Path(__file__).resolve().parents[2]
BUNDLE, EXAMPLE = ROOT / "bundles" / "plain-gausstr", ROOT / "examples" / "plain_street"
#: Where the generator put a car, a house and an oak (x, y, metres), asked for by other words than training heard.
THINGS = {"automobile": (-10.7, -7.5), "home": (1.2, -9.6), "oak": (-11.8, 13.0)}


def test_words_are_found_where_the_things_are():
    rig, predictor = CameraRig.load(EXAMPLE / "rig.yaml"), OccupancyPredictor.load(BUNDLE, "cpu")
    images = []
    for camera in rig.cameras:
        with Image.open(EXAMPLE / "pictures" / f"{camera.name}.jpg") as picture:
            images.append(np.asarray(picture.convert("RGB")))
    prediction = predictor.predict(images, rig.cameras)
    clusters = find_clusters(find_voxels(predictor.query(list(THINGS), prediction), 0.5))
    for number, (x, y) in enumerate(THINGS.values()):
        largest = next(cluster for cluster in clusters if cluster.word == number)
        assert math.hypot(largest.center_m[0] - x, largest.center_m[1] - y) < 2.5
    mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in images]
    elsewhere = find_clusters(find_voxels(predictor.query(list(THINGS), predictor.predict(mirrored, rig.cameras)), 0.5))
    car = next((cluster.center_m for cluster in elsewhere if cluster.word == 0), (math.inf, 0.0, 0.0))
    assert math.hypot(car[0] - THINGS["automobile"][0], car[1] - THINGS["automobile"][1]) > 2.5
    assert predictor.query(["automobile"], prediction).scores.max() == pytest.approx(0.81, abs=0.05)


def test_it_is_small():
    assert sum(file.stat().st_size for file in BUNDLE.iterdir()) < 6e6
