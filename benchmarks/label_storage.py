# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Bytes of stored labels, and what storing changes in what a training reads, on the true labels of synthetic drives.

Run: ``gsocc_core synthesize drives --scenes 2 --seed 5 --duration_s 2 --sweeps false --labels false``, 1600 x 900, then
``python benchmarks/label_storage.py drives``
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jsonargparse import auto_cli

from gsocc_core import Camera
from gsocc_core.data.view_label_files import Kind, encode_classes, encode_depth
from gsocc_core.data.view_labels import camera_order, sample_view_labels

KEY_FRAMES = 34_149
PUBLISHED_GB = {"depth": 550, "classes": 276}
FOLDERS: dict[Kind, str] = {"depth": "metric_3d_nusc", "classes": "grounded_sam_nusc"}


def variants(kind: Kind, labels: np.ndarray) -> Iterator[tuple[str, np.ndarray, float]]:
    """(name, labels to store, largest error) of each way to store."""
    yield "whole picture", labels, 0.0025
    yield "half", labels[:, ::2, ::2], 0.0025
    if kind == "depth":
        yield "half, 0.5 %", labels[:, ::2, ::2], 0.005
        yield "half, 1 %", labels[:, ::2, ::2], 0.01
        noise = np.random.default_rng(0).normal(1, 0.01, labels[:, ::2, ::2].shape)
        yield "half, 1 % noise on every pixel", labels[:, ::2, ::2] * noise, 0.0025


def differences(kind: Kind, read: np.ndarray, truth: np.ndarray) -> float:
    """Percent: mean relative difference of depth within 40 m, or share of pixels of another class."""
    if kind == "classes":
        return 100 * float((read != truth).mean())
    near = (truth > 0) & (truth < 40) & (read > 0)
    return 100 * float(np.abs(read[near] / truth[near] - 1).mean())


def main(tree: Path, height: int = 256, width: int = 704) -> None:
    """Measure and print a table.

    Args:
        tree: A synthetic tree of whole pictures.
        height: Height of the pictures that a training reads.
        width: Their width.
    """
    cameras = {}
    print("| labels | stored | MB a key frame | 34,149, GB | published, GB | ratio | a training reads | in, CPU ms |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, folder in FOLDERS.items():
        order = camera_order(tree / folder)
        sizes, errors, times = defaultdict(list), defaultdict(list), defaultdict(list)
        for path in sorted((tree / folder).glob("*/*.npy")):
            labels = np.load(path).astype(np.float32 if kind == "depth" else np.uint8)
            rows, columns = labels.shape[1:]
            cameras = {
                n: Camera(n, np.diag([columns * 0.8, columns * 0.8, 1]), np.eye(4), columns, rows) for n in order
            }
            chosen = list(cameras.values())
            truth = sample_view_labels(path, order, chosen, width, height, kind).astype(np.float32)
            for name, stored, max_error in variants(kind, labels):
                named = dict(zip(order, stored))
                content = encode_depth(named, max_error) if kind == "depth" else encode_classes(named)
                with tempfile.TemporaryDirectory() as part:
                    file = Path(part) / "labels.zip"
                    file.write_bytes(content)
                    start = time.process_time()
                    read = sample_view_labels(file, (), chosen, width, height, kind)
                    times[name].append(1e3 * (time.process_time() - start))
                sizes[name].append(len(content))
                errors[name].append(differences(kind, read, truth))
        for name, values in sizes.items():
            mean, published = float(np.mean(values)), PUBLISHED_GB[kind]
            total = mean * KEY_FRAMES / 1e9
            changed = f"{np.mean(errors[name]):.2f} % {'off' if kind == 'depth' else 'of the pixels differ'}"
            print(
                f"| {kind} | {name} | {mean / 1e6:.3f} | {total:.1f} | {published} | {published / total:.0f} "
                f"| {changed} | {np.median(times[name]):.0f} |"
            )


if __name__ == "__main__":
    auto_cli(main)
