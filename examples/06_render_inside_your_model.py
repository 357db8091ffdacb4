# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Use one operator inside a model of your own.

You learn that `splat_to_image` is an ordinary differentiable function: it takes Gaussians with any feature channels and
any number of cameras, and gradients reach means, sizes, rotations, opacities and features. Here a module that knows
nothing of gsocc but this one call learns a scene from pictures alone, and is then looked at from a place where no
picture was taken. To supervise a network that predicts voxels, see `GaussRenderLoss` in docs/gaussrender.md.
"""

import math
from pathlib import Path

import torch
from jsonargparse import CLI
from PIL import Image
from torch import Tensor, nn

from gsocc_core import Camera, Cameras, Gaussians, splat_to_image
from gsocc_core.rigs.rig_file import looking


class LearnedScene(nn.Module):
    """Somebody's model: free parameters, squashed into the ranges of Gaussians."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.randn(count, 3))
        self.log_scales = nn.Parameter(torch.full((count, 3), math.log(0.25)))
        self.quats = nn.Parameter(torch.tensor([1.0, 0, 0, 0]).repeat(count, 1))  # any length: operators normalise
        self.opacity_logits = nn.Parameter(torch.zeros(count))
        self.color_logits = nn.Parameter(torch.zeros(count, 3))

    def forward(self) -> Gaussians:
        """The scene as it is now."""
        opacities, colors = self.opacity_logits.sigmoid(), self.color_logits.sigmoid()
        return Gaussians(self.means, self.log_scales.exp(), self.quats, opacities, colors)


def orbit(degrees: list[float], size: int) -> Cameras:
    """Cameras on a circle of 6 m around the origin, looking inwards."""
    K = torch.tensor([[1.2 * size, 0, size / 2], [0, 1.2 * size, size / 2], [0, 0, 1]]).numpy()
    cameras = []
    for a in degrees:
        position = (6 * math.cos(math.radians(a)), 6 * math.sin(math.radians(a)), 1.5)
        cameras.append(Camera(f"{a:g}", K, looking(position, (a + 180, 14, 0)), size, size))
    return Cameras.stack(cameras)


def pictures(scene: Gaussians, cameras: Cameras) -> Tensor:
    """(V, H, W, 3) colours 0..1 before a grey background."""
    return splat_to_image(scene, cameras, background=torch.full((3,), 0.5)).features


def main(out: Path = Path("learned.png"), steps: int = 150, count: int = 200, size: int = 64) -> None:
    """Learn a scene from pictures.

    Args:
        out: Picture to write: truth and what was learned, from a new place.
        steps: Optimiser steps.
        count: Learned Gaussians.
        size: Width and height of the pictures, pixels.
    """
    torch.manual_seed(0)
    means, colors = torch.rand(30, 3) * 3 - 1.5, torch.rand(30, 3)
    truth = Gaussians(means, torch.rand(30, 3) * 0.4 + 0.1, torch.randn(30, 4), torch.full((30,), 0.95), colors)
    known, new = orbit([0, 60, 120, 180, 240, 300], size), orbit([30], size)
    target, unseen = pictures(truth, known), pictures(truth, new)

    model = LearnedScene(count)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for step in range(steps + 1):
        if step % 50 == 0 or step == steps:
            with torch.no_grad():
                psnr = -10 * (pictures(model(), new) - unseen).square().mean().log10()
            print(f"step {step:>4}  PSNR of the new view {psnr:.1f} dB")
        loss = (pictures(model(), known) - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    with torch.no_grad():
        pair = torch.cat([unseen[0], pictures(model(), new)[0]], dim=1).clamp(0, 1)
    picture = Image.fromarray((255 * pair).to(torch.uint8).numpy())
    picture.resize((8 * size, 4 * size), Image.Resampling.NEAREST).save(out)
    print(f"left the truth, right what was learned: {out}")


if __name__ == "__main__":
    CLI(main, as_positional=False)
