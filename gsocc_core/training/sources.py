# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What trainings read: drives as frame sets, or videos as sets of unposed views, each with batches of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch.utils.data import Dataset, Sampler

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset, protocol_of
from gsocc_core.data.drives import DriveDataset, collate
from gsocc_core.data.view_args import ViewArgs
from gsocc_core.data.view_dataset import ViewDataset
from gsocc_core.geometry.view_sets import collate_views
from gsocc_core.training.sampling import StepSampler, ViewStepSampler


class TrainingData(ABC):
    """One kind of training data.

    Attributes:
        collate: Items to a batch.
    """

    collate: Callable[[list[Any]], Any]

    @abstractmethod
    def open(self, image_size: tuple[int, int]) -> Dataset[Any]:
        """The data set with pictures of (height, width) pixels.

        Raises:
            ConfigError: there is no such data set, or an argument is wrong.
            DataError: files are missing or damaged.
        """

    @abstractmethod
    def validation(self, split: str, image_size: tuple[int, int]) -> Dataset[Any]:
        """The data set of another split, with what a validation reads of it; raises as :meth:`open`."""

    @abstractmethod
    def batches(self, steps: StepSampler) -> Sampler[Any]:
        """What the data set is asked for at each step."""

    @abstractmethod
    def described(self) -> str:
        """Which samples they are, for a model card."""


class DriveData(TrainingData):
    """Key frames of drives.

    Args:
        args: What to load.
    """

    collate = staticmethod(collate)

    def __init__(self, args: DataArgs) -> None:
        self.args = args

    def open(self, image_size: tuple[int, int]) -> DriveDataset:
        """The data set."""
        return build_dataset(self.args, image_size)

    def validation(self, split: str, image_size: tuple[int, int]) -> DriveDataset:
        """Another split, without labels of pictures: voxels are scored."""
        args = replace(
            self.args, split=split, scenes=None, depth_dir=None, semantics_dir=None, features_dir=None, views=1
        )
        return build_dataset(args, image_size)

    def batches(self, steps: StepSampler) -> StepSampler:
        """Index and seed of each item."""
        return steps

    def described(self) -> str:
        """Key frames, data set and split."""
        args = self.args
        part = "" if args.fraction == 1 else f", {100 * args.fraction:g} % of it (seed {args.fraction_seed})"
        return f"key frames of {protocol_of(args).title}, `{args.version}`, split `{args.split or 'all'}`{part}"


class ViewData(TrainingData):
    """Several views of each of some videos.

    Args:
        args: What to load.
    """

    collate = staticmethod(collate_views)

    def __init__(self, args: ViewArgs) -> None:
        self.args = args

    def open(self, image_size: tuple[int, int]) -> ViewDataset:
        """The data set."""
        return ViewDataset(self.args, image_size)

    def validation(self, split: str, image_size: tuple[int, int]) -> ViewDataset:
        """Another split, with the labels of the losses."""
        return ViewDataset(replace(self.args, split=split, scenes=None), image_size)

    def batches(self, steps: StepSampler) -> ViewStepSampler:
        """Index, seed and step of each item, since spans and numbers of views follow the steps."""
        return ViewStepSampler(steps)

    def described(self) -> str:
        """Numbers of views, layout and split."""
        views = ", ".join(map(str, self.args.schedule.context))
        return f"samples of {views} unposed views, layout {self.args.layout}, split `{self.args.split or 'all'}`"


def training_data(args: DataArgs | ViewArgs) -> TrainingData:
    """The kind of data that arguments belong to."""
    return ViewData(args) if isinstance(args, ViewArgs) else DriveData(args)
