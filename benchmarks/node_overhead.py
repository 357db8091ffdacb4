# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""CPU time of what the node does around the network: six 1600 x 900 JPEGs to tensors, a prediction to messages.

Real pictures of a synthetic street, real CameraInfo and TF messages, one thread. The network itself is left out.

Run: ``OMP_NUM_THREADS=1 python benchmarks/node_overhead.py [--repeats 20]``
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence

import numpy as np
import torch
from jsonargparse import auto_cli
from PIL import Image

from gsocc_core import OCC3D_NUSCENES, Camera, Prediction, SemanticGrid, VoxelGrid
from gsocc_core.data.images import fit_image
from gsocc_core.synthetic.render.camera import render_camera
from gsocc_core.synthetic.sensors.rig import make_rig
from gsocc_core.synthetic.world.street import build_street
from gsocc_ros.messages import occupancy_messages as messages
from gsocc_ros.messages.marker_bytes import voxel_marker_bytes
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.messages.sensor_messages import camera_info, compressed_image, point_cloud, transform, transforms
from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline
from gsocc_ros.pipeline.rig import Rig

NETWORK_SIZE = (256, 704)
MS = 1_000_000


class Fitting:
    """Stands in for the network: fits the pictures to its size, as OccupancyPredictor does, and stops there."""

    depth_input = "unused"

    def __init__(self) -> None:
        self.prediction: Prediction | None = None

    def predict(self, images: Sequence[np.ndarray | None], cameras: Sequence[Camera], **_: object) -> Prediction:
        """Pictures (6, 256, 704, 3)."""
        height, width = NETWORK_SIZE
        fitted = [fit_image(i, c, width, height)[0] for i, c in zip(images, cameras, strict=True) if i is not None]
        torch.from_numpy(np.stack(fitted))
        return Prediction(None, None, None, 0, {})  # type: ignore[arg-type]

    def reset(self) -> None:
        """No memory."""

    def least_size(self, _: object) -> tuple[int, int]:
        """The network's size, whatever the lens."""
        return NETWORK_SIZE


def jpegs(seed: int = 1) -> list[bytes]:
    """Pictures of the six cameras of a street at full size."""
    scene, rig = build_street(seed, 1.0), make_rig(np.random.default_rng(seed), 1.0)
    found = []
    for camera in rig.cameras:
        pose = scene.T_world_ego(0.5) @ camera.T_ego_cam
        view = render_camera(scene, 0.5, camera.intrinsics, pose, camera.width, camera.height)
        stream = io.BytesIO()
        Image.fromarray(view.rgb).save(stream, "JPEG", quality=90)
        found.append(stream.getvalue())
    return found


def timed_set(pipeline: OccupancyPipeline, sent: list[tuple[str, object]]) -> dict[str, float]:
    """CPU milliseconds of one set: filing, decoding, fitting."""
    start = time.process_time()
    for topic, message in sent:
        pipeline.feed(topic, message)
    ready = pipeline.take()
    assert ready is not None
    filed = time.process_time()
    pipeline._decode(ready)  # noqa: SLF001 - the stage by itself
    decoded = time.process_time()
    pipeline.predict(ready)
    ended = time.process_time()
    return {
        "file, group, transforms": 1e3 * (filed - start),
        "decode": 1e3 * (decoded - filed),
        "fit": 1e3 * (ended - decoded - (decoded - filed)),
    }


def _frames(rig: Rig) -> dict[str, str]:
    return {camera.name: camera.frame or camera.name.lower() for camera in rig.cameras}


def static_transforms(host: messages.MessageHost, rig: Rig) -> object:
    """A message that puts every camera at the origin of the base frame."""
    mounts = [transform(host, np.eye(4), rig.base_frame, frame, 0) for frame in _frames(rig).values()]
    return transforms(host, mounts)


def messages_of_set(
    host: messages.MessageHost, rig: Rig, pictures: Sequence[bytes], k: int, size: tuple[int, int] = (1600, 900)
) -> list[tuple[str, object]]:
    """Topics and messages of one set, 100 ms after the one before: transforms, CameraInfo, JPEGs, an empty cloud."""
    T, frames, (width, height) = np.eye(4), _frames(rig), size
    K = np.array([[0.79 * width, 0, width / 2], [0, 0.79 * width, height / 2], [0, 0, 1]])
    start = 1_700_000_000_000 * MS + k * 100 * MS
    stamps = [start + round((camera.trigger_offset_ms or 0) * MS) for camera in rig.cameras]
    if rig.reference is not None:
        stamps.append(start + round(rig.reference.trigger_offset_ms * MS))
    sent: list[tuple[str, object]] = []
    if rig.fixed_frame is not None:
        moved = [[transform(host, T, rig.fixed_frame, rig.base_frame, stamp)] for stamp in stamps]
        sent += [("/tf", transforms(host, item)) for item in moved]
    for camera, data, stamp in zip(rig.cameras, pictures, stamps):
        lens = Camera(camera.name, K, T, width, height)
        sent.append((camera.camera_info_topic, camera_info(host, lens, stamp, frames[camera.name])))
        sent.append((camera.topic, compressed_image(host, data, stamp, frames[camera.name])))
    if rig.reference is not None:
        nothing = np.zeros(0, np.dtype([("x", "<f4")]))
        sent.append((rig.reference.topic, point_cloud(host, nothing, stamps[-1], "lidar_top")))
    return sent


def node_overhead(repeats: int = 20) -> None:
    """Measure and print a table.

    Args:
        repeats: Sets; the table holds medians.
    """
    torch.set_num_threads(1)
    host, _ = rosbags_host()
    rig = Rig.load("nuscenes")
    pictures = jpegs()
    pipeline = OccupancyPipeline(rig, Fitting())  # type: ignore[arg-type]
    rows: dict[str, list[float]] = {}
    pipeline.feed("/tf_static", static_transforms(host, rig))
    for k in range(repeats + 2):
        for name, value in timed_set(pipeline, messages_of_set(host, rig, pictures, k)).items():
            rows.setdefault(name, []).append(value)
    pipeline.close()
    rows |= message_rows(host, repeats)
    print(f"six JPEGs of 1600 x 900 ({sum(map(len, pictures)) // 6 // 1000} kB each), network size 256 x 704")
    print("\n| stage | CPU ms per set, median | p95 |\n|---|---|---|")
    for name, values in rows.items():
        print(f"| {name} | {np.median(values[2:]):.2f} | {np.percentile(values[2:], 95):.2f} |")
    without = np.median(rows["file, group, transforms"][2:]) + np.median(rows["fit"][2:])
    dense = np.median(rows["dense grid, 640,000 voxels"][2:])
    print(f"| all before the network, without decoding | {without:.2f} | |")
    whole = without + dense + np.median(rows["decode"][2:])
    print(f"| all but the network, with decoding and the dense grid | {whole:.2f} | |")


def message_rows(host: messages.MessageHost, repeats: int) -> dict[str, list[float]]:
    """CPU milliseconds to build the messages about 20,000 occupied voxels."""
    grid = VoxelGrid.occ3d()
    labels = torch.full(grid.shape, OCC3D_NUSCENES.free_id, dtype=torch.uint8)
    chosen = torch.randperm(labels.numel(), generator=torch.Generator().manual_seed(0))[:20_000]
    labels.view(-1)[chosen] = (chosen % 17).to(torch.uint8)
    found = SemanticGrid(labels, grid, OCC3D_NUSCENES, confidence=torch.rand(grid.shape))
    builders = {
        "cloud of 20,000 voxels": lambda: messages.voxel_cloud(host, found, 0, "base_link"),
        "dense grid, 640,000 voxels": lambda: messages.occupancy(host, found, 0, "base_link", "model"),
        "cubes of 20,000 voxels (Marker)": lambda: voxel_marker_bytes(found, 0, "base_link"),
    }
    rows: dict[str, list[float]] = {}
    for name, build in builders.items():
        for _ in range(repeats + 2):
            start = time.process_time()
            build()
            rows.setdefault(name, []).append(1e3 * (time.process_time() - start))
    return rows


if __name__ == "__main__":
    auto_cli(node_overhead, as_positional=False)
