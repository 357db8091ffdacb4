# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What an uncalibrated node says of itself on /diagnostics, without ROS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gsocc_core.reconstruction.reconstructor import Reconstructed
from gsocc_ros.node.health import RECENT_S, Level, Status


@dataclass(frozen=True)
class Facts:
    """What is known at a moment.

    Attributes:
        lacking: By camera what a calibrated node would lack, see ``UncalibratedPipeline.lacking``.
        result: The newest reconstruction; None = none yet.
        result_s: When it came, seconds of a steady clock.
        fault: The newest error, and when it came; None = none.
        now_s: The present.
    """

    lacking: Mapping[str, str]
    result: Reconstructed | None
    result_s: float
    fault: tuple[str, float] | None
    now_s: float


def judge(facts: Facts, stale_s: float) -> tuple[Status, ...]:
    """Statuses ``calibration``, ``scale`` and ``output``.

    Args:
        facts: What is known.
        stale_s: An older output is an error.
    """
    return _calibration(facts), _scale(facts), _output(facts, stale_s)


def _calibration(facts: Facts) -> Status:
    if facts.lacking:
        text = "uncalibrated: cameras are estimated from pictures"
        return Status(Level.WARN, "calibration", text, dict(facts.lacking))
    text = "uncalibrated, but CameraInfo and transforms of all cameras are there: call ~/use_calibration"
    return Status(Level.WARN, "calibration", text)


def _scale(facts: Facts) -> Status:
    result = facts.result
    if result is None:
        return Status(Level.WARN, "scale", "nothing was reconstructed yet")
    values = {f"confidence of {name}": f"{value:.2f}" for name, value in result.confidence.items()}
    values |= {"unit_m": f"{result.scale.unit_m:.4g}", "notes": "; ".join(result.notes)}
    source = result.scale.source
    if source == "unknown":
        return Status(Level.ERROR, "scale", "metres: unknown; set mounting_height_m or baseline_m", values)
    if source == "mounting_height" or result.ground is not None:
        return Status(Level.OK, "scale", f"metres: {source}, z = 0 is the estimated ground", values)
    return Status(Level.WARN, "scale", f"metres: {source}; no ground plane, so z = 0 is a guess", values)


def _output(facts: Facts, stale_s: float) -> Status:
    if facts.fault is not None and facts.now_s - facts.fault[1] < RECENT_S:
        return Status(Level.ERROR, "output", facts.fault[0])
    if facts.result is None:
        return Status(Level.WARN, "output", "waiting for pictures")
    age = facts.now_s - facts.result_s
    if age > stale_s:
        return Status(Level.ERROR, "output", f"nothing for {age:.1f} s")
    total = facts.result.latency_ms["total"]
    used, given = len(facts.result.photos), len(facts.result.confidence)
    return Status(Level.OK, "output", f"{used} of {given} pictures in {total:.0f} ms")
