# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The node's pipeline as a robot feeds it: six JPEGs, CameraInfo and transforms per set, at a rate, in real time.

One thread sends, another takes the newest set, decodes, predicts, as the node's do.

    python benchmarks/pipeline_rate.py bundles/synthetic-gaussianflowocc --rate_hz 10 --device cuda
"""

from __future__ import annotations

import io
import statistics
import threading
import time
from dataclasses import dataclass

import numpy as np
from jsonargparse import auto_cli
from node_overhead import messages_of_set, static_transforms
from PIL import Image

from gsocc_core import OccupancyPredictor
from gsocc_core.inference.options import InferenceOptions
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline
from gsocc_ros.pipeline.rig import Rig


@dataclass(frozen=True)
class Rate:
    """How many sets came through.

    Attributes:
        rate_hz: Sets per second that were sent.
        sent: Number of sets.
        predicted: Of them; the others were superseded by newer ones.
        stages_ms: Median milliseconds per stage.
        age_ms: Median time from the end of a set's sending to its labels, milliseconds.
    """

    rate_hz: float
    sent: int
    predicted: int
    stages_ms: dict[str, float]
    age_ms: float


def pictures(count: int, size: tuple[int, int]) -> list[bytes]:
    """JPEGs with structure and some noise, about as large as those of a street."""
    rng, found = np.random.default_rng(0), []
    for _ in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (size[1] // 20, size[0] // 20, 3)).astype(np.uint8))
        fine = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.int16) + rng.integers(
            -4, 5, (size[1], size[0], 1)
        )
        stream = io.BytesIO()
        Image.fromarray(fine.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
        found.append(stream.getvalue())
    return found


def pipeline_rate(
    bundle: str,
    rate_hz: float = 10.0,
    sets: int = 100,
    device: str = "auto",
    precision: str | None = None,
    compile: bool = False,  # noqa: A002 - the option's name
    cuda_graph: bool = False,
    small: bool = False,
) -> Rate:
    """Send and predict.

    Args:
        bundle: Bundle folder.
        rate_hz: Sets per second.
        sets: Number of sets; the first one warms up and does not count.
        device: cpu, cuda or auto.
        precision: float32, bfloat16 or float16; null = the bundle's.
        compile: Compile the network.
        cuda_graph: Record the network.
        small: Pictures of 320 x 180 in place of 1600 x 900.
    """
    host, _ = rosbags_host()
    rig, size = Rig.load("nuscenes"), (320, 180) if small else (1600, 900)
    options = InferenceOptions(precision, compile, cuda_graph)  # type: ignore[arg-type]
    predictor = OccupancyPredictor.load(bundle, device, options=options)
    predictor.warm_up(len(rig.cameras))
    pipeline = OccupancyPipeline(rig, predictor, newest_only=True)
    pipeline.feed("/tf_static", static_transforms(host, rig))
    jpegs = pictures(len(rig.cameras), size)
    sent = [messages_of_set(host, rig, jpegs, k, size) for k in range(sets + 1)]
    complete: dict[int, float] = {}
    stages: dict[str, list[float]] = {}
    ages: list[float] = []
    ended, woken = threading.Event(), threading.Event()

    def send() -> None:
        begin = time.perf_counter()
        for k, messages in enumerate(sent):
            time.sleep(max(0.0, begin + k / rate_hz - time.perf_counter()))
            for topic, message in messages:
                pipeline.feed(topic, message)
            complete[k] = time.perf_counter()
            woken.set()
        ended.set()
        woken.set()

    sender = threading.Thread(target=send)
    sender.start()
    first: int | None = None
    while True:
        finished = ended.is_set()
        ready = pipeline.take()
        if ready is None:
            if finished:
                break
            woken.wait(1.0)
            woken.clear()
            continue
        found = pipeline.predict(ready)
        stamp = ready.synced.reference_stamp_ns
        if first is None:
            first = stamp
            continue
        ages.append(1e3 * (time.perf_counter() - complete[round((stamp - first) / 1e8)]))
        for stage, ms in found.latency_ms.items():
            stages.setdefault(stage, []).append(ms)
    sender.join()
    pipeline.close()
    medians = {stage: statistics.median(values) for stage, values in stages.items()}
    return Rate(rate_hz, sets, len(ages), medians, statistics.median(ages) if ages else 0.0)


if __name__ == "__main__":
    print(auto_cli(pipeline_rate))
