# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of a model of unposed views, and tables of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gsocc_core.metrics.depth import DepthScores
from gsocc_core.metrics.relative_pose import RelativePoseScores
from gsocc_core.whole import whole_file


@dataclass(frozen=True)
class PictureScores:
    """How like pictures are to the true ones.

    Attributes:
        psnr_db: Mean over pictures, decibels.
        ssim: Mean over pictures.
        pictures: Their number.
    """

    psnr_db: float
    ssim: float
    pictures: int


@dataclass(frozen=True)
class ClassScores:
    """Classes of pixels, found by words.

    Attributes:
        miou: Mean IoU over the classes that are there, from one confusion matrix over all pictures.
        accuracy: Share of labelled pixels.
        per_class: IoU by class name; nan = neither there nor predicted.
    """

    miou: float
    accuracy: float
    per_class: dict[str, float]


@dataclass(frozen=True)
class ViewScores:
    """Scores with one number of context views, of a model or of what takes its place; None = there is no such score.

    Attributes:
        pictures: Target views at their true poses.
        aligned: Target views after test-time pose alignment.
        depth: Depth of target views as it is.
        fitted_depth: The same after a scale and a shift per picture.
        classes: Classes of target views.
        poses: Relative poses of pairs of context views.
    """

    pictures: PictureScores | None = None
    aligned: PictureScores | None = None
    depth: DepthScores | None = None
    fitted_depth: DepthScores | None = None
    classes: ClassScores | None = None
    poses: RelativePoseScores | None = None


@dataclass(frozen=True)
class ViewReport:
    """Scores of one model and of the baselines on the same samples.

    Attributes:
        name: What was scored.
        samples: Samples per number of views.
        scenes: Scenes.
        turned_deg: Pairs of context views count that are turned against each other by so much.
        within_deg: The limit for their errors.
        features: Where the model's features of the pictures came from: a folder, or the bundle; None = it takes none.
        views: By number of context views, then ``model``, ``nearest``, ``warped``, ``mean_color``, ``median_depth``,
            ``commonest_class`` and ``no_motion``.
    """

    name: str
    samples: int
    scenes: int
    turned_deg: tuple[float, float]
    within_deg: float
    features: str | None = None
    views: dict[int, dict[str, ViewScores]] = field(default_factory=dict)


def view_markdown(report: ViewReport) -> str:
    """A table of pictures, one of depth and classes, and one of poses."""
    rows = [(count, name, s) for count, kinds in report.views.items() for name, s in kinds.items()]
    features = "" if report.features is None else f" Features of the pictures: {report.features}."
    lines = [
        f"{report.name}: {report.samples} samples of {report.scenes} scenes per number of views.{features}",
        "",
        "| views | target views | PSNR, dB | SSIM | PSNR aligned, dB | SSIM aligned |",
        "|---|---|---|---|---|---|",
    ]
    for count, name, s in rows:
        if s.pictures is not None:
            cells = [_picture(s.pictures), "- | -" if s.aligned is None else _picture(s.aligned)]
            lines.append(f"| {count} | {_shown(name)} | {' | '.join(cells)} |")
    lines += _depth_and_classes(rows)
    low, high = report.turned_deg
    within = f"within {report.within_deg:g}°, %"
    errors = f"rotation, ° | direction, ° | rotation {within} | both {within}"
    lines += [
        "",
        f"| views | pairs {low:g} to {high:g}° apart | pairs | {errors} |",
        "|---|---|---|---|---|---|---|",
    ]
    for count, name, s in rows:
        if (p := s.poses) is not None:
            shares = f"{100 * p.rotation_within:.1f} | {100 * p.both_within:.1f}"
            lines.append(
                f"| {count} | {_shown(name)} | {p.pairs} | {p.rotation_deg:.2f} | {p.direction_deg:.2f} | {shares} |"
            )
    return "\n".join(lines)


def _depth_and_classes(rows: list[tuple[int, str, ViewScores]]) -> list[str]:
    limit = "< 1.03, %"
    lines = [
        "",
        f"| views | target views | abs rel | {limit} | abs rel fitted | {limit} fitted | mIoU, % | accuracy, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for count, name, s in rows:
        if s.depth is None and s.classes is None:
            continue
        cells = [
            "- | -" if d is None else f"{d.abs_rel:.3f} | {100 * d.delta[0]:.1f}" for d in (s.depth, s.fitted_depth)
        ]
        cells.append("- | -" if (c := s.classes) is None else f"{100 * c.miou:.1f} | {100 * c.accuracy:.1f}")
        lines.append(f"| {count} | {_shown(name)} | {' | '.join(cells)} |")
    return lines


def _shown(name: str) -> str:
    return name.replace("_", " ")


def _picture(scores: PictureScores) -> str:
    return f"{scores.psnr_db:.2f} | {scores.ssim:.3f}"


def write_view_report(report: ViewReport, path: str | Path) -> None:
    """Write ``<path>.json``, a list of this one report, and ``<path>.md``; each appears only when complete."""
    base = Path(path)
    for suffix, text in ((".json", json.dumps([asdict(report)], indent=1)), (".md", view_markdown(report))):
        with whole_file(base.with_name(base.name + suffix)) as part:
            part.write_text(text + "\n", encoding="utf-8")
