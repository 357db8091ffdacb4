# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``gsocc_core train``: read top to bottom, this is what a training run does."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader, Subset

from gsocc_core.bundle import save_bundle
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy, collate
from gsocc_core.errors import ConfigError, OutputExistsError
from gsocc_core.geometry.classes import OCC3D_NUSCENES
from gsocc_core.methods.build import build_method
from gsocc_core.training.args import OptimizerArgs, RunArgs
from gsocc_core.training.module import MethodTraining
from gsocc_core.training.sampling import StepSampler


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
    """Train a method and leave a bundle.

    ``out`` receives ``checkpoints/``, ``logs/`` (CSV and TensorBoard), ``config.yaml`` and at the end ``bundle/`` with
    the averaged weights. A run that was stopped goes on with ``--resume auto`` exactly as if it had not been.

    Args:
        out: Folder of the run; must be new unless resuming.
        method: Name of the method, for instance gaussianflowocc.
        model: Arguments of its constructor.
        data: Training data.
        channels: Class id of each feature channel; None = every id of Occ3D-nuScenes.
        val_split: Split for validation, if ``run.validate_every`` asks for it.
        optimizer: Optimiser and schedule; None = the defaults.
        run: Length, hardware, logging; None = the defaults.
        resume: ``auto`` = newest checkpoint in ``out`` (a new run if there is none), or a checkpoint file.

    Raises:
        ConfigError: a value is wrong, or the checkpoint to resume from does not exist.
        DataError: the data set is incomplete.
        OutputExistsError: ``out`` exists and the run does not resume.
    """
    folder, optimizer, run = Path(out), optimizer or OptimizerArgs(), run or RunArgs()
    checkpoint = _checkpoint(folder, resume)
    lightning.seed_everything(run.seed, workers=False, verbose=False)
    classes = OCC3D_NUSCENES.with_channels(channels)
    network = build_method(method, model, classes, pretrained=checkpoint is None, where=folder / "config.yaml")
    size: tuple[int, int] = network.image_size  # type: ignore[assignment]
    dataset = NuScenesOccupancy(data, size)
    validation = _validation(data, val_split, run, size)

    folder.mkdir(parents=True, exist_ok=True)
    config = {"method": method, "model": model, "channels": channels, "data": asdict(data)}
    config |= {"val_split": val_split, "optimizer": asdict(optimizer), "run": asdict(run)}
    (folder / "config.yaml").write_text(yaml.safe_dump(_plain(config), sort_keys=False), encoding="utf-8")

    module = MethodTraining(network, optimizer, run.max_steps, run.seed)
    trainer = _trainer(folder, run, optimizer, validation is not None)
    # A checkpoint is our own file of a training run; bundles, which travel, hold no pickled code.
    step = 0 if checkpoint is None else torch.load(checkpoint, map_location="cpu", weights_only=False)["global_step"]
    sampler = StepSampler(len(dataset), run.batch_size, run.seed, step, trainer.global_rank, trainer.world_size)
    spawn = {"multiprocessing_context": "spawn", "persistent_workers": True} if run.workers else {}
    loader = DataLoader(
        dataset, batch_sampler=sampler, collate_fn=collate, num_workers=run.workers,
        pin_memory=torch.cuda.is_available(), **spawn,  # type: ignore[arg-type]
    )  # fmt: skip
    trainer.fit(module, loader, validation, ckpt_path=checkpoint, weights_only=False)
    if trainer.is_global_zero and trainer.global_step >= run.max_steps:
        network.load_state_dict(module.averaged_state())
        bundle = folder / "bundle"
        if not bundle.exists():
            save_bundle(bundle, method, _plain(model), network, _card(method, data, run, network))


def _checkpoint(folder: Path, resume: str | None) -> Path | None:
    if resume is None:
        if folder.exists():
            raise OutputExistsError(folder, "out", "a folder that does not exist, or --resume auto", "an existing one")
        return None
    if resume == "auto":
        found = sorted((folder / "checkpoints").glob("step=*.ckpt"), key=lambda p: int(p.stem.split("=")[1]))
        return found[-1] if found else None
    if not Path(resume).is_file():
        raise ConfigError(resume, "resume", "auto, or a checkpoint file", "no such file")
    return Path(resume)


def _validation(data: DataArgs, split: str | None, run: RunArgs, size: tuple[int, int]) -> DataLoader[Any] | None:
    if not run.validate_every:
        return None
    if split is None:
        raise ConfigError("train", "val_split", "a split, since run.validate_every is set", None)
    args = replace(data, split=split, scenes=None, depth_dir=None, semantics_dir=None, views=1)
    dataset = NuScenesOccupancy(args, size)
    count = min(run.validate_samples, len(dataset))
    picks = [round(i * (len(dataset) - 1) / max(count - 1, 1)) for i in range(count)]
    return DataLoader(Subset(dataset, picks), batch_size=1, collate_fn=collate)


def _trainer(folder: Path, run: RunArgs, optimizer: OptimizerArgs, validates: bool) -> lightning.Trainer:
    keep = ModelCheckpoint(
        folder / "checkpoints", filename="{step}", every_n_train_steps=run.checkpoint_every, monitor="step",
        mode="max", save_top_k=run.keep_checkpoints, save_on_train_epoch_end=False,
    )  # fmt: skip
    options: dict[str, Any] = {"precision": run.precision}
    return lightning.Trainer(
        accelerator=run.accelerator, devices=run.devices, num_nodes=run.nodes, strategy=run.strategy,
        max_steps=run.max_steps, gradient_clip_val=optimizer.clip_norm,
        logger=[CSVLogger(folder / "logs", name="csv"), TensorBoardLogger(folder / "logs", name="tensorboard")],
        callbacks=[keep], log_every_n_steps=run.log_every, use_distributed_sampler=False,
        val_check_interval=run.validate_every if validates else None, check_val_every_n_epoch=None,
        limit_val_batches=1.0 if validates else 0, num_sanity_val_steps=0, enable_progress_bar=run.progress_bar,
        enable_model_summary=False,
        **options,
    )  # fmt: skip


def _plain(value: Any) -> Any:
    """Tuples as lists, so that YAML stays readable by other languages."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _card(method: str, data: DataArgs, run: RunArgs, network: torch.nn.Module) -> str:
    parameters = sum(p.numel() for p in network.parameters()) / 1e6
    return (
        f"# {method}\n\n"
        f"{parameters:.2f} M parameters, trained for {run.max_steps} steps of "
        f"{run.batch_size * run.devices * run.nodes} samples on `{data.version}`, split `{data.split}`, "
        f"seed {run.seed}.\n\n"
        "Load it with `gsocc_core.OccupancyPredictor.load`. Scores: run `gsocc_core evaluate` on your data.\n"
    )
