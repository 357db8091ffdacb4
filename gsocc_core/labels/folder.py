# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A folder of labels that processes fill together, and that a later run goes on filling."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gsocc_core.data.feature_files import encode_features
from gsocc_core.data.nuscenes_index import KeyFrame
from gsocc_core.data.view_label_files import (
    MAX_ERROR,
    Kind,
    encode_classes,
    encode_depth,
    read_folder_content,
    write_folder_content,
)
from gsocc_core.errors import DataError, OutputExistsError
from gsocc_core.geometry.classes import OCC3D_NUSCENES, ClassTable


class LabelFolder:
    """One file per key frame, ``<scene>/<token>.zip``; a file that is there is complete.

    Args:
        path: The folder; it is made if it is not there.
        kind: What its files hold.
        cameras: Names of the cameras that every file has.
        settings: What else decides about the labels, as plain values.
        max_error: Largest relative error that storing may add to depth.
        classes: Table of the class ids, for the colours of their pictures.
        begin: Make it at once; False = nothing is written before :meth:`begin`.

    Raises:
        OutputExistsError: the folder holds something else, or labels made with other settings.
        DataError: it cannot be made.
    """

    def __init__(
        self,
        path: str | Path,
        kind: Kind,
        cameras: Sequence[str],
        settings: Mapping[str, Any],
        max_error: float = MAX_ERROR,
        classes: ClassTable = OCC3D_NUSCENES,
        *,
        begin: bool = True,
    ) -> None:
        self.path, self.kind, self.max_error, self.classes = Path(path), kind, max_error, classes
        content: dict[str, Any] = {"kind": kind, "cameras": list(cameras), **settings}
        if kind == "depth":
            content["max_error"] = max_error
        self._content = json.loads(json.dumps(content))
        self._begun = self._is_begun()
        if begin:
            self.begin()

    def begin(self) -> None:
        """Make the folder, unless it was begun before.

        Raises:
            DataError: it cannot be made.
        """
        if self._begun:
            return
        try:
            write_folder_content(self.path, self._content)
        except OSError as error:
            raise DataError(self.path, "folder", "one that can be written", error) from error
        self._begun = True

    def _is_begun(self) -> bool:
        """Whether it holds labels made with these settings already."""
        if self.path.exists() and not self.path.is_dir():
            raise OutputExistsError(self.path, "folder", "a folder, or none", "a file")
        found = self._found()
        if found is None:
            return False
        for key in sorted({*self._content, *found}):
            if self._content.get(key) != found.get(key):
                expected = f"{found.get(key)!r} as before, or another --out"
                raise OutputExistsError(self.path, key, expected, repr(self._content.get(key)))
        return True

    def _found(self) -> dict[str, Any] | None:
        # Listed before it is read: another process writes the labels only after labels.json.
        strangers = [p.name for p in self.path.iterdir() if not p.name.startswith(".")] if self.path.is_dir() else []
        found = read_folder_content(self.path)
        if found is None and strangers:
            expected = "a new folder, or one that gsocc_core label began"
            raise OutputExistsError(self.path, "labels.json", expected, f"a folder with {sorted(strangers)[0]}")
        return found

    def file(self, frame: KeyFrame) -> Path:
        """Where the labels of a key frame are."""
        return self.path / frame.scene_name / f"{frame.token}.zip"

    def remaining(self, frames: Iterable[KeyFrame]) -> list[KeyFrame]:
        """Key frames without labels; what a killed run left of their files is deleted."""
        result = [frame for frame in frames if not self.file(frame).is_file()]
        wanted = {(frame.scene_name, frame.token) for frame in result}
        for part in self.path.glob("*/.*.part"):
            if (part.parent.name, part.name[1:].split(".zip.")[0]) in wanted:
                part.unlink(missing_ok=True)
        return result

    def _encoded(self, labels: Mapping[str, np.ndarray]) -> bytes:
        if self.kind == "depth":
            return encode_depth(labels, self.max_error)
        return encode_features(labels) if self.kind == "features" else encode_classes(labels, self.classes)

    def write(self, frame: KeyFrame, labels: Mapping[str, np.ndarray]) -> None:
        """Store the labels of a key frame, complete or not at all.

        Args:
            frame: The key frame.
            labels: (H, W) metres or class ids, or (D, h, w) features, per camera name.

        Raises:
            DataError: the file cannot be written, for instance because the disk is full.
        """
        stored = self._encoded(labels)
        path = self.file(frame)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(stored)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise DataError(path, "write", f"space for {len(stored)} bytes", error) from error
