# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Is the node well? Rules from measured facts to OK, WARN and ERROR, without ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from gsocc_ros.pipeline.counters import PipelineCounters

#: Events that rates and percentiles look back at.
WINDOW = 100
#: A fault is told for so long, seconds.
RECENT_S = 10.0
#: Counters of sets that lacked something, and what is said while they grow.
_LACKING = {
    "without_ego_motion": "sets without ego motion: no transform to the fixed frame",
    "without_depth": "sets without depth of a picture: no map near its stamp",
    "without_reference": "sets without a stamp of the rig's reference topic: the anchor's stands in",
    "incomplete": "sets without a picture of every camera, though each sends: see their missing, late and stale",
}
#: Counters of sets that the output's status shows.
_COUNTED = (
    "sets", "published", "superseded", "lost", "waiting", "incomplete", "without_reference", "without_ego_motion",
    "without_depth", "calibration_changes",
)  # fmt: skip
#: What helps against pictures that do not arrive.
_LOST_ON_THE_WAY = (
    "large pictures over best effort are lost whole with one fragment: image_reliability:=reliable, compressed "
    "pictures or a larger socket buffer (net.core.rmem_max)"
)


class Level(IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Status:
    """One line of diagnostics.

    Attributes:
        level: How bad it is.
        name: What it is about.
        message: One sentence.
        values: Figures behind it.
    """

    level: Level
    name: str
    message: str
    values: Mapping[str, str] = field(default_factory=dict)


class Arrivals:
    """Times at which something came.

    Example:
        >>> arrivals = Arrivals()
        >>> for t in (0.0, 0.1, 0.2): arrivals.add(t)
        >>> round(arrivals.rate_hz, 3), arrivals.age_s(1.0)
        (10.0, 0.8)
    """

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=WINDOW)

    def add(self, now_s: float) -> None:
        """Something came."""
        self._times.append(now_s)

    def age_s(self, now_s: float) -> float | None:
        """Seconds since the last one; None = nothing came yet."""
        return now_s - self._times[-1] if self._times else None

    @property
    def rate_hz(self) -> float:
        """Mean rate over the window; 0 with fewer than two arrivals."""
        if len(self._times) < 2 or self._times[-1] <= self._times[0]:
            return 0.0
        return (len(self._times) - 1) / (self._times[-1] - self._times[0])


@dataclass(frozen=True)
class Limits:
    """See the parameters ``stale_s`` and ``latency_budget_ms``."""

    stale_s: float = 1.0
    latency_budget_ms: float = 500.0


@dataclass(frozen=True)
class Surroundings:
    """What is asked at the moment of judging.

    Attributes:
        transform_faults: Camera, or the fixed frame, that cannot be placed, with the reason.
        camera_faults: Camera whose pictures are of no use at present, with the reason.
        senders: How many publishers there are, by picture topic.
        gpu_memory_mb: Memory that PyTorch holds; None = no GPU.
    """

    transform_faults: Mapping[str, str] = field(default_factory=dict)
    camera_faults: Mapping[str, str] = field(default_factory=dict)
    senders: Mapping[str, int] = field(default_factory=dict)
    gpu_memory_mb: float | None = None


class Health:
    """Collects what happens to the node and judges it. All times are seconds of one steady clock.

    Args:
        topics: Picture topic per camera name.
        model_id: Id of the bundle in use.
        is_demo: It is the bundle that was trained on synthetic drives.
        now_s: Time at which the node became active.

    Attributes:
        topics: Picture topic per camera name.
        enabled: False while ``~/enable`` says so.
        heard: False while nobody hears an output of a lazy node.
    """

    def __init__(self, topics: Mapping[str, str], model_id: str, is_demo: bool, now_s: float) -> None:
        self.topics, self._model_id, self._is_demo, self._since = dict(topics), model_id, is_demo, now_s
        self._pictures = {name: Arrivals() for name in topics}
        self._outputs = Arrivals()
        self._latency: dict[str, deque[float]] = {}
        self._spread_ms: deque[float] = deque(maxlen=WINDOW)
        self._errors = 0
        self._error: tuple[float, str] | None = None
        self._qos: dict[str, str] = {}
        self._lacking = dict.fromkeys(_LACKING, (0, float("-inf")))  # how many, and when the last one was noticed
        self.enabled = self.heard = True

    def picture(self, camera: str, now_s: float) -> None:
        """A picture came."""
        self._pictures[camera].add(now_s)

    def output(self, latency_ms: Mapping[str, float], spread_ms: float, now_s: float) -> None:
        """A set was predicted and published.

        Args:
            latency_ms: Milliseconds per stage.
            spread_ms: Largest difference of picture stamps in the set.
            now_s: Time.
        """
        self._outputs.add(now_s)
        self._spread_ms.append(spread_ms)
        for stage, value in {**latency_ms, "total": sum(latency_ms.values())}.items():
            self._latency.setdefault(stage, deque(maxlen=WINDOW)).append(value)

    def error(self, text: str, now_s: float) -> None:
        """A set was lost to an error."""
        self._errors += 1
        self._error = (now_s, text)

    def incompatible_qos(self, topic: str, policy: str) -> None:
        """A publisher offers a QoS that this node's subscription cannot take."""
        self._qos[topic] = policy

    def use_model(self, model_id: str, is_demo: bool) -> None:
        """Another bundle is in use."""
        self._model_id, self._is_demo = model_id, is_demo

    def judge(
        self, counters: PipelineCounters, limits: Limits, now_s: float, around: Surroundings | None = None
    ) -> list[Status]:
        """All statuses.

        Rules: a camera is an ERROR when it was silent for ``stale_s``, and a WARN when its QoS does not match. When its
        pictures are of no use it is a WARN while something is published and an ERROR otherwise. The output is an ERROR
        when it was silent for ``stale_s`` while every camera sends, and a WARN when in the last 10 s sets were lost to
        errors, made without ego motion, depth or a stamp of the reference topic, or without a picture of a camera that
        sends, or when the QoS of another input does not match.
        Transforms are an ERROR when a camera's frame is not connected to the base frame and a WARN when the base frame
        is not connected to the fixed frame. Latency is a WARN above the budget and an ERROR above twice
        the budget. The model is a WARN while it is the demo bundle.

        Args:
            counters: The pipeline's counters.
            limits: Limits in force.
            now_s: Time.
            around: Transforms and memory.

        Returns:
            One status per camera, then output, transforms, latency and model.
        """
        around = around or Surroundings()
        for key, (known, _) in self._lacking.items():
            if (count := getattr(counters, key)) > known:
                self._lacking[key] = (count, now_s)
        cameras = [self._camera(name, counters, limits, now_s, around) for name in self.topics]
        seeing = all(status.level < Level.ERROR for status in cameras)
        output = self._output(counters, limits, now_s, seeing)
        return [*cameras, output, self._transforms(around), self._latency_status(limits), self._model(around)]

    def _camera(
        self, name: str, counters: PipelineCounters, limits: Limits, now_s: float, around: Surroundings
    ) -> Status:
        arrivals, counts = self._pictures[name], counters.cameras[name]
        age = arrivals.age_s(now_s)
        values = {
            "topic": self.topics[name],
            "age_s": "never" if age is None else f"{age:.3f}",
            "rate_hz": f"{arrivals.rate_hz:.2f}",
            "received": str(counts.received),
            "used": str(counts.used),
            "late": str(counts.late),
            "stale": str(counts.stale),
            "missing": str(counts.missing),
            "duplicate": str(counts.duplicate),
            "unplaced": str(counts.unplaced),
            "held": str(counts.held),
        }
        silent = now_s - self._since if age is None else age
        title = f"camera {name}"
        policy = self._qos.get(self.topics[name])
        mismatch = "" if policy is None else f"a publisher's QoS does not match: {policy}"
        if silent > limits.stale_s:
            kind = "no picture yet" if age is None else f"silent for {age:.1f} s"
            reason = f"; {mismatch}" if mismatch else ""
            if not mismatch and (senders := around.senders.get(self.topics[name], 0)):
                reason = f", though something publishes there ({senders}); {_LOST_ON_THE_WAY}"
            return Status(Level.ERROR, title, f"{kind} on {self.topics[name]}{reason}", values)
        if mismatch:
            return Status(Level.WARN, title, mismatch, values)
        if (fault := around.camera_faults.get(name)) is not None:
            age = self._outputs.age_s(now_s)
            useless = age is None or age > limits.stale_s
            return Status(Level.ERROR if useless else Level.WARN, title, f"not used: {fault}", values)
        return Status(Level.OK, title, "receiving", values)

    def _output(self, counters: PipelineCounters, limits: Limits, now_s: float, seeing: bool) -> Status:
        age = self._outputs.age_s(now_s)
        values = {
            "age_s": "never" if age is None else f"{age:.3f}",
            "rate_hz": f"{self._outputs.rate_hz:.2f}",
            **{key: str(getattr(counters, key)) for key in _COUNTED},
            "errors": str(self._errors),
            "last_error": "" if self._error is None else self._error[1],
            "spread_ms": f"{self._spread_ms[-1]:.1f}" if self._spread_ms else "",
        }
        if not (self.enabled and self.heard):
            idle = "nobody hears an output, and the parameter lazy is set" if self.enabled else "disabled by ~/enable"
            return Status(Level.OK, "output", idle, values)
        silent = now_s - self._since if age is None else age
        recent = self._error is not None and now_s - self._error[0] < RECENT_S
        if silent > limits.stale_s and seeing:
            why = self._error[1] if recent and self._error is not None else "no complete set of pictures"
            return Status(Level.ERROR, "output", f"nothing published for {silent:.1f} s: {why}", values)
        if recent and self._error is not None:
            return Status(Level.WARN, "output", f"sets are lost: {self._error[1]}", values)
        unheard = {topic: policy for topic, policy in self._qos.items() if topic not in self.topics.values()}
        if unheard:
            text = ", ".join(f"{topic}: {policy}" for topic, policy in unheard.items())
            return Status(Level.WARN, "output", f"a publisher's QoS does not match on {text}", values)
        lately = [
            text
            for key, text in _LACKING.items()
            if now_s - self._lacking[key][1] < RECENT_S
            and (seeing or key != "incomplete")  # else the missing camera tells it itself
        ]
        if lately:
            return Status(Level.WARN, "output", "; ".join(lately), values)
        return Status(Level.OK, "output", "publishing" if age is not None else "waiting for pictures", values)

    def _latency_status(self, limits: Limits) -> Status:
        values: dict[str, str] = {}
        for stage, samples in self._latency.items():
            p50, p95 = np.percentile(samples, [50, 95])
            values |= {f"{stage}_p50_ms": f"{p50:.1f}", f"{stage}_p95_ms": f"{p95:.1f}"}
        values["budget_ms"] = f"{limits.latency_budget_ms:.1f}"
        if "total" not in self._latency:
            return Status(Level.OK, "latency", "nothing measured yet", values)
        p95 = float(np.percentile(self._latency["total"], 95))
        level = Level.OK if p95 <= limits.latency_budget_ms else Level.WARN
        if p95 > 2 * limits.latency_budget_ms:
            level = Level.ERROR
        text = "within" if level == Level.OK else "above"
        return Status(level, "latency", f"p95 {p95:.0f} ms, {text} the budget", values)

    def _transforms(self, around: Surroundings) -> Status:
        faults = dict(around.transform_faults)
        cameras = [name for name in self.topics if name in faults]
        if cameras:
            return Status(Level.ERROR, "transforms", f"no way to {', '.join(cameras)}: {faults[cameras[0]]}", faults)
        if faults:
            return Status(Level.WARN, "transforms", next(iter(faults.values())), faults)
        return Status(Level.OK, "transforms", "every frame in use is connected")

    def _model(self, around: Surroundings) -> Status:
        values = {"bundle": self._model_id}
        if around.gpu_memory_mb is not None:
            values["gpu_memory_mb"] = f"{around.gpu_memory_mb:.0f}"
        if self._is_demo:
            text = "the demo bundle is in use: trained on synthetic drives, it knows nothing of real streets"
            return Status(Level.WARN, "model", text, values)
        return Status(Level.OK, "model", self._model_id, values)
