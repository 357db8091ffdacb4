# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of a nuScenes tree, as one scene sees them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gsocc_core.errors import DataError


class SceneTables:
    """Records of one scene.

    Args:
        nusc: The devkit's NuScenes.
        drive: The scene's record.

    Attributes:
        name: The scene's name.
        root: Root of the tree.
        samples: Key frames in their order.

    Raises:
        DataError: a key frame is missing in the tables.
    """

    def __init__(self, nusc: Any, drive: dict[str, Any]) -> None:
        self.nusc, self.drive, self.name, self.root = nusc, drive, str(drive["name"]), Path(nusc.dataroot)
        self.samples = list(self.chain("sample", drive["first_sample_token"]))

    def get(self, table: str, token: str) -> dict[str, Any]:
        """A record.

        Raises:
            DataError: there is none with this token.
        """
        try:
            record: dict[str, Any] = self.nusc.get(table, token)
        except KeyError as error:
            where = self.root / self.nusc.version / f"{table}.json"
            raise DataError(where, "token", f"a record {token!r}", "none") from error
        return record

    def chain(self, table: str, token: str) -> Iterator[dict[str, Any]]:
        """A record and all that follow it."""
        while token:
            record = self.get(table, token)
            yield record
            token = record["next"]

    def readings(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(channel, sample_data) of every reading of the scene, whatever the sensor."""
        tokens = {sample["token"] for sample in self.samples}
        for channel, token in self.samples[0]["data"].items():
            first = self.get("sample_data", token)
            while first["prev"]:  # sweeps may begin before the first key frame
                first = self.get("sample_data", first["prev"])
            for data in self.chain("sample_data", first["token"]):
                if data["sample_token"] in tokens:
                    yield channel, data

    def lidar(self, sample: dict[str, Any]) -> dict[str, Any]:
        """The key frame's reading of LIDAR_TOP, which ground truth refers to.

        Raises:
            DataError: there is none.
        """
        if "LIDAR_TOP" not in sample["data"]:
            where = self.root / self.nusc.version / "sample_data.json"
            raise DataError(where, f"sample {sample['token']}", "a key frame of LIDAR_TOP", sorted(sample["data"]))
        return self.get("sample_data", sample["data"]["LIDAR_TOP"])
