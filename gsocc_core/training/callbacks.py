# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a run leaves on disk: checkpoints that are never half-written, and a bundle beside every one of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

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
