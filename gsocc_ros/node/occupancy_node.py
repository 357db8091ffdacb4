# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node: subscriptions in, one worker, publishers out. Everything that computes is elsewhere."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import torch
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter

from gsocc_core import OccupancyPredictor
from gsocc_core.errors import GsoccError
from gsocc_ros.messages.message_host import rclpy_host
from gsocc_ros.messages.navigation import ObstacleRule
from gsocc_ros.node.declaration import declare
from gsocc_ros.node.diagnostics import Diagnostics
from gsocc_ros.node.fault_log import FaultLog
from gsocc_ros.node.health import Health, Limits, Surroundings
from gsocc_ros.node.occupancy_output import OccupancyOutput
from gsocc_ros.node.parameters import DEMO_BUNDLE, PARAMETERS, NodeSettings, is_demo_bundle
from gsocc_ros.node.pipeline_input import PipelineInput
from gsocc_ros.node.query_output import QueryOutput
from gsocc_ros.node.services import OccupancyServices
from gsocc_ros.node.tf2_transforms import Tf2Transforms
from gsocc_ros.node.transitions import refuse_out_of_order, told
from gsocc_ros.node.truth_input import TruthInput
from gsocc_ros.node.worker import Worker
from gsocc_ros.pipeline.faults import fault_text
from gsocc_ros.pipeline.fusion import FusedMap, FusionArgs
from gsocc_ros.pipeline.occupancy_pipeline import Occupancy, OccupancyPipeline
from gsocc_ros.pipeline.rig import Rig
from gsocc_ros.share_files import find_share_file

#: Longest wait for the worker when the node stops; a prediction in hand takes less, seconds.
STOP_WAIT_S = 30.0


class OccupancyNode(LifecycleNode):
    """Semantic occupancy from a rig's cameras.

    ``configure`` reads the parameters, loads the rig and the model and compiles the kernels; ``activate`` subscribes;
    ``deactivate`` unsubscribes; ``cleanup`` frees the model. Callbacks only file messages; one worker thread predicts,
    always from the newest set that is ready, and on a CPU another one publishes meanwhile.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("occupancy", **options)
        for parameter in PARAMETERS:
            declare(self, parameter)
        self.settings = self._read_settings()
        self._host = rclpy_host()
        self.predictor: OccupancyPredictor | None = None
        self.pipeline: OccupancyPipeline | None = None
        self.output: OccupancyOutput | None = None
        self.query_output: QueryOutput | None = None
        self.health: Health | None = None
        self.latest: Occupancy | None = None
        self.enabled = True
        self._input: PipelineInput | None = None
        self._truth: TruthInput | None = None
        self._truth_inputs: list[Any] = []
        self._offered: OccupancyServices | None = None
        self._diagnostics: Diagnostics | None = None
        self._timer: Any = None
        self._faults = FaultLog(self.get_logger())
        self.worker = Worker(self._work, self._lost, finish=self._finish_publication)
        self._publication: threading.Thread | None = None
        refuse_out_of_order(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self._start: Any = None
        if self.settings.auto_activate:
            self._start = self.create_timer(0.0, self._start_alone, clock=Clock(clock_type=ClockType.STEADY_TIME))
        else:
            self.get_logger().info("unconfigured: waiting for a lifecycle manager")

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
        settings = NodeSettings.of({**vars(self.settings), **values})
        output, predictor = self.query_output, self.predictor
        if output is not None and predictor is not None and {"queries", "query_threshold"} & set(values):
            try:
                output.ask(predictor, settings.standing_queries, settings.query_threshold)
            except GsoccError as error:
                return SetParametersResult(successful=False, reason=f"queries: {error}")
        self.settings = settings
        return SetParametersResult(successful=True)

    # ---- lifecycle ---------------------------------------------------------------------------------------------------

    def _start_alone(self) -> None:
        self._start.cancel()
        try:
            if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
                self.trigger_activate()
        except RuntimeError as error:  # rclpy's: the state has no such transition
            self.get_logger().warning(f"auto_activate: someone else has changed the node's state ({error})")

    @told
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002 - rclpy's signature
        """Load everything that takes time."""
        try:
            self.settings = self._read_settings()
            if self.settings.threads:
                torch.set_num_threads(self.settings.threads)
            rig = Rig.load(self.settings.rig)
            ground = tuple(name.strip() for name in self.settings.ground_classes.split(","))
            rule = ObstacleRule(ground, self.settings.obstacle_low_m, self.settings.obstacle_high_m)
            predictor = self.load(self.settings.bundle, len(rig.cameras))
            frames = Tf2Transforms(jump_ns=rig.sync_settings().reset_threshold_ns, tell=self._transform_lost)
            self.pipeline = OccupancyPipeline(
                rig, predictor, newest_only=True, memory_gap_s=self.settings.memory_gap_s, transforms=frames
            )
        except GsoccError as error:
            self.get_logger().error(f"configure: {error}")
            return TransitionCallbackReturn.FAILURE
        self.predictor = predictor
        self.output = OccupancyOutput(self, self._host, rig.base_frame, rule, self._fused_map(rig))
        self.output.use(predictor)
        self.query_output = QueryOutput(self, self._host, rig.base_frame)
        self._ask()
        self._diagnostics = Diagnostics(self, self._host, rig.path.stem)
        self._offered = OccupancyServices(self)
        if self.settings.evaluate:
            self._truth = TruthInput(self, self._host, self._lost)
        self.get_logger().info(f"configured: rig {rig.path}, bundle {predictor.bundle.id} on {predictor.device}")
        return TransitionCallbackReturn.SUCCESS

    @told
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and begin."""
        result = super().on_activate(state)
        pipeline, predictor, output = self.pipeline, self.predictor, self.output
        assert pipeline is not None
        assert predictor is not None
        assert output is not None
        topics = {camera.name: self.resolve_topic_name(camera.topic) for camera in pipeline.rig.cameras}
        is_demo = is_demo_bundle(predictor.bundle.id)
        self.health = Health(topics, predictor.bundle.id, is_demo, time.monotonic())
        self.health.enabled = self.enabled
        output.announce(predictor.classes)
        self.worker.start()
        self._input = PipelineInput(
            self, self._host, pipeline, self.settings, self.health, self._is_wanted, self.worker.wake, self._lost
        )
        if self._truth is not None:
            self._truth_inputs = self._truth.subscribe()
        period = self.settings.diagnostics_period_s
        self._timer = self.create_timer(period, self._look_after, clock=Clock(clock_type=ClockType.STEADY_TIME))
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
        if self._input is not None:
            self._input.destroy()
            self._input = None
        for subscription in self._truth_inputs:
            self.destroy_subscription(subscription)
        self._truth_inputs = []
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
        for part in (self.output, self.query_output, self._diagnostics, self._offered, self._truth):
            if part is not None:
                part.destroy()
        self.pipeline = self.predictor = self.output = self.health = self.latest = None
        self.query_output = self._diagnostics = self._offered = self._truth = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _is_wanted(self) -> bool:
        """Whether pictures are of any use at present."""
        return self.enabled and (not self.settings.lazy or self._is_heard())

    def _is_heard(self) -> bool:
        outputs = (self.output, self.query_output)
        return self._truth is not None or any(output is not None and output.heard() for output in outputs)

    def load(self, bundle: str, cameras: int) -> OccupancyPredictor:
        """Load a bundle and compile what it needs.

        Args:
            bundle: Folder or hub id; empty = the demo bundle.
            cameras: Number of the rig's cameras.

        Raises:
            GsoccError: it is no bundle, or of no use for this rig.
        """
        shipped = find_share_file(f"{DEMO_BUNDLE}/config.yaml").parent
        path = str(Path(bundle).expanduser()) if bundle else str(shipped)
        settings = self.settings
        predictor = OccupancyPredictor.load(
            path, settings.device, settings.text_encoder or None, options=settings.inference
        )
        predictor.warm_up(cameras)
        return predictor

    def swap(self, predictor: OccupancyPredictor) -> None:
        """Go on with another model; the worker must stand still."""
        assert self.pipeline is not None
        assert self.output is not None
        self.pipeline.use(predictor)
        if self._input is not None:
            self._input.renew()
        self.predictor, self.latest = predictor, None
        self.output.use(predictor)
        self._ask()
        if self.health is not None:
            self.health.use_model(predictor.bundle.id, is_demo_bundle(predictor.bundle.id))
        self.output.announce(predictor.classes)

    def _ask(self) -> None:
        """Ask the standing queries from now on; the node goes on without where the model cannot be asked them."""
        if self.query_output is None or self.predictor is None:
            return
        settings = self.settings
        try:
            self.query_output.ask(self.predictor, settings.standing_queries, settings.query_threshold)
        except GsoccError as error:
            self.get_logger().error(f"no standing queries: {error}")
            self.query_output.ask(self.predictor, (), settings.query_threshold)

    def forget(self) -> None:
        """Drop held pictures, the model's memory and the fused map; the worker must stand still."""
        if self.pipeline is not None:
            self.pipeline.reset()
        if self.output is not None:
            self.output.forget()

    def _fused_map(self, rig: Rig) -> FusedMap | None:
        if not self.settings.fuse:
            return None
        if rig.fixed_frame is None:
            self.get_logger().warning(f"fuse: {rig.path} has no fixed_frame, so nothing is fused")
            return None
        half_life_s = self.settings.fuse_half_life_s
        moving = dict.fromkeys(FusionArgs().class_half_life_s, half_life_s / 6)
        return FusedMap(FusionArgs(half_life_s=half_life_s, class_half_life_s=moving))

    # ---- work: in the worker's thread, publications in one of their own ----------------------------------------------

    def _work(self) -> float | None:
        pipeline = self.pipeline
        if pipeline is None:
            return None
        hold_s = pipeline.hold_s
        if (ready := pipeline.take()) is None:
            return hold_s or None
        occupancy = pipeline.predict(ready)
        self._finish_publication()
        try:
            if self.predictor is not None and self.predictor.device.type == "cpu":
                # Beside the next prediction: clouds and markers of a dense scene take a tenth of its time.
                arguments = (pipeline, occupancy)
                thread = threading.Thread(target=self._try_to_publish, args=arguments, name="publish", daemon=True)
                thread.start()
                self._publication = thread
            else:  # copies from a GPU would wait for the next prediction
                self._publish(occupancy)
        except Exception:
            pipeline.unpublished()
            raise
        return 0.0  # there may be more

    def _finish_publication(self) -> None:
        if self._publication is not None:
            self._publication.join()

    def _try_to_publish(self, pipeline: OccupancyPipeline, occupancy: Occupancy) -> None:
        try:
            self._publish(occupancy)
        except Exception as error:  # noqa: BLE001 - whatever happens to a set, the next one must be tried
            pipeline.unpublished()
            self._lost(error)

    def _publish(self, occupancy: Occupancy) -> None:
        assert self.output is not None
        assert self.health is not None
        latency_ms = self.output.publish(occupancy) | self._answer(occupancy)
        self.output.tell_latency(occupancy, latency_ms)
        self.health.output(latency_ms, occupancy.ready.synced.spread_ns * 1e-6, time.monotonic())
        self.latest = occupancy
        if self._truth is not None:
            self._truth.evaluation.add_prediction(occupancy.prediction.reference_stamp_ns, occupancy.prediction.grid)

    def _answer(self, occupancy: Occupancy) -> dict[str, float]:
        """Answer the standing queries; milliseconds, or nothing where there was nothing to do."""
        try:
            spent_ms = None if self.query_output is None else self.query_output.publish(occupancy.prediction)
        except GsoccError as error:
            self._faults.error(error, "no answer to the standing queries")
            return {}
        return {} if spent_ms is None else {"queries": spent_ms}

    def _lost(self, error: Exception) -> None:
        if self.health is not None:
            self.health.error(fault_text(error), time.monotonic())
        self._faults.error(error, "a set or message is lost")

    def _transform_lost(self, error: GsoccError) -> None:
        self.get_logger().warning(f"a transform is left out, and further ones of this kind: {error}")

    # ---- health and evaluation ---------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        try:
            self._tick()
        except Exception as error:  # noqa: BLE001 - rclpy would end the process
            self._faults.error(error, "no diagnostics")

    def _tick(self) -> None:
        pipeline, health, now = self.pipeline, self.health, time.monotonic()
        if pipeline is None or health is None or self._diagnostics is None:
            return
        limits = Limits(self.settings.stale_s, self.settings.latency_budget_ms)
        gpu_mb = torch.cuda.memory_reserved() * 1e-6 if torch.cuda.is_available() else None
        health.heard = not self.settings.lazy or self._is_heard()
        senders = {topic: self.count_publishers(topic) for topic in health.topics.values()}
        surroundings = Surroundings(pipeline.transform_faults(), pipeline.camera_faults(), senders, gpu_mb)
        self._diagnostics.publish(health.judge(pipeline.counters(), limits, now, surroundings))
        if self._truth is not None and self._truth.evaluation.is_over(now, self.settings.evaluate_idle_s):
            self._log_evaluation()

    def _log_evaluation(self) -> None:
        summary = None if self._truth is None else self._truth.evaluation.summary()
        if summary is not None and self.pipeline is not None:
            self.get_logger().info(f"evaluation: {summary}, {self.pipeline.counters().superseded} sets superseded")
