# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of ``gsocc_core``: each typed signature is one, its docstring is the help."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from gsocc_core.data.nuscenes import DataArgs
from gsocc_core.training.args import OptimizerArgs, RunArgs

_OPTIMIZER, _RUN = OptimizerArgs(), RunArgs()


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
    optimizer: OptimizerArgs = _OPTIMIZER,
    run: RunArgs = _RUN,
    resume: str | None = None,
) -> None:
    """Train a method and leave a bundle.

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
    dataroot: str,
    version: str = "v1.0-trainval",
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    occ3d_dir: str = "gts",
    out: str | None = None,
    limit: int | None = None,
    rays: bool = True,
    mask: Literal["camera", "lidar", "none"] = "camera",
    swap_pictures: bool = False,
    update_card: bool = False,
    device: str = "auto",
    velocities: bool = True,
    depth: bool = False,
) -> None:
    """Score a bundle on voxel ground truth, with bootstrap intervals over scenes.

    Args:
        bundle: Bundle folder or hub id.
        dataroot: Tree in nuScenes layout.
        version: Name of the tables' folder.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        occ3d_dir: Folder of Occ3D labels inside ``dataroot``.
        out: Write <out>.json and <out>.md; None = print only.
        limit: Score only so many key frames, evenly spread.
        rays: Compute RayIoU.
        mask: Which voxels count.
        swap_pictures: Control: show the model pictures of other drives.
        update_card: Put the scores into the bundle's model card.
        device: cpu, cuda or auto.
        velocities: Score velocities against the annotated boxes, if the model gives any.
        depth: Score the rendered depth at LiDAR points.
    """
    from gsocc_core import evaluation as ev
    from gsocc_core.model_card import put_scores
    from gsocc_core.score_report import markdown, report

    data = ev.scoring_data(dataroot, version, split, scenes, occ3d_dir, velocities)
    name = f"{Path(bundle).name}, swapped pictures" if swap_pictures else Path(bundle).name
    scores = ev.score_bundle(name, bundle, data, limit, rays, mask, swap_pictures, device, depth)
    report([scores], out)
    if update_card:
        put_scores(bundle, f"On `{version}`, split `{split or 'all'}`:\n\n{markdown([scores])}")


def baseline(
    kind: Literal["majority", "ground"],
    dataroot: str,
    version: str = "v1.0-trainval",
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    train_split: str = "train",
    train_dataroot: str | None = None,
    occ3d_dir: str = "gts",
    out: str | None = None,
    limit: int | None = None,
    rays: bool = True,
    mask: Literal["camera", "lidar", "none"] = "camera",
) -> None:
    """Score a prediction that looks at no picture.

    Args:
        kind: ``majority`` = the most frequent label of each voxel in the training scenes where cameras see it;
            ``ground`` = driveable surface at the height of the wheels and nothing else.
        dataroot: Tree in nuScenes layout.
        version: Name of the tables' folder.
        split: What to score on: a split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        train_split: Where ``majority`` counts.
        train_dataroot: Tree of that split; None = ``dataroot``.
        occ3d_dir: Folder of Occ3D labels inside ``dataroot``.
        out: Write <out>.json and <out>.md; None = print only.
        limit: Score only so many key frames, evenly spread.
        rays: Compute RayIoU.
        mask: Which voxels count.
    """
    from gsocc_core import evaluation as ev
    from gsocc_core.score_report import report

    data = ev.scoring_data(dataroot, version, split, scenes, occ3d_dir)
    report([ev.score_baseline(kind, data, train_split, train_dataroot, limit, rays, mask)], out)


def predict(
    bundle: str,
    dataroot: str,
    out: str,
    version: str = "v1.0-trainval",
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    limit: int | None = None,
    device: str = "auto",
) -> None:
    """Write predictions in the format of Occ3D.

    Every key frame becomes ``<out>/<scene>/<token>/labels.npz`` with the array ``semantics``.

    Args:
        bundle: Bundle folder or hub id.
        dataroot: Tree in nuScenes layout; needs no labels.
        out: Folder to make; it must not exist.
        version: Name of the tables' folder.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        limit: Only the first so many key frames.
        device: cpu, cuda or auto.
    """
    from gsocc_core import evaluation as ev
    from gsocc_core.prediction_files import write_predictions

    write_predictions(bundle, ev.scoring_data(dataroot, version, split, scenes, None), out, limit, device)


def bench(
    what: Literal["splat"],
    gaussians: tuple[int, ...] = (1800, 10_000, 25_600, 144_000),
    sigma: tuple[str, ...] = ("small", "mixed", "large"),
    one_per_voxel: bool = True,
    threads: int = 1,
    repeats: int = 5,
    device: str = "auto",
    baselines: str | None = None,
    images: bool = True,
    out: str | None = None,
) -> None:
    """Measure the operators on this machine: time, memory, share of what the machine could do.

    Args:
        what: ``splat`` = Gaussians to voxels, labels and pictures.
        gaussians: Numbers of Gaussians.
        sigma: Their sizes: small = U(0.05, 0.3) m, mixed = U(0.1, 1.5) m, large = U(1, 4) m.
        one_per_voxel: Measure the scene of a dense voxel model too, one Gaussian per voxel.
        threads: CPU threads.
        repeats: Calls of each case after one that does not count; the median is shown.
        device: cpu, cuda or auto.
        baselines: Python file with other procedures for the same table; it is executed like any script.
        images: Measure pictures too.
        out: JSON file to write.
    """
    from gsocc_core.bench.splat import run as splat

    {"splat": splat}[what](gaussians, sigma, one_per_voxel, threads, repeats, device, baselines, images, out)


def doctor(bundle: str | None = None) -> None:
    """Say what this machine has, what is missing for what, and the command that mends it.

    Args:
        bundle: Model folder or hub id to try; None = the demo model of a checkout.
    """
    from gsocc_core.doctor import examine, table

    findings = examine(bundle)
    print(table(findings))
    if any(finding.state == "broken" for finding in findings):
        raise SystemExit(1)
