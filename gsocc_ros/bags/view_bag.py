# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings with predictions as frames for the viewer of ``gsocc_core view``; needs no ROS."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from gsocc_core import Camera, ClassTable, Gaussians, SemanticGrid
from gsocc_core.errors import DataError
from gsocc_core.methods.method import InputUse
from gsocc_core.viewer import CameraView, LabelledGaussians, Motion, ViewFrame
from gsocc_core.viewer.frames import THUMBNAIL_PX
from gsocc_ros.bags.bag_files import open_bag, read_messages
from gsocc_ros.messages.occupancy_messages import read_class_table, read_occupancy
from gsocc_ros.messages.outputs import (
    CLASSES_TOPIC,
    GAUSSIANS_TOPIC,
    GRID_TOPIC,
    GROUND_TRUTH_TOPIC,
    TRUTH_CLASSES_TOPIC,
)
from gsocc_ros.pipeline.camera_input import read_mask, read_picture, stamp_ns
from gsocc_ros.pipeline.faults import Faults
from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline
from gsocc_ros.pipeline.rig import Rig

_LABELS = (GRID_TOPIC, GROUND_TRUTH_TOPIC, GAUSSIANS_TOPIC)


@dataclass(frozen=True)
class _Pictures:
    """The set of pictures that belongs to a reference stamp: cameras, and the stamp of each picture."""

    cameras: tuple[Camera, ...]
    stamps_ns: dict[str, int]


class BagSource:
    """The predictions of a recording, or, in one without any, its ground truth.

    Args:
        bag: A rosbag2 folder with ``/occupancy/grid`` or ``/occupancy/ground_truth`` and their class tables.
        rig: Rig file, or the name of a shipped rig, whose cameras are shown too; None = no cameras.
        grid_topic: The predictions.

    Raises:
        DataError: the recording cannot be read, or holds neither predictions nor ground truth.
        ConfigError: the rig is wrong.
    """

    def __init__(self, bag: str | Path, rig: str | Path | None = None, grid_topic: str = GRID_TOPIC) -> None:
        self._bag, self._grid_topic = Path(bag), grid_topic
        self.name = self._bag.name
        self._rig = None if rig is None else Rig.load(rig)
        self._lock = threading.Lock()  # a reader belongs to one thread at a time
        self._open = ExitStack()
        self._reader = self._open.enter_context(open_bag(bag))
        try:
            self._tables: dict[str, ClassTable] = {}
            self._log_ns: dict[str, dict[int, int]] = {}
            self._index()
            predicted, true = (self._log_ns.get(topic, {}) for topic in (grid_topic, GROUND_TRUTH_TOPIC))
            self._stamps = sorted(predicted or true)
            if not self._stamps:
                expected = f"messages on {grid_topic} or {GROUND_TRUTH_TOPIC}"
                raise DataError(bag, "labels", expected, sorted(self._reader.topics))
            self._sets = {} if self._rig is None else self._match_pictures(self._rig)
            first = self._grid(grid_topic if predicted else GROUND_TRUTH_TOPIC, self._stamps[0])
            assert first is not None
            self.classes: ClassTable = first.classes
        except BaseException:
            self._open.close()
            raise

    def __len__(self) -> int:
        """Number of predictions."""
        return len(self._stamps)

    def start(self, on_ready: Callable[[int], None] | None = None) -> None:
        """Nothing is computed here."""

    def close(self) -> None:
        """Close the recording."""
        with self._lock:
            self._open.close()

    def frame(self, index: int, wait: bool = True) -> ViewFrame:  # noqa: ARG002 - nothing to wait for
        """One prediction with what belongs to it.

        Raises:
            DataError: a message is damaged.
        """
        stamp = self._stamps[index]
        with self._lock:
            prediction, truth = self._grid(self._grid_topic, stamp), self._grid(GROUND_TRUTH_TOPIC, stamp)
            message = self._message(GAUSSIANS_TOPIC, stamp)
            views = self._views(stamp)
        scene, gaussians = (None, None) if message is None else read_gaussians(message)
        return ViewFrame(
            title=f"{self.name}, {index + 1} of {len(self)}, {stamp / 1e9:.3f} s",
            stamp_ns=stamp,
            views=views,
            prediction=None if prediction is None else replace(prediction, velocity=None, confidence=None),
            truth=truth,
            gaussians=gaussians,
            motion=Motion.of(prediction, scene),
        )

    def _index(self) -> None:
        """Where in the recording the labels of each stamp are, and what they mean."""
        topics = {self._grid_topic, *_LABELS, CLASSES_TOPIC, TRUTH_CLASSES_TOPIC}
        there = {name: info for name, info in self._reader.topics.items() if name in topics}
        count = sum(info.msgcount for info in there.values())
        for topic, log_ns, message in tqdm(read_messages(self._reader, there), total=count, desc="index", unit="msg"):
            if topic in {CLASSES_TOPIC, TRUTH_CLASSES_TOPIC}:
                self._tables[message.id] = read_class_table(message)
            else:
                self._log_ns.setdefault(topic, {})[stamp_ns(message.header)] = log_ns

    def _message(self, topic: str, stamp: int) -> Any:
        log_ns = self._log_ns.get(topic, {}).get(stamp)
        if log_ns is None:
            return None
        connections = [connection for connection in self._reader.connections if connection.topic == topic]
        for connection, found_ns, raw in self._reader.messages(connections, start=log_ns, stop=log_ns + 1):
            message = self._reader.decode(connection, found_ns, raw)
            if stamp_ns(message.header) == stamp:
                return message
        return None

    def _grid(self, topic: str, stamp: int) -> SemanticGrid | None:
        message = self._message(topic, stamp)
        if message is None:
            return None
        classes = self._tables.get(message.class_table_id)
        if classes is None:
            expected = f"the id of a class table in the recording: {sorted(self._tables)}"
            raise DataError(f"{topic} at {stamp} ns", "class_table_id", expected, repr(message.class_table_id))
        return read_occupancy(message, classes, topic)

    def _match_pictures(self, rig: Rig) -> dict[int, _Pictures]:
        """The pictures of each stamp, grouped and placed as the node does it."""
        sets: dict[int, _Pictures] = {}
        faults = Faults("voxels are shown without some cameras")
        wants = frozenset(self._stamps).__contains__
        with closing(OccupancyPipeline(rig, _NoModel(), wants=wants)) as pipeline:
            pictures = {camera.topic for camera in rig.cameras}
            topics = [item.topic for item in pipeline.subscriptions if item.topic in self._reader.topics]
            count = sum(self._reader.topics[topic].msgcount for topic in topics)
            messages = read_messages(self._reader, topics)
            for topic, log_ns, message in tqdm(messages, total=count, desc="cameras", unit="msg"):
                if topic in pictures:
                    self._log_ns.setdefault(topic, {})[stamp_ns(message.header)] = log_ns
                try:
                    pipeline.feed(topic, message)
                except DataError as error:  # a broken calibration: its camera's sets have none
                    faults.add(error)
                _take(pipeline, sets, faults)
            pipeline.finish()
            _take(pipeline, sets, faults)
        return sets

    def _views(self, stamp: int) -> tuple[CameraView, ...]:
        found = self._sets.get(stamp)
        if found is None or self._rig is None:
            return ()
        views = []
        for camera in found.cameras:
            image, rig_camera = None, self._rig.camera(camera.name)
            if camera.name in found.stamps_ns:
                message = self._message(rig_camera.topic, found.stamps_ns[camera.name])
                if message is not None:
                    full, small = (camera.height, camera.width), (THUMBNAIL_PX[1], THUMBNAIL_PX[0])
                    image = read_picture(message, rig_camera, full, small, read_mask(rig_camera))
            views.append(CameraView(camera, image))
        return tuple(views)


class _NoModel:
    """Stands where the pipeline wants a model; sets are taken, none is predicted."""

    depth_input: InputUse = "unused"
    features_input: InputUse = "unused"

    def predict(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("the viewer only looks")

    def reset(self) -> None:
        """Nothing is remembered."""

    def least_size(self, *_: Any) -> None:
        """Nothing is decoded."""


def _take(pipeline: OccupancyPipeline, sets: dict[int, _Pictures], faults: Faults) -> None:
    while True:
        try:
            ready = pipeline.take()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a set, the others are shown
            faults.add(error)
            continue
        if ready is None:
            return
        stamps = {name: frame.stamp_ns for name, frame in ready.synced.frames.items()}
        sets[ready.synced.reference_stamp_ns] = _Pictures(ready.cameras, stamps)


def read_gaussians(message: Any, where: str = GAUSSIANS_TOPIC) -> tuple[Gaussians, LabelledGaussians]:
    """Gaussians from a gsocc_ros/GaussianArray.

    Args:
        message: The message, of any host.
        where: Topic, for errors.

    Returns:
        The Gaussians, with no features, for the message holds none; and the same with labels, to draw.

    Raises:
        DataError: an array has another length than ``count`` says.
    """
    count = int(message.count)
    arrays: dict[str, np.ndarray] = {}
    for key, kind, width in (
        ("means", np.float32, 3), ("scales", np.float32, 3), ("quats", np.float32, 4), ("opacities", np.float32, 1),
        ("labels", np.uint8, 1), ("velocities", np.float32, 3),
    ):  # fmt: skip
        values = np.array(getattr(message, key), kind)
        if values.size != count * width and (values.size or key != "velocities"):
            raise DataError(where, key, f"{count * width} values for {count} Gaussians", values.size)
        arrays[key] = values.reshape(-1, width) if width > 1 else values
    moving = torch.from_numpy(arrays["velocities"]) if arrays["velocities"].size else None
    means, scales, quats, opacities = (torch.from_numpy(arrays[k]) for k in ("means", "scales", "quats", "opacities"))
    scene = Gaussians(means, scales, quats, opacities, torch.zeros(count, 0), moving)
    drawn = LabelledGaussians(
        arrays["means"], scene.covariances().numpy(), arrays["opacities"], arrays["labels"]
    )  # fmt: skip
    return scene, drawn
