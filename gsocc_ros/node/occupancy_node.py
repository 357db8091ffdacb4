# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node: subscriptions in, one worker, publishers out. Everything that computes is elsewhere."""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable
from typing import Any

import torch
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

from gsocc_core import OccupancyPredictor
from gsocc_core.errors import GsoccError
from gsocc_ros.messages.message_host import rclpy_host
from gsocc_ros.messages.navigation import ObstacleRule
from gsocc_ros.messages.occupancy_messages import class_table
from gsocc_ros.messages.outputs import (
    CLASSES_TOPIC,
    FUSED_OUTPUTS,
    LATENCY_TOPIC,
    OUTPUTS,
    OutputMessages,
)
from gsocc_ros.node.declaration import declare
from gsocc_ros.node.health import Health, Limits, Surroundings
from gsocc_ros.node.parameters import DEMO_BUNDLE, PARAMETERS, NodeSettings, is_demo_bundle
from gsocc_ros.node.services import OccupancyServices
from gsocc_ros.node.tf2_transforms import Tf2Transforms
from gsocc_ros.node.truth_input import TruthInput
from gsocc_ros.node.watched_subscriber import WatchedSubscriber
from gsocc_ros.node.worker import Worker
from gsocc_ros.pipeline.fusion import FusedMap, FusionArgs
from gsocc_ros.pipeline.occupancy_pipeline import Occupancy, OccupancyPipeline, Subscription
from gsocc_ros.pipeline.rig import Rig
from gsocc_ros.share_files import find_share_file

#: Longest wait for the worker when the node stops; a prediction in hand takes less.
STOP_WAIT_S = 30.0
#: The same fault is logged at most so often.
LOG_EVERY_S = 5.0


Transition = Callable[["OccupancyNode", LifecycleState], TransitionCallbackReturn]


def told(transition: Transition) -> Transition:
    """Log what goes wrong in a transition: rclpy swallows the exceptions of these callbacks."""

    @functools.wraps(transition)
    def wrapped(node: OccupancyNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception:  # noqa: BLE001 - whatever it is, the state machine has an answer to it
            node.get_logger().error(f"{transition.__name__}:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR

    return wrapped


class OccupancyNode(LifecycleNode):
    """Semantic occupancy from a rig's cameras.

    ``configure`` reads the parameters, loads the rig and the model and compiles the kernels; ``activate`` subscribes;
    ``deactivate`` unsubscribes; ``cleanup`` frees the model. Callbacks only file messages; one worker thread predicts
    and publishes, always the newest complete set.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("occupancy", **options)
        for parameter in PARAMETERS:
            declare(self, parameter)
        self.settings = self._read_settings()
        self._host = rclpy_host()
        self.predictor: OccupancyPredictor | None = None
        self.pipeline: OccupancyPipeline | None = None
        self.messages: OutputMessages | None = None
        self.health: Health | None = None
        self._truth: TruthInput | None = None
        self._outputs: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self._rule = ObstacleRule()
        self._offered: OccupancyServices | None = None
        self._diagnostics: Any = None
        self._timer: Any = None
        self.enabled = True
        self.fused: FusedMap | None = None
        self.latest: Occupancy | None = None
        self._logged: dict[str, float] = {}
        self.worker = Worker(self._work, self._lost)
        self.add_on_set_parameters_callback(self._check_parameters)
        self._start: Any = None
        if self.settings.auto_activate:
            self._start = self.create_timer(0.0, self._start_alone, clock=Clock(clock_type=ClockType.STEADY_TIME))

    # ---- parameters --------------------------------------------------------------------------------------------------

    def _read_settings(self) -> NodeSettings:
        return NodeSettings.of({p.name: self.get_parameter(p.name).value for p in PARAMETERS})

    def _check_parameters(self, changes: list[RosParameter]) -> SetParametersResult:
        known = {parameter.name: parameter for parameter in PARAMETERS}
        values = {change.name: change.value for change in changes if change.name in known}
        for name, value in values.items():
            if (fault := known[name].check(value)) is not None:
                return SetParametersResult(successful=False, reason=f"{name}: expected {fault}")
            if known[name].fixed and self.pipeline is not None:
                reason = f"{name}: only changes while the node is unconfigured (ros2 lifecycle set ... cleanup)"
                return SetParametersResult(successful=False, reason=reason)
        self.settings = NodeSettings.of({**vars(self.settings), **values})
        return SetParametersResult(successful=True)

    # ---- lifecycle ---------------------------------------------------------------------------------------------------

    def _start_alone(self) -> None:
        self._start.cancel()
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    @told
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002 - rclpy's signature
        """Load everything that takes time."""
        try:
            self.settings = self._read_settings()
            if self.settings.threads:
                torch.set_num_threads(self.settings.threads)
            rig = Rig.load(self.settings.rig)
            ground = tuple(name.strip() for name in self.settings.ground_classes.split(","))
            self._rule = ObstacleRule(ground, self.settings.obstacle_low_m, self.settings.obstacle_high_m)
            predictor = self.load(self.settings.bundle, len(rig.cameras))
            frames = Tf2Transforms(jump_ns=rig.sync_settings().reset_threshold_ns)
            self.pipeline = OccupancyPipeline(
                rig, predictor, newest_only=True, memory_gap_s=self.settings.memory_gap_s, transforms=frames
            )
        except GsoccError as error:
            self.get_logger().error(f"configure: {error}")
            return TransitionCallbackReturn.FAILURE
        self.predictor = predictor
        self.messages = self._output_messages(rig, predictor)
        self.fused = self._fused_map(rig)
        for topic, output in {**OUTPUTS, **(FUSED_OUTPUTS if self.fused else {})}.items():
            qos = QoSProfile(depth=1)
            if output.latched:
                qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
            kind = self._host.message_class(output.message_type)
            overrides = QoSOverridingOptions.with_default_policies()
            self._outputs[topic] = self.create_publisher(kind, topic.lstrip("/"), qos, qos_overriding_options=overrides)
        status = self._host.message_class("diagnostic_msgs/msg/DiagnosticArray")
        self._diagnostics = self.create_publisher(status, "/diagnostics", 10)
        self._offered = OccupancyServices(self)
        if self.settings.evaluate:
            self._truth = TruthInput(self, self._host, self._lost)
        self.get_logger().info(f"configured: rig {rig.path}, bundle {predictor.bundle.id} on {predictor.device}")
        return TransitionCallbackReturn.SUCCESS

    @told
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and begin."""
        result = super().on_activate(state)
        pipeline, predictor = self.pipeline, self.predictor
        assert pipeline is not None
        assert predictor is not None
        topics = {camera.name: self._absolute(camera.topic) for camera in pipeline.rig.cameras}
        is_demo = is_demo_bundle(predictor.bundle.id)
        self.health = Health(topics, predictor.bundle.id, is_demo, time.monotonic())
        self.health.enabled = self.enabled
        self._publish_classes(predictor, pipeline.rig)
        self.worker.start()
        names = {camera.topic: camera.name for camera in pipeline.rig.cameras}
        for wanted in pipeline.subscriptions:
            self._subscribe(wanted, names.get(wanted.topic))
        if self._truth is not None:
            self._inputs += self._truth.subscribe()
        period = self.settings.diagnostics_period_s
        self._timer = self.create_timer(period, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
        if is_demo:
            self.get_logger().warning("the demo bundle is in use: it was trained on synthetic drives")
        self.get_logger().info("active: waiting for pictures of " + ", ".join(topics.values()))
        return result

    @told
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe; the worker ends what it has in hand."""
        self._stop()
        return super().on_deactivate(state)

    @told
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002 - rclpy's signature
        """Free the model and its memory."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @told
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002 - rclpy's signature
        """End from any state."""
        self._stop()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @told
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, from where configure may try again."""
        return self.on_shutdown(state)

    def _stop(self) -> None:
        for item in self._inputs:
            self.destroy_subscription(item)
        self._inputs.clear()
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        if not self.worker.stop(STOP_WAIT_S):
            self.get_logger().error(f"the worker did not end within {STOP_WAIT_S:.0f} s")
        if self.pipeline is not None:
            self.pipeline.reset()
        self._log_evaluation()

    def _release(self) -> None:
        if self.pipeline is not None:
            self.pipeline.close()
        for publisher in [*self._outputs.values(), self._diagnostics]:
            if publisher is not None:
                self.destroy_publisher(publisher)
        for part in (self._offered, self._truth):
            if part is not None:
                part.destroy()
        self._outputs, self._offered = {}, None
        self._diagnostics = self._truth = None
        self.pipeline = self.predictor = self.messages = self.health = self.latest = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def load(self, bundle: str, cameras: int) -> OccupancyPredictor:
        """Load a bundle and compile what it needs.

        Args:
            bundle: Folder or hub id; empty = the demo bundle.
            cameras: Number of the rig's cameras.

        Raises:
            GsoccError: it is no bundle, or of no use for this rig.
        """
        path = bundle or str(find_share_file(f"{DEMO_BUNDLE}/config.yaml").parent)
        predictor = OccupancyPredictor.load(path, device=self.settings.device)
        predictor.warm_up(cameras)
        return predictor

    def swap(self, predictor: OccupancyPredictor) -> None:
        """Go on with another model; the worker must stand still."""
        assert self.pipeline is not None
        self.pipeline.use(predictor)
        self.predictor, self.latest = predictor, None
        self.messages = self._output_messages(self.pipeline.rig, predictor)
        if self.fused is not None:
            self.fused.reset()
        if self.health is not None:
            self.health.use_model(predictor.bundle.id, is_demo_bundle(predictor.bundle.id))
        self._publish_classes(predictor, self.pipeline.rig)

    def _publish_classes(self, predictor: OccupancyPredictor, rig: Rig) -> None:
        stamp = self.get_clock().now().nanoseconds
        self._outputs[CLASSES_TOPIC].publish(class_table(self._host, predictor.classes, stamp, rig.base_frame))

    def _fused_map(self, rig: Rig) -> FusedMap | None:
        if not self.settings.fuse:
            return None
        if rig.fixed_frame is None:
            self.get_logger().warning(f"fuse: {rig.path} has no fixed_frame, so nothing is fused")
            return None
        half_life_s = self.settings.fuse_half_life_s
        moving = dict.fromkeys(FusionArgs().class_half_life_s, half_life_s / 6)
        return FusedMap(FusionArgs(half_life_s=half_life_s, class_half_life_s=moving))

    def _output_messages(self, rig: Rig, predictor: OccupancyPredictor) -> OutputMessages:
        return OutputMessages(self._host, rig.base_frame, predictor.bundle.id, rule=self._rule)

    # ---- input -------------------------------------------------------------------------------------------------------

    def _absolute(self, topic: str) -> str:
        return self.resolve_topic_name(topic)

    def _subscribe(self, wanted: Subscription, camera: str | None) -> None:
        is_transform = wanted.topic in {"/tf", "/tf_static"}
        best_effort = self.settings.image_reliability == "best_effort" and not is_transform
        qos = QoSProfile(
            depth=100 if is_transform else self.settings.image_depth,
            reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if wanted.latched else DurabilityPolicy.VOLATILE,
        )
        kind = self._host.message_class(wanted.message_type)
        topic, pipeline, health = wanted.topic, self.pipeline, self.health
        assert pipeline is not None
        assert health is not None

        def receive(message: Any) -> None:
            if camera is not None:
                health.picture(camera, time.monotonic())
                if not self.enabled:
                    return
            try:
                pipeline.feed(topic, message)
            except Exception as error:  # noqa: BLE001 - one broken message must not end the node
                self._lost(error)
            else:
                self.worker.wake()

        def mismatch(policy: str) -> None:
            health.incompatible_qos(self._absolute(topic), policy)
            self.get_logger().warning(f"{topic}: a publisher offers an incompatible QoS ({policy})")

        subscriber = WatchedSubscriber(self, kind, topic, qos, mismatch)
        subscriber.registerCallback(receive)
        self._inputs.append(subscriber.subscription)

    # ---- work: in the worker's thread --------------------------------------------------------------------------------

    def _work(self) -> None:
        pipeline = self.pipeline
        if pipeline is None or (ready := pipeline.take()) is None:
            return
        self._publish(pipeline.predict(ready))
        self.worker.wake()  # there may be more

    def _publish(self, occupancy: Occupancy) -> None:
        messages, health = self.messages, self.health
        assert messages is not None
        assert health is not None
        start = time.perf_counter()
        heard = [t for t, out in self._outputs.items() if t != CLASSES_TOPIC and out.get_subscription_count() > 0]
        for topic, message in messages.build(occupancy.prediction, heard, occupancy.ready.given):
            self._outputs[topic].publish(message)
        built = time.perf_counter()
        latency_ms = {**occupancy.latency_ms, "messages": (built - start) * 1e3}
        T_world_ego = occupancy.ready.T_world_ego
        if self.fused is not None and T_world_ego is not None:
            stamp = occupancy.prediction.reference_stamp_ns
            grid = self.fused.update(occupancy.prediction.grid, T_world_ego, stamp)
            for topic, message in messages.fused(grid, stamp, heard):
                self._outputs[topic].publish(message)
            latency_ms["fusion"] = (time.perf_counter() - built) * 1e3
        if LATENCY_TOPIC in heard:
            for topic, message in messages.latency(occupancy.prediction, latency_ms):
                self._outputs[topic].publish(message)
        health.output(latency_ms, occupancy.ready.synced.spread_ns * 1e-6, time.monotonic())
        self.latest = occupancy
        if self._truth is not None:
            self._truth.evaluation.add_prediction(occupancy.prediction.reference_stamp_ns, occupancy.prediction.grid)

    def _lost(self, error: Exception) -> None:
        if self.health is not None:
            self.health.error(str(error), time.monotonic())
        kind = "" if isinstance(error, GsoccError) else f"{type(error).__name__}: "
        self._complain(str(error)[:60], f"a set or message is lost: {kind}{error}")

    def _complain(self, key: str, text: str) -> None:
        now = time.monotonic()
        if now - self._logged.get(key, -LOG_EVERY_S) >= LOG_EVERY_S:
            if len(self._logged) > 100:
                self._logged.clear()
            self._logged[key] = now
            self.get_logger().error(text)

    # ---- health and evaluation ---------------------------------------------------------------------------------------

    def _tick(self) -> None:
        pipeline, health, now = self.pipeline, self.health, time.monotonic()
        if pipeline is None or health is None:
            return
        limits = Limits(self.settings.stale_s, self.settings.latency_budget_ms)
        gpu_mb = torch.cuda.memory_reserved() * 1e-6 if torch.cuda.is_available() else None
        surroundings = Surroundings(pipeline.transform_faults(), gpu_mb)
        make = self._host.make
        statuses = [
            make(
                "diagnostic_msgs/msg/DiagnosticStatus",
                level=bytes([status.level]),
                name=f"{self.get_name()}: {status.name}",
                message=status.message,
                hardware_id="",
                values=[make("diagnostic_msgs/msg/KeyValue", key=k, value=v) for k, v in status.values.items()],
            )
            for status in health.judge(pipeline.counters(), limits, now, surroundings)
        ]
        header = self._host.header(self.get_clock().now().nanoseconds, "")
        self._diagnostics.publish(make("diagnostic_msgs/msg/DiagnosticArray", header=header, status=statuses))
        if self._truth is not None and self._truth.evaluation.is_over(now, self.settings.evaluate_idle_s):
            self._log_evaluation()

    def _log_evaluation(self) -> None:
        summary = None if self._truth is None else self._truth.evaluation.summary()
        if summary is not None and self.pipeline is not None:
            self.get_logger().info(f"evaluation: {summary}, {self.pipeline.counters().superseded} sets superseded")
