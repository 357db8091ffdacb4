# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The converter against its floor: rosbags writing the same payloads to MCAP and doing nothing else.

Both run in one process, in turns, after a round that does not count; the tables are read once and do not count, so
that this is what one more scene costs. CPU and wall time, median.

Run: ``python benchmarks/scene_tree.py TREE``, then ``python benchmarks/convert.py TREE [--scene NAME] [--repeats 5]``
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from jsonargparse import auto_cli

from gsocc_core.data.nuscenes_index import open_nuscenes
from gsocc_ros.bag_files import new_bag, open_bag
from gsocc_ros.message_host import rosbags_host
from gsocc_ros.nuscenes_to_rosbag2 import write_scene


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
            ours.append(_now() - start)
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
            floor.append(_now() - start)
            shutil.rmtree(out)
            shutil.rmtree(scratch / f"floor_{k}")
        size = sum(len(raw) for *_, raw in payloads) / 1e6
        print(f"{name}: {len(payloads)} messages, {size:.0f} MB\n\n| | CPU s | wall s |\n|---|---|---|")
        a, b = (np.median(values[1:], axis=0) for values in (ours, floor))
        print(f"| rosbags writing the same payloads | {b[0]:.2f} | {b[1]:.2f} |")
        print(f"| nuscenes_to_rosbag2 | {a[0]:.2f} = {a[0] / b[0]:.2f}x | {a[1]:.2f} = {a[1] / b[1]:.2f}x |")
    finally:
        shutil.rmtree(scratch)


def _now() -> np.ndarray:
    """(2,) CPU and wall seconds."""
    return np.array([time.process_time(), time.perf_counter()])


if __name__ == "__main__":
    auto_cli(convert)
