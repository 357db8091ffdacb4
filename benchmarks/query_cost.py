# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""CPU time of queries: 1,800 Gaussians with features of 256 numbers, Occ3D's grid, one thread.

``query`` is what :meth:`OccupancyPredictor.query` takes once the words are embedded; ``standing`` is what standing
queries add to a set in the node: the query and its cloud; ``markers`` what boxes and texts add while somebody hears
them. The first query of the process loads the text encoder. The last rows are of the shipped model.

Run: ``OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/query_cost.py``
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from gausstr_voxels import GAUSSIANS, SIZES, scene_of
from PIL import Image
from torch.nn import functional

from gsocc_core import OCC3D_NUSCENES, OccupancyPredictor, SemanticGrid, TextFeatures, VoxelGrid
from gsocc_core.bench.measure import cpu_ms
from gsocc_core.inference.found import find_voxels
from gsocc_core.inference.query import WordQueries
from gsocc_core.methods.gausstr import GaussTR
from gsocc_core.methods.gausstr_args import FeatureArgs, NetworkArgs, SplatArgs
from gsocc_core.methods.gausstr_classes import prompt_scores, voxel_classes
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_core.text.class_prompts import load_class_prompts
from gsocc_core.text.encoder import load_text_encoder
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.messages.query_messages import query_markers, score_cloud

ROOT = Path(__file__).parents[1]
PROMPTS = ROOT / "config" / "prompts" / "occ3d.yaml"
WORDS = ("dog", "pram", "garden chair", "ladder", "mailbox", "scooter", "hydrant", "awning", "crane", "tent", "boat",
         "statue", "bench", "fountain", "shopping cart", "umbrella")  # fmt: skip
THRESHOLD = 0.5


def tiny_method(grid: VoxelGrid) -> GaussTR:
    """GaussTR's rules for voxels and queries around a network that is not used."""
    network = NetworkArgs(dim=48, queries=10, layers=1, heads=4, points=2, feed_hidden=96, head_hidden=96)
    prompts = load_class_prompts(PROMPTS, OCC3D_NUSCENES, "wordllama")
    features, splat = FeatureArgs(dim=256, compression="none"), SplatArgs(least_opacity=None, scale=10.0)
    return GaussTR(OCC3D_NUSCENES, prompts, grid, network=network, features=features, splat=splat, pretrained=False)


def shipped_rows(repeats: int) -> list[str]:
    """The shipped model's 1,800 Gaussians on its own grid, about the pictures that are shipped with it."""
    example, (host, _) = ROOT / "examples" / "plain_street", rosbags_host()
    rig, predictor = (
        CameraRig.load(example / "rig.yaml"),
        OccupancyPredictor.load(ROOT / "bundles/plain-gausstr", "cpu"),
    )
    files = [example / "pictures" / f"{camera.name}.jpg" for camera in rig.cameras]
    prediction = predictor.predict([np.asarray(Image.open(file).convert("RGB")) for file in files], rig.cameras)
    occupied, rows = float(prediction.grid.occupied.float().mean()), []
    for words in (["automobile"], ["automobile", "cattle", "home", "oak"]):
        scores = predictor.query(words, prediction)
        lit = find_voxels(scores, THRESHOLD)
        query = cpu_ms(lambda: predictor.query(words, prediction), repeats)  # noqa: B023
        cloud = cpu_ms(lambda: score_cloud(host, find_voxels(scores, THRESHOLD), 0, "base"), repeats)  # noqa: B023
        boxes = cpu_ms(lambda: query_markers(host, lit, words, 0, "base"), repeats)  # noqa: B023
        numbers = " | ".join(f"{ms:.1f}" for ms in (query, query + cloud, boxes))
        rows.append(f"| shipped model | {100 * occupied:.0f} % | {len(words)} | {len(lit.word)} | {numbers} |")
    return rows


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    grid = VoxelGrid.occ3d()
    method, (host, _) = tiny_method(grid).eval(), rosbags_host()
    queries = WordQueries(method)
    known = load_text_encoder("wordllama").embed([*WORDS, "car", "road", "tree", "grass"])
    draw = torch.Generator().manual_seed(0)
    about = known[torch.randint(len(known), (GAUSSIANS,), generator=draw)]
    noise = 0.5 / 16 * torch.randn(GAUSSIANS, known.shape[1], generator=draw)
    text = TextFeatures(functional.normalize(about + noise, dim=-1), None, "wordllama")
    rows = []
    first_ms = None
    with torch.inference_mode():
        for size in SIZES:
            scene = scene_of(size, grid, 0).replace(features=prompt_scores(text.values, method.embeddings, 10.0))
            found = voxel_classes(scene.map(lambda t: t[None]), grid, method.classes, method.splat_args)
            voxels = SemanticGrid(found.labels[0], grid, found.classes)
            if first_ms is None:
                start = time.perf_counter()
                queries.scores(WORDS[:1], (), scene, text, voxels)
                first_ms = 1e3 * (time.perf_counter() - start)
            for count in (1, 4, 16):
                words = WORDS[:count]
                scores = queries.scores(words, (), scene, text, voxels)
                lit = find_voxels(scores, THRESHOLD)
                query = cpu_ms(lambda: queries.scores(words, (), scene, text, voxels), options.repeats)  # noqa: B023
                cloud = cpu_ms(lambda: score_cloud(host, find_voxels(scores, THRESHOLD), 0, "base"), options.repeats)  # noqa: B023
                boxes = cpu_ms(lambda: query_markers(host, lit, words, 0, "base"), options.repeats)  # noqa: B023
                occupied = float(voxels.occupied.float().mean())
                numbers = (f"{ms:.1f}" for ms in (query, query + cloud, boxes))
                rows.append(f"| {size} | {100 * occupied:.0f} % | {count} | {len(lit.word)} | {' | '.join(numbers)} |")
    rows += shipped_rows(options.repeats)
    head = ("sizes", "occupied", "words", "voxels found", "query, ms", "standing, ms", "markers, ms")
    print(f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows, sep="\n")
    print(f"\nfirst query of the process: {first_ms:.0f} ms")


if __name__ == "__main__":
    main()
