# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How much of motion a streaming model's Gaussians of two key frames tell at best: taught by the true velocities.

    python benchmarks/motion_in_memory.py BUNDLE DATAROOT [--frames 40]

The model stays as it is. A fresh flow embedding and a fresh head learn the velocities of the boxes nearest to its
Gaussians, straight from the annotation, which no training of the product sees. What they cannot learn so, labels of
pictures cannot teach them. The last quarter of the key frames is held out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jsonargparse import auto_cli
from torch import Tensor, nn
from tqdm import tqdm

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.geometry.boxes import Boxes
from gsocc_core.inference.bundle import load_bundle
from gsocc_core.methods.gaussianflowocc import GaussianFlowOcc
from gsocc_core.networks.attention import mlp
from gsocc_core.networks.flow_embedding import FlowEmbedding, MovingPoints

#: A Gaussian belongs to the box of its class whose middle is so near, metres.
NEAR_M = 2.5
#: Fainter Gaussians do not count.
LEAST_OPACITY = 0.05


@dataclass(frozen=True)
class Moment:
    """M present Gaussians that belong to boxes, what lies around them, and their true ``velocities`` (M, 3), m/s."""

    means: Tensor
    features: Tensor
    now: MovingPoints
    then: MovingPoints
    velocities: Tensor


def moments(model: GaussianFlowOcc, dataroot: str, version: str, frames: int) -> list[Moment]:
    """Key frames, evenly spread over the training drives, each with the one before as its memory."""
    assert model.flow_embedding is not None, "a model with flow.neighbours"
    seen: list[tuple[Tensor, MovingPoints, MovingPoints]] = []
    model.flow_embedding.register_forward_pre_hook(lambda _, given: seen.append(given))
    args = DataArgs(dataroot, version, "train", depth_dir=None, semantics_dir=None, views=1, boxes=True, history=1)
    dataset = build_dataset(args, model.image_size)
    found = []
    for index in tqdm(range(3, len(dataset), max(len(dataset) // frames, 1)), desc="moments", unit="frame"):
        batch, boxes = dataset[index], dataset.key_frame(index).boxes
        if not bool(batch.pose_valid[0, 1]) or boxes is None or not len(boxes.class_ids):
            continue
        with torch.no_grad():
            output = model(batch)
        means, now, then = seen[-1]
        chosen, velocities = matches(model, output.scene.features[0], now, boxes)
        features = output.features[:, : means.shape[1]] - model.flow_embedding(means, now, then)
        if len(chosen):
            found.append(Moment(means[:, chosen], features[:, chosen].detach(), now, then, velocities))
    return found


def matches(model: GaussianFlowOcc, logits: Tensor, now: MovingPoints, boxes: Boxes) -> tuple[Tensor, Tensor]:
    """Gaussians that belong to a box, and its velocity."""
    count = now.means.shape[1]
    ids = torch.tensor(model.classes.channel_ids)[logits[:count].argmax(-1)]
    middle = torch.from_numpy(boxes.T_ego_box[:, :3, 3]).float()
    distance, nearest = torch.cdist(now.means[0], middle).min(1)
    alike = ids == torch.from_numpy(boxes.class_ids)[nearest]
    velocities = torch.from_numpy(boxes.velocities_mps).float()[nearest]
    used = (distance < NEAR_M) & alike & (now.worth[0] > LEAST_OPACITY) & velocities.isfinite().all(-1)
    return used.nonzero()[:, 0], velocities[used]


def motion_in_memory(
    bundle: str, dataroot: str, version: str = "v1.0-synthetic", frames: int = 40, steps: int = 800, threads: int = 1
) -> None:
    """Print mean errors of horizontal velocities beside those of "nothing moves".

    Args:
        bundle: With ``model.flow.neighbours``.
        dataroot: Tree in nuScenes layout with boxes.
        version: Name of the tables' folder.
        frames: Key frames.
        steps: Of the fit, one key frame each.
        threads: CPU threads.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = load_bundle(bundle).method
    assert isinstance(model, GaussianFlowOcc)
    flow = model.flow
    assert flow is not None
    known = moments(model.eval(), dataroot, version, frames)
    cut = 3 * len(known) // 4
    dim, hidden = model.network_args.dim, flow.args.hidden
    embedding, head = FlowEmbedding(dim, hidden, flow.args.neighbours), mlp(dim, hidden, 3, layers=3)
    optimizer = torch.optim.Adam(nn.ModuleList([embedding, head]).parameters(), 5e-3)

    def errors(moment: Moment) -> Tensor:
        read = moment.features + embedding(moment.means, moment.now, moment.then)
        return (head(read)[0] - moment.velocities)[:, :2].norm(dim=-1)

    for step in tqdm(range(steps), desc="fit", unit="step"):
        optimizer.zero_grad()
        errors(known[step % cut]).mean().backward()
        optimizer.step()
    print(f"{sum(len(m.velocities) for m in known) / len(known):.1f} Gaussians of boxes per key frame")
    print("| key frames | moving, m/s | no motion, m/s | all, m/s | no motion |\n|---|---|---|---|---|")
    for name, part in (("fitted", known[:cut]), ("held out", known[cut:])):
        with torch.no_grad():
            found = torch.cat([errors(moment) for moment in part])
        still = torch.cat([moment.velocities[:, :2].norm(dim=-1) for moment in part])
        moving = still > 0.5
        numbers = (found[moving].mean(), still[moving].mean(), found.mean(), still.mean())
        print(f"| {name} | {' | '.join(f'{float(value):.2f}' for value in numbers)} |")


if __name__ == "__main__":
    auto_cli(motion_in_memory)
