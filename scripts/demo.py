# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``make demo``: a synthetic drive becomes a recording, and the shipped model replays it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from gsocc_core import OCC3D_NUSCENES, SemanticGrid
from gsocc_core.data.images import decode_image
from gsocc_core.metrics.confusion import IoUScores, VoxelConfusion
from gsocc_core.pictures import class_colors, draw_comparison, write_pictures
from gsocc_core.synthetic.synthesize import synthesize
from gsocc_ros.bags.bag_files import open_bag, read_messages
from gsocc_ros.bags.bag_replay import replay_occupancy
from gsocc_ros.bags.replay_report import ReplayReport
from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2
from gsocc_ros.messages.occupancy_messages import read_occupancy
from gsocc_ros.messages.outputs import GRID_TOPIC, GROUND_TRUTH_TOPIC
from gsocc_ros.pipeline.camera_input import stamp_ns

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "bundles" / "synthetic-gaussianflowocc"
#: In the bundle: the commonest label of every voxel of its training drives.
BLIND = "blind.npz"
#: A drive that no model was trained on: training seeds are 1, scoring seeds 2.
SEED, DURATION_S = 7, 10.5
CAMERAS = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "demo_output", help="folder to (re)make")
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="trained model")
    parser.add_argument("--image-scale", type=float, default=0.5, help="factor on 1600x900")
    parser.add_argument("--duration-s", type=float, default=DURATION_S, help="length of the drive")
    options = parser.parse_args()
    started = time.perf_counter()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".demo-", dir=options.out.parent))
    try:
        report, blind = run(scratch, options.bundle, options.image_scale, options.duration_s)
        shutil.rmtree(options.out, ignore_errors=True)
        (scratch / "result").rename(options.out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    seconds = time.perf_counter() - started
    say(f"\n{report.table()}\n")
    say(f"{options.out}/ holds the recording, drive.gif, frame.png, report.json ({seconds:.0f} s).")
    if blind is not None and report.miou is not None and report.iou is not None:
        say(
            f"What that is worth: who sees no picture and says the commonest label of every voxel has mIoU "
            f"{100 * blind.miou:.2f} %  IoU {100 * blind.iou:.2f} % on this drive."
        )
    say(f"Look closer, in a browser: {command()} view-bag {options.out}/occupancy --rig nuscenes")
    return 0


def command() -> str:
    """The command line beside this Python, as a user would type it."""
    beside = Path(sys.executable).parent / "gsocc_core"
    return os.path.relpath(beside) if beside.exists() else "gsocc_core"


def run(scratch: Path, bundle: Path, image_scale: float, duration_s: float) -> tuple[ReplayReport, IoUScores | None]:
    """Synthesize, convert, replay, score blind labels, draw; the result lies in ``scratch/result``."""
    result = scratch / "result"
    result.mkdir()
    say("1/4 synthesize a drive that the model has never seen")
    synthesize(
        scratch / "drive", seed=SEED, image_scale=image_scale, sweeps=False, duration_s=duration_s, pseudo_labels=False
    )
    say("2/4 convert it to a rosbag2 recording")
    nuscenes_to_rosbag2(
        str(scratch / "drive"), str(scratch / "recording"), f"synthetic-{SEED}-0000", "v1.0-synthetic", sweeps=False
    )
    say("3/4 replay the recording through the model")
    report = replay_occupancy(
        str(scratch / "recording"), str(result / "occupancy"), str(bundle), only_keyframes=True, device="cpu"
    )
    say("4/4 draw what it saw")
    film = Film.read(result / "occupancy")
    frames = list(film.draw())
    blind = film.score(np.load(bundle / BLIND)["labels"]) if (bundle / BLIND).exists() else None
    frames[len(frames) // 2].save(result / "frame.png", optimize=True)
    write_pictures(result / "drive.gif", frames, fps=2.5, colors=class_colors(OCC3D_NUSCENES))
    figures = {
        "miou": report.miou, "iou": report.iou, "rayiou": report.rayiou, "fps": report.fps,
        "latency_ms": dict(report.latency_ms), "class_iou": dict(report.class_iou), "frames": report.scored,
        "bundle": bundle.name, "blind": None if blind is None else {"miou": blind.miou, "iou": blind.iou},
    }  # fmt: skip
    (result / "report.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return report, blind


@dataclass(frozen=True)
class Film:
    """What a recording with predictions and ground truth shows, by stamp (ns)."""

    predictions: dict[int, SemanticGrid]
    truths: dict[int, SemanticGrid]
    pictures: dict[str, list[tuple[int, bytes]]]

    @classmethod
    def read(cls, recording: Path) -> Film:
        """Everything that is drawn, read back from the recording."""
        topics = {f"/{name.lower()}/image/compressed": name for name in CAMERAS}
        film = cls({}, {}, {name: [] for name in CAMERAS})
        with open_bag(recording) as bag:
            for topic, _, message in read_messages(bag, [GRID_TOPIC, GROUND_TRUTH_TOPIC, *topics]):
                stamp = stamp_ns(message.header)
                if topic in topics:
                    film.pictures[topics[topic]].append((stamp, bytes(message.data)))
                else:
                    target = film.predictions if topic == GRID_TOPIC else film.truths
                    target[stamp] = read_occupancy(message, OCC3D_NUSCENES, topic)
        return film

    def draw(self) -> Iterator[Image.Image]:
        """One picture per prediction that has ground truth: cameras, prediction, truth."""
        for number, stamp in enumerate(self._scored()):
            images: dict[str, np.ndarray | None] = {}
            for name, taken in self.pictures.items():
                encoded = min(taken, key=lambda item: abs(item[0] - stamp))[1]
                images[name] = decode_image(encoded, min_width=400, min_height=225)
            seen = visible(self.predictions[stamp], self.truths[stamp])
            yield draw_comparison(images, seen, self.truths[stamp], f"key frame {number + 1}", width=1200)

    def score(self, labels: np.ndarray) -> IoUScores:
        """What one and the same answer (X, Y, Z) uint8 to all pictures is worth."""
        confusion = VoxelConfusion(OCC3D_NUSCENES)
        for stamp in self._scored():
            truth = self.truths[stamp]
            observed = np.ones(labels.shape, bool) if truth.observed is None else truth.observed.numpy()
            confusion.update(truth.labels.numpy(), labels, observed)
        return confusion.scores()

    def _scored(self) -> list[int]:
        return sorted(set(self.predictions) & set(self.truths))


def visible(prediction: SemanticGrid, truth: SemanticGrid) -> SemanticGrid:
    """The prediction where the cameras see; what lies behind surfaces is neither scored nor drawn."""
    if truth.observed is None:
        return prediction
    labels = prediction.labels.clone()
    labels[~truth.observed] = prediction.classes.free_id
    return replace(prediction, labels=labels, confidence=None)


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
