# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Many nuScenes scenes as recordings, side by side, with a manifest; what was interrupted goes on."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gsocc_core.data.nuscenes_index import choose_scenes, open_nuscenes
from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_ros.bag_files import Distro, Storage
from gsocc_ros.nuscenes_to_rosbag2 import write_scene
from gsocc_ros.scene_events import OCC3D_FOLDER, Contents

MANIFEST = "manifest.json"


def convert_scenes(
    dataroot: str,
    out: str,
    scenes: Sequence[str] | None = None,
    split: str | None = None,
    version: str = "v1.0-trainval",
    storage: Storage = "mcap",
    distro: Distro = "jazzy",
    occupancy: str | None = OCC3D_FOLDER,
    sweeps: bool = True,
    radar: bool = True,
    can_bus: bool = True,
    road_map: bool = True,
    jobs: int | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Write one recording per scene into a folder, and ``manifest.json`` with size and SHA-256 of every file.

    Args:
        dataroot: A tree in nuScenes layout.
        out: Folder to make; it receives ``<scene>/`` and the manifest.
        scenes: Scene names; they win over ``split``.
        split: A split of ``splits.json`` or an official one; None = all scenes of the version.
        version: Name of the tables' folder.
        storage: mcap or sqlite3.
        distro: Oldest ROS 2 distribution that must read the recordings.
        occupancy: Folder of Occ3D labels, see :func:`gsocc_ros.nuscenes_to_rosbag2.nuscenes_to_rosbag2`.
        sweeps: Write the readings between key frames too.
        radar: Write the radars.
        can_bus: Write the CAN bus expansion, where it is there; what it lacks is noted in the manifest.
        road_map: Write the map around the drive.
        jobs: Scenes written at the same time; None = one per core. Each process holds the tables.
        resume: Go on in an existing folder: recordings whose files have the manifest's names and sizes stay, others
            are written again. Contents and options of an earlier run are not compared.

    Returns:
        The manifest.

    Raises:
        OutputExistsError: ``out`` exists and ``resume`` is not set.
        ConfigError: ``jobs`` is no positive number.
        DataError: a scene cannot be written; those that were finished stay, and are in the manifest.

    Example:
        ``convert_scenes("data/nuscenes", "bags", split="mini_val", version="v1.0-mini", jobs=2)``
    """
    if jobs is not None and jobs < 1:
        raise ConfigError("nuscenes_to_rosbag2", "jobs", "a positive number", jobs)
    folder = Path(out)
    if folder.exists() and not resume:
        raise OutputExistsError(out, "output", "a path that does not exist yet, or --resume", "something is there")
    names = choose_scenes(_tables(dataroot, version), split, list(scenes) if scenes else None)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = _read_manifest(folder, version)
    todo = [name for name in names if not _is_complete(folder / name, manifest["scenes"].get(name))]
    options = (version, storage, distro, Contents(occupancy, sweeps, radar, can_bus, road_map))
    # Forked children would inherit threads of numba and torch in the middle of their work.
    context = multiprocessing.get_context("spawn")
    count = min(jobs or os.cpu_count() or 1, max(len(todo), 1))
    failed: list[DataError] = []
    with (
        tqdm(total=len(names), initial=len(names) - len(todo), desc="scenes", unit="scene") as bar,
        ProcessPoolExecutor(count, mp_context=context) as pool,
    ):
        waiting = {pool.submit(_write, dataroot, str(folder), name, options): name for name in todo}
        for done in as_completed(waiting):
            error = done.exception()
            if isinstance(error, DataError):
                failed.append(error)
            elif error is not None:
                raise error
            else:
                manifest["scenes"][waiting[done]] = done.result()
                _write_manifest(folder, manifest)
            bar.update()
    if failed:
        raise failed[0]
    return manifest


@lru_cache(maxsize=1)
def _tables(dataroot: str, version: str) -> Any:
    return open_nuscenes(dataroot, version)


def _write(dataroot: str, folder: str, name: str, options: tuple[Any, ...]) -> dict[str, Any]:
    """Write one scene, in a process of its own, and describe it."""
    version, storage, distro, contents = options
    target = Path(folder) / name
    if target.exists():  # it does not match the manifest
        for path in target.iterdir():
            path.unlink()
        target.rmdir()
    written = write_scene(_tables(dataroot, version), str(target), name, storage, distro, contents, quiet=True)
    notes = {"notes": list(written.notes)} if written.notes else {}
    return {
        "messages": written.messages,
        **notes,
        "files": {path.name: _describe(path) for path in sorted(target.iterdir())},
    }


def _describe(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _is_complete(target: Path, entry: dict[str, Any] | None) -> bool:
    if entry is None or not target.is_dir():
        return False
    sizes = {path.name: path.stat().st_size for path in target.iterdir()}
    return sizes == {name: about["bytes"] for name, about in entry["files"].items()}


def _read_manifest(folder: Path, version: str) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.exists():
        return {"dataset": "nuScenes", "version": version, "scenes": {}}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = content["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(path, "content", "a manifest of nuscenes_to_rosbag2", error) from error
    if known != version:
        raise DataError(path, "version", version, known)
    return content


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    scratch = folder / f".{MANIFEST}.{os.getpid()}"
    ordered = {**manifest, "scenes": dict(sorted(manifest["scenes"].items()))}
    scratch.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
    scratch.replace(folder / MANIFEST)
