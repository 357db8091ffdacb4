# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures without CameraInfo and TF: which make a set, what comes out, what is still lacking."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from gsocc_core.reconstruction.reconstructor import ReconstructArgs, Reconstructor
from gsocc_core.reconstruction.scale import ScaleHints
from gsocc_core.rigs.checks import check_rig
from gsocc_core.rigs.rig_file import CameraRig, write_rig
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.messages.outputs import GAUSSIANS_TOPIC, GRID_TOPIC, OutputMessages
from gsocc_ros.node.health import Level
from gsocc_ros.node.uncalibrated_health import Facts, judge
from gsocc_ros.pipeline.rig import Rig
from gsocc_ros.pipeline.subscriptions import rig_subscriptions
from gsocc_ros.pipeline.uncalibrated import PictureShelf, UncalibratedPipeline, ViewChoice, rig_comment

sys.path.insert(0, str(Path(__file__).parents[2] / "reconstruction"))
from known_scene import K, KnownScene, look, pose

HOST, _ = rosbags_host()
S = 1_000_000_000
POSES = [pose(y=0.5), pose(y=0.2, yaw=4), pose(y=-0.1)]


@pytest.fixture
def rig(tmp_path):
    cameras = {name: {"topic": f"/{name}/image", "camera_info_topic": f"/{name}/camera_info"} for name in ("front",)}
    (tmp_path / "robot.yaml").write_text(yaml.safe_dump({"base_frame": "base_link", "cameras": cameras}))
    return Rig.load(tmp_path / "robot.yaml")


def picture(T, stamp, frame="front_optical"):
    stream = io.BytesIO()
    Image.fromarray(look(T)[2]).save(stream, "PNG")
    data = np.frombuffer(stream.getvalue(), np.uint8)
    header = HOST.header(stamp, frame)
    return HOST.make("sensor_msgs/msg/CompressedImage", header=header, format="png", data=data)


def camera_info(focal=K[0, 0]):
    k = np.array([focal, 0, 16, 0, focal, 16, 0, 0, 1.0])
    roi = HOST.make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return HOST.make(
        "sensor_msgs/msg/CameraInfo", header=HOST.header(0, "front_optical"), height=32, width=32,
        distortion_model="plumb_bob", d=np.zeros(5), k=k, r=np.eye(3).ravel(), p=np.zeros(12), binning_x=0, binning_y=0,
        roi=roi,
    )  # fmt: skip


def transform():
    vector = HOST.make("geometry_msgs/msg/Vector3", x=1.0, y=0.0, z=1.2)
    quat = HOST.make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
    item = HOST.make(
        "geometry_msgs/msg/TransformStamped", header=HOST.header(0, "base_link"), child_frame_id="front_optical",
        transform=HOST.make("geometry_msgs/msg/Transform", translation=vector, rotation=quat),
    )  # fmt: skip
    return HOST.make("tf2_msgs/msg/TFMessage", transforms=[item])


def pipeline(rig, **hints):
    model = Reconstructor(KnownScene(POSES[::-1], 0.5), "known")  # the newest picture is the first view
    return UncalibratedPipeline(rig, model, ScaleHints(**hints), ReconstructArgs(voxel_m=0.2), ViewChoice(3, S // 2))


def fed(made):
    for i, T in enumerate(POSES):
        made.feed("/front/image", picture(T, (i + 1) * S))
    return made


def test_newest_first_then_earlier_moments_apart_and_never_twice():
    shelf = PictureShelf(["left", "front"], "front", ViewChoice(moments=3, spacing_ns=S, most=4))
    assert shelf.take() is None
    for tick in range(8):  # every 0.4 s
        shelf.put("front", tick * 4 * S // 10, f"f{tick}")
        shelf.put("left", tick * 4 * S // 10 + 1, f"l{tick}")
    taken = shelf.take()
    assert [(view.name, view.message) for view in taken] == [
        ("front", "f7"), ("left", "l7"), ("front@1", "f3"), ("left@1", "l3"),
    ]  # fmt: skip
    assert shelf.take() is None
    shelf.put("front", 32 * S // 10, "f8")
    assert [view.name for view in shelf.take()] == ["front", "left", "front@1", "left@1"]
    shelf.put("front", 9 * S, "f9")  # the other camera has fallen silent
    assert {view.camera for view in shelf.take()} == {"front"}
    shelf.put("front", 8 * S, "loop")  # time jumped back: the recording begins anew
    assert [view.message for view in shelf.take()] == ["loop"]


def test_a_picture_is_in_a_set_once_however_close_together_they_may_be():
    shelf = PictureShelf(["front"], "front", ViewChoice(moments=3, spacing_ns=0, most=4))
    for tick in range(4):
        shelf.put("front", tick * S, f"f{tick}")
    assert [view.message for view in shelf.take()] == ["f3", "f2", "f1"]


def test_nothing_is_heard_that_no_set_needs(rig):
    assert "/lidar_top" in {wanted.topic for wanted in rig_subscriptions(Rig.load("nuscenes"))}
    heard = {wanted.topic for wanted in pipeline(Rig.load("nuscenes")).subscriptions}
    assert not {topic for topic in heard if "lidar" in topic}
    assert {"/tf", "/cam_front/image/compressed", "/cam_front/camera_info"} <= heard


def test_a_set_gives_metres_ground_occupancy_and_a_rig_that_check_rig_accepts(rig, tmp_path):
    made = fed(pipeline(rig, mounting_height_m=1.2))
    found = made.reconstruct(made.take())
    assert found.result.scale.source == "mounting_height"
    assert found.prediction.reference_stamp_ns == 3 * S
    assert list(found.result.confidence) == ["front", "front@1", "front@2"]
    np.testing.assert_allclose(found.result.cameras[1].T_ego_cam[:3, 3], [0.0, 0.3, 1.2], atol=0.03)
    write_rig(tmp_path / "suggested.yaml", found.rig, rig_comment(found.result))
    suggested = CameraRig.load(tmp_path / "suggested.yaml")
    assert not [f for f in check_rig(suggested, {"front": (32, 32)}) if f.level in {"error", "warning"}]
    again = Rig.load(tmp_path / "suggested.yaml")  # the node and the replay read it, too
    assert again.camera("front").topic == "/front/image"
    assert again.camera("front").calibration.T_ego_cam[2, 3] == pytest.approx(1.2, abs=0.02)


def test_messages_say_free_occupied_and_unknown(rig):
    made = fed(pipeline(rig, mounting_height_m=1.2))
    found = made.reconstruct(made.take())
    messages = dict(OutputMessages(HOST, "base_link_estimated", "known", (GRID_TOPIC, GAUSSIANS_TOPIC)).build(
        found.prediction))  # fmt: skip
    grid = messages[GRID_TOPIC]
    assert grid.header.frame_id == "base_link_estimated"
    assert set(np.unique(grid.labels)) == {0, grid.free_label, grid.unknown_label}
    np.testing.assert_array_equal(np.asarray(grid.observed) == 1, np.asarray(grid.labels) != grid.unknown_label)
    assert messages[GAUSSIANS_TOPIC].count == len(found.result.scene)


def test_intrinsics_of_camera_info_are_used_and_what_lacks_is_told(rig):
    made = fed(pipeline(rig, mounting_height_m=1.2))
    assert made.lacking() == {
        "front": "/front/camera_info: CameraInfo: expected a message before the picture, received none"
    }
    made.feed("/front/camera_info", camera_info(0.0))  # what drivers say whose camera nobody calibrated
    assert made.lacking()["front"].startswith("/front/camera_info: k: expected a calibrated camera")
    assert made.reconstruct(made.take()).result.cameras[0].intrinsics[0, 0] == pytest.approx(K[0, 0])
    fed(made)
    made.feed("/front/camera_info", camera_info(25.0))
    assert set(made.lacking()) == {"front"}
    assert "front_optical" in made.lacking()["front"]
    assert made.reconstruct(made.take()).result.cameras[0].intrinsics[0, 0] == 25.0
    made.feed("/tf_static", transform())
    assert made.lacking() == {}


def test_health_says_uncalibrated_and_which_metres(rig):
    waiting = judge(Facts({"front": "no CameraInfo"}, None, 0.0, None, 1.0), 10.0)
    assert [status.level for status in waiting] == [Level.WARN] * 3
    assert waiting[0].message.startswith("uncalibrated: cameras are estimated")
    made = fed(pipeline(rig, mounting_height_m=1.2))
    result = made.reconstruct(made.take()).result
    calibration, scale, output = judge(Facts({}, result, 1.0, None, 2.0), 10.0)
    assert "call ~/use_calibration" in calibration.message
    assert (scale.level, scale.message) == (Level.OK, "metres: mounting_height, z = 0 is the estimated ground")
    assert (output.level, output.message[:17]) == (Level.OK, "3 of 3 pictures i")
    assert judge(Facts({}, result, 1.0, None, 20.0), 10.0)[2].level == Level.ERROR
    assert judge(Facts({}, result, 1.0, ("broken", 1.5), 2.0), 10.0)[2].message == "broken"
    made = fed(pipeline(rig))
    assert judge(Facts({}, made.reconstruct(made.take()).result, 1.0, None, 2.0), 9.0)[1].level == Level.ERROR
