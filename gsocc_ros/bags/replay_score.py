# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scores predictions against the ground truth that the same recording holds."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from gsocc_core import SemanticGrid, VoxelGrid
from gsocc_core.errors import DataError
from gsocc_core.metrics.confusion import VoxelConfusion
from gsocc_core.metrics.rayiou import RayIoU, ray_origins
from gsocc_ros.bags.bag_files import read_messages
from gsocc_ros.bags.recording import Recording
from gsocc_ros.pipeline.camera_input import stamp_ns
from gsocc_ros.pipeline.rig import Rig
from gsocc_ros.pipeline.transform_buffer import TransformBuffer

#: Ground truths further apart than this belong to different drives.
DRIVE_GAP_NS = 5_000_000_000
#: Height of the rays' origins over the base frame when the rig has no LiDAR, metres.
RAY_HEIGHT_M = 1.8
#: Longest history of a moving frame that is kept while the track is read.
_TRACK_HISTORY_NS = 2_000_000_000


@dataclass(frozen=True)
class Scores:
    """Accuracy, 0..1.

    Attributes:
        miou: Mean IoU over the semantic classes, on observed voxels; None = nothing was scored.
        iou: Occupied against free; None likewise.
        rayiou: Mean RayIoU; None also when the ego motion, which places the rays, is not in the recording.
        class_iou: IoU per class that occurs.
    """

    miou: float | None = None
    iou: float | None = None
    rayiou: float | None = None
    class_iou: dict[str, float] = field(default_factory=dict)


def truth_stamps_ns(recording: Recording, topic: str) -> list[int]:
    """Header stamps of the ground truths in a recording, sorted, nanoseconds."""
    return sorted({stamp_ns(message.header) for _, _, message in read_messages(recording, [topic])})


class Track:
    """Where the robot and its LiDAR were at each ground truth.

    Args:
        T_fixed_base: (4, 4) float64 pose of the base in the fixed frame, per stamp.
        lidar_base_m: (3,) LiDAR position in the base frame, metres.
    """

    def __init__(self, T_fixed_base: dict[int, np.ndarray], lidar_base_m: np.ndarray) -> None:
        self._poses = T_fixed_base
        self._lidar = {stamp: (T @ [*lidar_base_m, 1.0])[:3] for stamp, T in T_fixed_base.items()}
        self._drive: dict[int, int] = {}
        drive, before = 0, None
        for stamp in sorted(T_fixed_base):
            drive += before is not None and stamp - before > DRIVE_GAP_NS
            self._drive[stamp], before = drive, stamp

    def origins(self, stamp: int, grid: VoxelGrid) -> np.ndarray | None:
        """(O, 3) origins of RayIoU's rays in the grid frame, metres; None when the pose at that stamp is not known."""
        if stamp not in self._poses:
            return None
        world = np.array([p for other, p in self._lidar.items() if self._drive[other] == self._drive[stamp]])
        T = self._poses[stamp]
        ego = (world - T[:3, 3]) @ T[:3, :3]
        T_ego_grid = grid.T_ego_grid_matrix
        return (ray_origins(ego) - T_ego_grid[:3, 3]) @ T_ego_grid[:3, :3]


def read_track(recording: Recording, rig: Rig, stamps_ns: Sequence[int]) -> Track:
    """Read the transforms of a recording, and the frame of the rig's reference topic as that of the LiDAR.

    Args:
        recording: The open recording.
        rig: Names the frames and the LiDAR.
        stamps_ns: Stamps of the ground truths, sorted.

    Returns:
        Poses at the stamps where they are known.
    """
    lidar_frame = None
    if rig.reference is not None:
        for _, _, message in read_messages(recording, [rig.reference.topic]):
            lidar_frame = message.header.frame_id
            break
    # Whoever predicts reads the transforms again, and tells of the broken ones.
    buffer = TransformBuffer(history_ns=_TRACK_HISTORY_NS, tell=lambda _: None)
    poses: dict[int, np.ndarray] = {}
    waiting = deque(stamps_ns if rig.fixed_frame is not None else ())
    for topic, _, message in read_messages(recording, ["/tf_static", "/tf"]):
        buffer.feed(message, static=topic == "/tf_static", topic=topic)
        while waiting and waiting[0] <= buffer.known_until_ns(rig.fixed_frame or "", rig.base_frame):
            stamp = waiting.popleft()
            with suppress(DataError):  # before the first transform: it does not come any more
                poses[stamp] = buffer.lookup(rig.fixed_frame or "", rig.base_frame, stamp)
    lidar = np.array([0.0, 0.0, RAY_HEIGHT_M])
    if lidar_frame:
        with suppress(DataError):
            lidar = buffer.lookup(rig.base_frame, lidar_frame)[:3, 3]
    return Track(poses, lidar)


class ReplayScore:
    """Pairs predictions and ground truths by their stamp, in whichever order they come.

    Args:
        stamps_ns: Stamps of all ground truths; None = not known before they come (a live robot).
        track: Where rays start.
        topic: Topic of the ground truth, for errors.
    """

    def __init__(self, stamps_ns: Sequence[int] | None, track: Track, topic: str) -> None:
        self._stamps = None if stamps_ns is None else frozenset(stamps_ns)
        self._track, self._topic = track, topic
        self._truths: dict[int, SemanticGrid] = {}
        self._predictions: dict[int, SemanticGrid] = {}
        self._voxels: VoxelConfusion | None = None
        self._rays: RayIoU | None = None
        self._rays_scored = False
        self.scored = 0

    @property
    def waiting(self) -> bool:
        """Whether a prediction still waits for its ground truth."""
        return bool(self._predictions)

    def add_truth(self, stamp: int, truth: SemanticGrid) -> None:
        """Take one ground truth.

        Raises:
            DataError: it does not match the prediction at that stamp.
        """
        self._truths[stamp] = truth
        self._match(stamp)

    def add_prediction(self, stamp: int, prediction: SemanticGrid) -> None:
        """Take one prediction.

        Raises:
            DataError: the ground truth at that stamp lies on another grid or has other classes.
        """
        if self._stamps is None or stamp in self._stamps:
            self._predictions[stamp] = prediction
            self._match(stamp)

    def _match(self, stamp: int) -> None:
        for waiting in (self._truths, self._predictions):
            while len(waiting) > 32:  # sets that never came, or were not asked for
                del waiting[min(waiting)]
        if stamp not in self._truths or stamp not in self._predictions:
            return
        truth, found = self._truths.pop(stamp), self._predictions.pop(stamp)
        where = f"{self._topic} at {stamp} ns"
        if truth.classes.names != found.classes.names:
            raise DataError(where, "classes", f"the model's classes {found.classes.names}", truth.classes.names)
        if not truth.grid.same_as(found.grid):
            raise DataError(where, "grid", f"the model's grid {found.grid}", truth.grid)
        if self._voxels is None or self._rays is None:
            self._voxels = VoxelConfusion(found.classes, "camera")
            self._rays = RayIoU(found.classes, found.grid)
        labels, predicted = truth.labels.cpu().numpy(), found.labels.cpu().numpy()
        observed = np.ones(labels.shape, bool) if truth.observed is None else truth.observed.cpu().numpy()
        self._voxels.update(labels, predicted, observed)
        origins = self._track.origins(stamp, found.grid)
        if origins is not None and len(origins):
            self._rays.update(labels, predicted, origins)
            self._rays_scored = True
        self.scored += 1

    def scores(self) -> Scores:
        """Scores of all pairs so far."""
        if self._voxels is None or self._rays is None:
            return Scores()
        voxels = self._voxels.scores()
        per_class = {name: _number(value) for name, value in voxels.per_class.items()}
        return Scores(
            miou=_number(voxels.miou),
            iou=_number(voxels.iou),
            rayiou=_number(self._rays.scores().rayiou) if self._rays_scored else None,
            class_iou={name: value for name, value in per_class.items() if value is not None},
        )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 5)
