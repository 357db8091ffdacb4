# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The converter against its floor: rosbags writing the same payloads to MCAP and doing nothing else.

Both run in one process, in turns; the tables are read once and do not count. CPU time, median.

Run: ``python benchmarks/convert.py DATAROOT --version v1.0-synthetic [--scene NAME] [--repeats 3]``
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


def convert(dataroot: str, version: str = "v1.0-trainval", scene: str | None = None, repeats: int = 3) -> None:
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
        ours, floor, payloads = [], [], []
        _, types = rosbags_host()
        for k in range(repeats + 1):
            out = scratch / f"ours_{k}"
            start = time.process_time()
            write_scene(nusc, str(out), name, quiet=True)
            ours.append(time.process_time() - start)
            if not payloads:
                with open_bag(out) as bag:
                    payloads = [(c.topic, c.msgtype, stamp, bytes(raw)) for c, stamp, raw in bag.messages()]
            start = time.process_time()
            with new_bag(str(scratch / f"floor_{k}"), "mcap", "jazzy") as writer:
                connections = {
                    topic: writer.add_connection(topic, kind, typestore=types)
                    for topic, kind in {(topic, kind) for topic, kind, _, _ in payloads}
                }
                for topic, _, stamp, raw in payloads:
                    writer.write(connections[topic], stamp, raw)
            floor.append(time.process_time() - start)
            shutil.rmtree(out)
            shutil.rmtree(scratch / f"floor_{k}")
        size = sum(len(raw) for *_, raw in payloads) / 1e6
        a, b = (float(np.median(values[1:])) for values in (ours, floor))
        print(f"{name}: {len(payloads)} messages, {size:.0f} MB\n\n| | CPU s | against the floor |\n|---|---|---|")
        print(
            f"| rosbags writing the same payloads | {b:.2f} | 1.0x |\n| nuscenes_to_rosbag2 | {a:.2f} | {a / b:.2f}x |"
        )
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    auto_cli(convert)
