# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The worker thread."""

import threading
import time

from gsocc_ros.node.worker import Worker


def test_wakes_while_it_works_are_merged_into_one():
    begun, go, calls = threading.Event(), threading.Event(), []

    def work():
        calls.append(time.monotonic())
        begun.set()
        go.wait(5.0)

    worker = Worker(work, on_error=lambda error: None)
    worker.start()
    worker.wake()
    assert begun.wait(5.0)
    for _ in range(50):
        worker.wake()
    go.set()
    deadline = time.monotonic() + 5.0
    while len(calls) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(calls) == 2
    assert worker.stop(5.0)


def test_an_exception_is_told_and_the_next_work_done():
    errors, done = [], threading.Event()

    def work():
        if not errors:
            raise ValueError("first")
        done.set()

    def tell(error):
        errors.append(error)
        worker.wake()

    worker = Worker(work, tell)
    worker.start()
    worker.wake()
    assert done.wait(5.0)
    assert [str(error) for error in errors] == ["first"]
    worker.stop()


def test_stop_waits_for_the_work_in_hand_and_it_can_start_again():
    begun, ended = threading.Event(), threading.Event()

    def work():
        begun.set()
        time.sleep(0.2)
        ended.set()

    worker = Worker(work, on_error=lambda error: None)
    assert worker.stop()
    for _ in range(2):
        begun.clear()
        ended.clear()
        worker.start()
        worker.start()
        worker.wake()
        assert begun.wait(5.0)
        assert worker.stop(5.0)
        assert ended.is_set()
        assert not worker.running
    assert not [thread for thread in threading.enumerate() if thread.name == "occupancy"]


def test_a_thread_that_did_not_end_in_time_ends_and_never_works_beside_the_next():
    go, lock, overlaps, calls = threading.Event(), threading.Lock(), [], []

    def work():
        overlaps.append(not lock.acquire(blocking=False))
        calls.append(threading.current_thread())
        go.wait(5.0)
        lock.release()

    worker = Worker(work, on_error=overlaps.append)
    worker.start()
    worker.wake()
    while not calls:
        time.sleep(0.01)
    assert not worker.stop(0.05)
    worker.start()
    worker.wake()
    time.sleep(0.1)
    assert len(calls) == 1
    go.set()
    deadline = time.monotonic() + 5.0
    while len(calls) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert worker.stop(5.0)
    assert len(set(calls)) == 2
    assert overlaps == [False, False]
    assert not calls[0].is_alive()


def test_work_that_asks_for_it_is_called_again_unwoken_and_the_end_is_told():
    calls, finished, third = [], [], threading.Event()

    def work():
        calls.append(time.monotonic())
        if len(calls) == 3:
            third.set()
        return {1: 0.1, 2: 0.0}.get(len(calls))

    worker = Worker(work, on_error=lambda error: None, finish=lambda: finished.append(threading.current_thread()))
    worker.start()
    worker.wake()
    assert third.wait(5.0)
    assert calls[1] - calls[0] >= 0.1
    time.sleep(0.1)
    assert len(calls) == 3, "None is asked for: only a wake calls it again"
    assert not finished
    assert worker.stop(5.0)
    assert [thread.name for thread in finished] == ["occupancy"]
