# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Counters of pictures and sets add up, whatever happens to them."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline

from .played import NUSCENES, Recorder, collected, play


@settings(max_examples=15, deadline=None)
@given(
    lost=st.sets(st.integers(0, 200), max_size=30), late=st.integers(0, 3), seed=st.integers(0, 999),
    live=st.booleans(),
)  # fmt: skip
def test_at_any_time_the_counters_of_sets_add_up(sent_drive, lost, late, seed, live):
    chance = random.Random(seed)

    class Failing(Recorder):
        def predict(self, images, cameras, **details):
            if chance.random() < 0.2:
                raise RuntimeError("out of memory")
            return super().predict(images, cameras, **details)

    def check():
        counted = pipeline.counters()
        fates = (counted.published, counted.superseded, counted.lost, counted.unwanted, counted.waiting)
        assert counted.sets == sum(fates)
        for one in counted.cameras.values():
            assert one.received == one.used + one.late + one.stale + one.duplicate + one.unplaced + one.held
        return counted

    published, taken = 0, 0
    wants = None if live else lambda stamp: chance.random() < 0.8
    pipeline = OccupancyPipeline(NUSCENES, Failing(), newest_only=live, wants=wants)
    events = [event for n, event in enumerate(sent_drive) if n not in lost]
    for event in events + events[late:]:  # a loop of a recording
        pipeline.feed(event.topic, event.message)
        check()
        if chance.random() < 0.2:
            with collected([]):
                if (ready := pipeline.take()) is not None:
                    taken += 1
                    assert check().waiting >= 1
                    pipeline.predict(ready)
                    published += 1
                    if chance.random() < 0.1:
                        pipeline.unpublished()
                        published -= 1
        if chance.random() < 0.01:
            pipeline.reset()
        check()
    pipeline.close()
    assert check().published == published <= taken


def test_sets_that_lack_a_picture_or_the_stamp_of_the_reference_are_counted(robot):
    rig = replace(NUSCENES, min_cameras=5)
    drive = robot(rig, cycles=6)
    back = [event for event in drive.events() if event.topic == "/cam_back/image/compressed"]
    clouds = [event for event in drive.events() if event.topic == rig.reference.topic]
    left_out = {(event.topic, event.stamp_ns) for event in (back[1], clouds[3], clouds[4])}
    run = play([event for event in drive.events() if (event.topic, event.stamp_ns) not in left_out], rig)
    assert (run.counters.sets, run.counters.incomplete, run.counters.without_reference) == (6, 1, 2)
