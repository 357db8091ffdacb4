# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of ``gsocc_core``: each typed signature is one, its docstring is the help."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

from gsocc_core.data.nuscenes import DataArgs
from gsocc_core.training.args import OptimizerArgs, RunArgs


def synthesize(
    out: str,
    scenes: int = 1,
    seed: int = 0,
    image_scale: float = 1.0,
    sweeps: bool = True,
    duration_s: float = 20.0,
    version: str = "v1.0-synthetic",
    labels: bool = True,
    pseudo_labels: bool = True,
    val_scenes: int = 0,
    jobs: int | None = None,
) -> None:
    """Write drives through procedural streets as a nuScenes tree with Occ3D labels.

    Args:
        out: Folder to make; it must not exist.
        scenes: Number of drives.
        seed: Chooses the drives; the same seed gives the same bytes.
        image_scale: Factor on the picture size of 1600x900.
        sweeps: Write the readings between key frames too.
        duration_s: Length of each drive, seconds; 20 s are 40 key frames.
        version: Name of the folder with the tables.
        labels: Write Occ3D voxel labels.
        pseudo_labels: Write depth and class pictures.
        val_scenes: The last so many drives form the split val, the others train.
        jobs: Drives written at the same time; None = one per core.
    """
    from gsocc_core.data.synthetic.synthesize import synthesize as run

    run(out, scenes, seed, image_scale, sweeps, duration_s, version, labels, pseudo_labels, val_scenes, jobs)


def train(
    out: str,
    method: str,
    model: dict[str, Any],
    data: DataArgs,
    channels: tuple[int, ...] | None = None,
    val_split: str | None = None,
    optimizer: OptimizerArgs | None = None,
    run: RunArgs | None = None,
    resume: str | None = None,
) -> None:
    """Train a method and leave a bundle: ``gsocc_core train CONFIG.yaml [--key value]``.

    Args:
        out: Folder of the run: checkpoints, logs, bundle.
        method: Name of the method.
        model: Arguments of the method.
        data: Training data.
        channels: Class id of each feature channel; None = all.
        val_split: Split for validation.
        optimizer: Optimiser and schedule.
        run: Length, hardware, logging.
        resume: auto, or a checkpoint file.
    """
    from gsocc_core.training.train import train as start

    start(out, method, model, data, channels, val_split, optimizer, run, resume)


def evaluate(
    bundle: str,
    data: DataArgs,
    out: str | None = None,
    limit: int | None = None,
    rays: bool = True,
    mask: Literal["camera", "lidar", "none"] = "camera",
    swap_pictures: bool = False,
    device: str = "auto",
) -> None:
    """Score a bundle on voxel ground truth: mIoU, IoU, RayIoU, per class, with bootstrap intervals over scenes.

    Args:
        bundle: Bundle folder or hub id; or ``ground`` for the ground-plane baseline.
        data: What to score on.
        out: Write <out>.json and <out>.md; None = print only.
        limit: Score only so many key frames, evenly spread.
        rays: Compute RayIoU.
        mask: Which voxels count.
        swap_pictures: Control: show the model pictures of other drives.
        device: cpu, cuda or auto.
    """
    from gsocc_core import evaluation as ev
    from gsocc_core.data.nuscenes import NuScenesOccupancy

    if bundle == "ground":
        dataset = NuScenesOccupancy(ev.labels_only(data), (64, 176))
        scores = ev.score("ground", dataset, ev.constant_source(ev.ground_labels()), limit=limit, rays=rays, mask=mask)
    else:
        source, image_size, classes, grid = ev.model_source(bundle, device)
        dataset = NuScenesOccupancy(ev.labels_only(data), image_size)
        donor = ev.donor_from_another_scene(dataset) if swap_pictures else None
        scores = ev.score(
            Path(bundle).name,
            dataset,
            source,
            limit=limit,
            rays=rays,
            mask=mask,
            classes=classes,
            grid=grid,
            donor=donor,
        )
    if out is not None:
        ev.write_report([scores], out)
    sys.stdout.write(ev.markdown([scores]) + "\n")


def predict(bundle: str, data: DataArgs, out: str, limit: int | None = None, device: str = "auto") -> None:
    """Write predictions in Occ3D's format, ``<out>/<scene>/<token>/labels.npz`` with the array ``semantics``.

    Args:
        bundle: Bundle folder or hub id.
        data: Pictures to read; needs no labels.
        out: Folder to make; it must not exist.
        limit: Only the first so many key frames.
        device: cpu, cuda or auto.
    """
    from gsocc_core.prediction_files import write_predictions

    write_predictions(bundle, data, out, limit, device)
