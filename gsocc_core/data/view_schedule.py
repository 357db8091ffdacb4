# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Which frames of a video are the views of a sample: how many, how far apart, and which are to be rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gsocc_core.errors import ConfigError


@dataclass(frozen=True)
class SpanStage:
    """How far apart the views of a sample are from a training step on.

    Attributes:
        begin: The step.
        span: Fewest and most frames from the first context view to the last one.
    """

    begin: int = 0
    span: tuple[int, int] = (4, 4)


class ViewChoice(NamedTuple):
    """Frames of one sample: numbers of the context views, ascending unless drawn in any order, and of the targets."""

    context: tuple[int, ...]
    targets: tuple[int, ...]


@dataclass(frozen=True)
class ViewSchedule:
    """Views of samples, as data.

    Context views lie evenly between the first and the last; targets lie between them, on frames that are no context
    views. A sample with one context view has its targets within ``span`` frames after it. A video that is shorter than
    a span is used whole.

    Attributes:
        context: Numbers of context views. Each training step draws one of them; without a step or seed it is the first.
        stages: From which step on views are how far apart; the last one holds where there is no step.
        targets: Number of target views; 0 = none.
        avoid: Targets lie on no frame that would be a context view with one of these numbers of them. With the numbers
            to be compared, all of them are asked for the same targets.
        stride: Frames between the beginnings of samples without a seed; 0 = one sample per video.
        offsets: Beginnings of samples after each multiple of ``stride``.
        any_order: A sample with a seed takes its context views in any order, so that each of them is the reference at
            times: every motion is seen as its opposite too, and what a room looks like does not tell it.

    Raises:
        ConfigError: a number makes no sense, or a span has too few frames for its views.

    Example:
        >>> schedule = ViewSchedule(context=(4,), stages=(SpanStage(0, (12, 12)),), targets=3)
        >>> schedule.choose(count=4, span=12, start=0)
        ViewChoice(context=(0, 4, 8, 12), targets=(2, 6, 10))
    """

    context: tuple[int, ...] = (2,)
    stages: tuple[SpanStage, ...] = (SpanStage(),)
    targets: int = 1
    avoid: tuple[int, ...] = ()
    stride: int = 0
    offsets: tuple[int, ...] = (0,)
    any_order: bool = False

    def __post_init__(self) -> None:
        for key, lowest in (("context", 1), ("avoid", 1), ("offsets", 0)):
            if any(value < lowest for value in getattr(self, key)) or (key != "avoid" and not getattr(self, key)):
                raise ConfigError("schedule", key, f"numbers of {lowest} or more", getattr(self, key))
        for key in ("targets", "stride"):
            if getattr(self, key) < 0:
                raise ConfigError("schedule", key, "0 or more", getattr(self, key))
        begins = [stage.begin for stage in self.stages]
        if not begins or begins[0] != 0 or begins != sorted(set(begins)):
            raise ConfigError("schedule", "stages", "one or more, beginning at ascending steps from 0", begins)
        for stage in self.stages:
            if not 0 < stage.span[0] <= stage.span[1]:
                raise ConfigError("schedule", "span", "fewest, most: 1 or more frames", stage.span)
            for count in self.context:
                if not all(self.fits(span, count) for span in range(stage.span[0], stage.span[1] + 1)):
                    expected = f"frames for {count} context views and {self.targets} targets between them"
                    raise ConfigError("schedule", "span", expected, stage.span)

    def stage(self, step: int | None = None) -> SpanStage:
        """What holds at a training step; None = the last stage."""
        return self.stages[-1] if step is None else [s for s in self.stages if s.begin <= step][-1]

    def views_at(self, step: int) -> int:
        """Number of context views of all samples of a training step, drawn from the step alone."""
        return int(self.context[np.random.default_rng([step, len(self.context)]).integers(len(self.context))])

    def starts(self, frames: int) -> tuple[int, ...]:
        """First frames of the samples without a seed of a video with so many frames."""
        last = frames - 1 - min(self.stage().span[1], frames - 1)
        repeats = range(0, last + 1, self.stride) if self.stride else (0,)
        return tuple(sorted({r + o for r in repeats for o in self.offsets if r + o <= last})) or (0,)

    def fits(self, span: int, count: int) -> bool:
        """Whether a span has frames enough for so many context views and for the targets."""
        return len(set(_context(0, span, count))) == count and len(self._free(0, span, count)) >= self.targets

    def choose(self, count: int, span: int, start: int, draw: np.random.Generator | None = None) -> ViewChoice:
        """Views of a sample.

        Args:
            count: Number of context views.
            span: Frames from the first to the last of them.
            start: The first one.
            draw: Draws the targets, and the order where it is any; None = evenly spread, ascending.

        Returns:
            Numbers of frames.
        """
        free = self._free(start, span, count)
        if draw is None:
            places = ((np.arange(self.targets) + 0.5) / max(self.targets, 1) * len(free)).astype(int)
        else:
            places = np.sort(draw.permutation(len(free))[: self.targets])
        context = _context(start, span, count)
        if draw is not None and self.any_order:
            context = tuple(context[i] for i in draw.permutation(count))
        return ViewChoice(context, tuple(free[i] for i in places))

    def _free(self, start: int, span: int, count: int) -> list[int]:
        """Frames on which targets may lie."""
        taken = {frame for views in (count, *self.avoid) for frame in _context(start, span, views)}
        return [frame for frame in range(start + 1, start + span + (count == 1)) if frame not in taken]


def _context(start: int, span: int, count: int) -> tuple[int, ...]:
    """Frames evenly from ``start`` to ``start + span``, halves rounded up."""
    if count == 1:
        return (start,)
    return tuple(start + (2 * i * span + count - 1) // (2 * (count - 1)) for i in range(count))
