# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How near to a true voxel are predicted ones? Tells a model that sees nothing from one that misjudges distances.

Run: ``python benchmarks/voxel_tolerance.py BUNDLE data/synthetic/val --version v1.0-synthetic --split val``
"""

from __future__ import annotations

import torch
from jsonargparse import auto_cli
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from gsocc_core import OccupancyPredictor
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy

GROUPS = {
    "ground": ("driveable_surface", "other_flat", "sidewalk", "terrain"),
    "upright": (
        "barrier", "bicycle", "bus", "car", "construction_vehicle", "motorcycle", "pedestrian", "traffic_cone",
        "trailer", "truck", "manmade", "vegetation",
    ),
}  # fmt: skip
REACH = (0, 1, 2, 3)


def grown(occupied: Tensor, voxels: int) -> Tensor:
    """(X, Y, Z) bool, true within so many voxels (a cube) of a true one."""
    return functional.max_pool3d(occupied.float()[None], 2 * voxels + 1, 1, voxels)[0] > 0


def voxel_tolerance(
    bundle: str, dataroot: str, version: str = "v1.0-trainval", split: str | None = None, every: int = 4
) -> None:
    """Print, per group of classes, the share of predicted voxels near true ones and of true ones near predicted ones.

    Args:
        bundle: Bundle folder or hub id.
        dataroot: Tree in nuScenes layout with Occ3D labels.
        version: Name of the tables' folder.
        split: What to look at; None = all scenes.
        every: Take every so manieth key frame.
    """
    predictor = OccupancyPredictor.load(bundle)
    args = DataArgs(dataroot, version, split, depth_dir=None, semantics_dir=None, views=1)
    dataset = NuScenesOccupancy(args, predictor.image_size)
    names = predictor.classes.names
    ids = {group: torch.tensor([names.index(n) for n in members]) for group, members in GROUPS.items()}
    counts = {group: torch.zeros(2, len(REACH)) for group in GROUPS}
    totals = {group: torch.zeros(2, 1) for group in GROUPS}
    stands = torch.tensor([names.index(n) for n in ("manmade", "vegetation")])
    wrong, missing = torch.zeros(2), torch.zeros(2)
    for index in tqdm(range(0, len(dataset), every), desc="key frames"):
        item = dataset[index]
        assert item.targets is not None
        assert item.targets.labels is not None
        assert item.targets.mask_camera is not None
        seen, labels = item.targets.mask_camera[0], item.targets.labels[0]
        found = predictor.predict_frames(item).grid.labels
        false, lost = ((a != predictor.classes.free_id) & (b == predictor.classes.free_id) & seen
                       for a, b in ((found, labels), (labels, found)))  # fmt: skip
        over_ground = (torch.isin(labels, ids["ground"]) & seen).any(-1, keepdim=True)
        wrong += torch.stack([false.sum(), (false & torch.isin(found, ids["ground"]) & over_ground).sum()])
        missing += torch.stack([lost.sum(), (lost & torch.isin(labels, stands)).sum()])
        for group, members in ids.items():
            pair = torch.isin(found, members), torch.isin(labels, members)
            for side, (a, b) in enumerate((pair, pair[::-1])):
                totals[group][side] += (a & seen).sum()
                counts[group][side] += torch.tensor([int((a & seen & grown(b, r)).sum()) for r in REACH])
    print("| | " + " | ".join(f"within {r}" for r in REACH) + " |\n|---|" + "---|" * len(REACH))
    for group in GROUPS:
        shares = counts[group] / totals[group].clamp(min=1)
        for side, name in enumerate(("predicted voxels with a true one", "true voxels with a predicted one")):
            print(f"| {group}: {name} | " + " | ".join(f"{100 * s:.0f} %" for s in shares[side].tolist()) + " |")
    print(
        f"\nOf voxels wrongly occupied {100 * wrong[1] / wrong[0]:.0f} % are ground in columns that hold true ground."
    )
    print(f"Of occupied voxels that are missing {100 * missing[1] / missing[0]:.0f} % are walls and plants.")


if __name__ == "__main__":
    auto_cli(voxel_tolerance)
