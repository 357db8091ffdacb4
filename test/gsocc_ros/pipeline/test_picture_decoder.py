# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Decoding ahead costs little while no set completes, and ends at once."""

import threading
import time
import weakref
from concurrent.futures import CancelledError
from types import SimpleNamespace

import numpy as np
import pytest

from gsocc_ros.pipeline import picture_decoder as module
from gsocc_ros.pipeline.camera_input import Calibration
from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline
from gsocc_ros.pipeline.picture_decoder import IN_VAIN, PictureDecoder
from gsocc_ros.pipeline.rig import Rig
from gsocc_ros.pipeline.synchronizer import Frame, SyncedSet

FOUR = Rig.load("example_four_cameras")
FRONT, REAR = FOUR.camera("front"), FOUR.camera("rear")
CALIBRATION = Calibration(np.eye(3), 64, 36, "pinhole", None, "optical")
CAMERAS = [SimpleNamespace(name=c.name, height=36, width=64, model="pinhole") for c in FOUR.cameras]


class Model:
    """Never asked, for no set completes."""

    depth_input = features_input = "unused"

    def least_size(self, model):
        return None


class Message:
    """What is decoded, and what it is decoded to: both are watched."""


@pytest.fixture
def slow(monkeypatch):
    """Decoding waits until it is let go; what was begun is listed."""
    state = SimpleNamespace(begun=[], go=threading.Event())

    def read(message, camera, *_):
        state.begun.append(camera.name)
        assert state.go.wait(20.0)
        return np.zeros((36, 64, 3), np.uint8)

    monkeypatch.setattr(module, "read_picture", read)
    yield state
    state.go.set()


def one_set(stamp_ns, *cameras):
    frames = {camera.name: Frame(stamp_ns, Message()) for camera in cameras}
    return SyncedSet(frames, (), stamp_ns, "anchor", 0)


def test_a_camera_whose_sets_never_complete_holds_nothing_and_costs_nothing(slow):
    decoder, alive = PictureDecoder(FOUR, lambda model: None), []
    for stamp in range(500):
        message = Message()
        alive.append(weakref.ref(message))
        decoder.begin(FRONT, stamp, message, CALIBRATION)
    del message
    assert len(slow.begun) <= IN_VAIN
    slow.go.set()
    decoder._threads.shutdown()
    assert len(slow.begun) <= IN_VAIN
    assert [ref() for ref in alive] == [None] * 500


@pytest.fixture
def busy(slow):
    """A decoder whose threads are all at work, so that everything waits for one."""
    decoder = PictureDecoder(FOUR, lambda model: None)
    for _ in range(4):
        decoder._threads.submit(slow.go.wait)
    yield decoder
    slow.go.set()
    decoder.close()


def decoding(decoder, synced):
    """The decoding of a set in a thread of its own, when it has taken what was begun; the answer comes last."""
    answers = []

    def decode():
        try:
            answers.append(decoder.decode(synced, CAMERAS))
        except CancelledError as error:
            answers.append(error)

    before, worker = decoder._threads._work_queue.qsize(), threading.Thread(target=decode)
    worker.start()
    while decoder._threads._work_queue.qsize() == before:
        time.sleep(0.001)
    return worker, answers


def test_what_waits_for_a_thread_is_dropped_by_the_next_picture(busy):
    busy.begin(FRONT, 1, Message(), CALIBRATION)
    busy.begin(REAR, 1, Message(), CALIBRATION)
    first, rear = busy._early["front"].picture, busy._early["rear"].picture
    busy.begin(FRONT, 2, Message(), CALIBRATION)
    assert first.cancelled()
    assert not rear.cancelled()
    busy.forget()
    assert rear.cancelled()


def test_the_end_comes_at_once_for_all_that_waits(busy, slow):
    busy.begin(FRONT, 1, Message(), CALIBRATION)
    waiting = busy._early["front"].picture
    worker, answers = decoding(busy, one_set(7, REAR))
    threading.Timer(0.1, slow.go.set).start()
    busy.close()
    worker.join()
    assert waiting.cancelled()
    assert isinstance(answers[0], CancelledError)
    assert slow.begun == []
    busy.begin(REAR, 4, Message(), CALIBRATION)
    assert busy._early == {}


def test_a_set_uses_what_was_begun_and_takes_it_out_of_reach(busy, slow):
    busy.begin(FRONT, 7, Message(), CALIBRATION)
    worker, answers = decoding(busy, one_set(7, FRONT, REAR))
    busy.begin(FRONT, 8, Message(), CALIBRATION)  # comes while the set waits for its pictures
    slow.go.set()
    worker.join()
    assert [None if image is None else image.shape for image in answers[0]] == [(36, 64, 3), None, (36, 64, 3), None]
    assert busy._early["front"].picture.result().shape == (36, 64, 3)
    assert sorted(slow.begun) == ["front", "front", "rear"]


def test_a_decoded_set_opens_the_way_again(slow):
    slow.go.set()
    decoder = PictureDecoder(FOUR, lambda model: None)
    for stamp in range(10):
        decoder.begin(FRONT, stamp, Message(), CALIBRATION)
    assert "front" not in decoder._early
    decoder.decode(one_set(20, FRONT), CAMERAS)
    decoder.begin(FRONT, 21, Message(), CALIBRATION)
    assert decoder._early["front"].wanted.stamp_ns == 21
    decoder.close()


def test_the_pipeline_stays_small_while_one_camera_is_silent(robot, monkeypatch):
    """Ten cycles without the rear camera: a few pictures are decoded, none is kept, and the end comes at once."""
    decoded, read = [], module.read_picture
    monkeypatch.setattr(module, "read_picture", lambda *a: (decoded.append(weakref.ref(p := read(*a))), p)[1])
    rig = Rig(FOUR.path, FOUR.cameras, "front", fixed_frame=None)
    pipeline = OccupancyPipeline(rig, Model(), newest_only=True)
    topics = {item.topic for item in pipeline.subscriptions}
    for event in robot(rig, cycles=10, silent=("rear",)).events():
        if event.topic in topics:
            pipeline.feed(event.topic, event.message)
    start = time.monotonic()
    pipeline.close()
    assert time.monotonic() - start < 5.0
    assert pipeline.take() is None
    assert len(decoded) <= 3 * IN_VAIN
    assert [ref() for ref in decoded] == [None] * len(decoded)
