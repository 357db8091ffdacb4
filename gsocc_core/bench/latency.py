# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How long a predictor takes from decoded pictures to labels, stage by stage."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gsocc_core.bench.configurations import Configuration
from gsocc_core.bench.scenes import surround_cameras
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.inference.bundle import Bundle
from gsocc_core.inference.options import InferenceOptions
from gsocc_core.inference.predictor import OccupancyPredictor
from gsocc_core.methods.method import Method


@dataclass(frozen=True)
class Latency:
    """Median milliseconds per stage of a predictor.

    Attributes:
        model: Bundle or configuration.
        image_size: (height, width) of the network's pictures, pixels.
        options: How the network was run.
        ms: Median per stage, and of their total.
        p95_ms: 95th percentile of the total.
        peak_mb: Most memory that PyTorch held on the GPU, MB; None = on a CPU.
    """

    model: str
    image_size: tuple[int, int]
    options: InferenceOptions
    ms: dict[str, float]
    p95_ms: float
    peak_mb: float | None


def random_bundle(configuration: Configuration, image_size: tuple[int, int] | None = None) -> Bundle:
    """A model of a training configuration with random weights, as if it had been read from a bundle.

    Args:
        configuration: What it would be trained by.
        image_size: (height, width) of its pictures, rounded to what a vision transformer's patches fill; None = as
            configured.

    Raises:
        ConfigError: it predicts no occupancy.
    """
    model = dict(configuration.model)
    if image_size is not None:
        patch = model.get("backbone", {}).get("model_args", {}).get("patch_size", 1)
        model["image_size"] = [max(1, round(side / patch)) * patch for side in image_size]
    sized = Configuration(**{**vars(configuration), "model": model})
    method = sized.build()
    if not isinstance(method, Method):
        raise ConfigError(configuration.name, "method", "one that predicts occupancy", configuration.method)
    return Bundle(Path(configuration.name), configuration.method, model, method.classes, method.eval())


def measure_latency(
    bundle: Bundle, device: torch.device, options: InferenceOptions, cameras: int = 6, repeats: int = 20
) -> Latency:
    """Predict from random pictures of the network's size, after a warm-up.

    Args:
        bundle: The model.
        device: Where.
        options: How.
        cameras: Number of cameras around the robot.
        repeats: Calls; medians are reported.

    Raises:
        ConfigError: the options do not fit model or device.
    """
    predictor = OccupancyPredictor(bundle, str(device), options=options)
    height, width = predictor.image_size
    six = surround_cameras(width, height)
    rig = [
        Camera(f"camera_{i}", six.intrinsics[i % 6].numpy(), six.T_ego_cam[i % 6].numpy(), width, height)
        for i in range(cameras)
    ]
    rng = np.random.default_rng(0)
    given: dict[str, Any] = {}
    if predictor.depth_input == "required":
        given["depths_m"] = [np.full((height, width), 12.0, np.float32)] * cameras
    if predictor.features_input == "required":
        sizes = bundle.arguments["features"]
        shape = (sizes.get("input_dim") or sizes["dim"], height // 16, width // 16)
        given["features"] = [rng.standard_normal(shape).astype(np.float32)] * cameras
    pictures = [rng.integers(0, 256, (height, width, 3)).astype(np.uint8) for _ in rig]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    predictor.warm_up(cameras)
    found = []
    for step in range(repeats + 2):
        stamp_ns = 10**9 + step * 500_000_000
        made = predictor.predict(pictures, rig, reference_stamp_ns=stamp_ns, T_world_ego=np.eye(4), **given)
        found.append(made.latency_ms)
    found = found[2:]
    ms = {stage: statistics.median(one[stage] for one in found) for stage in found[0]}
    peak = torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else None
    p95 = float(np.percentile([one["total"] for one in found], 95))
    return Latency(bundle.id, (height, width), predictor.options, ms, p95, peak)
