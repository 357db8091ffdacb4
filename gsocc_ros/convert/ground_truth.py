# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Ground truth of a scene's key frames: voxels of Occ3D and SurroundOcc, classes of LiDAR points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gsocc_core import SemanticGrid
from gsocc_core.data.occ3d import OCC3D_FOLDER, OCC3D_PROTOCOL, read_occ3d
from gsocc_core.data.protocol import read_protocol
from gsocc_core.data.surroundocc import SURROUNDOCC_GRID, SURROUNDOCC_NUSCENES, label_file, read_surroundocc
from gsocc_core.errors import DataError
from gsocc_ros.convert.contents import Contents
from gsocc_ros.convert.events import (
    BASE_FRAME,
    LATCHED,
    POINT_LABELS_TOPIC,
    SENSOR_DATA,
    STREAM,
    SURROUNDOCC_TOPIC,
    Event,
    frame_of,
)
from gsocc_ros.convert.scene_tables import SceneTables
from gsocc_ros.messages.label_messages import lidarseg_classes, read_point_labels, with_labels
from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.occupancy_messages import class_table, occupancy
from gsocc_ros.messages.outputs import GROUND_TRUTH_TOPIC
from gsocc_ros.messages.sensor_messages import point_cloud, read_lidar

Records = Sequence[dict[str, Any]]


class GroundTruth:
    """Events of what is known about key frames.

    Args:
        tables: The scene.
        host: Whose messages.
        contents: What is wanted.

    Raises:
        ConfigError: the files that say grid and classes of the labels are wrong.
        DataError: a folder of labels that is asked for by name is missing.
    """

    def __init__(self, tables: SceneTables, host: MessageHost, contents: Contents) -> None:
        self._tables, self._host, self._contents = tables, host, contents
        self._occ3d_folder = self._folder("occupancy", contents.occupancy)
        own = None if self._occ3d_folder is None else read_protocol(self._occ3d_folder)
        self._protocol = OCC3D_PROTOCOL if own is None else own
        self._surroundocc_folder = self._folder("surroundocc", contents.surroundocc)

    def _folder(self, key: str, name: str | None) -> Path | None:
        if name is None:
            return None
        folder = self._tables.root / name
        if folder.is_dir():
            return folder
        if (key, name) == ("occupancy", OCC3D_FOLDER):
            return None
        kind = {"occupancy": "Occ3D", "surroundocc": "SurroundOcc"}[key]
        raise DataError(folder, key, f"a folder of {kind} labels", "no such folder")

    def events(self, samples: Records, begin: int) -> Iterator[Event]:
        """All messages.

        Args:
            samples: The key frames that are wanted.
            begin: Stamp of the class tables, nanoseconds.

        Raises:
            DataError: the LiDAR that ground truth refers to is missing.
        """
        yield from self._points(samples, begin)
        yield from self._voxels(samples, begin)

    def _points(self, samples: Records, begin: int) -> Iterator[Event]:
        """Clouds with the class of each point, where the data set has them."""
        tables = self._tables
        classes = lidarseg_classes(tables.nusc) if self._contents.lidarseg else None
        if classes is None:
            return
        table = "panoptic" if getattr(tables.nusc, "panoptic", None) else "lidarseg"  # panoptic knows more
        for sample in samples:
            data = tables.lidar(sample)
            # The devkit gives both tables the tokens of the clouds.
            labels = tables.root / tables.get(table, data["token"])["filename"]
            stamp = int(data["timestamp"]) * 1000
            build = partial(self._labelled, tables.root / data["filename"], labels, stamp)
            yield Event(stamp, 4, POINT_LABELS_TOPIC, "sensor_msgs/msg/PointCloud2", SENSOR_DATA, build)
        about = partial(class_table, self._host, classes, begin)
        yield Event(begin, 0, f"{POINT_LABELS_TOPIC}/classes", "gsocc_ros/msg/SemanticClassTable", LATCHED, about)

    def _labelled(self, path: Path, labels: Path, stamp: int) -> Any:
        points = with_labels(read_lidar(path), read_point_labels(labels), labels)
        return point_cloud(self._host, points, stamp, frame_of("LIDAR_TOP"))

    def _voxels(self, samples: Records, begin: int) -> Iterator[Event]:
        """Labels of the key frames that have label files, and their class tables."""
        kind, kind_of_table = "gsocc_ros/msg/SemanticOccupancy", "gsocc_ros/msg/SemanticClassTable"
        for folder, topic, classes in (
            (self._occ3d_folder, GROUND_TRUTH_TOPIC, self._protocol.classes),
            (self._surroundocc_folder, SURROUNDOCC_TOPIC, SURROUNDOCC_NUSCENES),
        ):
            labelled = list(self._files(samples, folder, topic)) if folder is not None else []
            for path, stamp in labelled:
                build = partial(self._occ3d if topic == GROUND_TRUTH_TOPIC else self._surroundocc, path, stamp)
                yield Event(stamp, 4, topic, kind, STREAM, build)
            if labelled:
                table = partial(class_table, self._host, classes, begin)
                yield Event(begin, 0, f"{topic}/classes", kind_of_table, LATCHED, table)

    def _files(self, samples: Records, folder: Path, topic: str) -> Iterator[tuple[Path, int]]:
        for sample in samples:
            path = folder / self._tables.name / sample["token"] / "labels.npz"
            if topic == SURROUNDOCC_TOPIC:
                path = label_file(folder, self._tables.lidar(sample)["filename"])
            if path.is_file():
                yield path, int(self._tables.lidar(sample)["timestamp"]) * 1000

    def _occ3d(self, path: Path, stamp: int) -> Any:
        protocol = self._protocol
        labels = read_occ3d(path, protocol)
        observed = torch.from_numpy(labels.mask_camera)
        truth = SemanticGrid(torch.from_numpy(labels.semantics), protocol.grid, protocol.classes, observed=observed)
        return occupancy(self._host, truth, stamp, BASE_FRAME, "ground_truth")

    def _surroundocc(self, path: Path, stamp: int) -> Any:
        labels = torch.from_numpy(read_surroundocc(path))
        truth = SemanticGrid(labels, SURROUNDOCC_GRID, SURROUNDOCC_NUSCENES)
        return occupancy(self._host, truth, stamp, frame_of("LIDAR_TOP"), "ground_truth")
