# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""CPU time of bundles from decoded pictures to labels, in turns, so that a busy machine changes their ratio little.

OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bundle_times.py '[OLD, NEW]' data/synthetic/val
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch
from jsonargparse import auto_cli

from gsocc_core import OccupancyPredictor
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy


def bundle_times(
    bundles: list[str], dataroot: str, version: str = "v1.0-synthetic", frames: int = 3, repeats: int = 6
) -> None:
    """Print the median time of each bundle, and its ratio to that of the first one.

    Args:
        bundles: Folders or hub ids, the one to compare with first.
        dataroot: Tree in nuScenes layout.
        version: Name of the tables' folder.
        frames: Key frames, evenly spread.
        repeats: Rounds over all bundles and key frames, after one that is not counted.
    """
    torch.set_num_threads(1)
    args = DataArgs(dataroot, version, occ3d_dir=None, depth_dir=None, semantics_dir=None, views=1)
    predictors = [OccupancyPredictor.load(bundle, "cpu") for bundle in bundles]
    sets = []
    for predictor in predictors:
        dataset = NuScenesOccupancy(args, predictor.image_size)
        sets.append([dataset[int(i)] for i in np.linspace(0, len(dataset) - 1, frames).round()])
    seconds: list[list[float]] = [[] for _ in bundles]
    for turn in range(repeats + 1):
        for predictor, items, taken in zip(predictors, sets, seconds):
            for item in items:
                start = time.process_time()
                predictor.predict_frames(item)
                if turn:
                    taken.append(time.process_time() - start)
    medians = [statistics.median(taken) for taken in seconds]
    print("| bundle | CPU ms per set | ratio |\n|---|---|---|")
    for bundle, median in zip(bundles, medians):
        print(f"| {bundle} | {1e3 * median:.0f} | {median / medians[0]:.2f} |")


if __name__ == "__main__":
    auto_cli(bundle_times)
