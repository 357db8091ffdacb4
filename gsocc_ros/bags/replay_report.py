# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a replayed recording amounts to: accuracy against the recording's own ground truth, speed, and losses."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from gsocc_core.whole import whole_file
from gsocc_ros.pipeline.counters import PipelineCounters


@dataclass(frozen=True)
class ReplayReport:
    """Result of replaying one recording.

    Attributes:
        bag: The recording.
        sets: Sets predicted.
        scored: Sets compared with ground truth.
        truths: Ground-truth grids in the recording.
        miou: Mean IoU as Occ3D counts it (17 classes, observed voxels), 0..1; None = nothing scored.
        iou: Occupied against free on the same voxels, 0..1; None = nothing scored.
        rayiou: Mean RayIoU, 0..1; None = nothing scored.
        class_iou: IoU per class that occurs, 0..1.
        fps: Sets per second of processing time, all stages.
        latency_ms: Median milliseconds per stage and in ``total``.
        latency_p95_ms: 95th percentile likewise.
        without_ego_motion: Sets predicted as if the robot stood still.
        cameras: Counters per camera: received, used, late, stale, duplicate, unplaced, missing.
        faults: Sets, messages and transforms that were left out because something was wrong with them, by place and key
            of the fault; of an exception that gsocc does not raise on purpose, by type, file and line.
        without_depth: Sets of which a picture had no depth map, though its camera has a depth topic.
    """

    bag: str
    sets: int
    scored: int
    truths: int
    miou: float | None
    iou: float | None
    rayiou: float | None
    class_iou: Mapping[str, float] = field(default_factory=dict)
    fps: float = 0.0
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    latency_p95_ms: Mapping[str, float] = field(default_factory=dict)
    without_ego_motion: int = 0
    cameras: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    faults: Mapping[str, int] = field(default_factory=dict)
    without_depth: int = 0

    def to_json(self, path: str | Path) -> None:
        """Write the report; the file appears complete or not at all."""
        with whole_file(path) as scratch:
            scratch.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    def table(self) -> str:
        """The report as text, one line per figure."""
        lines = [f"{self.sets} sets, {self.scored} of {self.truths} ground truths scored, {self.fps:.2f} sets/s"]
        if self.miou is not None:
            figures = (("mIoU", self.miou), ("IoU", self.iou), ("RayIoU", self.rayiou))
            lines.append("  ".join(f"{name} {100 * value:.2f} %" for name, value in figures if value is not None))
        lines.append(f"{'stage':<12}{'median ms':>12}{'p95 ms':>12}")
        lines += [f"{k:<12}{v:>12.1f}{self.latency_p95_ms[k]:>12.1f}" for k, v in self.latency_ms.items()]
        lossy = {name: count for name, count in self.cameras.items() if count["missing"] or count["late"]}
        for name, count in lossy.items():
            lines.append(f"{name}: missing in {count['missing']} cycles, {count['late']} late")
        if self.without_ego_motion:
            lines.append(f"{self.without_ego_motion} sets without ego motion (no transform to the fixed frame)")
        if self.without_depth:
            lines.append(f"{self.without_depth} sets without depth of a picture (no map near its stamp)")
        lines += [f"left out {count} times: {kind}" for kind, count in self.faults.items()]
        return "\n".join(lines)


class Latencies:
    """Milliseconds per stage, collected set by set."""

    def __init__(self) -> None:
        self._stages: dict[str, list[float]] = defaultdict(list)

    def add(self, latency_ms: Mapping[str, float]) -> None:
        """Add one set's stages and their sum."""
        for stage, value in latency_ms.items():
            self._stages[stage].append(value)
        self._stages["total"].append(sum(latency_ms.values()))

    def percentile_ms(self, percent: float) -> dict[str, float]:
        """Percentile per stage, ``total`` last."""
        order = sorted(self._stages, key=lambda stage: stage == "total")
        return {stage: round(float(np.percentile(self._stages[stage], percent)), 3) for stage in order}

    @property
    def fps(self) -> float:
        """Sets per second of processing time."""
        total = self._stages.get("total", [])
        return round(1e3 * len(total) / sum(total), 3) if total and sum(total) > 0 else 0.0


def camera_counts(counters: PipelineCounters) -> dict[str, dict[str, int]]:
    """The synchroniser's counters as plain numbers."""
    return {name: asdict(count) for name, count in counters.cameras.items()}
