# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Many nuScenes scenes as recordings, side by side, with a manifest; what was interrupted goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gsocc_core.data.nuscenes_index import choose_scenes, open_nuscenes, tables_version
from gsocc_core.data.occ3d import OCC3D_FOLDER
from gsocc_core.data.stored import read_json, reading
from gsocc_core.errors import ConfigError, DataError, GsoccError, OutputExistsError, say_how_to_go_on
from gsocc_core.processes import worker_context, worker_pool
from gsocc_core.whole import whole_file
from gsocc_ros.choices import Distro, Storage
from gsocc_ros.convert.contents import Contents
from gsocc_ros.convert.write_scene import write_scene

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
    lidarseg: bool = True,
    surroundocc: str | None = None,
    vision_msgs: bool = False,
    start_s: float = 0.0,
    duration_s: float | None = None,
    jobs: int | None = None,
    resume: bool = False,
    verify: bool = False,
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
        occupancy: Folder of Occ3D labels, see :func:`gsocc_ros.convert.nuscenes_to_rosbag2.nuscenes_to_rosbag2`.
        sweeps: Write the readings between key frames too.
        radar: Write the radars.
        can_bus: Write the CAN bus expansion, where it is there; what it lacks is noted in the manifest.
        road_map: Write the map around the drive.
        lidarseg: Write key frames' clouds with the labels of their points, where the tree has nuScenes-lidarseg or
            -panoptic.
        surroundocc: Folder that holds SurroundOcc's ``samples/*.npy``, below ``dataroot`` or anywhere; None = without.
        vision_msgs: Write the boxes as vision_msgs/Detection3DArray too.
        start_s: Leave out what is earlier, seconds after the scene's first ego pose.
        duration_s: Length of what is written, seconds; None = to the end.
        jobs: Scenes written at the same time; None = one per core. Each process holds the tables.
        resume: Go on in an existing folder: recordings stay that were written with the same options and whose files
            have the manifest's names and sizes; others are written again.
        verify: With ``resume``: they stay only if their files have the manifest's checksums too.

    Returns:
        The manifest.

    Raises:
        OutputExistsError: ``out`` exists and ``resume`` is not set.
        ConfigError: ``jobs`` is no positive number, or ``verify`` without ``resume``.
        DataError: scenes cannot be written, whatever the reason: all others are, and the manifest tells of both.

    Example:
        ``convert_scenes("data/nuscenes", "bags", split="mini_val", version="v1.0-mini", jobs=2)``
    """
    if jobs is not None and jobs < 1:
        raise ConfigError("nuscenes_to_rosbag2", "jobs", "a positive number", jobs)
    if verify and not resume:
        raise ConfigError("nuscenes_to_rosbag2", "verify", "together with resume", "verify alone")
    contents = Contents(
        occupancy, sweeps, radar, can_bus, road_map, lidarseg, surroundocc, vision_msgs, start_s, duration_s
    )
    version = tables_version(dataroot, version)
    options = (version, storage, distro, contents)
    folder = Path(out)
    if folder.exists() and not resume:
        raise OutputExistsError(out, "output", "a path that does not exist yet, or --resume", "something is there")
    names = choose_scenes(_tables(dataroot, version), split, list(scenes) if scenes else None)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = _read_manifest(folder, version)
    known = manifest["scenes"]
    todo = [name for name in names if not _is_complete(folder / name, known.get(name), _told(options), verify)]
    count = min(jobs or os.cpu_count() or 1, max(len(todo), 1))
    with (
        _cleared(folder, todo),
        tqdm(total=len(names), initial=len(names) - len(todo), desc="scenes", unit="scene") as bar,
    ):
        for name, result in _results(partial(_write, dataroot, str(folder), options=options), todo, count):
            for kind in ("scenes", "failed"):
                manifest[kind].pop(name, None)
            if isinstance(result, str):
                manifest["failed"][name] = result
            else:
                manifest["scenes"][name] = result
            _write_manifest(folder, manifest)
            bar.update()
    failed = {name: why for name, why in manifest["failed"].items() if name in todo}
    if failed:
        list_of_them = "".join(f"\n  {name}: {why}" for name, why in failed.items())
        raise DataError(folder, "scenes", f"all {len(names)} written", f"{len(failed)} that failed:{list_of_them}")
    return manifest


def _results(
    write: Callable[[str], dict[str, Any]], names: Sequence[str], count: int
) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Scene names and what became of them, or why nothing did, in the order in which they end."""
    if count == 1:
        for name in names:
            yield name, _attempt(write, name)
        return
    context = worker_context(__name__, "nuscenes.nuscenes")
    lost = []
    with worker_pool(count, context) as pool:
        waiting = {pool.submit(_attempt, write, name): name for name in names}
        for done in as_completed(waiting):
            error = done.exception()
            if isinstance(error, BrokenProcessPool):
                lost.append(waiting[done])
            else:
                yield waiting[done], done.result()
    for name in lost:  # one process died and took the others along: each gets one of its own
        with worker_pool(1, context) as pool:
            try:
                yield name, pool.submit(_attempt, write, name).result()
            except BrokenProcessPool as error:
                yield name, f"its process died: {error}"


@contextmanager
def _cleared(folder: Path, names: Sequence[str]) -> Iterator[None]:
    """Without the unfinished recordings of workers that were killed, before and after an exception."""
    try:
        _clear(folder, names)
        yield
    except BaseException as error:
        _clear(folder, names)
        say_how_to_go_on(error, "the same command with --resume goes on with what is not written yet")
        raise


def _clear(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        shutil.rmtree(folder / f"{name}.incomplete", ignore_errors=True)


def _attempt(write: Callable[[str], dict[str, Any]], name: str) -> dict[str, Any] | str:
    try:
        return write(name)
    except GsoccError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other scenes are still to be written
        return f"{type(error).__name__}: {error}"


@lru_cache(maxsize=1)
def _tables(dataroot: str, version: str) -> Any:
    return open_nuscenes(dataroot, version)


def _told(options: tuple[str, str, str, Contents]) -> dict[str, Any]:
    """The options of a recording as the manifest tells them."""
    version, storage, distro, contents = options
    return {"version": version, "storage": storage, "distro": distro, **asdict(contents)}


def _write(dataroot: str, folder: str, name: str, options: tuple[str, Storage, Distro, Contents]) -> dict[str, Any]:
    """Write one scene and describe it."""
    version, storage, distro, contents = options
    target = Path(folder) / name
    if target.exists():  # it does not match the manifest
        for path in target.iterdir():
            path.unlink()
        target.rmdir()
    written = write_scene(_tables(dataroot, version), str(target), name, storage, distro, contents, quiet=True)
    notes = {"notes": list(written.notes)} if written.notes else {}
    files = {path.name: _describe(path) for path in sorted(target.iterdir())}
    return {"messages": written.messages, **notes, "options": _told(options), "files": files}


def _describe(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _is_complete(target: Path, entry: dict[str, Any] | None, options: dict[str, Any], verify: bool) -> bool:
    """Whether a recording is the one that would be written; without ``verify`` its files' contents are trusted."""
    if entry is None or entry.get("options") != options or not target.is_dir():
        return False
    sizes = {path.name: path.stat().st_size for path in target.iterdir()}
    if sizes != {name: about["bytes"] for name, about in entry["files"].items()}:
        return False
    return not verify or all(_describe(target / name) == about for name, about in entry["files"].items())


def _read_manifest(folder: Path, version: str) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.exists():
        return {"dataset": "nuScenes", "version": version, "scenes": {}, "failed": {}}
    with reading(path, "a manifest of nuscenes_to_rosbag2"):
        content: dict[str, Any] = read_json(path, "a manifest of nuscenes_to_rosbag2")
        known, scenes = content["version"], dict(content["scenes"])
    if known != version:
        raise DataError(path, "version", version, known)
    return {**content, "scenes": scenes, "failed": dict(content.get("failed", {}))}


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    ordered = {**manifest, **{kind: dict(sorted(manifest[kind].items())) for kind in ("scenes", "failed")}}
    with whole_file(folder / MANIFEST) as part:
        part.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
