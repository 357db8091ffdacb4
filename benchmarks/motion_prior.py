# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How much of a velocity the place of a thing gives away: the median of the nearest boxes of the training drives.

A model that knows no more than where traffic moves cannot be better than this.

    python benchmarks/motion_prior.py data/synthetic/train data/synthetic/val
"""

from __future__ import annotations

import numpy as np
from jsonargparse import auto_cli
from scipy.spatial import cKDTree

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset, protocol_of

_MOVING_MPS = 0.5
#: Lanes are long and narrow: a metre across counts as four along.
_SHRINK = np.array([0.25, 1.0, 10.0])


def boxes_of(dataroot: str, version: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """(K, 3) x, y and class of all boxes that can move, within 40 m, and their (K, 2) velocities, m/s."""
    args = DataArgs(
        dataroot, version, split, occ3d_dir=None, depth_dir=None, semantics_dir=None, views=1, boxes=True
    )  # fmt: skip
    dataset = build_dataset(args, (16, 28))
    found = [box for i in range(len(dataset)) if (box := dataset.key_frame(i).boxes) is not None]
    places = np.concatenate([np.c_[b.T_ego_box[:, :2, 3], b.class_ids] for b in found])
    velocities = np.concatenate([b.velocities_mps[:, :2] for b in found])
    used = np.isfinite(velocities).all(1) & (np.abs(places[:, :2]) < 40).all(1)
    used &= np.isin(places[:, 2], dataset.protocol.classes.dynamic_ids)
    return places[used], velocities[used]


def motion_prior(train: str, held_out: str, version: str = "v1.0-synthetic", neighbours: int = 15) -> None:
    """Print the errors of moving boxes, with and without the class.

    Args:
        train: Tree of the training drives, split train.
        held_out: Tree of the other drives, split val.
        version: Name of the tables' folder.
        neighbours: Boxes that the median is taken of.
    """
    places, velocities = boxes_of(train, version, "train")
    asked, true = boxes_of(held_out, version, "val")
    speed = np.linalg.norm(true, axis=1)
    moves = speed > _MOVING_MPS
    classes = protocol_of(DataArgs(held_out, version)).classes
    frequent = np.bincount(asked[moves, 2].astype(int), minlength=len(classes.names)).argmax()
    kinds = {"all": moves, classes.names[frequent]: moves & (asked[:, 2] == frequent)}
    print("| moving boxes | prior knows | error, m/s | no motion, m/s | lower by |\n|---|---|---|---|---|")
    for known, width in (("place", 2), ("place and class", 3)):
        tree = cKDTree((places * _SHRINK)[:, :width])
        near = tree.query((asked * _SHRINK)[:, :width], neighbours)[1]
        error = np.linalg.norm(np.median(velocities[near], axis=1) - true, axis=1)
        for name, rows in kinds.items():
            mean, rest = error[rows].mean(), speed[rows].mean()
            print(f"| {name} | {known} | {mean:.2f} | {rest:.2f} | {100 * (1 - mean / rest):.0f} % |")


if __name__ == "__main__":
    auto_cli(motion_prior)
