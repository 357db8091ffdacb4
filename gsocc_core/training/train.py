# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``gsocc_core train``: read top to bottom, this is what a training run does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import MISSING, asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader, Subset

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import check_fit, protocol_of, with_data_defaults
from gsocc_core.data.drives import DriveDataset
from gsocc_core.data.ego_poses import farthest_s, spread_s
from gsocc_core.data.view_args import ViewArgs
from gsocc_core.errors import ConfigError, OutputExistsError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.inference.bundle import PROMPTS, load_pose_bundle, read_origin, save_bundle
from gsocc_core.inference.model_card import model_card, pose_card, view_card
from gsocc_core.inference.origin import Origin
from gsocc_core.methods.build import build_trainable, method_class
from gsocc_core.methods.method import Method, PoseMethod, Trainable
from gsocc_core.text.class_prompts import ClassPrompts, load_class_prompts
from gsocc_core.training.anchors import surface_means
from gsocc_core.training.args import OptimizerArgs, RunArgs
from gsocc_core.training.callbacks import BundleExport, Ending, StepBar, WholeCheckpoints, quiet
from gsocc_core.training.initial_weights import start_from
from gsocc_core.training.module import MethodTraining
from gsocc_core.training.sampling import StepSampler
from gsocc_core.training.sources import TrainingData, training_data
from gsocc_core.whole import whole_file
from gsocc_core.yaml_files import read_yaml

CONFIG = "config.yaml"

#: Arguments that a resumed run may change; all others decide what it computes.
MAY_CHANGE = {
    "data.dataroot", "run.max_steps", "run.workers", "run.accelerator", "run.checkpoint_every", "run.keep_checkpoints",
    "run.validate_every", "run.validate_samples", "run.log_every", "run.progress_bar",
}  # fmt: skip


def train(
    out: str,
    method: str,
    model: dict[str, Any],
    data: DataArgs | ViewArgs,
    channels: tuple[int, ...] | None = None,
    val_split: str | None = None,
    optimizer: OptimizerArgs | None = None,
    run: RunArgs | None = None,
    resume: str | None = None,
    init: str | None = None,
    classes: str | None = None,
    prompts: str | None = None,
    encoder: str = "wordllama",
) -> None:
    """Train a method and leave a bundle.

    ``out`` receives ``checkpoints/``, ``logs/`` (CSV and TensorBoard), ``config.yaml``, ``prompts.safetensors`` where
    there are class prompts, and, with every checkpoint, ``bundle/`` with the averaged weights. A run that was stopped
    goes on with ``--resume auto`` exactly as if it had not been.

    Args:
        out: Folder of the run; must be new unless resuming.
        method: Name of the method, for instance gaussianflowocc.
        model: Arguments of its constructor; without ``grid``, that of the data set.
        data: Training data, of the kind that the method's ``DATA`` says; ``data.dataset`` chooses classes and grid.
        channels: Class id of each feature channel; None = every id of the class table.
        val_split: Split for validation, if ``run.validate_every`` asks for it.
        optimizer: Optimiser and schedule; None = the defaults.
        run: Length, hardware, logging; None = the defaults.
        resume: ``auto`` = newest checkpoint in ``out`` (a new run if there is none), or a checkpoint file. What the run
            computes must stay as it began; ``run.max_steps`` may grow.
        init: Bundle whose weights a new run starts from; see :func:`gsocc_core.training.initial_weights.start_from`.
        classes: YAML class table of the labels; None = that of the data set.
        prompts: Class prompts of a method that is told its classes in words, which then take the place of ``channels``:
            a YAML file of words, or a .safetensors file with their embeddings.
        encoder: Text encoder that embeds the words of a YAML file.

    Raises:
        ConfigError: a value is wrong, the checkpoint to resume from does not exist, or the features of
            ``data.features_dir`` are in another basis than the method's.
        DataError: the data set is incomplete, or the file of class prompts is damaged.
        OutputExistsError: ``out`` exists and the run does not resume.
    """
    folder, optimizer, run = Path(out), optimizer or OptimizerArgs(), run or RunArgs()
    checkpoint = _checkpoint(folder, resume)
    cls = method_class(method)
    _check_kind(cls, method, data, run, channels=channels, classes=classes, prompts=prompts)
    model = with_data_defaults(cls, model, data)
    config = {"method": method, "model": model, "channels": channels, "data": asdict(data), "val_split": val_split}
    config |= {"init": init, "classes": classes, "prompts": prompts, "encoder": encoder, "optimizer": asdict(optimizer)}
    config = _plain(config | {"run": asdict(run)})
    if checkpoint is not None:
        kinds = {"data": type(data), "optimizer": OptimizerArgs, "run": RunArgs}
        _check_same_run(checkpoint.parent.parent / CONFIG, config, kinds)
    lightning.seed_everything(run.seed, workers=False, verbose=False)
    table = _class_table(data, classes, channels)
    began = None if checkpoint is None else checkpoint.parent.parent / PROMPTS
    words = _class_prompts(prompts, encoder, table, channels, began)
    where, fresh = folder / CONFIG, checkpoint is None and init is None
    network = build_trainable(method, model, table, pretrained=fresh, prompts=words, where=where, key="model")
    network.check_data(data)
    if network.pose_bundle is not None:
        network.take_poses(load_pose_bundle(network.pose_bundle).method)
    source = training_data(data)
    dataset: Any = source.open(network.image_size)
    _check_items(network, dataset, where)
    if isinstance(network, Method) and isinstance(data, DataArgs) and table is not None:
        if dataset.labels_dir is not None:
            check_fit(protocol_of(data), table, network.grid, where)
        if checkpoint is None:
            network.begin(partial(surface_means, dataset, table, network.grid, seed=run.seed))
    if checkpoint is None and init is not None:
        _say(str(start_from(network, method, init)))
    if checkpoint is None and isinstance(dataset, DriveDataset):
        _check_basis(network, dataset, where, "model.basis" if init is None else "init")
    validation = _validation(source, val_split, run, network.image_size)
    if _is_first_process():
        _write_config(folder, config)
        if words is not None and began != folder / PROMPTS:
            words.save(folder / PROMPTS, replace=True)

    # A run that goes on has its own bundle; the one that it began from may be gone.
    own = folder / "bundle" if checkpoint is None else checkpoint.parent.parent / "bundle"
    origin = None if init is None else read_origin(own if (own / CONFIG).is_file() else init)
    card = _card(folder.name, method, source, run, network, origin)

    def save() -> None:
        save_bundle(folder / "bundle", method, _plain(model), network, card, replace=True, origin=origin)

    module = MethodTraining(network, optimizer, run.max_steps, run.seed)
    with quiet(), Ending() as ending:
        callbacks = [
            BundleExport(save, run.checkpoint_every),
            ending,
            *([StepBar(run.log_every)] if run.progress_bar else []),
        ]
        trainer = _trainer(folder, run, optimizer, validation is not None, callbacks)
        loader = _loader(source, dataset, run, _step(checkpoint), trainer)
        trainer.fit(module, loader, validation, ckpt_path=checkpoint, weights_only=True)


def _check_kind(cls: type[Trainable], method: str, data: DataArgs | ViewArgs, run: RunArgs, **classes: object) -> None:
    """What belongs to another kind of data, or to occupancy alone, is refused, not passed over."""
    if not isinstance(data, cls.DATA):
        raise ConfigError("train", "data", f"{cls.DATA.__name__}, which {method} is trained on", type(data).__name__)
    if issubclass(cls, Method):
        return
    for key, value in classes.items():
        if value is not None:
            raise ConfigError("train", key, f"null, since {method} predicts no classes", value)
    if run.validate_every and issubclass(cls, PoseMethod):
        expected = f"0, since {method} predicts no occupancy: evaluate-poses scores its bundle"
        raise ConfigError("train", "run.validate_every", expected, run.validate_every)


def _check_items(network: Trainable, dataset: Any, where: Path) -> None:
    """What the method wants of rig, views and times, the times of all samples: no run should end at one after hours.

    Neighbours that stand nobody knows where teach only what finds out.
    """
    frames = dataset[0]
    network.check_frames(frames)
    if not isinstance(dataset, DriveDataset):
        return
    for scene, position in dataset.items:
        drive, present = dataset.scenes[scene], dataset.scenes[scene][position]
        places = [position + offset for offset in dataset.args.view_offsets if dataset.args.views > 1]
        others = [drive[place] for place in places if 0 <= place < len(drive)]
        network.check_moments(f"sample {present.token}", farthest_s(present, others), spread_s(present))
    cameras = None if frames.targets is None else frames.targets.view_cameras
    if isinstance(network, PoseMethod) or network.pose_bundle is not None or cameras is None:
        return
    if cameras.T_ref_ego is not None and cameras.T_ref_ego.isnan().any():
        expected = "the present alone (data.views: 1, data.view_sweeps: []), or poses of a first stage (model.poses of "
        expected += "gaussianocc), since the data set's are unknown"
        raise ConfigError(where, "data.views, data.view_sweeps", expected, f"{cameras.T_ref_ego.shape[1]} views")


def _class_table(data: DataArgs | ViewArgs, classes: str | None, channels: tuple[int, ...] | None) -> ClassTable | None:
    """Class table of a run; videos have none that a method predicts."""
    if isinstance(data, ViewArgs):
        return None
    table = protocol_of(data).classes if classes is None else ClassTable.from_yaml(classes)
    return table if channels is None else table.with_channels(channels)


def _loader(source: TrainingData, dataset: Any, run: RunArgs, step: int, trainer: lightning.Trainer) -> DataLoader[Any]:
    """This process's share of the steps from one on."""
    steps = StepSampler(len(dataset), run.batch_size, run.seed, step, trainer.global_rank, trainer.world_size)
    # numba's OpenMP layer dies in forked children. Workers are spawned, not forked from a server process: they live as
    # long as the training, and must see the environment that launchers set for it.
    spawn: dict[str, Any] = {"multiprocessing_context": "spawn", "persistent_workers": True} if run.workers else {}
    return DataLoader(
        dataset, batch_sampler=source.batches(steps), collate_fn=source.collate, num_workers=run.workers,
        pin_memory=torch.cuda.is_available(), **spawn,
    )  # fmt: skip


def _say(text: str) -> None:
    if _is_first_process():
        sys.stderr.write(f"{text}\n")


def _is_first_process() -> bool:
    return getattr(rank_zero_only, "rank", 0) == 0  # Lightning reads it from the launcher's environment


def _checkpoint(folder: Path, resume: str | None) -> Path | None:
    if resume is None:
        # Only the first process may judge: when the others start, it has made the folder already.
        if folder.exists() and _is_first_process():
            raise OutputExistsError(folder, "out", "a folder that does not exist, or --resume auto", "an existing one")
        return None
    if resume == "auto":
        found = sorted((folder / "checkpoints").glob("step=*.ckpt"), key=lambda p: int(p.stem.split("=")[1]))
        return found[-1] if found else None
    if not Path(resume).is_file():
        raise ConfigError(resume, "resume", "auto, or a checkpoint file", "no such file")
    return Path(resume)


def _step(checkpoint: Path | None) -> int:
    if checkpoint is None:
        return 0
    try:
        return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])
    except Exception as error:  # whatever a damaged pickle makes the reader raise
        raise ConfigError(checkpoint, "resume", "a checkpoint of gsocc_core train", type(error).__name__) from error


def _check_same_run(path: Path, config: dict[str, Any], kinds: dict[str, type]) -> None:
    """A run goes on exactly only with the arguments it began with; length, place and hardware may change.

    Arguments that are younger than the run had their default then, as far as dataclasses, ``kinds``, hold them.
    """
    if not path.is_file():
        return
    began = read_yaml(path, "the configuration of the run")
    for key in ("method", "model", "channels", "classes", "data", "optimizer", "run"):
        defaults = _defaults(kind) if (kind := kinds.get(key)) is not None else {}
        for name, before in (_flat(key, defaults) | _flat(key, began.get(key))).items():
            now = _flat(key, config[key]).get(name)
            if now != before and name not in MAY_CHANGE:
                raise ConfigError(path, name, f"{before!r} as in the run to resume", repr(now))


def _class_prompts(
    path: str | None, encoder: str, classes: ClassTable | None, channels: tuple[int, ...] | None, began: Path | None
) -> ClassPrompts | None:
    """The words of a new run; a run that goes on keeps those that it began with, wherever they are read from.

    Args:
        path: The file that names them.
        encoder: Embeds them, unless the run has them.
        classes: Class table; None = there is none, and no words either.
        channels: Must be None where there are words.
        began: Where a run to resume keeps its words; None = a new run.
    """
    if path is not None and channels is not None:
        raise ConfigError("train", "channels", "null, since prompts say what each feature channel stands for", channels)
    if classes is None:
        return None
    if began is None:
        return None if path is None else load_class_prompts(path, classes, encoder)
    words = ClassPrompts.load(began) if began.is_file() else None
    if words is None or path is None:
        received = None if words is None and path is None else path or "none"
    else:
        received = words.told_otherwise(path, classes, encoder)
    if received is not None:
        told = "none" if words is None else f"{words.described()} ({words.encoder})"
        raise ConfigError(began, "prompts", f"{told} as in the run to resume", received)
    return words


def _check_basis(network: Trainable, dataset: DriveDataset, where: Path, named: str) -> None:
    """A method that compares features in a basis learns nothing from features that another one reduced."""
    mine, folder = getattr(network, "feature_basis", None), dataset.features.get(dataset.args.features_dir or "")
    if mine is None or folder is None or folder.basis is None:
        return
    mine, theirs = mine.detach().cpu().float(), folder.basis
    if mine.shape != theirs.shape or not torch.allclose(mine, theirs, rtol=1e-3, atol=1e-4):
        source = "" if folder.source is None else f" ({folder.source})"
        received = f"those of {folder.folder.path}{source}, in another basis"
        raise ConfigError(where, "data.features_dir", f"features in the basis of {named}", received)


def _defaults(kind: type) -> dict[str, Any]:
    """Plain default of every field of a dataclass that has one."""
    return {field.name: _plain(field.default) for field in fields(kind) if field.default is not MISSING}


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for name, inner in value.items() for k, v in _flat(f"{prefix}.{name}", inner).items()}


def _write_config(folder: Path, config: dict[str, Any]) -> None:
    with whole_file(folder / CONFIG) as temporary:
        temporary.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _validation(source: TrainingData, split: str | None, run: RunArgs, size: tuple[int, int]) -> DataLoader[Any] | None:
    if not run.validate_every:
        return None
    if split is None:
        raise ConfigError("train", "val_split", "a split, since run.validate_every is set", None)
    dataset: Any = source.validation(split, size)
    count = min(run.validate_samples, len(dataset))
    picks = [round(i * (len(dataset) - 1) / max(count - 1, 1)) for i in range(count)]
    return DataLoader(Subset(dataset, picks), batch_size=1, collate_fn=source.collate)


def _trainer(
    folder: Path, run: RunArgs, optimizer: OptimizerArgs, validates: bool, callbacks: Sequence[lightning.Callback]
) -> lightning.Trainer:
    keep = ModelCheckpoint(
        folder / "checkpoints", filename="{step}", every_n_train_steps=run.checkpoint_every, monitor="step",
        mode="max", save_top_k=run.keep_checkpoints, save_on_train_epoch_end=False,
    )  # fmt: skip
    options: dict[str, Any] = {"precision": run.precision}
    return lightning.Trainer(
        accelerator=run.accelerator, devices=run.devices, num_nodes=run.nodes, strategy=run.strategy,
        max_steps=run.max_steps, gradient_clip_val=optimizer.clip_norm,
        logger=[CSVLogger(folder / "logs", name="csv"), TensorBoardLogger(folder / "logs", name="tensorboard")],
        callbacks=[keep, *callbacks], plugins=[WholeCheckpoints()], log_every_n_steps=run.log_every,
        use_distributed_sampler=False, val_check_interval=run.validate_every if validates else None,
        check_val_every_n_epoch=None, limit_val_batches=1.0 if validates else 0, num_sanity_val_steps=0,
        enable_progress_bar=False, enable_model_summary=False, **options,
    )  # fmt: skip


def _plain(value: Any) -> Any:
    """Tuples as lists, so that YAML stays readable by other languages."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _card(
    title: str, method: str, source: TrainingData, run: RunArgs, network: Trainable, origin: Origin | None = None
) -> str:
    text = (
        f"{run.max_steps} steps of {run.batch_size * run.devices * run.nodes} {source.described()}, seed {run.seed}; "
        "the weights are a moving average. The full configuration lies beside the run's checkpoints."
    )
    parameters = sum(p.numel() for p in network.parameters())
    if not isinstance(network, Method):
        card = pose_card if isinstance(network, PoseMethod) else view_card
        return card(title, method, parameters, network.image_size, text)
    if network.prompts is not None:
        text += f"\n\nClasses in words, embedded by `{network.prompts.encoder}`: {network.prompts.described()}."
    if origin is not None:
        text += f"\n\nThe training began from weights of others, whose licence holds on:\n\n{origin.markdown()}"
    licence = {} if origin is None else {"licence": origin.licence_id}
    classes = len(network.classes.names) - 1
    return model_card(title, method, parameters, network.image_size, classes, text, **licence)
