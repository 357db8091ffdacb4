# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The uncalibrated node over DDS: pictures alone in, occupancy and a rig out, and the hand-over."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from gsocc_core.inference.bundle import save_bundle
from gsocc_core.methods.build import build_trainable
from gsocc_ros.messages.message_host import rclpy_host

pytestmark = [pytest.mark.ros, pytest.mark.timeout(420)]
rclpy = pytest.importorskip("rclpy")
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402 - after the skip

sys.path[:0] = [str(Path(__file__).parents[2] / name) for name in ("reconstruction", "commands")]
from known_scene import look, pose  # noqa: E402 - after the path
from test_reconstruct import ARGUMENTS  # noqa: E402

PROGRAM = "import sys; from gsocc_ros.node.process import main; sys.exit(main(sys.argv[1:], uncalibrated=True))"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    save_bundle(tmp_path / "tiny", "uni3r", ARGUMENTS, build_trainable("uni3r", ARGUMENTS, None, pretrained=False), ".")
    camera = {"topic": "/front/image", "camera_info_topic": "/front/camera_info", "transport": "raw"}
    rig = {"base_frame": "base_link", "cameras": {"front": camera}}
    (tmp_path / "robot.yaml").write_text(yaml.safe_dump(rig))
    return tmp_path


@pytest.fixture
def node(folder, tiny_bundle):
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    values = {"rig": folder / "robot.yaml", "view_bundle": folder / "tiny", "bundle": tiny_bundle, "device": "cpu",
              "snapshot_dir": folder / "saved", "voxel_m": 0.5, "spacing_s": 0.05, "diagnostics_period_s": 0.2,
              "moments": 2}  # fmt: skip
    words = [word for key, value in values.items() for word in ("-p", f"{key}:={value}")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, "--ros-args", *words], stdout=log, stderr=log)
    rclpy.init()
    yield process
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0, (folder / "log").read_text()
    rclpy.try_shutdown()


class Robot:
    """Publishes pictures and hears what comes back."""

    def __init__(self, log):
        from diagnostic_msgs.msg import DiagnosticArray
        from gsocc_ros.msg import GaussianArray, SemanticOccupancy
        from sensor_msgs.msg import CameraInfo, Image
        from std_msgs.msg import String
        from tf2_msgs.msg import TFMessage

        self.ear = rclpy.create_node("robot")
        self.grids, self.gaussians, self.rigs, self.statuses = [], [], [], {}
        self.ear.create_subscription(SemanticOccupancy, "/occupancy/grid", self.grids.append, 10)
        self.ear.create_subscription(GaussianArray, "/occupancy/gaussians", self.gaussians.append, 10)
        self.ear.create_subscription(String, "/occupancy/suggested_rig", self.rigs.append, LATCHED)
        self.ear.create_subscription(DiagnosticArray, "/diagnostics", self._diagnose, 10)
        self.picture = self.ear.create_publisher(Image, "/front/image", 5)
        self.info = self.ear.create_publisher(CameraInfo, "/front/camera_info", 5)
        self.static = self.ear.create_publisher(TFMessage, "/tf_static", LATCHED)
        self.log, self.calibrated, self.shown, self.host = log, False, 0, rclpy_host()

    def _diagnose(self, message):
        for status in message.status:
            self.statuses[status.name.split(": ")[1]] = status.message

    def show(self):
        make, stamp = self.host.make, self.ear.get_clock().now().nanoseconds
        data = look(pose(y=0.05 * self.shown))[2]
        header = self.host.header(stamp, "front_optical")
        self.shown += 1
        self.picture.publish(
            make("sensor_msgs/msg/Image", header=header, height=32, width=32, encoding="rgb8", step=96,
                 data=data.reshape(-1))
        )  # fmt: skip
        # A driver whose camera nobody calibrated sends zeros.
        k = [25.6, 0.0, 16.0, 0.0, 25.6, 16.0, 0.0, 0.0, 1.0] if self.calibrated else [0.0] * 9
        size = {"height": 32, "width": 32, "distortion_model": "plumb_bob"}
        self.info.publish(make("sensor_msgs/msg/CameraInfo", header=header, k=k, **size))

    def place(self):
        make = self.host.make
        vector, quat = make("geometry_msgs/msg/Vector3", z=1.2), make("geometry_msgs/msg/Quaternion", w=1.0)
        link = make("geometry_msgs/msg/Transform", translation=vector, rotation=quat)
        item = make("geometry_msgs/msg/TransformStamped", header=self.host.header(0, "base_link"),
                    child_frame_id="front_optical", transform=link)  # fmt: skip
        self.static.publish(make("tf2_msgs/msg/TFMessage", transforms=[item]))

    def wait(self, condition, seconds=90.0):
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            self.show()
            until = time.monotonic() + 0.1
            while time.monotonic() < until:
                rclpy.spin_once(self.ear, timeout_sec=0.02)
        assert condition(), (len(self.grids), self.statuses, self.log.read_text())

    def call(self, name):
        from std_srvs.srv import Trigger

        client = self.ear.create_client(Trigger, f"/occupancy/{name}")
        assert client.wait_for_service(20.0)
        future = client.call_async(Trigger.Request())
        self.wait(future.done, 30.0)
        return future.result()


def test_pictures_alone_give_occupancy_and_a_rig_and_calibration_hands_over(node, folder):
    robot = Robot(folder / "log")
    robot.wait(lambda: robot.grids and robot.gaussians and robot.rigs and robot.statuses, 180.0)
    # Diagnostics have a rhythm of their own: the first ones may be older than the first grid.
    robot.wait(lambda: robot.statuses["scale"] != "nothing was reconstructed yet", 30.0)
    assert robot.grids[-1].header.frame_id == "base_link_estimated"
    assert robot.statuses["calibration"] == "uncalibrated: cameras are estimated from pictures"
    assert robot.statuses["scale"].startswith("metres: learned")
    assert list(yaml.safe_load(robot.rigs[-1].data)["cameras"]) == ["front"]
    saved = robot.call("save_rig")
    assert saved.success
    assert "suggestion, no calibration" in Path(saved.message).read_text()
    refused = robot.call("use_calibration")
    assert not refused.success
    assert "front: /front/camera_info: k: expected a calibrated camera" in refused.message
    assert " pictures in " in robot.statuses["output"]
    robot.calibrated = True
    robot.place()
    robot.wait(lambda: "call ~/use_calibration" in robot.statuses.get("calibration", ""))
    assert robot.call("use_calibration").success
    count = len(robot.grids)
    robot.wait(lambda: any(grid.header.frame_id == "base_link" for grid in robot.grids[count:]))
