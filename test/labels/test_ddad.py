# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Labels of pictures of other data sets than nuScenes, made through the command line, and loaded again."""

import json

import numpy as np

from gsocc_core.commands.cli import main
from gsocc_core.data.args import DDAD_CAMERAS, DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.view_label_files import decode

from ..tiny_ddad import FIRST, STEP, image_mask, write_ddad  # noqa: TID252 - tests are no package


def test_depth_and_classes_of_every_camera(models, prompts_file, tmp_path):
    root = write_ddad(tmp_path / "ddad", samples=2)
    words = ["--dataset", "ddad", "--dataroot", str(root), "--split", "val", "--device", "cpu", "--workers", "1"]
    main(["label", "depth", *words, "--model", str(models["depth_anything"])])
    main(["label", "semantics", *words, "--prompts", str(prompts_file), "--detector", str(models["detector"]),
          "--segmenter", str(models["sam2"]), "--mode", "combined"])  # fmt: skip
    for folder, kind in (("depth_labels", "depth"), ("semantics_labels", "classes")):
        files = sorted(path.relative_to(root / folder).as_posix() for path in (root / folder).glob("*/*"))
        assert files == [f"000001/{FIRST + i * STEP}.zip" for i in range(2)]
        assert json.loads((root / folder / "labels.json").read_text())["cameras"] == list(DDAD_CAMERAS)
        found = decode(root / folder / files[0], kind)
        assert {name: array.shape for name, array in found.items()} == dict.fromkeys(DDAD_CAMERAS, (20, 32))
    args = DataArgs(
        str(root), dataset="ddad", split="val", depth_dir="depth_labels", semantics_dir="semantics_labels", views=1,
        view_size=(20, 32), max_view_depth_m=1000.0,
    )  # fmt: skip
    targets = build_dataset(args, (40, 64))[0].targets
    for v, name in enumerate(DDAD_CAMERAS):
        own = image_mask(name)[::2, ::2] > 0
        stored = decode(root / "depth_labels" / "000001" / f"{FIRST}.zip", "depth")[name]
        assert np.array_equal(targets.view_depth_m[0, 0, v].numpy(), np.where(own, 0, stored)), name
        assert (targets.view_semantics[0, 0, v].numpy()[own] == 255).all()


def test_pictures_of_kitti360_too(models, tiny_kitti360, tmp_path):
    words = ["--dataset", "kitti360", "--dataroot", str(tiny_kitti360), "--out", str(tmp_path / "out"), "--limit", "1"]
    main(["label", "depth", *words, "--model", str(models["depth_anything"]), "--device", "cpu", "--workers", "1"])
    (file,) = (tmp_path / "out").glob("*/*.zip")
    assert file.relative_to(tmp_path / "out").as_posix() == "2013_05_28_drive_0004_sync/000000.zip"
    assert {name: array.shape for name, array in decode(file, "depth").items()} == {"image_00": (12, 44)}
