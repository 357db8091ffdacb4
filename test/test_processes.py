# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pools of worker processes."""

import signal
import threading

import pytest

from gsocc_core.processes import _signals_held, worker_context, worker_pool


def test_a_signal_waits_until_all_workers_have_begun():
    reached = []

    def hear(*_):
        reached.append("signal")

    before = signal.signal(signal.SIGINT, hear)
    try:
        with _signals_held():
            signal.raise_signal(signal.SIGINT)
            reached.append("the end")
        assert signal.getsignal(signal.SIGINT) is hear
    finally:
        signal.signal(signal.SIGINT, before)
    assert reached == ["the end", "signal"]


def test_a_pool_has_workers_from_the_start_and_ends_them_when_the_block_raises():
    workers = []

    def broken():
        with worker_pool(2, worker_context("math")) as pool:
            workers.extend(pool._processes.values())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert workers
    assert not any(worker.is_alive() for worker in workers)


def test_a_pool_may_begin_in_any_thread():
    found = []

    def work():
        with worker_pool(1, worker_context("math")) as pool:
            found.append(pool.submit(abs, -3).result())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [3]
