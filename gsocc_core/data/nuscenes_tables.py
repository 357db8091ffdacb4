# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""nuScenes' tables through its devkit, without what it insists on and nothing here reads, and with links by stamps."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from gsocc_core.errors import DataError

Row = dict[str, Any]


def open_tables(root: Path, version: str) -> Any:
    """Open the tables as nuscenes-devkit does.

    Map pictures need not be there: only rows whose picture is have a mask. Rows of samples, their data and annotations
    that lack ``prev`` or ``next`` are linked by their stamps, and scenes without ``first_sample_token`` get theirs.

    Args:
        root: Folder that holds ``<version>/`` with the tables.
        version: For instance v1.0-mini.

    Returns:
        A ``nuscenes.nuscenes.NuScenes``.

    Raises:
        ImportError: nuscenes-devkit is missing.
        DataError: links are missing and stamps do not tell them, since two are equal or a scene has no sample.
        Exception: whatever the devkit raises for damaged tables.
    """
    from nuscenes.nuscenes import NuScenes

    class Tables(NuScenes):
        def __load_table__(self, table_name: str) -> list[Row]:
            rows: list[Row] = super().__load_table__(table_name)
            if table_name != "map":
                return rows
            self.all_maps = rows
            return [row for row in rows if (root / row["filename"]).is_file()]  # each gets its mask read

        def __make_reverse_index__(self, verbose: bool) -> None:
            known = {log for row in self.all_maps for log in row["log_tokens"]}
            unmapped = [row["token"] for row in self.log if row["token"] not in known]
            blank = {"token": "", "log_tokens": unmapped, "category": "semantic_prior", "filename": ""}
            self.map = [*self.all_maps, blank] if unmapped or not self.all_maps else self.all_maps
            _link(self, root / version)
            super().__make_reverse_index__(verbose)

    return Tables(version=version, dataroot=str(root), verbose=False)


def _link(tables: Any, folder: Path) -> None:
    """Fill in what points from one row to the next, where a table lacks it."""
    samples = {row["token"]: row for row in tables.sample}
    channels = {row["token"]: row["channel"] for row in tables.sensor}
    sensors = {row["token"]: channels[row["sensor_token"]] for row in tables.calibrated_sensor}

    def track(row: Row) -> Hashable:
        return samples[row["sample_token"]]["scene_token"], sensors[row["calibrated_sensor_token"]]

    _chain(tables.sample, folder / "sample.json", lambda row: row["scene_token"], lambda row: row["timestamp"])
    _chain(tables.sample_data, folder / "sample_data.json", track, lambda row: row["timestamp"])
    _chain(
        tables.sample_annotation,
        folder / "sample_annotation.json",
        lambda row: row["instance_token"],
        lambda row: samples[row["sample_token"]]["timestamp"],
    )
    ends = {"first_sample_token": "prev", "last_sample_token": "next"}
    if all(key in scene for scene in tables.scene for key in ends):
        return
    for scene in tables.scene:
        own = [row for row in tables.sample if row["scene_token"] == scene["token"]]
        if not own:
            raise DataError(folder / "sample.json", f"samples of {scene['token']}", "one or more", "none")
        for key, link in ends.items():
            scene[key] = next(row["token"] for row in own if not row[link])


def _chain(rows: list[Row], where: Path, group: Callable[[Row], Hashable], stamp: Callable[[Row], int]) -> None:
    """Set ``prev`` and ``next`` of all rows by their stamps, where one of them lacks either.

    Raises:
        DataError: two rows of a group have one stamp.
    """
    if all("prev" in row and "next" in row for row in rows):
        return
    groups: dict[Hashable, list[Row]] = {}
    for row in rows:
        groups.setdefault(group(row), []).append(row)
    for members in groups.values():
        members.sort(key=stamp)
        for one, other in zip([None, *members], [*members, None]):
            if one is not None and other is not None and stamp(one) == stamp(other):
                expected = "prev and next in every row, or stamps that differ"
                raise DataError(where, f"{one['token']}, {other['token']}", expected, f"{stamp(one)} twice")
            if one is not None:
                one["next"] = "" if other is None else other["token"]
            if other is not None:
                other["prev"] = "" if one is None else one["token"]
