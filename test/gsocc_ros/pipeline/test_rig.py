# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rig files: the shipped ones load, and every mistake is named with file and key."""

from pathlib import Path

import pytest
import yaml

from gsocc_core.errors import ConfigError
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_ros.pipeline.rig import Rig

RIGS = sorted((Path(__file__).parents[3] / "config" / "rigs").glob("*.yaml"))


def minimal(**changes):
    camera = {"topic": "/front/image", "camera_info_topic": "/front/camera_info"}
    return {"base_frame": "base_link", "cameras": {"front": camera}, **changes}


def write(folder, content):
    path = folder / "rig.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.mark.parametrize("path", RIGS, ids=lambda path: path.stem)
def test_shipped_rigs_load_by_path_and_by_name(path):
    rig = Rig.load(path)
    assert rig == Rig.load(path.stem)
    assert rig.sync_settings().anchor == rig.anchor


def test_the_nuscenes_rig_holds_the_published_offsets():
    rig = Rig.load("nuscenes")
    settings = rig.sync_settings()
    assert len(rig.cameras) == 6
    assert settings.offsets_ns["CAM_FRONT_LEFT"] == 0
    assert settings.offsets_ns["CAM_BACK_LEFT"] == 42_600_000
    assert rig.camera("CAM_BACK").topic == "/cam_back/image/compressed"
    # The LiDAR stamp must find its place in the cycle whichever camera opened it.
    assert settings.reference_offset_ns == 43_100_000
    assert rig.reference.topic == "/lidar_top"


def test_defaults_of_a_minimal_rig(tmp_path):
    rig = Rig.load(write(tmp_path, minimal()))
    assert (rig.anchor, rig.policy, rig.reference, rig.fixed_frame) == ("front", "all", None, None)
    assert rig.cameras[0].transport == "compressed"
    assert rig.sync_settings().offsets_ns == {"front": 0}


@pytest.mark.parametrize("count", [1, 3, 9])
def test_any_number_of_cameras(tmp_path, count):
    cameras = {f"c{i}": {"topic": f"/c{i}/image", "camera_info_topic": f"/c{i}/camera_info"} for i in range(count)}
    cameras["c0"]["trigger_offset_ms"] = None
    rig = Rig.load(write(tmp_path, minimal(cameras=cameras)))
    assert [camera.name for camera in rig.cameras] == list(cameras)
    assert "c0" not in rig.sync_settings().offsets_ns


def test_a_mask_lies_beside_the_rig_file(tmp_path):
    content = minimal()
    content["cameras"]["front"]["mask"] = "masks/hood.yaml"
    with pytest.raises(ConfigError, match=r"cameras.front.mask: expected an existing file"):
        Rig.load(write(tmp_path, content))
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "hood.yaml").write_text("[[0, 0], [10, 0], [10, 10]]")
    assert Rig.load(write(tmp_path, content)).cameras[0].mask == tmp_path / "masks" / "hood.yaml"


def test_depth_stands_beside_the_pictures(tmp_path):
    content = minimal()
    (camera,) = Rig.load(write(tmp_path, content)).cameras
    assert (camera.depth_topic, camera.depth_transport) == (None, "raw")
    content["cameras"]["front"] |= {"depth_topic": "/front/depth", "depth_transport": "compressed"}
    (camera,) = Rig.load(write(tmp_path, content)).cameras
    assert (camera.depth_topic, camera.depth_transport) == ("/front/depth", "compressed")
    content["cameras"]["front"] |= {"depth_topic": None, "model": "pinhole", "width": 4, "height": 3,
                                    "intrinsics": [4, 4, 2, 1], "position_m": [0, 0, 1],
                                    "yaw_pitch_roll_deg": [0, 0, 0]}  # fmt: skip
    assert Rig.load(write(tmp_path, content)).cameras[0].depth_topic is None
    assert CameraRig.load(tmp_path / "rig.yaml").names == ("front",), "the library passes over it"


FRONT = minimal()["cameras"]["front"]


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (minimal(polciy="all"), "polciy"),
        (minimal(policy="most"), "policy"),
        (minimal(anchor="rear"), "anchor"),
        (minimal(tolerance_ms="ten"), "tolerance_ms"),
        (minimal(tolerance_ms=0), "tolerance_ms"),
        (minimal(tolerance_ms=True), "tolerance_ms"),
        (minimal(tolerance_ms=float("nan")), "tolerance_ms"),
        (minimal(min_cameras=2), "min_cameras"),
        (minimal(min_cameras=0.5), "min_cameras"),
        (minimal(base_frame=3), "base_frame"),
        (minimal(fixed_frame=["odom"]), "fixed_frame"),
        (minimal(cameras=[]), "cameras"),
        (minimal(cameras={"front": {**FRONT, "depth_topic": "depth"}}), "cameras.front.depth_topic"),
        (minimal(cameras={"front": {**FRONT, "depth_topic": FRONT["topic"]}}), "cameras.front.depth_topic"),
        (minimal(cameras={"front": {**FRONT, "depth_transport": "theora"}}), "cameras.front.depth_transport"),
        (minimal(cameras={}), "cameras"),
        (minimal(cameras={"front": None}), "cameras.front"),
        (minimal(cameras={"reference": FRONT}), "cameras"),
        (minimal(cameras={"front": {"topic": "/front/image"}}), "cameras.front.camera_info_topic"),
        (minimal(cameras={"front": {**FRONT, "topic": "front/image"}}), "cameras.front.topic"),
        (minimal(cameras={"front": {**FRONT, "topik": "/x"}}), "cameras.front.topik"),
        (minimal(cameras={"front": {**FRONT, "transport": "h264"}}), "cameras.front.transport"),
        (minimal(cameras={"front": {**FRONT, "trigger_offset_ms": "soon"}}), "cameras.front.trigger_offset_ms"),
        (minimal(cameras={"front": {**FRONT, "rectified": 1}}), "cameras.front.rectified"),
        (minimal(cameras={"front": {**FRONT, "rectified_frame": "first"}}), "cameras.front.rectified_frame"),
        (
            minimal(cameras={"front": {**FRONT, "rectified": True, "rectified_frame": "left"}}),
            "cameras.front.rectified_frame",
        ),
        (minimal(cameras={"front": FRONT, "rear": FRONT}), "cameras.rear.topic"),
        (minimal(reference="lidar"), "reference"),
        (minimal(reference={"topic": "/lidar"}), "reference.trigger_offset_ms"),
        (minimal(reference={"topic": "/lidar", "trigger_offset_ms": 1, "slop": 2}), "reference.slop"),
        ({"cameras": {"front": FRONT}}, "base_frame"),
        ({"base_frame": "base_link"}, "cameras"),
        ("- a list", "file"),
        ("", "file"),
        ("{", "file"),
    ],
)
def test_every_mistake_names_file_and_key(tmp_path, content, key):
    path = write(tmp_path, content)
    with pytest.raises(ConfigError) as error:
        Rig.load(path)
    assert error.value.key == key
    assert str(path) in str(error.value)


def test_a_missing_rig_names_what_there_is(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        Rig.load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"shipped rigs .*nuscenes"):
        Rig.load("waymo")
    with pytest.raises(ConfigError, match=r"CAM_FRONT.*CAM_TOP"):
        Rig.load("nuscenes").camera("CAM_TOP")


def test_a_rig_file_may_lie_in_the_home_folder(tmp_path, monkeypatch):
    write(tmp_path, minimal())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Rig.load("~/rig.yaml").anchor == "front"
