# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Programs on damaged, missing and absurd inputs: a right result, or one line and exit code 2; nothing half-written."""

import contextlib
import io
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gsocc_core.commands.cli import main
from gsocc_core.resuming import RECORD
from gsocc_ros.commands import rosbag2_to_rig_program
from gsocc_ros.pipeline.rig import Rig

ROOT = Path(__file__).resolve().parents[2]
AHEAD = "0,0,1.5,0.5,-0.5,0.5,-0.5"
#: What takes the place of a number or word of a text file.
ABSURD = (
    "1e200", "-1", "0", "nan", ".inf", "9223372036854775808", "1e-300", "null", "[]", "{}", '""', "true", "x" * 300,
)  # fmt: skip
KALIBR = """cam0:
  camera_model: pinhole
  intrinsics: [461.6, 460.3, 363.0, 248.1]
  distortion_model: radtan
  distortion_coeffs: [-0.28, 0.07, 0.0, 0.0]
  resolution: [752, 480]
  T_cam_imu: [[0.0, 1.0, 0.0, -0.02], [-1.0, 0.0, 0.0, -0.06], [0.0, 0.0, 1.0, 0.01], [0.0, 0.0, 0.0, 1.0]]
cam1:
  camera_model: pinhole
  intrinsics: [457.6, 456.1, 379.1, 255.2]
  distortion_model: equidistant
  distortion_coeffs: [-0.28, 0.07, 0.0, 0.0]
  resolution: [752, 480]
  T_cn_cnm1: [[1.0, 0.0, 0.0, -0.11], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
"""
CAMERA_INFO = """image_width: 64
image_height: 48
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [43.8, 0.0, 30.5, 0.0, 43.7, 24.3, 0.0, 0.0, 1.0]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.36, 0.11, 0.001, 0.0005, 0.0]}
"""
KITTI = """P0: 718.856 0 607.1928 0 0 718.856 185.2157 0 0 0 1 0
P1: 718.856 0 607.1928 -386.1448 0 718.856 185.2157 0 0 0 1 0
Tr: 0 -1 0 0 0 0 -1 0 1 0 0 -0.29
"""
TABLES = ("calibrated_sensor", "sample", "sample_data", "scene", "ego_pose", "log")
#: Program, words, and the inputs that may be damaged; {} is the folder of this run.
CASES = {
    "check-rig": ("gsocc_core", "check-rig {}/rig.yaml --images {}/pictures --out {}/out.png --points {}/cloud.npy",
                  "rig.yaml pictures/front.png pictures/left.png cloud.npy pictures"),
    "kalibr": ("gsocc_core", "rig kalibr --calibration {}/kalibr.yaml --T_ego_imu 0,0,1,1,0,0,0 --out {}/out.yaml",
               "kalibr.yaml"),
    "camera_info": ("gsocc_core", "rig camera_info --calibration {}/info --poses {}/poses.yaml --out {}/out.yaml",
                    "info/front.yaml poses.yaml info"),
    "kitti": ("gsocc_core", "rig kitti --calibration {}/calib.txt --size 1241,376 --out {}/out.yaml", "calib.txt"),
    "nuscenes": ("gsocc_core", "rig nuscenes --calibration {}/tree --out {}/out.yaml",
                 "tree/v1.0-tiny tree/maps/map.png " + " ".join(f"tree/v1.0-tiny/{name}.json" for name in TABLES)),
    "predict": ("gsocc_core", "predict {}/bundle --images {}/pictures --rig {}/rig.yaml --out {}/out --device cpu",
                "bundle/config.yaml bundle/classes.yaml bundle/model.safetensors bundle pictures/left.png rig.yaml"),
    "from a bag": ("rosbag2_to_rig", "{}/bag --out {}/out.yaml", "bag/metadata.yaml bag/bag.mcap bag"),
}  # fmt: skip
MAINS = {"gsocc_core": main, "rosbag2_to_rig": rosbag2_to_rig_program}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, tiny_tree, tiny_bundle, robot, bag_of):
    """A folder with sound inputs of every case."""
    root = tmp_path_factory.mktemp("sound")
    shutil.copytree(tiny_bundle, root / "bundle")
    (root / "tree").mkdir()
    for name in ("v1.0-tiny", "maps"):
        shutil.copytree(tiny_tree / name, root / "tree" / name)
    (root / "tree" / "samples").symlink_to(tiny_tree / "samples")
    for name in ("pictures", "info"):
        (root / name).mkdir()
    rng = np.random.default_rng(0)
    camera = {"model": "pinhole", "width": 64, "height": 48, "intrinsics": [40.0, 40.0, 32.0, 24.0]}
    pose = {"position_m": [1.5, 0.0, 1.6], "yaw_pitch_roll_deg": [0.0, 0.0, 0.0]}
    cameras = {"front": {**camera, **pose}, "left": {**camera, **pose, "yaw_pitch_roll_deg": [90.0, 0.0, 0.0]}}
    (root / "rig.yaml").write_text(yaml.safe_dump({"base_frame": "base_link", "anchor": "front", "cameras": cameras}))
    for name in cameras:
        Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(root / "pictures" / f"{name}.png")
    np.save(root / "cloud.npy", rng.uniform(-9, 9, (50, 3)).astype(np.float32))
    (root / "kalibr.yaml").write_text(KALIBR)
    (root / "info" / "front.yaml").write_text(CAMERA_INFO)
    (root / "poses.yaml").write_text(f"front: [{AHEAD}]\n")
    (root / "calib.txt").write_text(KITTI)
    bag_of(root / "bag", robot(Rig.load("nuscenes"), cycles=5).events())
    return root


def damage(path, kind, seed):
    """One way to spoil an input."""
    rng = np.random.default_rng(seed)
    if kind == "missing":
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif kind == "folder" and path.is_file():
        path.unlink()
        path.mkdir()
    elif kind == "file" and path.is_dir():
        shutil.rmtree(path)
        path.write_bytes(b"")
    elif kind == "link":
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.symlink_to(path.name)  # to itself
    elif path.is_file():
        content = path.read_bytes()
        if kind == "cut":
            content = content[: int(rng.integers(len(content) + 1))]
        elif kind == "noise":
            content = rng.bytes(int(rng.integers(1, 300)))
        elif kind == "flips":
            spoiled = bytearray(content)
            for at in rng.integers(0, len(spoiled), 1 + int(rng.integers(8))):
                spoiled[at] = int(rng.integers(256))
            content = bytes(spoiled)
        elif kind == "absurd" and path.suffix in {".yaml", ".json", ".txt"}:
            words = list(re.finditer(rb"[-+\w.]+", content))
            word = words[int(rng.integers(len(words)))]
            content = content[: word.start()] + ABSURD[int(rng.integers(len(ABSURD)))].encode() + content[word.end() :]
        path.write_bytes(content)


def run_case(name, folder):
    """Exit code, and what came on stderr."""
    program, words, _ = CASES[name]
    told = io.StringIO()
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            code = MAINS[program](words.replace("{}", str(folder)).split())
    except SystemExit as end:
        code = end.code
    finally:
        logging.disable(logging.NOTSET)
    return code or 0, [line for line in told.getvalue().splitlines() if "error" in line or "Traceback" in line]


def check_case(inputs, name, file, kind, seed):
    folder = inputs.parent / f"spoiled{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(inputs, folder, symlinks=True)
    try:
        damage(folder / file, kind, seed)
        before = {path.relative_to(folder) for path in folder.rglob("*")}
        code, errors = run_case(name, folder)
        if code == 1 and name == "check-rig":  # a finding
            assert errors == []
        else:
            assert code in {0, 2}, errors
            assert len(errors) == (code == 2), errors
        for line in errors:
            assert re.search(r"error: .+: .+: expected .+, received ", line), line
        made = {path.relative_to(folder) for path in folder.rglob("*")} - before
        outs = {path for path in made if path.parts[0].startswith("out") and "incomplete" not in path.parts[0]}
        assert made == outs, "something half-written"
        assert not outs or code != 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)


DAMAGES = ("missing", "folder", "file", "link", "cut", "noise", "flips", "absurd", "absurd", "absurd")
SPOILED = st.sampled_from(list(CASES)).flatmap(
    lambda name: st.tuples(
        st.just(name), st.sampled_from(CASES[name][2].split()), st.sampled_from(DAMAGES), st.integers(0, 2**32 - 1)
    )
)


@pytest.mark.parametrize("name", CASES)
def test_sound_inputs_are_taken(inputs, name, tmp_path):
    shutil.copytree(inputs, tmp_path / "sound", symlinks=True)
    assert run_case(name, tmp_path / "sound") == (0, [])


def test_what_was_found_stays_mended(inputs):
    for found in (
        ("nuscenes", "tree/v1.0-tiny/scene.json", "absurd", 3895496952),
        ("from a bag", "bag", "file", 1878681323),
        ("kalibr", "kalibr.yaml", "absurd", 4019583140),
    ):
        check_case(inputs, *found)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(SPOILED)
def test_spoiled_inputs_end_in_one_line(inputs, spoiled):
    check_case(inputs, *spoiled)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_spoiled_inputs_end_in_one_line_for_minutes(inputs):
    rng, end = np.random.default_rng(time.time_ns()), time.monotonic() + 420
    while time.monotonic() < end:
        name = list(CASES)[int(rng.integers(len(CASES)))]
        files = CASES[name][2].split()
        check_case(
            inputs, name, files[int(rng.integers(len(files)))], DAMAGES[int(rng.integers(len(DAMAGES)))],
            int(rng.integers(2**32)),
        )  # fmt: skip


def interrupted(folder, seconds, number, words):
    """A command that gets a signal after some time: its exit code and stderr."""
    program = [sys.executable, "-m", "gsocc_core", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("GSOCC_DEBUG", None)
    with subprocess.Popen(program, cwd=folder, stderr=subprocess.PIPE, text=True, env=environment) as process:
        time.sleep(seconds)
        process.send_signal(number)
        _, told = process.communicate(timeout=300)
    return process.returncode, told


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_at_any_time_leave_nothing_or_what_is_complete(tmp_path, number, jobs):
    """Interrupted time and again, the tree becomes what it is without."""
    words = f"--scenes 4 --world plain --image_scale 0.2 --duration_s 2 --jobs {jobs}".split()
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "gsocc_core", "synthesize", tmp_path / "whole", *words], check=True, cwd=ROOT)
    lasts = time.monotonic() - start
    place = tmp_path / "place"
    place.mkdir()
    complete = []
    for seconds in lasts * np.random.default_rng(number).uniform(0.2, 1.1, 4):
        code, told = interrupted(place, seconds, number, ["synthesize", "out", *words])
        assert "Traceback" not in told, told
        if not code or (place / "out").exists():  # Python gives SIGINT back to the system before it ends
            break
        assert code == (130 if number == signal.SIGINT else 143)
        last = told.strip().splitlines()[-1]
        assert re.search(r"gsocc_core: (interrupted|terminated); (nothing is left|out.incomplete keeps what)", last)
        assert [path.name for path in place.iterdir()] == ["out.incomplete"] * ("keeps" in last)
        done = place / "out.incomplete" / RECORD / "done.jsonl"
        complete.append(done.read_text().count("\n") if done.exists() else 0)
    assert complete == sorted(complete)
    if not (place / "out").exists():
        main(["synthesize", str(place / "out"), *words])
    trees = [
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (place / "out", tmp_path / "whole")
    ]
    assert trees[0] == trees[1]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_one_line(inputs, tmp_path):
    """Predictions and a picture of a rig on a disk of 64 KiB that is full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))
        for name in ("predict", "check-rig"):
            program, words, _ = CASES[name]
            words = re.sub(r"--out \{\}/", f"--out {disk}/", words).replace("{}", str(inputs))
            told = io.StringIO()
            with pytest.raises(SystemExit) as end, contextlib.redirect_stderr(told):
                MAINS[program](words.split())
            assert end.value.code == 2
            assert re.search(r"error: .*out.*: access: expected space on the disk, received", told.getvalue())
            assert [path.name for path in disk.iterdir()] == ["filler"]
    finally:
        subprocess.run(["umount", disk], check=True)
