# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Write your own method.

You learn the three verbs of a method (`forward`, `losses`, `occupancy`), what a `FrameSet` brings, and that anything
with these verbs works in the predictor. The method projects every voxel into the pictures, averages the features it
meets there and classifies the voxel: the simplest way from pictures to voxels that can learn. Its world is a toy, made
by the two operators: `splat_to_image` takes the pictures, `splat_to_labels` tells the truth.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jsonargparse import CLI
from torch import Tensor, nn
from torch.nn import functional

from gsocc_core import (
    Camera,
    Cameras,
    ClassTable,
    FrameSet,
    Gaussians,
    OccupancyPredictor,
    SemanticGrid,
    Targets,
    VoxelField,
    VoxelGrid,
    splat_to_image,
    splat_to_labels,
)
from gsocc_core.inference.bundle import Bundle
from gsocc_core.methods.method import Method
from gsocc_core.rigs.rig_file import looking

CLASSES = ClassTable(("red", "green", "free"), ((230, 40, 40), (40, 200, 60), (255, 255, 255)), free_id=2)
GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 1.0), 0.5)
SIZE = (32, 48)  # height, width of the pictures


@dataclass(frozen=True)
class Output:
    """What forward gives: a scene, and the memory for the next call (this method has none)."""

    scene: VoxelField
    memory: None = None


class ProjectedVoxels(Method):
    """Pictures -> features -> averaged at the voxels -> classes."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.grid, self.classes, self.image_size = GRID, CLASSES, SIZE  # every method has these
        self.encoder = nn.Sequential(nn.Conv2d(3, dim, 5, 2, 2), nn.ReLU(), nn.Conv2d(dim, dim, 3, 1, 1), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(2 * dim + 3, 64), nn.ReLU(), nn.Linear(64, len(CLASSES.names)))

    def forward(self, frames: FrameSet, memory: None = None) -> Output:  # noqa: ARG002 - streaming methods use it
        """One class distribution per voxel."""
        b, _, v, _, height, width = frames.images.shape
        maps = self.encoder(frames.images[:, 0].flatten(0, 1).float() / 255.0 - 0.5)  # (B V, D, h, w)
        points = GRID.centers.reshape(1, -1, 3).expand(b, -1, 3)  # m, ego frame
        uv, _, seen = frames.cameras.map(lambda t: t[:, 0]).project(points)  # (B, V, N, 2) px, ..., (B, V, N)
        place = (2 * uv / uv.new_tensor([width, height]) - 1).flatten(0, 1)[:, :, None]
        met = functional.grid_sample(maps, place, align_corners=False)[..., 0]  # (B V, D, N)
        met = met.unflatten(0, (b, v)).movedim(2, -1) * (seen & frames.valid[:, 0, :, None])[..., None]
        views = seen.sum(1)[..., None].clamp(min=1)
        mean, square = met.sum(1) / views, met.square().sum(1) / views  # views that disagree show no surface
        logits = self.head(torch.cat([mean, square, points / 4.0], dim=-1)).unflatten(1, GRID.shape)
        return Output(VoxelField(1 - logits.softmax(-1)[..., CLASSES.free_id], logits, GRID))

    def losses(self, output: Output, frames: FrameSet) -> dict[str, Tensor]:
        """Weighted scalars; their sum is the objective."""
        logits, labels = output.scene.features.movedim(-1, 1), frames.targets.labels.long()
        return {"classes": functional.cross_entropy(logits, labels, torch.tensor([4.0, 4.0, 1.0]))}

    def occupancy(self, output: Output, grid: VoxelGrid | None = None) -> SemanticGrid:  # noqa: ARG002 - the only one it knows
        """The most probable class per voxel."""
        confidence, labels = output.scene.features.softmax(-1).max(-1)
        return SemanticGrid(labels.to(torch.uint8), GRID, CLASSES, confidence)


def toy(cameras: list[Camera], batch: int) -> FrameSet:
    """Red and green balls at random places, seen by the cameras."""
    means = (torch.rand(batch, 8, 3) - 0.5) * torch.tensor([7.0, 7.0, 1.4])
    logits = functional.one_hot(torch.randint(0, 2, (batch, 8)), 3).float()
    quats = torch.tensor([1.0, 0, 0, 0]).expand(batch, 8, 4)
    balls = Gaussians(means, torch.full_like(means, 0.4), quats, torch.full((batch, 8), 0.98), logits)
    rig = Cameras.stack(cameras).map(lambda t: t.expand(batch, *t.shape))
    pictures = splat_to_image(balls, rig).features.clamp(0, 1)  # logits of red and green double as colours
    labels = splat_to_labels(balls, GRID, CLASSES, threshold=0.3).labels
    v = len(cameras)
    return FrameSet(
        images=(255 * pictures).round().movedim(-1, 2)[:, None].to(torch.uint8),
        cameras=rig.map(lambda t: t[:, None]), camera_names=tuple(c.name for c in cameras),
        camera_stamps_ns=torch.zeros(batch, 1, v, dtype=torch.int64),
        reference_stamp_ns=torch.zeros(batch, 1, dtype=torch.int64), T_ref_ego=torch.eye(4).expand(batch, 1, 4, 4),
        valid=torch.ones(batch, 1, v, dtype=torch.bool), pose_valid=torch.ones(batch, 1, dtype=torch.bool),
        targets=Targets(labels=labels),
    )  # fmt: skip


def main(steps: int = 150, batch: int = 4) -> None:
    """Train the method on toy scenes and predict a new one.

    Args:
        steps: Optimiser steps.
        batch: Scenes per step.
    """
    torch.manual_seed(0)
    K = torch.tensor([[24.0, 0, 24], [0, 24, 16], [0, 0, 1]]).numpy()
    corners = ((-6, -6, 45), (6, -6, 135), (6, 6, -135), (-6, 6, -45))  # x, y (m) and heading (degrees), looking in
    poses = [looking((x, y, 2), (yaw, 15, 0)) for x, y, yaw in corners]
    cameras = [Camera(f"cam{i}", K, T_ego_cam, SIZE[1], SIZE[0]) for i, T_ego_cam in enumerate(poses)]
    method = ProjectedVoxels()
    optimizer = torch.optim.AdamW(method.parameters(), lr=3e-3)
    for step in range(steps):
        frames = toy(cameras, batch)
        loss = sum(method.losses(method(frames), frames).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 25 == 0 or step == steps - 1:
            print(f"step {step:>4}  loss {loss.item():.3f}")

    # Anything with the three verbs works in the predictor. A method of the fixed list in gsocc_core/methods/build.py
    # also trains with `gsocc_core train` and is saved by `gsocc_core.inference.bundle.save_bundle`.
    predictor = OccupancyPredictor(Bundle(Path("projected-voxels"), "mine", {}, CLASSES, method), device="cpu")
    unseen = toy(cameras, 1)
    predicted = predictor.predict(list(unseen.images[0, 0].movedim(1, -1).numpy()), cameras).grid
    truth = unseen.targets.labels[0] != CLASSES.free_id
    print(f"IoU on a new scene: {100 * (predicted.occupied & truth).sum() / (predicted.occupied | truth).sum():.0f} %")


if __name__ == "__main__":
    CLI(main, as_positional=False)
