# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a run leaves on disk: checkpoints that are never half-written, and a bundle beside every one of them."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from tqdm import tqdm

from gsocc_core.training.module import MethodTraining
from gsocc_core.whole import whole_file


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint under another name and renames it: a process that dies leaves the older ones alone."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write one checkpoint.

        Args:
            checkpoint: What Lightning keeps.
            path: The file.
            storage_options: Not used.
        """
        del storage_options
        with whole_file(path) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())


class BundleExport(lightning.Callback):
    """Writes the bundle of the averaged weights whenever a checkpoint is due, and at the end.

    Args:
        save: Writes the bundle of the module's present weights.
        every: Steps between exports.
    """

    def __init__(self, save: Callable[[], None], every: int) -> None:
        self.save, self.every, self.saved_step = save, every, -1

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, *_: Any) -> None:
        """Export when a checkpoint is due."""
        if trainer.global_step % self.every == 0 or trainer.global_step == trainer.max_steps:
            self._export(trainer, pl_module)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Export after a resumed run that had nothing left to do."""
        if trainer.global_step >= trainer.max_steps:
            self._export(trainer, pl_module)

    def _export(self, trainer: lightning.Trainer, module: MethodTraining) -> None:
        if trainer.is_global_zero and trainer.global_step != self.saved_step:
            self.saved_step = trainer.global_step
            with module.averaged():
                self.save()


class StepBar(lightning.Callback):
    """A progress bar over the steps of the run, in the first process.

    Args:
        every: Steps between the losses that it shows.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Begin where the run goes on."""
        del pl_module
        if trainer.is_global_zero:
            self._bar = tqdm(desc="train", total=trainer.max_steps, initial=trainer.global_step, unit="step")

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        """Count a step."""
        del pl_module
        if self._bar is None:
            return
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is not None and trainer.global_step % self.every == 0:
            self._bar.set_postfix_str(f"loss {float(loss):.4g}", refresh=False)
        self._bar.update(trainer.global_step - self._bar.n)

    def teardown(self, trainer: lightning.Trainer, pl_module: Any, stage: str) -> None:
        """Leave the bar as it is."""
        del trainer, pl_module, stage
        if self._bar is not None:
            self._bar.close()


class Ending(lightning.Callback):
    """Lightning ends the process itself after Ctrl+C; whoever called it shall know what happened."""

    def __init__(self) -> None:
        self._seen: BaseException | None = None

    def on_exception(self, trainer: lightning.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Remember what came."""
        del trainer, pl_module
        self._seen = exception

    def __enter__(self) -> Ending:
        """Watch a training."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        """Raise the interrupt again in whose place Lightning exits."""
        if isinstance(error, SystemExit) and isinstance(self._seen, KeyboardInterrupt):
            raise self._seen from None


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning keeps to itself what it would say about hardware, loaders and other products."""
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric")]
    loggers.append(logging.getLogger("lightning.pytorch.utilities.rank_zero"))
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for logger, level in zip(loggers, before):
            logger.setLevel(level)
