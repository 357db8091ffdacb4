# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of a nuScenes tree, as one scene sees them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from gsocc_core.errors import DataError

#: Readings by the key frame that they belong to, of the data sets in use: one pass through millions of rows serves
#: all of their scenes.
_READINGS: WeakKeyDictionary[Any, dict[str, list[dict[str, Any]]]] = WeakKeyDictionary()


def _rows_by_sample(nusc: Any) -> dict[str, list[dict[str, Any]]]:
    if nusc not in _READINGS:
        rows: dict[str, list[dict[str, Any]]] = {}
        for data in nusc.sample_data:
            rows.setdefault(data["sample_token"], []).append(data)
        _READINGS[nusc] = rows
    return _READINGS[nusc]


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
        """(channel, sample_data) of every reading that belongs to a key frame of the scene, whatever the sensor.

        They are found by the key frame that they name: a sensor need not be there at the first one, nor at any, and its
        chain of readings may be torn.
        """
        rows = _rows_by_sample(self.nusc)
        for sample in self.samples:
            for data in rows.get(sample["token"], ()):
                yield str(data["channel"]), data

    def calibration(self, channel: str, data: dict[str, Any], known: dict[str, Any] | None) -> dict[str, Any]:
        """The calibrated_sensor of a reading, which has to be that of the whole drive.

        Args:
            channel: Its channel.
            data: The reading.
            known: That of an earlier reading of the channel; None = there was none.

        Raises:
            DataError: the sensor was mounted or calibrated otherwise before.
        """
        found = self.get("calibrated_sensor", data["calibrated_sensor_token"])
        if known is None or found is known:
            return found
        for key in ("translation", "rotation", "camera_intrinsic"):
            if found[key] != known[key]:
                where = self.root / self.nusc.version / "calibrated_sensor.json"
                expected = f"one {key} for the whole drive: {known[key]}"
                raise DataError(where, f"{channel} of {self.name}", expected, f"{found[key]} in {found['token']}")
        return known

    def lidar(self, sample: dict[str, Any]) -> dict[str, Any]:
        """The key frame's reading of LIDAR_TOP, which ground truth refers to.

        Raises:
            DataError: there is none.
        """
        if "LIDAR_TOP" not in sample["data"]:
            where = self.root / self.nusc.version / "sample_data.json"
            raise DataError(where, f"sample {sample['token']}", "a key frame of LIDAR_TOP", sorted(sample["data"]))
        return self.get("sample_data", sample["data"]["LIDAR_TOP"])
