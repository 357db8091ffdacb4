# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Items are computed in order, whoever asks for which."""

import threading

import pytest

from gsocc_core.viewer.in_order import InOrder


def test_order_waiting_and_news():
    made, ready, gate = [], [], threading.Event()

    def compute(index):
        if index == 2:
            gate.wait(10)
        made.append(index)
        return index * 10

    items = InOrder(compute, 4, "test")
    items.on_ready = ready.append
    items.start()
    assert items.get(1) == 10
    assert items.get(3, wait=False) is None
    gate.set()
    assert items.get(3) == 30
    items.close()
    assert made == ready == [0, 1, 2, 3]


def test_whoever_asks_gets_the_error_and_what_came_before_stays():
    def compute(index):
        if index == 1:
            raise ValueError("no picture")
        return index

    items = InOrder(compute, 3, "test")
    items.start()
    with pytest.raises(ValueError, match="no picture"):
        items.get(2)
    assert items.get(0) == 0
    items.close()


def test_closing_ends_the_wait():
    gate = threading.Event()
    items = InOrder(lambda _: gate.wait(10), 2, "test")
    items.start()
    got = []
    waiter = threading.Thread(target=lambda: got.append(items.get(1)))
    waiter.start()
    threading.Timer(0.1, gate.set).start()
    items.close()
    waiter.join(5)
    assert got == [None]
