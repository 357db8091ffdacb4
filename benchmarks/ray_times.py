# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What RayIoU's rays cost on one CPU thread, of that of another checkout, in turns; both must find the same.

Run: ``python benchmarks/ray_times.py --against ../before``
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["NUMBA_NUM_THREADS"] = "1"  # before numba is imported

import numpy as np
from jsonargparse import auto_cli

from gsocc_core import OCC3D_NUSCENES, VoxelGrid
from gsocc_core.metrics.ray_kernels import march
from gsocc_core.metrics.rayiou import lidar_directions
from gsocc_core.synthetic.world.street import build_street
from gsocc_core.synthetic.write.occupancy import SurfaceMemory

March = Callable[..., Any]


def street(seed: int) -> np.ndarray:
    """(200, 200, 16) labels of all surfaces around the car in a synthetic street."""
    scene = build_street(seed, 20.0)
    pose = scene.T_world_ego(8.0)
    memory = SurfaceMemory(scene, pose[None], VoxelGrid.occ3d())
    memory.seen[:] = 1
    return memory.labels(pose, 8.0)


def other_march(checkout: Path, folder: Path) -> March:
    """The marcher of another checkout, from a copy in a folder, so that its compiled code lies there too."""
    path = Path(shutil.copy(checkout / "gsocc_core" / "metrics" / "ray_kernels.py", folder / "other_ray_kernels.py"))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: March = module.march
    return found


def timed(marcher: March, labels: np.ndarray, origins: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """CPU seconds, and what the rays found."""
    directions = lidar_directions()
    distances, hits = np.empty(len(origins) * len(directions)), np.empty(len(origins) * len(directions), np.uint8)
    start = time.process_time()
    marcher(labels, OCC3D_NUSCENES.free_id, origins, directions, distances, hits)
    return time.process_time() - start, distances, hits


def main(against: Path | None = None, repeats: int = 15, seeds: tuple[int, ...] = (3, 4, 5)) -> None:
    """Milliseconds per frame, 8 origins of 14,040 rays.

    Args:
        against: Another checkout.
        repeats: Rounds; the median counts.
        seeds: Streets.
    """
    with tempfile.TemporaryDirectory() as folder:
        marchers = {"here": march} | ({} if against is None else {"there": other_march(against, Path(folder))})
        compare(marchers, repeats, seeds)


def compare(marchers: dict[str, March], repeats: int, seeds: tuple[int, ...]) -> None:
    """Print the table; see :func:`main`."""
    along = np.linspace(-35.0, 35.0, 8)
    origins = (np.stack([along, 0 * along, 0 * along + 1.8], -1) - VoxelGrid.occ3d().lower) / 0.4
    print(f"| street | {' | '.join(f'{name}, ms' for name in marchers)} | ratio | equal |")
    print(f"|---|{'---:|' * (len(marchers) + 2)}")
    for seed in seeds:
        labels = street(seed)
        first = [timed(one, labels, origins) for one in marchers.values()]
        equal = all(np.array_equal(a, b) for other in first for a, b in zip(other[1:], first[0][1:]))
        times: dict[str, list[float]] = {name: [] for name in marchers}
        for repeat in range(repeats):
            for name in list(marchers)[:: -1 if repeat % 2 else 1]:
                times[name].append(timed(marchers[name], labels, origins)[0])
        ms = [1e3 * statistics.median(times[name]) for name in marchers]
        print(f"| {seed} | {' | '.join(f'{m:.1f}' for m in ms)} | {ms[-1] / ms[0]:.2f} | {'yes' if equal else 'NO'} |")


if __name__ == "__main__":
    auto_cli(main, as_positional=True)
