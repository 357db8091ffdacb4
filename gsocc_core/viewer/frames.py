# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What the viewer shows: plain values, the same from data sets, snapshots and recordings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import SemanticGrid, VoxelScores

#: Slower things stand still: below the noise of predicted velocities, m/s.
LEAST_SPEED_M_S = 0.5
#: Pictures in the scene are thumbnails; JPEGs of this size decode several times faster.
THUMBNAIL_PX = (320, 180)


@dataclass(frozen=True, eq=False)
class CameraView:
    """One camera and what it saw.

    Attributes:
        camera: Calibration and ego motion; the picture may be smaller than it says.
        image: (H, W, 3) uint8 RGB, or None = missing.
    """

    camera: Camera
    image: np.ndarray | None


@dataclass(frozen=True, eq=False)
class LabelledGaussians:
    """Gaussians to draw.

    Attributes:
        means_m: (N, 3) float32 metres, ego frame.
        covariances_m2: (N, 3, 3) float32 square metres.
        opacities: (N,) float32 0..1.
        labels: (N,) uint8 class ids.
        colors: (N, 3) float32 own colours, 0..1; None = those of the classes.
    """

    means_m: np.ndarray
    covariances_m2: np.ndarray
    opacities: np.ndarray
    labels: np.ndarray
    colors: np.ndarray | None = None

    def __post_init__(self) -> None:
        count = len(self.means_m)
        shapes = {"means_m": (count, 3), "covariances_m2": (count, 3, 3), "opacities": (count,), "labels": (count,)}
        shapes |= {} if self.colors is None else {"colors": (count, 3)}
        for key, shape in shapes.items():
            if getattr(self, key).shape != shape:
                raise ShapeError("LabelledGaussians", key, shape, getattr(self, key).shape)

    @classmethod
    def of(cls, scene: Gaussians, classes: ClassTable) -> LabelledGaussians:
        """Label each Gaussian by its largest feature.

        Args:
            scene: Without batch dimensions; feature channels as ``classes.channel_ids`` says.
            classes: Class table.

        Raises:
            ShapeError: the scene has batch dimensions or other channels.
        """
        if scene.batch_shape or scene.features.shape[-1] != len(classes.channel_ids):
            expected = f"(N, {len(classes.channel_ids)}) without batch dimensions"
            raise ShapeError("LabelledGaussians", "features", expected, tuple(scene.features.shape))
        g = scene.map(lambda t: t.detach().float().cpu())
        labels = np.asarray(classes.channel_ids, np.uint8)[g.features.argmax(-1).numpy()]
        return cls(g.means.numpy(), g.covariances().numpy(), g.opacities.numpy(), labels)


@dataclass(frozen=True, eq=False)
class Motion:
    """Things that move.

    Attributes:
        points_m: (M, 3) float32 where, metres, ego frame.
        velocities_m_s: (M, 3) float32 ego frame, none slower than :data:`LEAST_SPEED_M_S`.
    """

    points_m: np.ndarray
    velocities_m_s: np.ndarray

    @classmethod
    def of(cls, grid: SemanticGrid | None, scene: Gaussians | None = None) -> Motion | None:
        """What moves among occupied voxels, or, where the grid holds no velocities, among Gaussians.

        Args:
            grid: Labels (X, Y, Z), with or without velocities.
            scene: Gaussians without batch dimensions, with or without velocities.

        Returns:
            Points and velocities; None when neither holds velocities.
        """
        if grid is not None and grid.velocity is not None:
            labels, classes = grid.labels.cpu(), grid.classes
            velocity = grid.velocity.detach().float().cpu()
            fast = velocity.norm(dim=-1) >= LEAST_SPEED_M_S
            index = (fast & (labels != classes.free_id) & (labels != classes.ignore_id)).nonzero(as_tuple=True)
            T = grid.grid.T_ego_grid_matrix
            points = grid.grid.centers[index].numpy() @ T[:3, :3].T + T[:3, 3]
            return cls(points.astype(np.float32), velocity[index].numpy())
        if scene is not None and scene.velocities is not None:
            velocity, means = scene.velocities.detach().float().cpu(), scene.means.detach().float().cpu()
            fast = velocity.norm(dim=-1) >= LEAST_SPEED_M_S
            return cls(means[fast].numpy(), velocity[fast].numpy())
        return None


@dataclass(frozen=True, eq=False)
class ViewFrame:
    """One moment.

    Attributes:
        title: Shown above the scene.
        stamp_ns: Time that everything refers to.
        views: Cameras and pictures.
        prediction: Predicted labels (X, Y, Z), or None.
        truth: True labels; ``observed`` = seen by the cameras. Or None.
        gaussians: Predicted Gaussians, or None.
        motion: What moves, or None = velocities are unknown.
        pending: The prediction is still being computed.
        depths: (h, w, 3) uint8 pictures of the rendered depth by camera name, if they were asked for.
        ask: Gives the scores of words in the prediction; None = its model has no text features.
    """

    title: str
    stamp_ns: int
    views: tuple[CameraView, ...] = ()
    prediction: SemanticGrid | None = None
    truth: SemanticGrid | None = None
    gaussians: LabelledGaussians | None = None
    motion: Motion | None = None
    pending: bool = False
    depths: Mapping[str, np.ndarray] = field(default_factory=dict)
    ask: Callable[[Sequence[str]], VoxelScores] | None = None

    @property
    def images(self) -> dict[str, np.ndarray | None]:
        """Pictures by camera name."""
        return {view.camera.name: view.image for view in self.views}


class FrameSource(Protocol):
    """Something that can be looked at.

    Attributes:
        name: Of the drive, recording or folder.
        classes: Class table of all frames.
    """

    name: str
    classes: ClassTable

    def __len__(self) -> int:
        """Number of frames."""

    def start(self, on_ready: Callable[[int], None] | None = None) -> None:
        """Begin whatever is computed beside the page.

        Args:
            on_ready: Called with the number of a frame when its prediction is there, from another thread.
        """

    def close(self) -> None:
        """Stop computing, and release files."""

    def frame(self, index: int, wait: bool = True) -> ViewFrame:
        """One frame.

        Args:
            index: 0 ... len - 1.
            wait: Wait for a prediction that is not there yet; else such a frame comes back ``pending``.

        Raises:
            DataError: a file of the frame cannot be read.
        """


def thin(gaussians: LabelledGaussians, least_opacity: float, classes: Collection[int]) -> LabelledGaussians:
    """Some of the Gaussians.

    Args:
        gaussians: Any.
        least_opacity: What is more transparent is left out, 0..1.
        classes: Class ids to keep.

    Returns:
        Those that are opaque enough and of the right classes, in the same order.
    """
    keep = (gaussians.opacities >= least_opacity) & np.isin(gaussians.labels, list(classes))
    colors = None if gaussians.colors is None else gaussians.colors[keep]
    return LabelledGaussians(
        gaussians.means_m[keep], gaussians.covariances_m2[keep], gaussians.opacities[keep], gaussians.labels[keep],
        colors,
    )  # fmt: skip


def seen(prediction: SemanticGrid, truth: SemanticGrid | None) -> SemanticGrid:
    """The prediction where the cameras see; what lies behind surfaces is not scored.

    Args:
        prediction: Labels (X, Y, Z).
        truth: Its ``observed`` says what the cameras see; None or without = everything stays.

    Returns:
        Labels that are free where nothing is seen.
    """
    if truth is None or truth.observed is None or truth.observed.shape != prediction.labels.shape:
        return prediction
    labels = torch.where(truth.observed, prediction.labels, prediction.classes.free_id).to(torch.uint8)
    return SemanticGrid(labels, prediction.grid, prediction.classes, observed=truth.observed)
