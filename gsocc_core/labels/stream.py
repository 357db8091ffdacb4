# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures to labels: threads decode ahead and write behind, so that the network never waits for the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from gsocc_core.data.images import decode_image
from gsocc_core.data.nuscenes_index import CameraShot, KeyFrame
from gsocc_core.data.view_label_files import Kind
from gsocc_core.errors import DataError
from gsocc_core.geometry.cameras import Camera

Precision = Literal["fp32", "bf16"]


class Labeller(Protocol):
    """A model that labels pictures."""

    kind: Kind

    def __call__(self, pictures: Tensor, cameras: Sequence[Camera], size: tuple[int, int]) -> Tensor:
        """(B, 3, H, W) uint8 RGB -> (B, *size) metres or class ids, or (B, D, h, w) features."""


@dataclass(frozen=True)
class StreamOptions:
    """How pictures go through a model.

    Attributes:
        size: (height, width) of the labels, pixels; None = half the picture.
        batch_size: Pictures per call of the model.
        workers: Threads that decode, and as many that write.
        precision: fp32, or bf16 = the model computes in bfloat16 where that is safe.
        device: Where the model is.
    """

    size: tuple[int, int] | None = None
    batch_size: int = 6
    workers: int = 4
    precision: Precision = "fp32"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def size_of(self, camera: Camera) -> tuple[int, int]:
        """(height, width) of a camera's labels, pixels."""
        return self.size or (max(camera.height // 2, 1), max(camera.width // 2, 1))


@dataclass
class _Open:
    """A key frame whose cameras are not all labelled yet."""

    frame: KeyFrame
    labels: dict[str, Tensor] = field(default_factory=dict)


def label_key_frames(
    labeller: Labeller,
    frames: Iterable[KeyFrame],
    write: Callable[[KeyFrame, dict[str, np.ndarray]], None],
    options: StreamOptions,
    on_done: Callable[[], object] = lambda: None,
) -> None:
    """Label the pictures of key frames.

    Args:
        labeller: The model.
        frames: The key frames.
        write: Called once per key frame with labels per camera name, from several threads at a time.
        options: Sizes and threads.
        on_done: Called after each key frame is written.

    Raises:
        DataError: a picture does not decode or has not its camera's size, or ``write`` fails; key frames that are
            complete by then are written.
    """
    open_frames: dict[str, _Open] = {}
    with ThreadPoolExecutor(options.workers) as readers, _Writers(options.workers, on_done) as writers:
        for batch in _batches(_read_ahead(frames, readers, options), options.batch_size):
            shots = [shot for _, shot, _ in batch]
            labels = _call(labeller, [picture for _, _, picture in batch], shots, options)
            for (frame, shot, _), label in zip(batch, labels):
                entry = open_frames.setdefault(frame.token, _Open(frame))
                entry.labels[shot.camera.name] = label
                if len(entry.labels) == len(frame.shots):
                    writers.add(write, open_frames.pop(frame.token))


_Item = tuple[KeyFrame, CameraShot, np.ndarray]


def _read_ahead(frames: Iterable[KeyFrame], readers: ThreadPoolExecutor, options: StreamOptions) -> Iterator[_Item]:
    """Decoded pictures in order, two batches ahead."""
    queue: deque[tuple[KeyFrame, CameraShot, Future[np.ndarray]]] = deque()
    depth = max(2 * options.batch_size, options.workers)
    try:
        for frame in frames:
            for shot in frame.shots:
                queue.append((frame, shot, readers.submit(_decode, shot)))
                if len(queue) > depth:
                    first = queue.popleft()
                    yield first[0], first[1], first[2].result()
        while queue:
            first = queue.popleft()
            yield first[0], first[1], first[2].result()
    finally:
        for _, _, future in queue:
            future.cancel()


def _decode(shot: CameraShot) -> np.ndarray:
    picture = decode_image(shot.path)
    expected = (shot.camera.height, shot.camera.width)
    if picture.shape[:2] != expected:
        raise DataError(shot.path, "size", f"{expected} as in the tables", picture.shape[:2])
    return picture


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Neighbours of the same picture size."""
    batch: list[_Item] = []
    for item in items:
        if batch and (len(batch) == size or batch[0][2].shape != item[2].shape):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _call(
    labeller: Labeller, pictures: Sequence[np.ndarray], shots: Sequence[CameraShot], options: StreamOptions
) -> Tensor:
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    if options.device.type == "cuda":
        stacked = stacked.pin_memory().to(options.device, non_blocking=True)
    cameras = [shot.camera for shot in shots]
    autocast = torch.autocast(options.device.type, torch.bfloat16, enabled=options.precision == "bf16")
    with torch.inference_mode(), autocast:
        return labeller(stacked, cameras, options.size_of(cameras[0]))


class _Writers:
    """Threads that store labels; the first error comes out at the next call, or at the end."""

    def __init__(self, workers: int, on_done: Callable[[], object]) -> None:
        self._pool, self._limit, self._on_done = ThreadPoolExecutor(workers), 2 * workers, on_done
        self._pending: set[Future[None]] = set()

    def add(self, write: Callable[[KeyFrame, dict[str, np.ndarray]], None], entry: _Open) -> None:
        """Store one key frame; waits while too many are waiting already."""
        # Labels leave the GPU in the writing thread, so that the next batch is launched meanwhile.
        self._pending.add(
            self._pool.submit(lambda: write(entry.frame, {name: t.cpu().numpy() for name, t in entry.labels.items()}))
        )
        self._collect(self._limit)

    def _collect(self, limit: int) -> None:
        done, self._pending = wait(self._pending, 0 if len(self._pending) <= limit else None, FIRST_COMPLETED)
        for future in done:
            future.result()
            self._on_done()

    def __enter__(self) -> _Writers:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            while self._pending:
                done, self._pending = wait(self._pending, None, FIRST_COMPLETED)
                for future in done:
                    if kind is None:
                        future.result()
                    if future.exception() is None:
                        self._on_done()
        finally:
            self._pool.shutdown()
