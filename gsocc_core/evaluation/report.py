# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of a model over a data set, as numbers, tables and files."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gsocc_core.metrics.depth import DepthScores, mean_depth_scores
from gsocc_core.metrics.image_metrics import ImageScores
from gsocc_core.metrics.velocity import VelocityScores
from gsocc_core.whole import whole_file


@dataclass(frozen=True)
class Scores:
    """Scores over a data set, 0..1.

    Attributes:
        name: What was scored.
        frames: Key frames.
        scenes: Scenes.
        mask: Which voxels count for ``miou``, ``miou_15`` and ``iou``.
        miou: Mean IoU over the classes present.
        miou_15: The same without ``others`` and ``other_flat``; nan for class tables that lack one of them.
        iou: Occupied against free.
        rayiou: Mean RayIoU at 1, 2 and 4 m; nan when not asked for.
        rayiou_15: The same without ``others`` and ``other_flat``.
        intervals: 95 % bootstrap intervals over scenes of miou, iou, rayiou and miou_remembered.
        per_class: IoU per class; nan where absent; empty where there are no voxel labels, and the means nan.
        absent: Classes to which ``absent_rule`` was applied.
        seconds_per_frame: Time of one prediction, loading excluded.
        depth_of_cameras: The same of each camera by name.
        absent_rule: ``left_out`` of the means, or ``counts_as_one``.
        miou_dynamic: Mean IoU over the classes that can move; nan when none is present.
        miou_remembered: Mean IoU over the classes that cannot move, of voxels that the present cameras do not see and
            those of earlier key frames saw; nan when not asked for, or there is none. See
            :func:`gsocc_core.data.remembered.remembered_voxels`.
        iou_remembered: Occupied against free of the same voxels.
        remembered_voxels: Their number.
        velocity: Velocity errors; None when not asked for.
        depth: Errors of the rendered depth at LiDAR points; None when not asked for.
        images: What the cameras would see of the voxels that count; None when not asked for.
        top_down: The same seen from above.
    """

    name: str
    frames: int
    scenes: int
    mask: str
    miou: float
    miou_15: float
    iou: float
    rayiou: float
    rayiou_15: float
    intervals: dict[str, tuple[float, float]]
    per_class: dict[str, float]
    absent: tuple[str, ...]
    seconds_per_frame: float
    miou_dynamic: float = math.nan
    velocity: VelocityScores | None = None
    depth: DepthScores | None = None
    absent_rule: str = "left_out"
    images: ImageScores | None = None
    top_down: ImageScores | None = None
    depth_of_cameras: dict[str, DepthScores] = field(default_factory=dict)
    miou_remembered: float = math.nan
    iou_remembered: float = math.nan
    remembered_voxels: int = 0


def report(scores: Sequence[Scores], out: str | Path | None) -> None:
    """Print the scores and, unless ``out`` is None, write them too."""
    if out is not None:
        write_report(scores, out)
    sys.stdout.write(markdown(scores) + "\n")


def write_report(scores: Sequence[Scores], path: str | Path) -> None:
    """Write ``<path>.json`` and ``<path>.md``; each appears only when complete."""
    base = Path(path)
    for suffix, text in ((".json", json.dumps([asdict(s) for s in scores], indent=1)), (".md", markdown(scores))):
        with whole_file(base.with_name(base.name + suffix)) as part:
            part.write_text(text + "\n", encoding="utf-8")


def markdown(scores: Sequence[Scores]) -> str:
    """Two tables: overall with intervals, and IoU per class; percent."""
    lines = [
        "| | frames | mIoU | mIoU-15 | dynamic | IoU | RayIoU | RayIoU-15 | ms per frame |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for s in scores:
        # Scenes are what is drawn again and again: one says nothing of its neighbours.
        get = s.intervals.get if s.scenes > 1 else (lambda _: None)
        row: tuple[str, ...] = (
            _percent(s.miou, get("miou")),
            _percent(s.miou_15),
            _percent(s.miou_dynamic),
            _percent(s.iou, get("iou")),
        )
        row += (_percent(s.rayiou, get("rayiou")), _percent(s.rayiou_15), f"{1e3 * s.seconds_per_frame:.0f}")
        lines.append(f"| {s.name} | {s.frames} | {' | '.join(row)} |")
    lines += _absent_lines(scores) + _remembered_table(scores) + _velocity_table(scores)
    lines += _depth_table(scores) + _image_table(scores)
    if not any(s.per_class for s in scores):
        return "\n".join([*lines, "", "There are no voxel labels: depth alone is scored."])
    lines += ["", f"| class | {' | '.join(s.name for s in scores)} |", "|---" * (len(scores) + 1) + "|"]
    for name in scores[0].per_class:
        lines.append(f"| {name} | {' | '.join(_percent(s.per_class.get(name, math.nan)) for s in scores)} |")
    return "\n".join(lines)


def _percent(value: float, interval: tuple[float, float] | None = None) -> str:
    if math.isnan(value):
        return "-"
    return f"{100 * value:.1f}" + (f" ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})" if interval else "")


def _remembered_table(scores: Sequence[Scores]) -> list[str]:
    rows = [
        f"| {s.name} | {s.remembered_voxels} "
        f"| {_percent(s.miou_remembered, s.intervals.get('miou_remembered') if s.scenes > 1 else None)} "
        f"| {_percent(s.iou_remembered)} |"
        for s in scores
        if s.remembered_voxels
    ]
    return ["", "| hidden now, seen before | voxels | mIoU | IoU |", "|---" * 4 + "|", *rows] if rows else []


def _absent_lines(scores: Sequence[Scores]) -> list[str]:
    """Named only where it changes the mean against the house's rule, so that numbers are not compared by mistake."""
    kind = [s for s in scores if s.absent_rule == "counts_as_one" and s.absent]
    lines = [f"{s.name}: {len(s.absent)} absent classes count as 100 % in mIoU: {', '.join(s.absent)}." for s in kind]
    return ["", *lines] if lines else []


def _velocity_table(scores: Sequence[Scores]) -> list[str]:
    known = [(s.name, s.velocity) for s in scores if s.velocity is not None]
    if not known:
        return []
    lines = [
        "",
        "| moving things | voxels | mAVE, m/s | no motion, m/s | parked things' speed | all things, m/s | no motion |",
        "|---" * 7 + "|",
    ]
    return lines + [
        f"| {n} | {v.matches} | {v.mave_mps:.2f} | {v.zero_mave_mps:.2f} | {v.parked_mps:.2f} | {v.all_mps:.2f} "
        f"| {v.zero_all_mps:.2f} |"
        for n, v in known
    ]


def _depth_table(scores: Sequence[Scores]) -> list[str]:
    """Of all points, of each camera, and the mean of the cameras, as GaussianOcc and its predecessors print it."""
    rows: list[tuple[str, DepthScores]] = []
    for s in scores:
        if s.depth is None:
            continue
        rows.append((s.name, s.depth))
        cameras = {name: found for name, found in s.depth_of_cameras.items() if found.pixels}
        if len(cameras) > 1:
            rows += [(f"{s.name}, {name}", found) for name, found in cameras.items()]
            rows.append((f"{s.name}, mean of cameras", mean_depth_scores(list(cameras.values()))))
    if not rows:
        return []
    lines = [
        "",
        "| depth at LiDAR points | points | abs rel | sq rel, m | RMSE, m | RMSE log | < 1.25 | < 1.25^2 | < 1.25^3 |",
        "|---" * 9 + "|",
    ]
    for name, d in rows:
        numbers = f"{d.abs_rel:.3f} | {d.sq_rel:.2f} | {d.rmse_m:.2f} | {d.rmse_log:.3f}"
        lines.append(f"| {name} | {d.pixels} | {numbers} | {' | '.join(f'{100 * x:.1f} %' for x in d.delta)} |")
    return lines


def _image_table(scores: Sequence[Scores]) -> list[str]:
    rows = [(s.name, "cameras", s.images) for s in scores] + [(s.name, "above", s.top_down) for s in scores]
    known = [(name, view, found) for name, view, found in rows if found is not None]
    if not known:
        return []
    lines = ["", "| voxels in pictures | seen from | mIoU | IoU | depth L1, m |", "|---" * 5 + "|"]
    return lines + [
        f"| {n} | {v} | {100 * i.classes.miou:.1f} | {100 * i.classes.iou:.1f} | {i.depth_l1_m:.2f} |"
        for n, v, i in known
    ]
