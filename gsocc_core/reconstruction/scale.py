# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How many metres a unit of a reconstruction has, and what told it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.ground_plane import GroundPlane

#: What told metres. ``poses``: known poses of the pictures; ``baseline``: the known distance of the first and the last
#: one; ``mounting_height``: the known height of the first camera above the ground; ``learned``: the training, for the
#: kind of scenes that it saw; ``unknown``: nothing, and one unit counts as a metre.
ViewScale = Literal["poses", "baseline", "mounting_height", "learned", "unknown"]
#: What is asked for: ``auto`` takes the first of them that is at hand.
WantedScale = Literal["auto", "poses", "baseline", "mounting_height", "learned"]
_WHERE = "reconstruct"
#: Camera centres nearer to each other than this share of the largest distance tell nothing.
_LEAST_SHARE = 0.2
#: Cameras that moved less stand at one place, metres.
_LEAST_WAY_M = 0.01


@dataclass(frozen=True)
class MetricScale:
    """The answer.

    Attributes:
        source: What told it.
        unit_m: Metres in one unit.
    """

    source: ViewScale
    unit_m: float


@dataclass(frozen=True)
class ScaleHints:
    """What is known besides pictures.

    Attributes:
        scale: What shall tell metres.
        baseline_m: Distance between the cameras of the first and the last picture, metres.
        mounting_height_m: Height of the first picture's camera above the ground, metres.

    Raises:
        ConfigError: a length that is not above 0, or a scale is asked for whose length is missing.
    """

    scale: WantedScale = "auto"
    baseline_m: float | None = None
    mounting_height_m: float | None = None

    def __post_init__(self) -> None:
        for key in ("baseline_m", "mounting_height_m"):
            value = getattr(self, key)
            if value is not None and not 0 < value < 1e4:
                raise ConfigError(_WHERE, key, "above 0 m", value)
            if value is None and self.scale == key.removesuffix("_m"):
                raise ConfigError(_WHERE, key, f"a length in metres, for scale {self.scale}", "none")


def metric_scale(
    hints: ScaleHints,
    centers: np.ndarray,
    known_centers_m: np.ndarray | None,
    ground: GroundPlane | None,
    *,
    metric: bool,
    has_first: bool = True,
    has_last: bool = True,
) -> tuple[MetricScale, list[str]]:
    """How long the unit is.

    Args:
        hints: What is known, and what is asked for.
        centers: (V, 3) estimated places of the cameras that have a pose, in units.
        known_centers_m: (V, 3) known ones, metres, NaN where unknown; None = none is known.
        ground: The plane below the cameras, in units; None = none was found.
        metric: The network learned metres.
        has_first: The first picture that was given is the first of these; else nothing is known of its camera.
        has_last: Likewise the last one.

    Returns:
        The first of known poses, baseline, mounting height and learned metres that is at hand, or the one that is
        asked for; and why what was given was not used, a line each.

    Raises:
        ConfigError: what is asked for is not at hand, with the reason.

    Example:
        >>> centers = np.array([[0.0, 0, 0], [0.5, 0, 0]])
        >>> metric_scale(ScaleHints(baseline_m=0.2), centers, None, None, metric=False)
        (MetricScale(source='baseline', unit_m=0.4), [])
    """
    notes: list[str] = []
    for source, given, expected, told in (
        ("poses", known_centers_m is not None, "known poses of two pictures from different places",
         lambda: _by_poses(centers, known_centers_m)),
        ("baseline", hints.baseline_m is not None, "a first and a last picture from different places",
         lambda: _by_baseline(hints, centers, has_first and has_last)),
        ("mounting_height", hints.mounting_height_m is not None, "a first picture with a pose, and visible ground",
         lambda: _by_height(hints, centers, ground, has_first)),
    ):  # fmt: skip
        if hints.scale != source and not (hints.scale == "auto" and given):
            continue
        unit = told()
        if isinstance(unit, float):
            return MetricScale(source, unit), notes  # type: ignore[arg-type]
        if hints.scale == source:
            raise ConfigError(_WHERE, f"scale {source}", expected, unit)
        notes.append(f"scale {source} could not be used: {unit}")
    if metric:
        return MetricScale("learned", 1.0), notes
    if hints.scale == "learned":
        raise ConfigError(_WHERE, "scale", "a bundle that learned metres (network.unit: metre)", "another unit")
    return MetricScale("unknown", 1.0), notes


def _by_poses(centers: np.ndarray, known_m: np.ndarray | None) -> float | str:
    """Metres in a unit, or why they are not known."""
    posed = np.zeros(len(centers), bool) if known_m is None else np.isfinite(known_m).all(1)
    unit = _of_poses(centers[posed], np.asarray(known_m)[posed]) if posed.sum() > 1 else None
    return "fewer than two known poses of used pictures, or all at one place" if unit is None else unit


def _by_baseline(hints: ScaleHints, centers: np.ndarray, has_ends: bool) -> float | str:
    assert hints.baseline_m is not None
    if not has_ends:
        return "the first or the last picture has no pose"
    apart = float(np.linalg.norm(centers[-1] - centers[0]))
    return hints.baseline_m / apart if apart > 1e-6 else "cameras that are estimated at one place"


def _by_height(hints: ScaleHints, centers: np.ndarray, ground: GroundPlane | None, has_first: bool) -> float | str:
    assert hints.mounting_height_m is not None
    if not has_first:
        return "the first picture has no pose"
    if ground is None:
        return "no plane below the cameras"
    return hints.mounting_height_m / float(ground.height(centers[0]))


def _of_poses(centers: np.ndarray, known_m: np.ndarray) -> float | None:
    """Median ratio of known to estimated distances of far pairs; None where no pair is far enough."""
    first, second = np.triu_indices(len(centers), 1)
    known = np.linalg.norm(known_m[first] - known_m[second], axis=1)
    found = np.linalg.norm(centers[first] - centers[second], axis=1)
    if not len(known) or known.max() < _LEAST_WAY_M:
        return None
    far = (known >= _LEAST_SHARE * known.max()) & (found > 1e-9)
    return float(np.median(known[far] / found[far])) if far.any() else None
