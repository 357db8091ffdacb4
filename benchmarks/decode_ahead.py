# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How long after the last message of a set its pictures are ready: decoded as they come, or when the set is taken.

Six JPEGs of 1600 x 900 come in real time at nuScenes' trigger offsets, 43 ms in all; both ways in turns.

Run: ``python benchmarks/decode_ahead.py [--sets 20]``
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from jsonargparse import auto_cli
from node_overhead import MS, Fitting, jpegs

from gsocc_core import Camera
from gsocc_ros.messages.message_host import MessageHost, rosbags_host
from gsocc_ros.messages.sensor_messages import camera_info, compressed_image, point_cloud, transform, transforms
from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline
from gsocc_ros.pipeline.rig import Rig

Sent = list[tuple[int, str, object]]


def one_set(host: MessageHost, rig: Rig, pictures: list[bytes], start: int) -> Sent:
    """(stamp, topic, message) of one cycle, in time order."""
    T, K = np.eye(4), np.array([[1266.0, 0, 800], [0, 1266, 450], [0, 0, 1]])
    assert rig.fixed_frame is not None
    assert rig.reference is not None
    sent: Sent = []
    for camera, data in zip(rig.cameras, pictures):
        stamp, frame = start + round((camera.trigger_offset_ms or 0) * MS), camera.name.lower()
        lens = Camera(camera.name, K, T, 1600, 900)
        sent.append((stamp, camera.camera_info_topic, camera_info(host, lens, stamp, frame)))
        sent.append((stamp, camera.topic, compressed_image(host, data, stamp, frame)))
    stamp = start + round(rig.reference.trigger_offset_ms * MS)
    nothing = np.zeros(0, np.dtype([("x", "<f4")]))
    sent.append((stamp, rig.reference.topic, point_cloud(host, nothing, stamp, "lidar_top")))
    moves = [(s, "/tf", transforms(host, [transform(host, T, rig.fixed_frame, rig.base_frame, s)])) for s, _, _ in sent]
    return sorted([*moves, *sent], key=lambda item: item[0])


def wait_ms(pipeline: OccupancyPipeline, sent: Sent) -> float:
    """Feed a set in real time; milliseconds from its last message until its pictures are decoded."""
    begin, clock = sent[0][0], time.perf_counter()
    for stamp, topic, message in sent:
        time.sleep(max(0.0, (stamp - begin) * 1e-9 - (time.perf_counter() - clock)))
        pipeline.feed(topic, message)
    clock = time.perf_counter()
    ready = pipeline.take()
    assert ready is not None
    pipeline._decode(ready)  # noqa: SLF001 - the stage by itself
    return 1e3 * (time.perf_counter() - clock)


def decode_ahead(sets: int = 20) -> None:
    """Measure and print a table.

    Args:
        sets: Sets each way; the table holds medians.
    """
    host, rig, pictures = rosbags_host()[0], Rig.load("nuscenes"), jpegs()
    # Only a pipeline that keeps to the newest set decodes ahead.
    ways = {"as they come": True, "when the set is taken": False}
    pipelines = {
        name: OccupancyPipeline(rig, Fitting(), newest_only=ahead)  # type: ignore[arg-type]
        for name, ahead in ways.items()
    }
    mounts = [transform(host, np.eye(4), rig.base_frame, camera.name.lower(), 0) for camera in rig.cameras]
    waits: dict[str, list[float]] = {name: [] for name in ways}
    for k in range(sets + 2):
        for name, pipeline in pipelines.items():
            if k == 0:
                pipeline.feed("/tf_static", transforms(host, mounts))
            waits[name].append(wait_ms(pipeline, one_set(host, rig, pictures, 1_700_000_000_000 * MS + k * 100 * MS)))
            time.sleep(0.03)
    print("| pictures are decoded | ready after the last message, ms, median |\n|---|---|")
    for name, values in waits.items():
        print(f"| {name} | {statistics.median(values[2:]):.1f} |")
    for pipeline in pipelines.values():
        pipeline.close()


if __name__ == "__main__":
    auto_cli(decode_ahead)
