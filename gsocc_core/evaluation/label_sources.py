# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Where labels to be scored come from: a model, or a baseline that looks at no picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gsocc_core.data.drives import DriveDataset
from gsocc_core.data.protocol import PROTOCOL_FILE, Protocol
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.inference.predictor import OccupancyPredictor


@dataclass(frozen=True)
class Answer:
    """What a source says of one key frame.

    Attributes:
        labels: (X, Y, Z) uint8.
        velocity: (X, Y, Z, 3) m/s, along the axes of the ego frame, or None.
        scene: The Gaussians (N) behind the labels, or None.
        remembers: The source has kept something for the next key frame.
    """

    labels: np.ndarray
    velocity: np.ndarray | None = None
    scene: Gaussians | None = None
    remembers: bool = False


#: Answers for one frame set (B = 1).
LabelSource = Callable[[FrameSet], Answer]


def model_source(
    bundle: str | Path, device: str = "auto"
) -> tuple[LabelSource, tuple[int, int], ClassTable, VoxelGrid]:
    """A bundle as a source of labels.

    Args:
        bundle: Folder or hub id.
        device: cpu, cuda or auto.

    Returns:
        The source, the network's (height, width), its class table and grid.
    """
    predictor = OccupancyPredictor.load(bundle, device)

    def answer(frames: FrameSet) -> Answer:
        found = predictor.predict_frames(frames)
        velocity = None if found.grid.velocity is None else found.grid.velocity.numpy()
        scene = found.scene if isinstance(found.scene, Gaussians) else None
        return Answer(found.grid.labels.numpy(), velocity, scene, predictor.remembers)

    return answer, predictor.image_size, predictor.classes, predictor.grid


def majority_labels(dataset: DriveDataset, classes: ClassTable | None = None) -> np.ndarray:
    """Most frequent label of every voxel over the key frames whose cameras see it, or that have a label there.

    Args:
        dataset: With voxel labels; pictures are not read.
        classes: Class table; None = that of the data set.

    Returns:
        (X, Y, Z) uint8; free where no camera ever sees.

    Raises:
        DataError: the data set has no voxel labels.
    """
    classes, shape = classes or dataset.protocol.classes, dataset.protocol.grid.shape
    counts = np.zeros((len(classes.names), math.prod(shape)), np.int32)
    for index in tqdm(range(len(dataset)), desc="majority", unit="frame"):
        found = dataset.voxel_labels(index)
        seen = np.flatnonzero(found.mask_camera & (found.semantics != classes.ignore_id))
        counts[found.semantics.reshape(-1)[seen], seen] += 1
    majority = counts.argmax(0)
    majority[counts.sum(0) == 0] = classes.free_id
    return majority.reshape(shape).astype(np.uint8)


def ground_labels(protocol: Protocol) -> np.ndarray:
    """(X, Y, Z) road in the layer at the height of the wheels, free elsewhere.

    Raises:
        ConfigError: the data set has no such class.
    """
    if protocol.ground is None:
        raise ConfigError(protocol.title, "ground", f"a class of the road in {PROTOCOL_FILE}", "none")
    (name, z_m), grid = protocol.ground, protocol.grid
    labels = np.full(grid.shape, protocol.classes.free_id, np.uint8)
    labels[:, :, int((z_m - grid.lower[2]) / grid.size_m[2])] = protocol.classes.names.index(name)
    return labels


def constant_source(labels: np.ndarray) -> LabelSource:
    """The same labels whatever the pictures show."""
    return lambda _: Answer(labels)


def donor_from_another_scene(dataset: DriveDataset, seed: int = 0) -> Callable[[int], int]:
    """For every item one of another scene, drawn once.

    Raises:
        DataError: there is only one scene.
    """
    if len(dataset.scenes) < 2:
        raise DataError(dataset.root, "scenes", "at least two, to swap pictures between them", 1)
    rng = np.random.default_rng(seed)
    scene_of = np.array([scene for scene, _ in dataset.items])
    donors = [int(rng.choice(np.flatnonzero(scene_of != scene))) for scene in scene_of]
    return donors.__getitem__
