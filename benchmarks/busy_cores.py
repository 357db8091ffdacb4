# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Latency and CPU time of a bundle while other programs keep the cores busy, by how long threads that wait spin.

python benchmarks/busy_cores.py --busy 0
python benchmarks/busy_cores.py --busy 2
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jsonargparse import auto_cli

ROOT = Path(__file__).resolve().parents[1]
BUNDLE, RIG = ROOT / "bundles" / "synthetic-gaussianflowocc", ROOT / "config" / "rigs" / "example_calibrated.yaml"
BUSY = "while True: pass"
#: One process per policy, which is read when PyTorch is imported: one set of pictures per line that it hears.
CHILD = """
import json, sys, time
import numpy as np
from gsocc_core import OccupancyPredictor
from gsocc_core.rigs.rig_file import CameraRig
predictor = OccupancyPredictor.load(sys.argv[1], "cpu")
cameras = CameraRig.load(sys.argv[2]).cameras
noise = np.random.default_rng(0)
pictures = [noise.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8) for camera in cameras]
predictor.predict(pictures, cameras)
print("ready", flush=True)
for _ in sys.stdin:
    wall, cpu = time.perf_counter(), time.process_time()
    predictor.predict(pictures, cameras)
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]), flush=True)
"""


def busy_cores(bundle: str = str(BUNDLE), busy: int = 0, sets: int = 20) -> None:
    """Print the median latency and CPU time per set of six pictures, the policies in turns.

    Args:
        bundle: Folder or hub id.
        busy: Programs that do nothing but keep a core busy.
        sets: Sets per policy.
    """
    kept = os.environ.keys() - {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_NUM_THREADS"}
    plain = {key: os.environ[key] for key in kept}
    quiet = plain | {"OPENBLAS_NUM_THREADS": "1"}
    environments = {
        "spin, the default of OpenMP": plain,
        "spin shortly, as in programs of gsocc": quiet | {"GOMP_SPINCOUNT": "1000"},
        "sleep at once": quiet | {"OMP_WAIT_POLICY": "PASSIVE"},
    }
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(busy)]  # noqa: S603 - our own program
    children = []
    try:
        for environment in environments.values():
            child = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-c", CHILD, bundle, str(RIG)], env=environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            children.append(child)
        with ThreadPoolExecutor() as pool:
            list(pool.map(answer, children))
        found: list[list[list[float]]] = [[] for _ in children]
        for _ in range(sets):
            for child, times in zip(children, found):
                assert child.stdin is not None
                child.stdin.write("\n")
                child.stdin.flush()
                times.append(json.loads(answer(child)))
    finally:
        for process in [*children, *others]:
            process.kill()
            process.wait()
    print(f"{busy} busy programs\n\n| threads that wait | ms per set | CPU ms per set |\n|---|---|---|")
    for name, times in zip(environments, found):
        wall, cpu = (1e3 * statistics.median(column) for column in zip(*times))
        print(f"| {name} | {wall:.0f} | {cpu:.0f} |")


def answer(child: subprocess.Popen[str]) -> str:
    """The next line of a child."""
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise SystemExit("the child ended; its reason stands above")
    return line


if __name__ == "__main__":
    auto_cli(busy_cores)
