# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The export of info pickles to JSON: the right values, and nothing that a pickle asks for is run."""

import json
import os
import pickle
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyquaternion import Quaternion

from ..tiny_ddad import FIRST, write_info  # noqa: TID252 - tests are no package

SCRIPT = Path(__file__).parents[2] / "scripts" / "ddad_info_to_json.py"


def as_published(content):
    """Rotations as pyquaternion's, vectors and matrices as numpy's."""

    def poses(pose):
        return {"quat": Quaternion(pose["quat"]), "tvec": np.array(pose["tvec"])}

    def camera(value):
        intrinsics = np.asfortranarray(value["intrinsics"], np.float32)
        return {"intrinsics": intrinsics, "extrinsics": poses(value["extrinsics"]), "pose": poses(value["pose"])}

    return {
        stamp: {name: camera(value) if isinstance(value, dict) else value for name, value in sample.items()}
        for stamp, sample in content.items()
    }


def run(*words):
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), *map(str, words)], capture_output=True, text=True, check=False
    )


def close(found, expected):
    if isinstance(expected, dict):
        return set(found) == set(expected) and all(close(found[key], expected[key]) for key in expected)
    if isinstance(expected, list) and not isinstance(expected[0], str):
        return np.allclose(np.array(found, float), np.array(expected, float), rtol=1e-6)
    return found == expected


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_gives_the_same_values(tmp_path, protocol):
    content = write_info(tmp_path)
    (tmp_path / "info_train.pkl").write_bytes(pickle.dumps(as_published(content), protocol))
    module = runpy.run_path(str(SCRIPT))
    found = module["read_info"](tmp_path / "info_train.pkl")
    json.dumps(found)
    assert close(found[str(FIRST)]["CAMERA_06"], content[str(FIRST)]["CAMERA_06"])
    assert found[str(FIRST)]["context"] == content[str(FIRST)]["context"]
    assert close(found, content)


def test_numbers_of_numpy_and_other_byte_orders(tmp_path):
    sample = {
        "scene_name": "000000",
        "a": np.float64(2.5),
        "b": np.arange(6, dtype=">i2").reshape(2, 3),
        "c": np.bool_(1),
    }
    (tmp_path / "info_val.pkl").write_bytes(pickle.dumps({"1": sample}))
    found = runpy.run_path(str(SCRIPT))["read_info"](tmp_path / "info_val.pkl")
    assert found["1"] == {"scene_name": "000000", "a": 2.5, "b": [[0, 1, 2], [3, 4, 5]], "c": True}


def test_the_command(tmp_path):
    (tmp_path / "info_train.pkl").write_bytes(pickle.dumps(as_published(write_info(tmp_path))))
    done = run(tmp_path / "info_train.pkl", "--out", tmp_path / "info")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'info' / 'info_train.json'}: 3 samples\n"
    assert len(json.loads((tmp_path / "info" / "info_train.json").read_text())) == 3
    again = run(tmp_path / "info_train.pkl", "--out", tmp_path / "info")
    assert "expected a file that does not exist" in again.stderr
    assert [path.name for path in (tmp_path / "info").iterdir()] == ["info_train.json"]


class Evil:
    def __init__(self, call, *words):
        self.call, self.words = call, words

    def __reduce__(self):
        return self.call, self.words


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (lambda p: Evil(os.mkdir, str(p / "proof")), r"the name posix\.mkdir"),
        (lambda p: {"1": Evil(eval, f"__import__('os').mkdir({str(p / 'proof')!r})")}, r"the name builtins\.eval"),
        (lambda p: {"1": Evil(np.load, str(p))}, "the name numpy"),
        (lambda p: {"1": np.array([Evil(os.mkdir, str(p / "proof"))], object)}, r"the name posix\.mkdir"),
        (lambda p: {"1": {"scene_name": "0", "x": np.array([None])}}, "an array of objects"),
        (lambda p: {"1": {"scene_name": "0", "x": np.zeros(20_000)}}, "an array of 20000 values"),
        (lambda p: {"1": {"scene_name": "0", "x": {1, 2}}}, "a value of type set"),
        (lambda p: {"1": {"scene_name": "0", "x": float("nan")}}, "a value of type float: nan"),
        (lambda p: {"1": {"pose": 2}}, "expected a sample with scene_name"),
        (lambda p: [1, 2], "expected samples by time stamp, received list"),
    ],
)  # fmt: skip
def test_what_is_no_info_is_refused_and_nothing_is_run(tmp_path, content, expected):
    path = tmp_path / "info_train.pkl"
    path.write_bytes(pickle.dumps(content(tmp_path)))
    module = runpy.run_path(str(SCRIPT))
    with pytest.raises(module["InfoError"], match=expected):
        module["read_info"](path)
    assert not (tmp_path / "proof").exists()


def test_damaged_pickles_end_in_one_line(tmp_path):
    good = pickle.dumps(as_published(write_info(tmp_path)))
    module = runpy.run_path(str(SCRIPT))
    for bad in (b"", b"\x80", good[: len(good) // 2], b"{}", b"cposix\nmkdir\n."):
        path = tmp_path / "info_val.pkl"
        path.write_bytes(bad)
        with pytest.raises(module["InfoError"]):
            module["read_info"](path)
    with pytest.raises(module["InfoError"], match="FileNotFoundError"):
        module["read_info"](tmp_path / "nowhere.pkl")
    done = run(path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "info_val.json").exists()
