# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``make query-picture``: the example pictures that can be asked for words, and what the shipped model answers.

Writes ``examples/plain_street`` (one picture per camera and a rig file) and ``docs/images/query.jpg``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.export.query_files import Question, query_pictures
from gsocc_core.inference.found import summary_table
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_core.synthetic.synthesize import synthesize

ROOT = Path(__file__).resolve().parents[1]
#: A drive that no model was trained on or scored with: training seeds are 1, scoring seeds 2.
SEED, SCENES, DURATION_S = 7, 6, 4.0
#: Key frame among all of them.
FRAME = 30
WORDS = ("automobile", "cattle", "home", "oak")
COMMENT = "Six cameras of the plain world (gsocc_core synthesize --world plain); the pictures lie beside this file."


def main() -> int:
    """Write pictures, rig file and the answer; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "bundles" / "plain-gausstr", help="the model")
    parser.add_argument("--example", type=Path, default=ROOT / "examples" / "plain_street", help="folder to (re)make")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "images" / "query.jpg", help="the answer")
    parser.add_argument("--frame", type=int, default=FRAME, help="key frame of the drives")
    parser.add_argument("--words", nargs="+", default=WORDS, help="what to ask for")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tree, answer = Path(scratch) / "drives", Path(scratch) / "answer"
        synthesize(
            tree, SCENES, SEED, sweeps=False, duration_s=DURATION_S, labels=False, pseudo_labels=False, world="plain"
        )
        write_example(tree, options.frame, options.example)
        rig = CameraRig.load(options.example / "rig.yaml")
        found = query_pictures(
            options.bundle, options.example / "pictures", rig, Question(tuple(options.words), answer)
        )
        with Image.open(answer / "picture.png") as picture:
            picture.convert("RGB").save(options.picture, quality=88)
    sys.stdout.write(f"{summary_table(found, 0.5)}\n{options.picture}\n")
    return 0


def write_example(tree: Path, frame: int, out: Path) -> None:
    """Copy a key frame's pictures and write its cameras as a rig file."""
    data = DataArgs(str(tree), "v1.0-synthetic", occ3d_dir=None, depth_dir=None, semantics_dir=None, views=1)
    record = build_dataset(data, (96, 176)).key_frame(frame)
    shutil.rmtree(out, ignore_errors=True)
    (out / "pictures").mkdir(parents=True)
    for shot in record.shots:
        shutil.copyfile(shot.path, out / "pictures" / f"{shot.camera.name}{shot.path.suffix}")
    CameraRig.of([shot.camera for shot in record.shots]).save(out / "rig.yaml", COMMENT)


if __name__ == "__main__":
    sys.exit(main())
