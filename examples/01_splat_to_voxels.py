# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Splat Gaussians to voxels.

You learn how a scene is written down as 3D Gaussians, how `splat_to_labels` makes one class per voxel of it, and how
`splat_to_voxels` gives density and features that carry gradients. Needs no model, no pictures and no GPU.
"""

from pathlib import Path

import torch
from jsonargparse import CLI
from PIL import Image

from gsocc_core import OCC3D_NUSCENES, Gaussians, VoxelGrid, splat_to_labels, splat_to_voxels
from gsocc_core.pictures import draw_voxels


def street(density_per_m2: float) -> Gaussians:
    """A road, a wall along it and a car, as Gaussians with class logits."""
    # lower corner, upper corner (m, ego frame: x forward, y left, z up), class
    boxes = [
        ((-20.0, -6.0, -0.2), (20.0, 6.0, 0.0), "driveable_surface"),
        ((-20.0, 8.0, 0.0), (20.0, 8.4, 4.0), "manmade"),
        ((6.0, -2.0, 0.2), (10.5, 0.0, 1.6), "car"),
    ]
    means, labels = [], []
    for lower, upper, name in boxes:
        low, size = torch.tensor(lower), torch.tensor(upper) - torch.tensor(lower)
        faces = size[0] * (size[1] + size[2])
        means.append(low + torch.rand(int(density_per_m2 * faces), 3) * size)
        labels.append(torch.full((len(means[-1]),), OCC3D_NUSCENES.names.index(name)))
    centers, ids = torch.cat(means), torch.cat(labels)
    return Gaussians(
        means=centers,
        scales=torch.full_like(centers, 0.25),  # one standard deviation along each own axis, m
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(len(centers), 4),  # w, x, y, z
        opacities=torch.full((len(centers),), 0.9),
        features=5.0 * torch.nn.functional.one_hot(ids, len(OCC3D_NUSCENES.names)),
    )


def main(out: Path = Path("voxels.png"), density_per_m2: float = 12.0) -> None:
    """Splat a street and draw it.

    Args:
        out: Picture to write.
        density_per_m2: Gaussians per square metre.
    """
    torch.manual_seed(0)
    scene, grid = street(density_per_m2), VoxelGrid.occ3d()  # 200 x 200 x 16 voxels of 0.4 m

    occupancy = splat_to_labels(scene, grid, OCC3D_NUSCENES, threshold=0.5)
    print(f"{len(scene)} Gaussians occupy {int(occupancy.occupied.sum())} of {occupancy.labels.numel()} voxels:")
    for label, count in zip(*(t.tolist() for t in occupancy.labels.unique(return_counts=True))):
        print(f"  {OCC3D_NUSCENES.names[label]:<20}{count:>8}")
    Image.fromarray(draw_voxels(occupancy.labels.numpy(), occupancy, 960, 540)).save(out)

    # The same sums as tensors: density (X, Y, Z) and features (X, Y, Z, C), differentiable for every field.
    means = scene.means.requires_grad_()
    field = splat_to_voxels(scene.replace(means=means), grid)
    field.density[100:, :, 3:].sum().backward()
    print(f"density at most {field.density.max().item():.2f}, gradient {means.grad.norm().item():.2f}; see {out}")


if __name__ == "__main__":
    CLI(main, as_positional=False)
