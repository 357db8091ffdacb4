# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The Lightning module around a method: optimiser, schedule, averaged weights, losses and validation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

from gsocc_core.errors import DataError
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.view_sets import ViewSet
from gsocc_core.methods.method import Method, Trainable, check_scene
from gsocc_core.metrics.confusion import VoxelConfusion
from gsocc_core.training.args import OptimizerArgs


class MethodTraining(lightning.LightningModule):
    """Trains anything through its losses, and validates what predicts occupancy by its voxels, all else by its losses.

    Args:
        method: What learns.
        optimizer: Optimiser arguments.
        max_steps: Length of the schedule.
        seed: All randomness of a step follows from it, the step and the process.
    """

    def __init__(self, method: Trainable, optimizer: OptimizerArgs, max_steps: int, seed: int) -> None:
        super().__init__()
        self.method, self.args, self.max_steps, self.seed = method, optimizer, max_steps, seed
        self.average: dict[str, Tensor] = {}
        self.confusion: VoxelConfusion | None = None

    def on_fit_start(self) -> None:
        """Pin the number of threads, which MKL else chooses call by call: sums depend on it, and so do resumed runs."""
        torch.set_num_threads(torch.get_num_threads())

    def on_train_batch_start(self, batch: FrameSet | ViewSet, batch_idx: int) -> None:  # noqa: ARG002 - Lightning's signature
        """Seed the step, so that a resumed run draws what an uninterrupted one would."""
        state = np.random.SeedSequence((self.seed, self.global_step, self.global_rank)).generate_state(1)[0]
        torch.manual_seed(int(state))

    def training_step(self, batch: FrameSet | ViewSet, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Sum of the method's losses."""
        losses = self.method.training_losses(batch)
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            shown = {name: float(value) for name, value in losses.items()}
            names = batch.sample_tokens if isinstance(batch, FrameSet) else batch.scene_names
            raise DataError(f"step {self.global_step}", f"loss of {names}", "finite numbers", shown)
        size = batch.images.shape[0]
        self.log_dict({f"loss/{k}": v.detach() for k, v in losses.items()}, prog_bar=True, batch_size=size)
        self.log("loss", total.detach(), batch_size=size)
        return total

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then update the averaged weights, so that a checkpoint of a step holds the average of that step.

        The decay rises from 0, so that early averages are not stuck at the random start.
        """
        super().optimizer_step(*args, **kwargs)
        if not self.args.ema_decay:
            return
        decay = min(self.args.ema_decay, (1 + self.global_step) / (10 + self.global_step))
        with torch.no_grad():
            for name, value in self.method.state_dict().items():
                if name not in self.average:
                    self.average[name] = value.detach().clone()
                elif value.is_floating_point():
                    # A checkpoint is read before the model moves to its device.
                    self.average[name] = self.average[name].to(value.device).lerp_(value.detach(), 1 - decay)
                else:
                    self.average[name].copy_(value)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The method with its averaged weights for a while; without an average nothing changes."""
        if not self.average:
            yield
            return
        present = {name: value.detach().clone() for name, value in self.method.state_dict().items()}
        self.method.load_state_dict(self.average)
        try:
            yield
        finally:
            self.method.load_state_dict(present)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the averaged weights."""
        checkpoint["average"] = self.average

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the averaged weights up again."""
        self.average = dict(checkpoint["average"])

    def on_validation_epoch_start(self) -> None:
        """Start counting, with the averaged weights."""
        self.confusion = VoxelConfusion(self.method.classes) if isinstance(self.method, Method) else None
        self._average_in_use = self.averaged()
        self._average_in_use.__enter__()

    def validation_step(self, batch: FrameSet | ViewSet, batch_idx: int) -> None:  # noqa: ARG002
        """Count voxels of one key frame, or log losses."""
        if not isinstance(self.method, Method) or isinstance(batch, ViewSet):
            losses = {f"val/{name}": value for name, value in self.method.training_losses(batch).items()}
            self.log_dict(losses, batch_size=batch.images.shape[0])
            return
        output = self.method(batch)
        check_scene(f"{type(self.method).__name__} in validation, step {self.global_step}", output.scene)
        grid = self.method.occupancy(output, self.method.grid)
        if self.confusion is None or batch.targets is None or batch.targets.labels is None:
            return
        arrays = (batch.targets.labels, grid.labels, batch.targets.mask_camera, batch.targets.mask_lidar)
        self.confusion.update(*(None if a is None else a.cpu().numpy() for a in arrays))  # type: ignore[arg-type]

    def on_validation_epoch_end(self) -> None:
        """Log the scores and go back to the present weights."""
        self._average_in_use.__exit__(None, None, None)
        if self.confusion is not None and self.confusion.matrix.sum():
            scores = self.confusion.scores()
            self.log_dict({"val/miou": scores.miou, "val/iou": scores.iou}, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW over the method's groups of parameters."""
        args = self.args
        optimizer = torch.optim.AdamW(
            self.method.parameter_groups(args.learning_rate, args.weight_decay, args.backbone_factor)
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _factor(self, step: int) -> float:
        warm = min(1.0, (step + 1) / max(self.args.warmup_steps, 1))
        held = self.args.hold_fraction * self.max_steps
        progress = max(step - held, 0.0) / (self.max_steps - held)
        cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        return warm * (self.args.final_fraction + (1 - self.args.final_fraction) * cosine)
