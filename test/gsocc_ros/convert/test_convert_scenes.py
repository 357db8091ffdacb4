# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Many scenes at once: the manifest tells the truth, and an interrupted run goes on."""

import hashlib
import json
import shutil

import pytest

from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_ros.bags.bag_files import open_bag
from gsocc_ros.commands import nuscenes_to_rosbag2_program as main
from gsocc_ros.convert.convert_scenes import _tables, convert_scenes

VERSION = "v1.0-tiny"


def times(folder):
    return {p: p.stat().st_mtime_ns for p in folder.iterdir()}


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
    kept = times(out / "scene-a")
    (out / "scene-b" / "scene-b.mcap").write_bytes(b"cut short")
    assert convert_scenes(str(tiny_tree), str(out), version=VERSION, jobs=1, resume=True) == made[1]
    assert times(out / "scene-a") == kept
    with open_bag(out / "scene-b") as bag:
        assert bag.message_count == made[1]["scenes"]["scene-b"]["messages"]


def test_changed_contents_are_found_by_their_checksums(made, tiny_tree, tmp_path):
    out = tmp_path / "again"
    shutil.copytree(made[0], out)
    file = out / "scene-b" / "scene-b.mcap"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    kept = times(out / "scene-a")
    words = [str(tiny_tree), str(out), "--split", "all", "--version", VERSION, "--jobs", "1", "--resume"]
    assert main(words) == 0
    assert file.read_bytes() == data  # sizes agree
    assert main([*words, "--verify"]) == 0
    assert file.read_bytes() != data
    assert times(out / "scene-a") == kept
    assert json.loads((out / "manifest.json").read_text()) == made[1]


def test_other_options_are_written_again(made, tiny_tree, tmp_path):
    out = tmp_path / "again"
    shutil.copytree(made[0], out)
    kept = times(out / "scene-a")
    scenes = ["scene-b"]
    changed = convert_scenes(
        str(tiny_tree), str(out), scenes, version=VERSION, jobs=1, resume=True, occupancy=None, storage="sqlite3"
    )
    assert set(changed["scenes"]["scene-b"]["files"]) == {"metadata.yaml", "scene-b.db3"}
    with open_bag(out / "scene-b") as bag:
        assert "/occupancy/ground_truth" not in bag.topics
    assert changed["scenes"]["scene-b"]["options"]["occupancy"] is None
    assert changed["scenes"]["scene-a"] == made[1]["scenes"]["scene-a"]
    assert times(out / "scene-a") == kept


@pytest.mark.parametrize("jobs", [1, 2])
def test_any_error_is_listed_and_the_other_scenes_are_written(tiny_tree, tmp_path, jobs, capsys):
    root = tmp_path / "tree"
    shutil.copytree(tiny_tree, root)
    rows = json.loads((root / VERSION / "sample_data.json").read_text())
    for row in rows:
        if row["sample_token"].startswith("scene-b") and "CAM" in row["filename"]:
            row["timestamp"] = "yesterday"  # no error that the converter foresees
    (root / VERSION / "sample_data.json").write_text(json.dumps(rows))
    words = [str(root), str(tmp_path / "bags"), "--split", "all", "--version", VERSION, "--jobs", str(jobs)]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert "expected all 2 written, received 1 that failed: scene-b: " in told
    assert "ValueError" in told
    manifest = json.loads((tmp_path / "bags" / "manifest.json").read_text())
    assert set(manifest["scenes"]) == {"scene-a"}
    assert "yesterday" in manifest["failed"]["scene-b"]
    shutil.copyfile(tiny_tree / VERSION / "sample_data.json", root / VERSION / "sample_data.json")
    if jobs == 1:
        _tables.cache_clear()
        assert main([*words, "--resume"]) == 0
        manifest = json.loads((tmp_path / "bags" / "manifest.json").read_text())
        assert set(manifest["scenes"]) == {"scene-a", "scene-b"}
        assert manifest["failed"] == {}


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
    with pytest.raises(ConfigError, match="verify"):
        convert_scenes(str(tiny_tree), str(tmp_path / "x"), version=VERSION, verify=True)
    with pytest.raises(ConfigError, match="jobs"):
        convert_scenes(str(tiny_tree), str(tmp_path / "x"), version=VERSION, jobs=0)
    with pytest.raises(DataError, match="scene-z"):
        convert_scenes(str(tiny_tree), str(tmp_path / "x"), scenes=["scene-z"], version=VERSION)
    assert main([str(tiny_tree), str(tmp_path / "x"), "--version", VERSION]) == 2
    assert "either --scene" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_says_whether_the_command_goes_on(tiny_tree, tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    words = [str(tiny_tree), "--version", VERSION]
    monkeypatch.setattr("gsocc_ros.convert.convert_scenes._attempt", interrupt)
    assert main([*words, "--out", str(tmp_path / "all"), "--split", "all", "--jobs", "1"]) == 130
    assert "the same command with --resume goes on with what is not written yet" in capsys.readouterr().err
    monkeypatch.setattr("gsocc_ros.convert.nuscenes_to_rosbag2.nuscenes_to_rosbag2", interrupt)
    assert main([*words, "--out", str(tmp_path / "one"), "--scene", "scene-a"]) == 130
    assert "nothing is left of an output" in capsys.readouterr().err
