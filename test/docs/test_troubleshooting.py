# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""docs/troubleshooting.md quotes messages; each one is produced by the command above it."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from gsocc_core.commands.cli import main
from gsocc_ros.commands import nuscenes_to_rosbag2_program, replay_occupancy_program

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
CASES = re.findall(r"^```text\n\$ (.+)\n(.+)\n```", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
MAINS = {
    "gsocc_core": main,
    "nuscenes_to_rosbag2": nuscenes_to_rosbag2_program,
    "replay_occupancy": replay_occupancy_program,
}


@pytest.fixture(scope="module")
def place(tiny_tree, tiny_bundle, tmp_path_factory):
    """A folder with all that the commands of the page name."""
    from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2

    folder = tmp_path_factory.mktemp("troubles")
    shutil.copytree(tiny_tree, folder / "drives")
    shutil.copytree(tiny_bundle, folder / "bundle")
    shutil.copytree(tiny_bundle, folder / "damaged")
    weights = folder / "damaged" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    for name in ("exists", "pickle", "pictures", "damaged_pictures", "predictions"):
        (folder / name).mkdir()
    (folder / "pickle" / "model.pth").write_bytes(b"")
    rig = yaml.safe_load((ROOT / "config" / "rigs" / "example_calibrated.yaml").read_text())
    (folder / "predictions" / "pictures").mkdir()
    np.savez(folder / "predictions" / "pictures" / "labels.npz", semantics=np.zeros((200, 200, 16), np.uint8))
    (folder / "rig.yaml").write_text(yaml.safe_dump(rig))
    for name in rig["cameras"]:
        Image.new("RGB", (100, 50)).save(folder / "pictures" / f"{name}.png")
        (folder / "damaged_pictures" / f"{name}.jpg").write_bytes(b"\xff\xd8\xff and no picture")
    del rig["cameras"]["front"]["intrinsics"]
    (folder / "incomplete.yaml").write_text(yaml.safe_dump(rig))
    shutil.copy(ROOT / "config" / "train" / "synthetic_labels.yaml", folder / "train.yaml")
    (folder / "not_yaml.yaml").write_text("method: [gaussianflowocc\n")
    nuscenes_to_rosbag2(str(folder / "drives"), str(folder / "recording"), "scene-a", "v1.0-tiny")
    return folder


@pytest.mark.parametrize(("command", "message"), CASES, ids=[command for command, _ in CASES])
def test_message(command, message, place, monkeypatch, capsys):
    pytest.importorskip("nuscenes")
    before = {path.name for path in place.iterdir()}
    monkeypatch.chdir(place)
    program, *words = shlex.split(command)
    try:
        status = MAINS[program](words)
    except SystemExit as end:
        status = end.code
    told = " ".join(capsys.readouterr().err.split())
    assert status == 2
    pattern = ".*".join(re.escape(part.strip()) for part in message.split("..."))
    assert re.search(rf"{program}: error: {pattern}", told), told
    assert {path.name for path in place.iterdir()} == before  # nothing is left behind


def test_page_has_the_cases():
    assert len(CASES) >= 20
