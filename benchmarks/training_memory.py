# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Count the memory of one training step at a configuration's full size, without a GPU.

Runs the step on the CPU with random pictures and labels and adds up what PyTorch has to keep: weights, gradients,
optimiser state, averaged weights, and every tensor that autograd saves between forward and backward (each once).
What CUDA adds on top (context, workspaces, the rasteriser's tile lists, fragmentation) is not in it.

    python benchmarks/training_memory.py config/train/nuscenes_gaussianflowocc.yaml --batch 1
"""

from __future__ import annotations

import time
from typing import Any

import torch
from jsonargparse import auto_cli
from torch import Tensor

from gsocc_core import OCC3D_NUSCENES, Cameras, FrameSet, Targets
from gsocc_core.methods.build import build_method
from gsocc_core.yaml_files import read_yaml

MB = 1e-6


def training_memory(
    configuration: str,
    batch: int = 1,
    cameras: int = 6,
    views: int | None = None,
    history: int | None = None,
    network_only: bool = False,
) -> None:
    """Print the parts of the memory of one step.

    Args:
        configuration: Configuration of ``gsocc_core train``.
        batch: Samples per process.
        cameras: Cameras.
        views: Supervised key frames; None = as configured. What autograd keeps grows linearly with them.
        history: Earlier key frames; None = as configured. They run without gradient and cost time, not memory.
        network_only: Leave out the losses, and compute nothing: sizes alone follow from the network.
    """
    content = read_yaml(configuration, "a training configuration")
    classes = OCC3D_NUSCENES.with_channels(content.get("channels"))
    model: dict[str, Any] = content["model"]
    with torch.device("meta" if network_only else "cpu"):
        method = build_method(content["method"], model, classes, pretrained=False).train()
    data = content["data"]
    moments = 1 + (data.get("history", 0) if history is None else history)
    count = data["views"] if views is None else views
    count += len(data.get("view_sweeps", ()))
    frames = random_frames(batch, moments, count, cameras, model["image_size"], data["view_size"])
    saved: dict[int, torch.UntypedStorage] = {}
    if network_only:
        method, frames = method.to("meta"), frames.to("meta")
    # A storage has one Python object as long as that lives; on the meta device it has no address.
    weights = {id(storage): storage for storage in (p.untyped_storage() for p in method.parameters())}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if id(storage) not in weights:
            saved[id(storage)] = storage
        return value

    started = time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        output = method(frames)
        losses = {} if network_only else method.losses(output, frames)  # type: ignore[operator]
    kept = sum(storage.nbytes() for storage in saved.values()) * MB
    if losses:
        torch.stack(list(losses.values())).sum().backward()
    seconds = time.perf_counter() - started
    parameters = sum(p.numel() for p in method.parameters()) * 4 * MB
    inputs = 0.0

    def count(value: Tensor) -> Tensor:
        nonlocal inputs
        inputs += value.numel() * value.element_size() * MB
        return value

    frames.map(count)
    print(f"{parameters / 4:.1f} M parameters, batch {batch}, {seconds:.0f} s on the CPU")
    rows = {
        "weights, gradients, two moments of AdamW, averaged weights": 5 * parameters,
        "pictures, cameras and labels": inputs,
        "kept by autograd between forward and backward": kept,
    }
    print("| part | MB |\n|---|---|")
    for name, value in {**rows, "sum": sum(rows.values())}.items():
        print(f"| {name} | {value:,.0f} |")


def random_frames(
    batch: int, moments: int, views: int, cameras: int, image_size: tuple[int, int], view_size: tuple[int, int]
) -> FrameSet:
    """Frames of the sizes of a configuration; cameras look around from one point."""
    height, width = image_size
    angle = torch.arange(cameras) * (2 * torch.pi / cameras)
    forward = torch.stack([angle.cos(), angle.sin(), torch.zeros(cameras)], -1)
    down = torch.tensor([0.0, 0.0, -1.0]).expand_as(forward)
    T = torch.eye(4).repeat(cameras, 1, 1)
    T[:, :3, :3] = torch.stack([torch.linalg.cross(down, forward), down, forward], dim=-1)
    T[:, 2, 3] = 1.6

    def rig(count: int, h: int, w: int) -> Cameras:
        K = torch.tensor([[0.8 * w, 0, w / 2], [0, 0.8 * w, h / 2], [0, 0, 1.0]])
        return Cameras(K.expand(batch, count, cameras, 3, 3), T.expand(batch, count, cameras, 4, 4), w, h)

    vh, vw = view_size
    time_s = (torch.arange(views) * 0.5).expand(batch, views)
    return FrameSet(
        images=torch.randint(0, 256, (batch, moments, cameras, 3, height, width), dtype=torch.uint8),
        cameras=rig(moments, height, width),
        camera_names=tuple(f"camera_{i}" for i in range(cameras)),
        camera_stamps_ns=torch.zeros(batch, moments, cameras, dtype=torch.int64),
        reference_stamp_ns=(-500_000_000 * torch.arange(moments)).expand(batch, moments),
        T_ref_ego=torch.eye(4).expand(batch, moments, 4, 4),
        valid=torch.ones(batch, moments, cameras, dtype=torch.bool),
        pose_valid=torch.ones(batch, moments, dtype=torch.bool),
        T_world_ego=torch.eye(4, dtype=torch.float64).expand(batch, 4, 4),
        targets=Targets(
            view_cameras=rig(views, vh, vw),
            view_semantics=torch.randint(1, 17, (batch, views, cameras, vh, vw), dtype=torch.uint8),
            view_depth_m=torch.rand(batch, views, cameras, vh, vw) * 40,
            view_valid=torch.ones(batch, views, cameras, dtype=torch.bool),
            view_images=torch.randint(0, 256, (batch, views, cameras, 3, vh, vw), dtype=torch.uint8),
            view_time_s=time_s,
        ),
    )


if __name__ == "__main__":
    auto_cli(training_memory)
