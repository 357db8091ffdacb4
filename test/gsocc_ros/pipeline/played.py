# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Drives that are played to a pipeline, and a predictor that remembers what it was given."""

from contextlib import contextmanager
from types import SimpleNamespace

from gsocc_core.errors import DataError
from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline
from gsocc_ros.pipeline.rig import Rig

MS = 1_000_000
NUSCENES = Rig.load("nuscenes")
FOUR = Rig.load("example_four_cameras")


class Recorder:
    """A predictor that remembers what it was given."""

    depth_input = features_input = "unused"

    def __init__(self, least_size=None):
        self.calls, self.resets = [], 0
        self.least_size = lambda model: least_size

    def predict(self, images, cameras, *, depths_m, camera_stamps_ns, reference_stamp_ns, T_world_ego):
        call = SimpleNamespace(
            images=images, cameras=cameras, depths_m=depths_m, stamps=camera_stamps_ns, reference=reference_stamp_ns,
            T=T_world_ego,
        )  # fmt: skip
        self.calls.append(call)
        return SimpleNamespace(
            latency_ms={"network": 1.0, "splat": 2.0, "total": 3.0}, reference_stamp_ns=reference_stamp_ns
        )

    def reset(self):
        self.resets += 1


def play(events, rig, predictor=None, **options):
    predictor = predictor or Recorder()
    pipeline = OccupancyPipeline(rig, predictor, **options)
    topics = {item.topic: item.message_type for item in pipeline.subscriptions}
    results = []
    for event in events:
        if event.topic in topics:
            assert topics[event.topic] == event.message_type
            pipeline.feed(event.topic, event.message)
        while (ready := pipeline.take()) is not None:
            results.append(pipeline.predict(ready))
    pipeline.finish()
    while (ready := pipeline.take()) is not None:
        results.append(pipeline.predict(ready))
    pipeline.close()
    return SimpleNamespace(results=results, predictor=predictor, counters=pipeline.counters())


@contextmanager
def collected(faults):
    try:
        yield
    except (DataError, RuntimeError) as error:
        faults.append(str(error))
