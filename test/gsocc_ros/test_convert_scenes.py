# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Many scenes at once: the manifest tells the truth, and an interrupted run goes on."""

import hashlib
import json
import shutil

import pytest

from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_ros.bag_files import open_bag
from gsocc_ros.convert_scenes import convert_scenes
from gsocc_ros.nuscenes_to_rosbag2 import main

VERSION = "v1.0-tiny"


@pytest.fixture(scope="module")
def made(tiny_tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("bags") / "all"
    return out, convert_scenes(str(tiny_tree), str(out), version=VERSION, jobs=2)


def test_one_recording_per_scene_and_a_manifest_that_fits(made):
    out, manifest = made
    assert json.loads((out / "manifest.json").read_text()) == manifest
    assert set(manifest["scenes"]) == {"scene-a", "scene-b"} == {p.name for p in out.iterdir() if p.is_dir()}
    for name, entry in manifest["scenes"].items():
        with open_bag(out / name) as bag:
            assert bag.message_count == entry["messages"] > 0
        assert {p.name for p in (out / name).iterdir()} == set(entry["files"])
        for file, about in entry["files"].items():
            data = (out / name / file).read_bytes()
            assert about == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_resume_writes_only_what_is_missing_or_damaged(made, tiny_tree, tmp_path):
    out = tmp_path / "again"
    shutil.copytree(made[0], out)
    kept = {p: p.stat().st_mtime_ns for p in (out / "scene-a").iterdir()}
    (out / "scene-b" / "scene-b.mcap").write_bytes(b"cut short")
    assert convert_scenes(str(tiny_tree), str(out), version=VERSION, jobs=1, resume=True) == made[1]
    assert {p: p.stat().st_mtime_ns for p in (out / "scene-a").iterdir()} == kept
    with open_bag(out / "scene-b") as bag:
        assert bag.message_count == made[1]["scenes"]["scene-b"]["messages"]


def test_a_scene_that_fails_does_not_cost_the_others(tiny_tree, tmp_path):
    root = tmp_path / "tree"
    shutil.copytree(tiny_tree, root)
    table = json.loads((root / VERSION / "sample_data.json").read_text())
    scene_b = {s["token"] for s in json.loads((root / VERSION / "scene.json").read_text()) if s["name"] == "scene-b"}
    samples = json.loads((root / VERSION / "sample.json").read_text())
    tokens = {s["token"] for s in samples if s["scene_token"] in scene_b}
    (root / next(r["filename"] for r in table if r["sample_token"] in tokens and "CAM" in r["filename"])).unlink()
    out = tmp_path / "bags"
    with pytest.raises(DataError, match="no such file"):
        convert_scenes(str(root), str(out), version=VERSION, jobs=1)
    assert set(json.loads((out / "manifest.json").read_text())["scenes"]) == {"scene-a"}
    assert not (out / "scene-b").exists()


def test_wrong_arguments_are_clear_errors(made, tiny_tree, tmp_path, capsys):
    with pytest.raises(OutputExistsError, match="--resume"):
        convert_scenes(str(tiny_tree), str(made[0]), version=VERSION)
    with pytest.raises(ConfigError, match="jobs"):
        convert_scenes(str(tiny_tree), str(tmp_path / "x"), version=VERSION, jobs=0)
    with pytest.raises(DataError, match="scene-z"):
        convert_scenes(str(tiny_tree), str(tmp_path / "x"), scenes=["scene-z"], version=VERSION)
    with pytest.raises(SystemExit):
        main([str(tiny_tree), str(tmp_path / "x"), "--version", VERSION])
    assert "either --scene" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
