# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Time and memory of a call."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

#: A call slower than this is not repeated, seconds.
SLOW_S = 3.0


def cpu_ms(run: Callable[[], object], repeats: int) -> float:
    """Median CPU time of this thread, milliseconds, after one call that is not counted; slow calls are made once.

    Thread time does not count what other programs take, so a busy machine changes it little.
    """
    times = []
    for _ in range(repeats + 1):
        start = time.thread_time()
        run()
        times.append(1e3 * (time.thread_time() - start))
        if times[-1] > 1e3 * SLOW_S:
            return times[-1]
    return statistics.median(times[1:])


def wall_ms(run: Callable[[], object], repeats: int) -> float:
    """Best wall time, milliseconds: what several threads take when nothing else is in the way."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return min(times)


def cuda_ms(run: Callable[[], object], repeats: int, *, graph: bool = False) -> float:
    """Median milliseconds on the GPU between two events, eager or as a replayed graph; slow calls are made once."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            started = time.perf_counter()
            run()
            stream.synchronize()
            spent = time.perf_counter() - started
        if spent > SLOW_S / 10 and not graph:
            return 1e3 * spent
        call = run
        if graph:
            captured = torch.cuda.CUDAGraph()
            with torch.cuda.graph(captured, stream=stream):
                run()
            call = captured.replay
        times = []
        for _ in range(max(repeats, 20)):
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            stop.record()
            stop.synchronize()
            times.append(start.elapsed_time(stop))
    return statistics.median(times)


def extra_memory_mb(run: Callable[[], object], device: torch.device) -> float | None:
    """Most memory that a call holds beyond what was held before, MB.

    On the CPU: the peak of the process's resident set during the call, above the one before it, after freed memory
    went back to the system. None where the system does not tell (not Linux). On a GPU: PyTorch's own count.
    """
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - held) / 1e6
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        return None
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        reset.write_text("5")  # proc(5): the peak resident set becomes the present one
    except (OSError, AttributeError):
        return None
    before = _status_mb("VmRSS")
    run()
    return _status_mb("VmHWM") - before


def _status_mb(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return float(line.split()[1]) * 1024 / 1e6
    return 0.0
