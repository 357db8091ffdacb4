# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Ground truth of recordings as label files, on whichever grid and with whichever classes it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gsocc_core import OCC3D_NUSCENES, ClassTable, VoxelGrid
from gsocc_core.data.occ3d import OCC3D_FOLDER, OCC3D_PROTOCOL, write_occ3d
from gsocc_core.data.protocol import Protocol, read_protocol, write_protocol
from gsocc_core.errors import DataError
from gsocc_ros.messages.occupancy_messages import class_table_id, read_class_table, read_occupancy
from gsocc_ros.messages.outputs import GROUND_TRUTH_TOPIC


class TruthLabels:
    """Writes the labels of a tree; the first one says grid and classes of all.

    Args:
        root: Root of the tree, which may hold the labels of some recordings already.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / OCC3D_FOLDER
        self._tables: dict[str, ClassTable] = {class_table_id(OCC3D_NUSCENES): OCC3D_NUSCENES}
        self._protocol: Protocol | None = None
        if self._folder.is_dir():
            self._protocol = read_protocol(self._folder) or OCC3D_PROTOCOL

    def begin_recording(self, root: Path) -> None:
        """Write what comes below another root."""
        self._folder = root / OCC3D_FOLDER

    def add_table(self, message: Any) -> None:
        """File a gsocc_ros/SemanticClassTable."""
        self._tables[message.id] = read_class_table(message)

    def write(self, scene_name: str, token: str, message: Any) -> None:
        """Write one gsocc_ros/SemanticOccupancy; what a recording does not tell, ``mask_lidar``, is zero.

        Args:
            scene_name: Scene.
            token: Sample token.
            message: The message.

        Raises:
            DataError: its class table did not come, or it lies on another grid or has other classes than the first.
        """
        classes = self._tables.get(message.class_table_id)
        if classes is None:
            expected = f"the id of a class table that came before: {sorted(self._tables)}"
            raise DataError(GROUND_TRUTH_TOPIC, "class_table_id", expected, repr(message.class_table_id))
        grid = read_occupancy(message, classes, GROUND_TRUTH_TOPIC)
        if self._protocol is None:
            self._begin(classes, grid.grid)
        protocol = self._protocol
        assert protocol is not None
        if classes.names != protocol.classes.names:
            expected = f"{protocol.classes.names} in all recordings"
            raise DataError(GROUND_TRUTH_TOPIC, "classes", expected, classes.names)
        if not grid.grid.same_as(protocol.grid):
            raise DataError(GROUND_TRUTH_TOPIC, "grid", f"{protocol.grid} in all recordings", grid.grid)
        labels = grid.labels.numpy()
        observed = np.ones_like(labels) if grid.observed is None else grid.observed.numpy().astype(np.uint8)
        write_occ3d(self._folder / scene_name / token, labels, np.zeros_like(labels), observed)

    def _begin(self, classes: ClassTable, grid: VoxelGrid) -> None:
        if classes.names == OCC3D_NUSCENES.names and grid.same_as(OCC3D_PROTOCOL.grid):
            self._protocol = OCC3D_PROTOCOL
            return
        title = "ground truth of recordings"
        self._protocol = replace(OCC3D_PROTOCOL, title=title, classes=classes, grid=grid, ground=None, box_classes={})
        write_protocol(self._folder, self._protocol)
