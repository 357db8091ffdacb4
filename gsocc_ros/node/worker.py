# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""One thread that works whenever it is told that there may be work."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Worker:
    """Calls a function after every :meth:`wake`; calls that come while it works are merged into one.

    Args:
        work: Does whatever there is to do, and returns in how many seconds it wants to be called again, woken or not;
            None = only when woken. An exception goes to ``on_error``; the thread goes on.
        on_error: Told about exceptions, in the worker's thread.
        name: Of the thread.
        finish: Called when the thread is about to end.

    Example:
        >>> done = threading.Event()
        >>> worker = Worker(done.set, on_error=print)
        >>> worker.start(); worker.wake(); done.wait(5.0)
        True
        >>> worker.stop()
        True
    """

    def __init__(
        self,
        work: Callable[[], float | None],
        on_error: Callable[[Exception], None],
        name: str = "occupancy",
        finish: Callable[[], None] = lambda: None,
    ) -> None:
        self._work, self._on_error, self._name, self._finish = work, on_error, name, finish
        self._wake, self._stop = threading.Event(), threading.Event()  # each thread keeps those that it started with
        self._thread: threading.Thread | None = None
        self._before: threading.Thread | None = None  # was told to stop, may still work

    @property
    def running(self) -> bool:
        """Whether the thread is there."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread, if it does not run yet."""
        if self.running:
            return
        # New events: a thread that did not end in time must still find its own order to stop.
        self._wake, self._stop = threading.Event(), threading.Event()
        arguments = (self._wake, self._stop, self._before)
        self._thread = threading.Thread(target=self._run, args=arguments, name=self._name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There may be work."""
        self._wake.set()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Let the work in hand end, and the thread with it.

        Args:
            timeout_s: Longest wait; None = as long as it takes.

        Returns:
            Whether the thread has ended.
        """
        self._stop.set()
        self._wake.set()
        thread, self._thread = self._thread, None
        self._before = thread or self._before
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def _run(self, wake: threading.Event, stop: threading.Event, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        again_s: float | None = None
        while True:
            wake.wait(again_s)
            wake.clear()
            if stop.is_set():
                self._finish()
                return
            again_s = None
            try:
                again_s = self._work()
            except Exception as error:  # noqa: BLE001 - whatever a set does, the next one must be tried
                self._on_error(error)
