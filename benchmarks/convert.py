# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The converter against its floor: rosbags writing the same payloads to MCAP and doing nothing else.

Both run in one process, in turns, after a round that does not count; the tables are read once and do not count, so
that this is what one more scene costs. CPU and wall time, median.

Run: ``python benchmarks/scene_tree.py TREE``, then ``python benchmarks/convert.py TREE [--scene NAME] [--repeats 5]``
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from jsonargparse import auto_cli

from gsocc_core.data.nuscenes_index import open_nuscenes
from gsocc_ros.bags.bag_files import new_bag, open_bag
from gsocc_ros.convert.write_scene import write_scene
from gsocc_ros.messages.message_host import rosbags_host


def convert(dataroot: str, version: str = "v1.0-trainval", scene: str | None = None, repeats: int = 5) -> None:
    """Measure and print a table.

    Args:
        dataroot: Tree in nuScenes layout.
        version: Name of the tables' folder.
        scene: Scene to convert; None = the first.
        repeats: Rounds.
    """
    nusc = open_nuscenes(dataroot, version)
    name = scene or nusc.scene[0]["name"]
    scratch = Path(tempfile.mkdtemp())
    try:
        ours, floor = [], []
        payloads: list[tuple[str, str, int, bytes]] = []
        _, types = rosbags_host()
        for k in range(repeats + 1):
            out = scratch / f"ours_{k}"
            start = _now()
            write_scene(nusc, str(out), name, quiet=True)
            ours.append([*(_now() - start), *(_on_disk(out) - start)])
            if not payloads:
                with open_bag(out) as bag:
                    payloads = [(c.topic, c.msgtype, stamp, bytes(raw)) for c, stamp, raw in bag.messages()]
            start = _now()
            with new_bag(str(scratch / f"floor_{k}"), "mcap", "jazzy") as writer:
                connections = {
                    topic: writer.add_connection(topic, kind, typestore=types)
                    for topic, kind in {(topic, kind) for topic, kind, _, _ in payloads}
                }
                for topic, _, stamp, raw in payloads:
                    writer.write(connections[topic], stamp, raw)
            floor.append([*(_now() - start), *(_on_disk(scratch / f"floor_{k}") - start)])
            shutil.rmtree(out)
            shutil.rmtree(scratch / f"floor_{k}")
        size = sum(len(raw) for *_, raw in payloads) / 1e6
        print(f"{name}: {len(payloads)} messages, {size:.0f} MB\n")
        print("| | CPU s | wall s | wall s until it is on the disk | CPU s, best round |\n|---|---|---|---|---|")
        a, b = ([*np.median(values[1:], axis=0)[[0, 1, 3]], np.min(values[1:], axis=0)[0]] for values in (ours, floor))
        print("| rosbags writing the same payloads | " + " | ".join(f"{value:.2f}" for value in b) + " |")
        print("| nuscenes_to_rosbag2 | " + " | ".join(f"{x:.2f} = {x / y:.2f}x" for x, y in zip(a, b)) + " |")
    finally:
        shutil.rmtree(scratch)


def _now() -> np.ndarray:
    """(2,) CPU and wall seconds."""
    return np.array([time.process_time(), time.perf_counter()])


def _on_disk(folder: Path) -> np.ndarray:
    """(2,) CPU and wall seconds once the files do not lie in the page cache alone."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    return _now()


if __name__ == "__main__":
    auto_cli(convert)
