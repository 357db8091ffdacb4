# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What every method is: verbs, attributes, and what trainings and bundles must know of its parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from gsocc_core.data.args import DataArgs
from gsocc_core.data.view_args import ViewArgs
from gsocc_core.errors import ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.view_sets import ViewSet
from gsocc_core.geometry.voxels import SemanticGrid, VoxelField, VoxelGrid
from gsocc_core.methods.learned_poses import LearnedPoses
from gsocc_core.splat import splat_to_voxels
from gsocc_core.text.class_prompts import ClassPrompts

#: What a method does with an input besides pictures: nothing, better with it, nothing without it.
InputUse = Literal["unused", "optional", "required"]

#: What told a method metres.
ScaleSource = Literal["calibration", "poses", "odometry", "mounting_height", "unknown"]


class Output(Protocol):
    """What :meth:`Method.forward` returns: each method's own dataclass, with at least these two.

    With a third, ``text`` (:class:`~gsocc_core.geometry.text_features.TextFeatures` of the scene), a prediction can be
    asked for any word; without it, or where it is None, it cannot.
    """

    @property
    def scene(self) -> Gaussians | VoxelField:
        """The scene in the present ego frame."""

    @property
    def memory(self) -> Any:
        """State for the next key frame; None where a method has none."""


class Trainable(nn.Module, ABC):
    """A network with its losses: what trainings and bundles ask of anything.

    Its constructor takes plain typed arguments, ``pretrained`` among them.

    Attributes:
        image_size: (height, width) of the network's pictures, pixels.
        depth_input: What it does with ``FrameSet.depth_m``.
        depth_model: Hub id or folder of the transformers model whose metric depth the predictor gives to it where the
            caller gives none; None = there is none.
        features_input: What it does with ``FrameSet.features``.
        pose_bundle: Bundle of a :class:`PoseMethod` that a training reads and hands to :meth:`take_poses`; None = it
            needs none.
    """

    #: Constructor arguments and submodules that only a training needs; bundles know neither.
    TRAINING_ONLY: ClassVar[tuple[str, ...]] = ()
    #: What the ``data`` of its trainings are: drives, whose items are frame sets, or videos, whose items are view sets.
    DATA: ClassVar[type[DataArgs] | type[ViewArgs]] = DataArgs

    image_size: tuple[int, int]
    depth_input: InputUse = "unused"
    depth_model: str | None = None
    features_input: InputUse = "unused"
    pose_bundle: str | None = None

    @abstractmethod
    def losses(self, output: Any, batch: Any) -> dict[str, Tensor]:
        """Weighted scalar losses of the network's output for a batch; their sum is the training objective."""

    def training_losses(self, batch: Any) -> dict[str, Tensor]:
        """:meth:`losses` of what the network makes of a batch."""
        return self.losses(self(batch), batch)

    def parameter_groups(
        self, learning_rate: float, weight_decay: float, backbone_factor: float
    ) -> list[dict[str, Any]]:
        """Groups of parameters for AdamW; decay spares biases, norms and learned Gaussians: no weights of a map.

        Args:
            learning_rate: Of all weights but a backbone's.
            weight_decay: Of what decays.
            backbone_factor: Learning rate of a backbone, as a factor.

        Returns:
            Decayed, spared; with a backbone of its own learning rate these two of the backbone follow. Each has
            ``params``, ``lr`` and ``weight_decay``.
        """
        slow = backbone_factor != 1
        groups: list[list[nn.Parameter]] = [[], [], [], []] if slow else [[], []]
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            path = name.split(".")
            is_map = parameter.ndim >= 2 and path[-1] == "weight"
            groups[2 * (slow and "backbone" in path) + (not is_map)].append(parameter)
        decay, rates = (weight_decay, 0.0), (learning_rate, learning_rate * backbone_factor)
        return [{"params": group, "weight_decay": decay[i % 2], "lr": rates[i // 2]} for i, group in enumerate(groups)]

    def check_data(self, data: Any) -> None:
        """Raise ConfigError where training data, ``DATA``, do not fit what the method makes of them; most take all."""

    def check_frames(self, frames: Any) -> None:
        """Raise ConfigError or DataError where an item shows a rig or views to learn nothing from; most take all."""

    def check_moments(self, where: str, farthest_s: float, spread_s: float) -> None:
        """Raise DataError where a sample's pictures are too far apart in time; most methods take all.

        Args:
            where: The sample, for the error.
            farthest_s: From the present to the farthest of its neighbours, seconds.
            spread_s: From the first of the present pictures to the last one, seconds.
        """

    def take_poses(self, method: PoseMethod) -> None:
        """Take the pose network of ``pose_bundle`` over.

        Args:
            method: Read from that bundle.
        """

    def begin(self, surfaces: Callable[[int], Tensor]) -> None:
        """Prepare a training from the beginning; most methods have nothing to prepare.

        Args:
            surfaces: Gives N points (N, 3) on the training data's surfaces, metres, ego frame.
        """


class Method(Trainable):
    """A network with its losses, and with the rule that makes voxels of its scene.

    Training, bundles, evaluation and the predictor know a method by this class alone. Its constructor takes plain
    typed arguments; ``classes`` and ``pretrained`` among them, and ``prompts`` where classes are told in words.
    :mod:`gsocc_core.methods.build` lists the methods that a configuration can name.

    Attributes:
        classes: Class table; ``channel_ids`` says which class each feature channel stands for.
        grid: Grid of its predictions.
        prompts: The words of its classes, where its constructor takes ``prompts``; a bundle carries them. Feature
            channel c of such a method is word c, and ``classes.channel_ids`` are ``prompts.class_ids(classes)``.
    """

    #: Modules whose last layer has one output per feature channel; of a list of modules, each.
    CLASS_HEADS: ClassVar[tuple[str, ...]] = ()
    #: ``forward`` neither waits for a GPU nor uploads anything to it where sizes are fixed
    #: (:func:`gsocc_core.networks.fixed_sizes.fixed_sizes`), so that a CUDA graph can hold it.
    RECORDABLE: ClassVar[bool] = False
    #: Parameters with one row per learned Gaussian.
    PER_GAUSSIAN: ClassVar[tuple[str, ...]] = ()

    classes: ClassTable
    grid: VoxelGrid
    prompts: ClassPrompts | None = None

    @abstractmethod
    def forward(self, frames: FrameSet, memory: Any = None) -> Output:
        """Predict the scene of the present pictures.

        Args:
            frames: (B, T, V) pictures; moment 0 is the present.
            memory: What the previous key frame's output held as ``memory``.

        Returns:
            The method's own :class:`Output`.
        """

    @abstractmethod
    def occupancy(self, output: Any, grid: VoxelGrid | None = None) -> SemanticGrid:
        """Class labels (B, X, Y, Z) of an output on a grid; None = the grid of training."""

    def spread(self, scene: Gaussians, values: Tensor, grid: VoxelGrid) -> Tensor:
        """Values of Gaussians as means in voxels; a method that votes by a rule of its own uses that one here too.

        Args:
            scene: (B, N) Gaussians.
            values: (B, N, C), one row per Gaussian.
            grid: Where to evaluate.

        Returns:
            (B, X, Y, Z, C) means, weighted by what each Gaussian adds to a voxel's density; 0 where none reaches.
        """
        return splat_to_voxels(scene.replace(features=values, velocities=None), grid).features


@dataclass(frozen=True)
class Poses:
    """Where a rig was and how far away what it sees is.

    Attributes:
        T_ref_ego: (B, S, 4, 4) float64 ego pose at the moment of each view in the present ego frame, metres.
        depth_m: (B, V, h, w) metres along the optical axis of the present cameras.
        scale: What told metres.
    """

    T_ref_ego: Tensor
    depth_m: Tensor
    scale: ScaleSource


class PoseMethod(Trainable):
    """A network that says where a rig was and how far away what it sees is, and predicts no occupancy.

    Attributes:
        cameras: Names of the rig's cameras, its constructor's argument; those of the data where none are given.
        learned: Its pose network, for a :class:`Method` that takes it over.
        scale: What told metres.
    """

    cameras: tuple[str, ...]
    learned: LearnedPoses
    scale: ScaleSource

    @abstractmethod
    def forward(self, frames: FrameSet, memory: None = None) -> Any:
        """Predict from the present pictures and those of the views.

        Args:
            frames: (B, T, V) pictures; neighbours are the views of ``targets``.
            memory: Not used.

        Returns:
            The method's own output.
        """

    @abstractmethod
    def poses(self, output: Any) -> Poses:
        """Poses and depth of an output."""


@dataclass(frozen=True)
class Reconstruction:
    """A scene in metres, and where its pictures were taken.

    Attributes:
        scene: (B, N) Gaussians with colours and features in the first camera's optical frame, metres.
        T_first_cam: (B, V, 4, 4) predicted poses of the context cameras in that frame, metres.
        background: (B, 3) colour behind the scene, 0..1; None = black.
    """

    scene: Gaussians
    T_first_cam: Tensor
    background: Tensor | None = None


@dataclass(frozen=True)
class FoundViews:
    """What a method says of context views, in its own unit of length and the first camera's optical frame.

    Attributes:
        scene: (B, V * h * w) Gaussians with features, view after view and row after row.
        T_first_cam: (B, V, 4, 4) predicted poses, the first one the identity.
        intrinsics: (B, V, 3, 3) predicted intrinsics, pixels of the network's pictures.
        map_size: (h, w): Gaussians of one view.
        background: (B, 3) colour behind the scene, 0..1; None = black.
        metric: The training taught that one unit is a metre.
    """

    scene: Gaussians
    T_first_cam: Tensor
    intrinsics: Tensor
    map_size: tuple[int, int]
    background: Tensor | None = None
    metric: bool = False


class ViewMethod(Trainable):
    """A network that makes Gaussians of several pictures of one static scene whose poses nobody knows.

    Attributes:
        teacher_dim: Channels of :meth:`expand`; embeddings of words have as many.
    """

    DATA = ViewArgs

    teacher_dim: int

    @abstractmethod
    def found(self, output: Any) -> FoundViews:
        """What an output says, whatever its unit is."""

    @abstractmethod
    def word_map(self) -> tuple[Tensor, Tensor]:
        """(``teacher_dim``, C) matrix and (``teacher_dim``) vector that lead a Gaussian's features to words."""

    @abstractmethod
    def reconstruct(self, views: ViewSet) -> Any:
        """The method's own output for context views; poses and depth in them are not read."""

    @abstractmethod
    def in_metres(self, output: Any, views: ViewSet) -> Reconstruction:
        """An output in metres, where the true poses of its views may say how long its unit is."""

    @abstractmethod
    def expand(self, features: Tensor) -> Tensor:
        """Rendered features (..., H, W, C) in the teacher's space (..., h, w, ``teacher_dim``)."""


def scene_is_finite(scene: Gaussians | VoxelField) -> Tensor:
    """() bool on the scene's device: its numbers are finite. Large ones may overflow, so False is only a suspicion.

    Args:
        scene: Of any batch.
    """
    return torch.stack([value.sum(dtype=torch.float32) for value in _tensors(scene).values()]).isfinite().all()


def _tensors(scene: Gaussians | VoxelField) -> dict[str, Tensor]:
    return {name: value for name, value in vars(scene).items() if isinstance(value, Tensor)}


def check_scene(where: object, scene: Gaussians | VoxelField, finite: Tensor | None = None) -> None:
    """Raise unless all numbers of a scene are finite: labels made of NaN look like any others.

    Call it between :meth:`Method.forward` and :meth:`Method.occupancy`, or, so that nothing waits for a GPU between
    them, afterwards with what :func:`scene_is_finite` gave there.

    Args:
        where: What made the scene, for the error.
        scene: Of any batch.
        finite: Result of :func:`scene_is_finite`; None = it is asked now.

    Raises:
        ShapeError: a number is NaN or infinite; it names the field.
    """
    if bool(scene_is_finite(scene) if finite is None else finite):
        return
    for name, value in _tensors(scene).items():
        if count := int((~value.isfinite()).sum()):
            raise ShapeError(where, f"scene.{name}", "finite numbers", f"{count} NaN or infinite of {value.numel()}")
