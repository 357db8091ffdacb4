# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of a training run; the YAML file of a run holds the same keys."""

from __future__ import annotations

from dataclasses import dataclass

from gsocc_core.errors import ConfigError


@dataclass(frozen=True)
class OptimizerArgs:
    """AdamW with linear warm-up and, after a constant part, cosine decay per step.

    Attributes:
        learning_rate: Peak learning rate.
        weight_decay: Decoupled weight decay.
        warmup_steps: Steps of linear warm-up.
        hold_fraction: Part of the run at the peak before the decay begins, 0..1.
        final_fraction: Learning rate at the end, as a fraction of the peak.
        clip_norm: Largest gradient norm.
        ema_decay: Decay of the exponential moving average of the weights; 0 = no average.
        backbone_factor: Learning rate of the image backbone, as a factor on that of all other weights. Below 1,
            pretrained weights change slowly.
    """

    learning_rate: float = 1e-4
    weight_decay: float = 1e-2
    warmup_steps: int = 200
    hold_fraction: float = 0.0
    final_fraction: float = 0.01
    clip_norm: float = 5.0
    ema_decay: float = 0.999
    backbone_factor: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.ema_decay < 1:
            raise ConfigError("optimizer", "ema_decay", "0 <= value < 1", self.ema_decay)
        if not 0 <= self.hold_fraction < 1:
            raise ConfigError("optimizer", "hold_fraction", "0 <= value < 1", self.hold_fraction)
        if self.learning_rate <= 0:
            raise ConfigError("optimizer", "learning_rate", "a positive number", self.learning_rate)
        if self.backbone_factor <= 0:
            raise ConfigError("optimizer", "backbone_factor", "a positive number", self.backbone_factor)


@dataclass(frozen=True)
class RunArgs:
    """How long and where to train.

    Attributes:
        max_steps: Optimiser steps.
        batch_size: Samples per process and step.
        seed: Of weights, batches and augmentation.
        workers: Data loading processes per training process.
        accelerator: Lightning accelerator: auto, cpu, cuda.
        devices: Processes per machine.
        nodes: Machines.
        strategy: Lightning strategy: auto, ddp.
        precision: Lightning precision: 32-true, bf16-mixed, ...
        checkpoint_every: Steps between checkpoints.
        keep_checkpoints: Newest checkpoints kept.
        validate_every: Steps between validations; 0 = never.
        validate_samples: Key frames per validation.
        log_every: Steps between log entries.
        progress_bar: Show one.
    """

    max_steps: int = 10_000
    batch_size: int = 4
    seed: int = 0
    workers: int = 0
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    validate_every: int = 0
    validate_samples: int = 40
    log_every: int = 10
    progress_bar: bool = True

    def __post_init__(self) -> None:
        for key in ("max_steps", "batch_size", "devices", "nodes", "checkpoint_every", "log_every"):
            if getattr(self, key) < 1:
                raise ConfigError("run", key, "at least 1", getattr(self, key))
