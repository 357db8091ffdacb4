# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Results that are computed one after another beside the page."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from tqdm import tqdm

_T = TypeVar("_T")


class InOrder(Generic[_T]):
    """Computes item 0, 1, ... in a thread of its own and keeps them, whoever looks at which one.

    A model with memory gives at a frame what it gives after all frames before, so skipping is not allowed.

    Args:
        compute: Makes an item.
        count: How many there are.
        label: Text beside the progress bar.

    Example:
        >>> squares = InOrder(lambda i: i * i, 4, "squares")
        >>> squares.start()
        >>> squares.get(3)
        9
        >>> squares.close()
    """

    def __init__(self, compute: Callable[[int], _T], count: int, label: str) -> None:
        self._compute, self._count, self._label = compute, count, label
        self._done: list[_T] = []
        self._error: BaseException | None = None
        self._stopped = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"gsocc {label}", daemon=True)
        #: Called with the number of an item as soon as it is there, from the computing thread.
        self.on_ready: Callable[[int], None] = lambda _: None

    def start(self) -> None:
        """Begin; a second call changes nothing."""
        if self._thread.ident is None:
            self._thread.start()

    def get(self, index: int, wait: bool = True) -> _T | None:
        """One item.

        Args:
            index: Its number.
            wait: Until it is there.

        Returns:
            The item, or None when it is not there and nobody wants to wait, or everything was closed.

        Raises:
            Exception: what computing the item, or one before it, raised.
        """
        with self._news:
            if wait:
                self._news.wait_for(lambda: len(self._done) > index or self._error is not None or self._stopped)
            if index < len(self._done):
                return self._done[index]
            if self._error is not None:
                raise self._error
            return None

    def close(self) -> None:
        """Stop after the item in hand."""
        with self._news:
            self._stopped = True
            self._news.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        for index in tqdm(range(self._count), desc=self._label, unit="frame"):
            if self._stopped:
                return
            try:
                item = self._compute(index)
            except Exception as error:  # noqa: BLE001 - whoever asks for the item gets it
                with self._news:
                    self._error = error
                    self._news.notify_all()
                self.on_ready(index)
                return
            with self._news:
                self._done.append(item)
                self._news.notify_all()
            self.on_ready(index)
