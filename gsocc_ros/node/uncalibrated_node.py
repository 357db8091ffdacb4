# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The node before anybody calibrated: occupancy, Gaussians and a suggested rig from pictures alone."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import yaml
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger

from gsocc_core.errors import DataError, GsoccError
from gsocc_core.reconstruction.reconstructor import Reconstructor
from gsocc_core.rigs.rig_file import write_rig
from gsocc_core.splat import warm_up
from gsocc_core.text.class_prompts import load_class_prompts
from gsocc_ros.messages.message_host import rclpy_host
from gsocc_ros.messages.outputs import CLASSES_TOPIC, GAUSSIANS_TOPIC, GRID_TOPIC, OUTPUTS, VOXELS_TOPIC, OutputMessages
from gsocc_ros.node.diagnostics import Diagnostics
from gsocc_ros.node.fault_log import FaultLog
from gsocc_ros.node.publishers import offer
from gsocc_ros.node.tf2_transforms import Tf2Transforms
from gsocc_ros.node.uncalibrated_health import Facts, judge
from gsocc_ros.node.uncalibrated_parameters import UNCALIBRATED_PARAMETERS, UncalibratedSettings
from gsocc_ros.node.watched_subscriber import subscribe
from gsocc_ros.node.worker import Worker
from gsocc_ros.pipeline.rig import Rig
from gsocc_ros.pipeline.subscriptions import Subscription
from gsocc_ros.pipeline.uncalibrated import UncalibratedOccupancy, UncalibratedPipeline, rig_comment

#: What is published of :data:`OUTPUTS`.
TOPICS = (CLASSES_TOPIC, GRID_TOPIC, VOXELS_TOPIC, GAUSSIANS_TOPIC)
#: Behind the name of the base frame: nobody said where that is, and this one lies below the anchor camera.
FRAME_SUFFIX = "_estimated"
#: Longest wait for the reconstruction in hand, seconds.
_STOP_WAIT_S = 60.0


class UncalibratedNode(Node):
    """Publishes what pictures tell without CameraInfo and TF, until somebody hands over to the calibrated node.

    Attributes:
        finished: The calibrated node shall take over.
        latest: The newest reconstruction; None = none yet.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("occupancy", **options)
        self.settings = self._read_settings()
        self.finished = threading.Event()
        self.latest: UncalibratedOccupancy | None = None
        self._result_s, self._told_complete = 0.0, False
        self._fault: tuple[str, float] | None = None
        rig = Rig.load(self.settings.rig)
        words, bundle = (str(Path(name).expanduser()) for name in (self.settings.prompts, self.settings.view_bundle))
        prompts = load_class_prompts(words, None, self.settings.text_encoder) if self.settings.prompts else None
        model = Reconstructor.load(bundle, prompts, self.settings.text_encoder, self.settings.device)
        warm_up()
        self._faults = FaultLog(self.get_logger())
        frames = Tf2Transforms(jump_ns=rig.sync_settings().reset_threshold_ns, tell=self._lost)
        self.pipeline = UncalibratedPipeline(
            rig, model, self.settings.hints, self.settings.args, self.settings.choice, frames
        )
        self.frame_id = rig.base_frame + FRAME_SUFFIX
        self._host = rclpy_host()
        self._messages = OutputMessages(self._host, self.frame_id, model.bundle_id, TOPICS)
        self._publishers_of = {topic: offer(self, self._host, topic, OUTPUTS[topic]) for topic in TOPICS}
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._text = self._host.message_class("std_msgs/msg/String")
        self._rig_publisher = self.create_publisher(self._text, "~/suggested_rig", latched)
        self._diagnostics = Diagnostics(self, self._host, rig.path.stem)
        for name, work in (("save_rig", self._save_rig), ("use_calibration", self._use_calibration)):
            self.create_service(Trigger, f"~/{name}", self._answering(work))
        self._worker = Worker(self._work, self._lost, "reconstruct")
        self._worker.start()
        for wanted in self.pipeline.subscriptions:
            self._subscribe(wanted)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(self.settings.diagnostics_period_s, self._look_after, clock=steady)
        topics = ", ".join(camera.topic for camera in rig.cameras)
        self.get_logger().warning(f"uncalibrated: estimates cameras from pictures of {topics}")

    def destroy_node(self) -> None:
        """End the worker, then the node."""
        self._worker.stop(_STOP_WAIT_S)
        super().destroy_node()

    def _read_settings(self) -> UncalibratedSettings:
        values = {}
        for parameter in UNCALIBRATED_PARAMETERS:
            described = ParameterDescriptor(description=parameter.description, dynamic_typing=True)
            values[parameter.name] = self.declare_parameter(parameter.name, parameter.default, described).value
        return UncalibratedSettings.of(values)

    def _subscribe(self, wanted: Subscription) -> None:
        def receive(message: Any) -> None:
            try:
                self.pipeline.feed(wanted.topic, message)
            except Exception as error:  # noqa: BLE001 - one broken message must not end the node
                self._lost(error)
            else:
                self._worker.wake()

        def mismatch(policy: str) -> None:
            expected = f"a publisher that offers what this node wants ({policy})"
            self._fault = (str(DataError(wanted.topic, "QoS", expected, "another one")), time.monotonic())

        settings = self.settings
        subscribe(self, self._host, wanted, settings.image_reliability, settings.image_depth, receive, mismatch)

    # ---- work: in the worker's thread --------------------------------------------------------------------------------

    def _work(self) -> None:
        taken = self.pipeline.take()
        if taken is None:
            return
        found = self.pipeline.reconstruct(taken)
        for topic, message in self._messages.build(found.prediction):
            self._publishers_of[topic].publish(message)
        if found.rig:
            text = "".join(f"# {line}\n" for line in rig_comment(found.result).splitlines())
            text += yaml.safe_dump(dict(found.rig), sort_keys=False, default_flow_style=None, width=120)
            self._rig_publisher.publish(self._text(data=text))
        self.latest, self._result_s = found, time.monotonic()
        self._worker.wake()  # there may be more

    def _lost(self, error: Exception) -> None:
        self._fault = (str(error), time.monotonic())
        self._faults.error(error, "a set or message is lost")

    # ---- services ----------------------------------------------------------------------------------------------------

    def _answering(self, work: Any) -> Any:
        def answer(request: Any, response: Any) -> Any:  # noqa: ARG001 - Trigger has no request
            try:
                response.success, response.message = True, work()
            except (GsoccError, OSError) as error:
                response.success, response.message = False, str(error)
            return response

        return answer

    def _save_rig(self) -> str:
        found = self.latest
        if found is None or not found.rig:
            raise DataError("~/save_rig", "rig", "a reconstruction whose cameras have poses", "none yet")
        path = Path(self.settings.snapshot_dir).expanduser() / f"rig_{found.prediction.reference_stamp_ns}.yaml"
        write_rig(path, found.rig, rig_comment(found.result))
        return str(path.resolve())

    def _use_calibration(self) -> str:
        lacking = self.pipeline.lacking()
        if lacking:
            some = "; ".join(f"{name}: {what}" for name, what in lacking.items())
            raise DataError("~/use_calibration", "calibration", "CameraInfo and transforms of all cameras", some)
        self.finished.set()
        return "the calibrated node takes over"

    def _look_after(self) -> None:
        try:
            lacking = self.pipeline.lacking()
            if not lacking and not self._told_complete:
                self._told_complete = True
                self.get_logger().info("CameraInfo and transforms of all cameras are there: call ~/use_calibration")
            result = None if self.latest is None else self.latest.result
            facts = Facts(lacking, result, self._result_s, self._fault, time.monotonic())
            self._diagnostics.publish(judge(facts, self.settings.stale_s))
        except Exception as error:  # noqa: BLE001 - rclpy would end the process
            self._faults.error(error, "no diagnostics")
