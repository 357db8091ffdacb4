# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``gsocc_core synthesize``: write drives through procedural streets, or rooms, in the layout of a data set."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from tqdm import tqdm

from gsocc_core.errors import ConfigError, OutputExistsError
from gsocc_core.processes import worker_context, worker_pool
from gsocc_core.resuming import Items, resumable_folder
from gsocc_core.synthetic.sensors.ddad_car import make_ddad_car
from gsocc_core.synthetic.sensors.kitti360_car import make_car
from gsocc_core.synthetic.sensors.rig import make_rig, small_rig
from gsocc_core.synthetic.sensors.schedule import key_frame_count
from gsocc_core.synthetic.write.ddad_tree import ddad_sample_count, write_ddad_drive, write_ddad_shared
from gsocc_core.synthetic.write.kitti360_tree import (
    kitti360_key_frame_count,
    write_kitti360_drive,
    write_kitti360_shared,
)
from gsocc_core.synthetic.write.meanings import World, write_meanings
from gsocc_core.synthetic.write.nuscenes_tree import Tables, write_tables
from gsocc_core.synthetic.write.pseudo_labels import write_camera_orders
from gsocc_core.synthetic.write.room_tree import room_frame_count, write_room, write_rooms_shared
from gsocc_core.synthetic.write.write_drive import DriveOptions, scene_name, write_drive

Layout = Literal["nuscenes", "surroundocc", "kitti360", "ddad", "scannet"]
#: What a worker does: (root, options, scene index, called once per finished key frame) -> rows of the tables.
DriveWriter = Callable[[Path, DriveOptions, int, Callable[[], None]], Tables]
#: What writes a drive of a layout, where it is not :func:`write_drive`.
_WRITERS: Mapping[str, DriveWriter] = {
    "kitti360": write_kitti360_drive,
    "ddad": write_ddad_drive,
    "scannet": write_room,
}

# Set in worker processes only: a shared counter of finished key frames, and an event that ends the work early.
_shared: list[Any] = []


def synthesize(
    out: str | os.PathLike[str],
    scenes: int = 1,
    seed: int = 0,
    image_scale: float = 1.0,
    sweeps: bool = True,
    duration_s: float = 20.0,
    version: str = "v1.0-synthetic",
    labels: bool = True,
    pseudo_labels: bool = True,
    val_scenes: int = 0,
    jobs: int | None = None,
    layout: Layout | None = None,
    world: World = "detailed",
    lidar_sweeps: bool = True,
    names: bool = False,
    frames: int = 24,
    picture_size: tuple[int, int] = (112, 112),
) -> None:
    """Write synthetic drives in the layout of a data set.

    A nuScenes tree holds the thirteen tables, JPEG pictures of six cameras, LiDAR turns, a map picture per drive,
    ``splits.json`` beside the tables, and, on request, Occ3D labels (``gts``) and pseudo-labels (``metric_3d_nusc``,
    ``grounded_sam_nusc``). Layout ``surroundocc`` adds SurroundOcc labels (``nuscenes_occ/samples``). Layout
    ``kitti360`` is that of SSCBench-KITTI360: pictures of two cameras that look ahead, calibration, poses,
    ``splits.json`` and, on request, labels (``preprocess/labels``) and pseudo-labels (``depth``, ``classes``). Layout
    ``ddad`` is that of DDAD: ten samples per second of six cameras and a LiDAR in JSON files of dgp, masks of what the
    cameras see of the own car (``mask``), and, on request, the same pseudo-labels; there are no voxel labels. Rooms
    have the layout ``scannet``: see :mod:`gsocc_core.data.scannet`. Of the arguments, they take ``scenes``, ``seed``,
    ``val_scenes``, ``jobs``, ``frames`` and ``picture_size``, and always have depth, classes and names.

    The same arguments give the same bytes, whatever ``jobs`` is, and scene i of a seed is the same however many scenes
    are written. Where writing ends early, complete drives stay in ``<out>.incomplete``, and the same arguments go on.

    Args:
        out: Folder to make; it must not exist.
        scenes: Number of drives, named ``synthetic-<seed>-<index>``.
        seed: Chooses the drives.
        image_scale: Factor on the picture size of 1600x900, kitti360 1408x376, ddad 1936x1216.
        sweeps: Write the readings between key frames too; of ddad every reading belongs to one.
        duration_s: Length of each drive, seconds; 20 s are 40 key frames, of ddad 200.
        version: Name of the folder with the tables; kitti360 and ddad have none.
        labels: Write voxel labels: Occ3D's, kitti360 SSCBench's.
        pseudo_labels: Write depth and semantic pictures of the key frames (26 MB each at full size).
        val_scenes: The last so many drives form the split ``val``, the others ``train``.
        jobs: Drives written at the same time; None = one per core.
        layout: nuscenes, surroundocc, kitti360 or ddad; None = scannet in rooms, else nuscenes.
        world: ``detailed`` is a street that looks as in life; in the ``plain`` world what a thing is shows at once, and
            where it is, how it moves and what is hidden is the whole question. It has a grid and classes of its own and
            pictures of 176x96, in layouts nuscenes and, of 176x110, ddad. ``rooms`` are furnished ones, seen by a
            camera in the hand.
        lidar_sweeps: With ``sweeps``, write those of the LiDAR, too.
        names: Write fine-grained names of voxels and pictures (``names``), see :mod:`gsocc_core.data.names`.
        frames: Pictures of each room, evenly along one and the same walk.
        picture_size: Height and width of the pictures of rooms, pixels.

    Raises:
        ConfigError: an argument is out of range.
        OutputExistsError: ``out`` exists.

    Example:
        ``synthesize("drives", scenes=2, image_scale=0.25, sweeps=False)``
    """
    out = Path(out)
    options = DriveOptions(
        seed,
        image_scale,
        sweeps,
        duration_s,
        labels,
        pseudo_labels,
        layout == "surroundocc",
        world,
        lidar_sweeps,
        names,
        frames,
        picture_size,
    )
    layout = layout or ("scannet" if world == "rooms" else "nuscenes")
    key_frames = _key_frames(layout, options)
    _check(scenes=scenes, seed=seed, val_scenes=val_scenes, version=version, jobs=jobs)
    if out.exists() or out.is_symlink():
        raise OutputExistsError(out, "out", "a folder that does not exist", "an existing one")
    scene_names = [scene_name(seed, index) for index in range(scenes)]
    splits = {"train": scene_names[: scenes - val_scenes], "val": scene_names[scenes - val_scenes :]}
    arguments = {
        **asdict(options), "scenes": scenes, "version": version, "val_scenes": val_scenes, "layout": layout
    }  # fmt: skip
    with resumable_folder(out, arguments) as items:
        part = items.folder
        write = _WRITERS.get(layout, write_drive)
        with tqdm(
            total=scenes * key_frames, initial=len(items) * key_frames, desc="synthesize",
            unit="frame" if layout == "scannet" else "key frame",
        ) as bar:  # fmt: skip
            drives = write_drives(items, options, scenes, jobs or os.cpu_count() or 1, bar, write)
        if layout == "kitti360":
            write_kitti360_shared(part, options, splits)
        elif layout == "ddad":
            write_ddad_shared(part, options, splits)
        elif layout == "scannet":
            write_rooms_shared(part, splits)
        else:
            write_tables(part / version, drives, splits)
            write_meanings(part, world, names)
            if pseudo_labels:
                write_camera_orders(part)


def _key_frames(layout: Layout, options: DriveOptions) -> int:
    """Key frames of a drive; checks the options on the way."""
    if layout not in get_args(Layout):
        raise ConfigError("synthesize", "layout", f"one of {', '.join(get_args(Layout))}", layout)
    if options.world not in get_args(World):
        raise ConfigError("synthesize", "world", f"one of {', '.join(get_args(World))}", options.world)
    if (options.world == "rooms") != (layout == "scannet"):
        expected = "scannet, the only one of rooms" if options.world == "rooms" else "another one: only rooms have it"
        raise ConfigError("synthesize", "layout", expected, layout)
    if layout == "scannet":
        return room_frame_count(options)
    if options.world == "plain" and layout not in ("nuscenes", "ddad"):
        raise ConfigError("synthesize", "layout", "nuscenes or ddad, the only ones of the plain world", layout)
    if layout in ("kitti360", "ddad") and options.names:
        raise ConfigError("synthesize", "names", f"false: layout {layout} has none", options.names)
    if layout == "ddad":
        make_ddad_car(options.image_scale, options.world == "plain")
        return ddad_sample_count(options.duration_s)
    if layout == "kitti360":
        make_car(options.image_scale)
        return kitti360_key_frame_count(options.duration_s)
    rng = np.random.default_rng(0)
    (small_rig if options.world == "plain" else make_rig)(rng, options.image_scale)
    return key_frame_count(options.duration_s)


def write_drives(
    items: Items, options: DriveOptions, scenes: int, jobs: int, bar: tqdm, write: DriveWriter
) -> list[Tables]:
    """Write several drives into one tree, each in a process of its own when ``jobs`` allows.

    Args:
        items: The drives that are complete, and a place for the others.
        options: What to write.
        scenes: Number of drives.
        jobs: Processes; 1 = write in this process.
        bar: Counts finished key frames.
        write: Writes one drive; a module-level function.

    Returns:
        Rows of the tables, per drive in the order of their indices.
    """
    names = [scene_name(options.seed, index) for index in range(scenes)]
    todo = [index for index, name in enumerate(names) if name not in items]
    if min(jobs, len(todo)) <= 1:
        for index in todo:
            items.finish(names[index], write(items.begin(names[index]), options, index, lambda: _count(bar)))
    else:
        _write_side_by_side(items, options, {index: names[index] for index in todo}, min(jobs, len(todo)), bar, write)
    return [items.value(name) for name in names]


def _write_side_by_side(
    items: Items, options: DriveOptions, todo: Mapping[int, str], jobs: int, bar: tqdm, write: DriveWriter
) -> None:
    context = worker_context(__name__)
    counter, before = context.Value("q", 0), bar.n
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with worker_pool(jobs, context, _start_worker, counter, threads) as pool:
        running = {pool.submit(_run, write, items.begin(name), options, index): name for index, name in todo.items()}
        pending = set(running)
        while pending:
            done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            bar.update(before + counter.value - bar.n)
            for future in done:
                items.finish(running[future], future.result())


def _count(bar: tqdm[Any]) -> None:
    bar.update()


def _start_worker(counter: Any, threads: int) -> None:
    import numba

    _shared[:] = [counter]  # shared objects reach a worker only through its initializer
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))


def _run(write: DriveWriter, root: Path, options: DriveOptions, index: int) -> Tables:
    return write(root, options, index, _count_key_frame)


def _count_key_frame() -> None:
    (counter,) = _shared
    with counter.get_lock():
        counter.value += 1


def _check(scenes: int, seed: int, val_scenes: int, version: str, jobs: int | None) -> None:
    if scenes < 1:
        raise ConfigError("synthesize", "scenes", "at least 1", scenes)
    if seed < 0:
        raise ConfigError("synthesize", "seed", "0 or more", seed)
    if not 0 <= val_scenes <= scenes:
        raise ConfigError("synthesize", "val_scenes", f"0 to {scenes}", val_scenes)
    if jobs is not None and jobs < 1:
        raise ConfigError("synthesize", "jobs", "at least 1", jobs)
    if not version or Path(version).name != version:
        raise ConfigError("synthesize", "version", "a plain folder name", version)
