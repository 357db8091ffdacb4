# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Which samples a training step sees: a function of seed and step alone, so that a resumed run goes on exactly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class StepSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (index, seed) without end; step s of a run is the same whether or not the run was interrupted.

    The stream is one permutation of the data set after another. All processes share it and take turns.

    Args:
        size: Number of items.
        batch_size: Items per process and step.
        seed: Of the whole run.
        start_step: First step.
        rank: This process.
        world_size: Number of processes.
    """

    def __init__(
        self, size: int, batch_size: int, seed: int, start_step: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.start_step, self.rank, self.world_size = start_step, rank, world_size

    def batch(self, step: int) -> list[tuple[int, int]]:
        """The batch of one step: dataset indices, each with the seed of its random draws."""
        first = (step * self.world_size + self.rank) * self.batch_size
        return [self._item(position) for position in range(first, first + self.batch_size)]

    def _item(self, position: int) -> tuple[int, int]:
        epoch, place = divmod(position, self.size)
        index = np.random.default_rng((self.seed, epoch)).permutation(self.size)[place]
        draw = np.random.SeedSequence((self.seed, 1, position)).generate_state(1)[0]
        return int(index), int(draw)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        step = self.start_step
        while True:
            yield self.batch(step)
            step += 1


class ViewStepSampler(Sampler[list[tuple[int, int, int]]]):
    """Batches of (index, seed, step), for data sets whose items follow a schedule of steps.

    Args:
        steps: Batches of (index, seed).

    Example:
        >>> next(iter(ViewStepSampler(StepSampler(size=1, batch_size=2, seed=0, start_step=7))))[0][::2]
        (0, 7)
    """

    def __init__(self, steps: StepSampler) -> None:
        self.steps = steps

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        step = self.steps.start_step
        while True:
            yield [(index, seed, step) for index, seed in self.steps.batch(step)]
            step += 1
