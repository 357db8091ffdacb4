# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What labelling costs beside the networks: decoding, resizing, storing, Python; and what remembering pictures saves.

The networks have the sizes of the published ones and random weights: their arithmetic is the same.

Run: ``python benchmarks/label_overhead.py depth`` and ``python benchmarks/label_overhead.py words``
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jsonargparse import auto_cli
from PIL import Image
from torch import Tensor

from gsocc_core import OCC3D_NUSCENES, Camera
from gsocc_core.data.images import decode_image
from gsocc_core.data.nuscenes_index import SURROUND_CAMERAS, CameraShot, KeyFrame
from gsocc_core.data.view_label_files import encode_depth
from gsocc_core.labels.depth import DepthAnything
from gsocc_core.labels.folder import LabelFolder
from gsocc_core.labels.prompts import Caption, Prompt
from gsocc_core.labels.stream import StreamOptions, label_key_frames

PROMPTS, CLASSES = 42, 17


def pictures(folder: Path, count: int) -> list[KeyFrame]:
    """Key frames of six 1600 x 900 JPEGs as large as real ones: smooth shapes and some grain."""
    rng = np.random.default_rng(0)
    K, T = np.array([[1266.0, 0, 800], [0, 1266, 450], [0, 0, 1]]), np.eye(4)
    shots = []
    for name in SURROUND_CAMERAS:
        blots = Image.fromarray(rng.integers(0, 256, (18, 32, 3), np.uint8))
        small = blots.resize((1600, 900), Image.Resampling.BICUBIC)
        grain = rng.normal(0, 6, (900, 1600, 1))
        path = folder / f"{name}.jpg"
        Image.fromarray((np.asarray(small) + grain).clip(0, 255).astype(np.uint8)).save(path, quality=90)
        shots.append(CameraShot(path, 0, Camera(name, K, T, 1600, 900), T))
    return [KeyFrame(f"{i}", "scene", i, i, T, T, folder / "none", tuple(shots)) for i in range(count)]


def depth_anything_small() -> Any:
    """Depth Anything V2 Small, 24.8 M parameters."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

    torch.manual_seed(0)
    config = DepthAnythingConfig(depth_estimation_type="metric", max_depth=80)
    return DepthAnythingForDepthEstimation(config).eval().requires_grad_(False)


def cost(action: Callable[[], object]) -> np.ndarray:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return np.array([time.perf_counter() - wall, time.process_time() - cpu])


def measure_depth(key_frames: int, repeats: int, batch_size: int, device: torch.device) -> None:
    """A labelling run and its network alone, in turns."""
    labeller = DepthAnything(depth_anything_small().to(device), dict(DepthAnything.defaults))
    with tempfile.TemporaryDirectory() as name:
        frames = pictures(Path(name), key_frames)
        batch = np.stack([decode_image(shot.path) for shot in frames[0].shots[:batch_size]])
        inputs = labeller.prepare(torch.from_numpy(batch).permute(0, 3, 1, 2).to(device))
        print(f"network: {tuple(inputs.shape)}, {sum(p.numel() for p in labeller.model.parameters()) / 1e6:.1f} M")
        total = key_frames * len(SURROUND_CAMERAS) // batch_size
        run = 0

        def network(calls: int = total) -> None:
            with torch.inference_mode():
                for _ in range(calls):
                    output: Tensor = labeller.model(pixel_values=inputs).predicted_depth
                float(output[0, 0, 0])  # waits for a GPU

        def everything() -> None:
            nonlocal run
            run += 1
            folder = LabelFolder(Path(name) / f"out{run}", "depth", SURROUND_CAMERAS, {}, 0.0025)
            label_key_frames(labeller, frames, folder.write, StreamOptions(batch_size=batch_size, device=device))

        network(1)
        pairs = [(cost(network), cost(everything)) for _ in range(repeats)]
        per = key_frames * len(SURROUND_CAMERAS)
        print("| per picture | wall, s | CPU, s |\n|---|---|---|")
        for i, label in enumerate(("network alone", "labelling run")):
            wall, cpu = (statistics.median(pair[i][k] for pair in pairs) / per for k in (0, 1))
            print(f"| {label} | {wall:.3f} | {cpu:.3f} |")
        over = [statistics.median(100 * (pair[1][k] / pair[0][k] - 1) for pair in pairs) for k in (0, 1)]
        print(f"| overhead, median of {repeats} pairs | {over[0]:.1f} % | {over[1]:.1f} % |\n")
        parts(labeller, frames[0], device)


def parts(labeller: DepthAnything, frame: KeyFrame, device: torch.device) -> None:
    """CPU milliseconds of what stands around the network, per picture."""
    path = frame.shots[0].path
    picture = torch.from_numpy(decode_image(path)[None].copy()).permute(0, 3, 1, 2).to(device)
    low = np.random.default_rng(0).uniform(2, 80, (28, 50)).astype(np.float32)
    depth = np.asarray(Image.fromarray(low).resize((800, 450), Image.Resampling.BICUBIC))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    steps = {
        "decode the JPEG": lambda: decode_image(path),
        "resize and normalise": lambda: labeller.prepare(picture),
        "encode 450 x 800 depth": lambda: encode_depth({"a": depth}),
    }
    print("| beside the network, per picture | CPU, ms |\n|---|---|")
    for name, step in steps.items():
        print(f"| {name} | {1e3 * statistics.median(cost(step)[1] for _ in range(9)):.1f} |")
    torch.set_num_threads(before)


def measure_words(device: torch.device) -> None:
    """One pass of GroundingDINO (Swin-T) per phrase, with and without remembering the picture's features."""
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

    from gsocc_core.labels.boxes import GroundingDino

    torch.manual_seed(0)
    config = GroundingDinoConfig(
        backbone_config={"model_type": "swin", "window_size": 7, "image_size": 224, "embed_dim": 96,
                         "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "out_indices": [2, 3, 4]},
        disable_custom_kernels=True,
    )  # fmt: skip
    model = GroundingDinoForObjectDetection(config).eval().requires_grad_(False).to(device)
    detector = GroundingDino(model, None, dict(GroundingDino.defaults), 0.9, 0.9)
    captions = [Caption((101, 2482 + i, 1012, 102), ((1, 2),), (Prompt("car", 4),)) for i in range(2)]
    assert OCC3D_NUSCENES.names[4] == "car"
    ends: list[float] = []
    model.register_forward_hook(lambda *_: ends.append(time.process_time()))
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        shot = pictures(Path(name), 1)[0].shots[0]
        picture = torch.from_numpy(decode_image(shot.path)[None].copy()).permute(0, 3, 1, 2).to(device)
        start = time.process_time()
        detector(picture, captions)
    one, word = ends[0] - start, ends[1] - ends[0]
    plain, ours = PROMPTS * one, one + (PROMPTS - 1) * word
    print("| GroundingDINO, 750 x 1333, per picture | CPU, s |\n|---|---|")
    print(f"| first phrase | {one:.1f} |\n| each further phrase | {word:.1f} |")
    print(f"| {PROMPTS} phrases, each with the picture anew | {plain:.0f} |")
    print(f"| {PROMPTS} phrases, remembering the picture (separate) | {ours:.0f} |")
    print(f"| {CLASSES} classes, remembering the picture (by_class) | {one + (CLASSES - 1) * word:.0f} |")
    print("| one caption, if it fits (combined) | about the first phrase |")


def main(
    what: Literal["depth", "words"],
    key_frames: int = 1,
    repeats: int = 3,
    batch_size: int = 2,
    threads: int = 2,
    device: str = "cpu",
) -> None:
    """Measure and print tables.

    Args:
        what: ``depth`` = a labelling run against its network; ``words`` = what remembering pictures saves.
        key_frames: Key frames of six pictures per run.
        repeats: Pairs of runs; the tables hold medians.
        batch_size: Pictures per call; divides six.
        threads: CPU threads of the network.
        device: cpu or cuda.
    """
    torch.set_num_threads(threads)
    if what == "depth":
        measure_depth(key_frames, repeats, batch_size, torch.device(device))
    else:
        measure_words(torch.device(device))


if __name__ == "__main__":
    auto_cli(main)
