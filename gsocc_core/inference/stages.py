# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How long each stage of a prediction takes, without waiting for a GPU in between."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

import torch


class StageClock(ABC):
    """Time of stages that follow each other, the first of which began when the clock was told."""

    @abstractmethod
    def mark(self, stage: str) -> None:
        """A stage ends here."""

    @abstractmethod
    def finish(self) -> dict[str, float]:
        """Wait for what is still computed; milliseconds per stage and in ``total``, their sum."""


class HostClock(StageClock):
    """Of a device that the host computes on, or waits for anyway.

    Args:
        started: ``time.perf_counter()`` at the begin of the first stage.
    """

    def __init__(self, started: float) -> None:
        self._started = self._last = started
        self._ms: dict[str, float] = {}

    def mark(self, stage: str) -> None:
        """A stage ends here."""
        now = time.perf_counter()
        self._ms[stage], self._last = 1e3 * (now - self._last), now

    def finish(self) -> dict[str, float]:
        """Milliseconds per stage and in ``total``."""
        return {**self._ms, "total": 1e3 * (self._last - self._started)}


class CudaClock(StageClock):
    """Of a GPU: its own events tell stages apart, and the host waits once, for the last of them.

    The first stage is the host's, until the GPU begins with the second one.

    Args:
        started: ``time.perf_counter()`` at the begin of the first stage.
        device: The GPU.
    """

    def __init__(self, started: float, device: torch.device) -> None:
        self._started, self._device = started, device
        self._marks: list[tuple[str, Any]] = []

    def mark(self, stage: str) -> None:
        """A stage ends here, as soon as the GPU comes to it."""
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        self._marks.append((stage, event))

    def finish(self) -> dict[str, float]:
        """Wait for the last stage; milliseconds per stage and in ``total``."""
        self._marks[-1][1].synchronize()
        total = 1e3 * (time.perf_counter() - self._started)
        pairs = zip(self._marks[1:], self._marks)
        later = {stage: before.elapsed_time(event) for (stage, event), (_, before) in pairs}
        return {self._marks[0][0]: total - sum(later.values()), **later, "total": total}


def stage_clock(started: float, device: torch.device) -> StageClock:
    """A clock for a device.

    Args:
        started: ``time.perf_counter()`` at the begin of the first stage.
        device: Where the work is done.
    """
    return CudaClock(started, device) if device.type == "cuda" else HostClock(started)
