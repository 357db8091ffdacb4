# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Train on two tiny drives.

You learn what a training run needs (a tree in nuScenes layout, a method with its arguments, an optimiser), that it
leaves a bundle, and how to score that. The model is far too small and trained far too shortly to be good: with the
defaults it takes a minute or two on a laptop. `config/train/*.yaml` hold the same arguments for real runs.

Needs the extra `nuscenes` (the devkit reads the tree).
"""

from pathlib import Path

from jsonargparse import CLI

from gsocc_core import OccupancyPredictor
from gsocc_core.commands import synthesize, train
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.metrics.confusion import VoxelConfusion
from gsocc_core.training.args import OptimizerArgs, RunArgs

MODEL = {
    "grid": {"lower": [-40.0, -40.0, -1.0], "upper": [40.0, 40.0, 5.4], "voxel_size": 0.4},  # m, ego frame
    "image_size": [32, 88],  # height, width of the network's pictures
    "backbone": {
        "model_type": "resnet",  # or another of gsocc_core/networks/backbones.py, random or from the hub
        "model_args": {"embedding_size": 16, "hidden_sizes": [16, 24, 32, 32], "depths": [1, 1, 1, 1],
                       "layer_type": "basic"},
        "out_indices": [1, 2],
    },
    "network": {"num_gaussians": 400, "initial_means": "surfaces", "dim": 32, "num_blocks": 1, "num_heads": 2,
                "num_points": 2, "num_inducing": 16, "head_hidden": 32, "scale_range_m": [0.3, 1.6]},
    "loss": {"semantics": 0.0, "depth": 0.0, "occupied": 2.0, "voxel_classes": 1.0},
    "splat": {"threshold": 0.3},
}  # fmt: skip


def main(out: Path = Path("small_run"), steps: int = 60, duration_s: float = 1.1, image_scale: float = 0.1) -> None:
    """Synthesize, train, score.

    Args:
        out: Folder to make.
        steps: Optimiser steps.
        duration_s: Length of each drive; two key frames per second.
        image_scale: Factor on 1600x900 of the pictures.
    """
    tree = out / "drives"
    synthesize(str(tree), scenes=2, val_scenes=1, image_scale=image_scale, sweeps=False, duration_s=duration_s)

    data = DataArgs(str(tree), "v1.0-synthetic", "train", depth_dir=None, semantics_dir=None, views=1)
    train(
        str(out / "run"), "gaussianflowocc", MODEL, data, channels=tuple(range(1, 17)),
        optimizer=OptimizerArgs(learning_rate=2e-3, warmup_steps=5, ema_decay=0.9),
        run=RunArgs(max_steps=steps, batch_size=1, checkpoint_every=steps, accelerator="cpu"),
    )  # fmt: skip

    predictor = OccupancyPredictor.load(out / "run" / "bundle", device="cpu")
    confusion = VoxelConfusion(predictor.classes)  # one matrix, summed over all key frames
    held_out = DataArgs(str(tree), "v1.0-synthetic", "val", depth_dir=None, semantics_dir=None, views=1)
    for frames in NuScenesOccupancy(held_out, predictor.image_size):
        truth, predicted = frames.targets, predictor.predict_frames(frames).grid
        confusion.update(truth.labels[0].numpy(), predicted.labels.numpy(), truth.mask_camera[0].numpy())
    scores = confusion.scores()
    print(f"on the drive it was not trained on: IoU {100 * scores.iou:.1f} %, mIoU {100 * scores.miou:.1f} %")


if __name__ == "__main__":
    CLI(main, as_positional=False)
