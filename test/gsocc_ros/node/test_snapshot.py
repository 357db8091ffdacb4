# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Snapshots: all of it or nothing, and pictures as they came."""

import json

import numpy as np
import pytest
from PIL import Image

from gsocc_core import OccupancyPredictor
from gsocc_core.errors import DataError, OutputExistsError
from gsocc_ros.node import snapshot
from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline
from gsocc_ros.pipeline.rig import Rig

FOUR = Rig.load("example_four_cameras")


@pytest.fixture(scope="module")
def occupancy(robot, tiny_bundle):
    pipeline = OccupancyPipeline(FOUR, OccupancyPredictor.load(tiny_bundle, device="cpu"))
    for event in robot(FOUR, cycles=3).events():
        pipeline.feed(event.topic, event.message)
    pipeline.finish()
    result = pipeline.predict(pipeline.take())
    pipeline.close()
    return result


def test_what_a_snapshot_holds(occupancy, tmp_path):
    folder = snapshot.save_snapshot(tmp_path / "shot", occupancy, FOUR, "tiny")
    about = json.loads((folder / "snapshot.json").read_text())
    assert (about["bundle"], about["frame_id"]) == ("tiny", "base_link")
    assert about["reference_stamp_ns"] == occupancy.prediction.reference_stamp_ns
    assert [camera["name"] for camera in about["cameras"]] == ["front", "left", "rear", "right"]
    front, rear = about["cameras"][0], about["cameras"][2]
    sent = occupancy.ready.synced.frames["front"].payload
    assert (folder / front["picture"]).read_bytes() == bytes(sent.data)
    assert rear["picture"].endswith(".png")  # the raw camera
    assert Image.open(folder / rear["picture"]).size == (rear["width"], rear["height"])
    np.testing.assert_allclose(front["T_ego_cam"], occupancy.ready.cameras[0].T_ego_cam)
    with np.load(folder / "occupancy.npz") as content:
        np.testing.assert_array_equal(content["labels"], occupancy.prediction.grid.labels.numpy())
        assert content["lower_m"].tolist() == [-40.0, -40.0, -1.0]
    with np.load(folder / "gaussians.npz") as content:
        assert content["means"].shape == occupancy.prediction.scene.means.shape


def test_nothing_is_overwritten_and_nothing_half_written_stays(occupancy, tmp_path, monkeypatch):
    taken = tmp_path / "taken"
    taken.mkdir()
    with pytest.raises(OutputExistsError):
        snapshot.save_snapshot(taken, occupancy, FOUR, "tiny")

    def full(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(DataError, match="no space"):
        snapshot.save_snapshot(tmp_path / "shot", occupancy, FOUR, "tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
