# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Whole runs: what they write trains a model, a killed one goes on, several share the work."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gsocc_core.commands import label_depth, label_semantics, train
from gsocc_core.commands.cli import main
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.data.nuscenes_index import open_nuscenes, read_key_frames
from gsocc_core.data.protocol import Protocol, write_protocol
from gsocc_core.data.view_label_files import decode
from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.labels.folder import LabelFolder
from gsocc_core.training.args import OptimizerArgs, RunArgs

from ..conftest import CHANNELS, TINY_MODEL  # noqa: TID252 - tests are no package, the constants live beside them


@pytest.fixture(scope="module")
def tree(tree_writer, tmp_path_factory):
    """Two scenes of three key frames, with pictures and no labels."""
    return tree_writer(tmp_path_factory.mktemp("data") / "tree", test=True)


def run_depth(tree, models, out, **options):
    label_depth(str(tree), str(models["depth_anything"]), "v1.0-tiny", str(out), device="cpu", **options)


def files(out):
    return sorted(path.relative_to(out).as_posix() for path in Path(out).glob("*/*"))


def environment(**more):
    clean = {k: v for k, v in os.environ.items() if k not in {"RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_PROCID"}}
    return {**clean, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2]), **more}


ALL = [f"scene-{s}/scene-{s}-{i}.zip" for s in "ab" for i in range(3)]


@pytest.fixture(scope="module")
def labelled(tree, models, prompts_file, tmp_path_factory):
    """The tree with both kinds of labels, made through the command line."""
    root = shutil.copytree(tree, tmp_path_factory.mktemp("labelled") / "tree")
    words = ["--dataroot", str(root), "--version", "v1.0-tiny", "--device", "cpu", "--workers", "2"]
    main(["label", "depth", *words, "--model", str(models["depth_anything"]), "--batch-size", "4"])
    main(["label", "semantics", *words, "--prompts", str(prompts_file), "--detector", str(models["detector"]),
          "--segmenter", str(models["sam2"]), "--mode", "combined"])  # fmt: skip
    return root


def test_every_key_frame_has_every_camera_by_its_name(labelled, models):
    from gsocc_core.labels.depth import load_depth

    assert files(labelled / "depth_labels") == files(labelled / "semantics_labels") == ALL
    torch = pytest.importorskip("torch")
    frame = read_key_frames(open_nuscenes(labelled, "v1.0-tiny"), ["scene-b"], CHANNELS)[0][1]
    stored = decode(labelled / "depth_labels" / "scene-b" / "scene-b-1.zip", "depth")
    assert set(stored) == set(CHANNELS)
    labeller = load_depth(str(models["depth_anything"]), torch.device("cpu"))
    for shot in frame.shots:
        picture = torch.from_numpy(np.asarray(Image.open(shot.path).convert("RGB")).copy()).permute(2, 0, 1)[None]
        with torch.inference_mode():
            expected = labeller(picture, [shot.camera], (22, 40))[0].numpy()
        assert stored[shot.camera.name].shape == (22, 40)
        np.testing.assert_allclose(stored[shot.camera.name], expected, rtol=0.003)
    ids = decode(labelled / "semantics_labels" / "scene-b" / "scene-b-1.zip", "classes")
    assert set(ids) == set(CHANNELS)
    found = {int(i) for array in ids.values() for i in np.unique(array)}
    assert found - {0}
    assert found <= {0, 3, 4, 8, 11, 15}


def test_the_folder_says_how_it_was_made_and_shows_it(labelled):
    content = json.loads((labelled / "semantics_labels" / "labels.json").read_text())
    assert content["kind"] == "classes"
    assert content["prompts"]["traffic cone"] == "traffic_cone"
    assert content["mode"] == "combined"
    for name in ("depth_labels", "semantics_labels"):
        preview = Image.open(labelled / name / "preview.jpg")
        assert preview.size == (1440, 1080)
        assert np.asarray(preview).std() > 20


def test_a_tree_with_classes_of_its_own_is_labelled_with_them(tree, models, prompts_file, tmp_path):
    root = shutil.copytree(tree, tmp_path / "tree")
    colors = ((0, 0, 0), (10, 20, 30), (250, 0, 250))
    classes = ClassTable(("free", "road", "vehicle"), colors, free_id=0)
    own = Protocol(
        "own", classes, VoxelGrid((0.0,) * 3, (8.0,) * 3, 1.0), "camera", True, None, "occ3d_dir", box_classes={}
    )
    write_protocol(root / "gts", own)
    words = tmp_path / "words.yaml"
    words.write_text("none: [sky]\nvehicle: [car, bus, building, traffic cone, street, vehicle]\n")
    models_of = (str(models["detector"]), str(models["sam2"]), "v1.0-tiny", str(tmp_path / "out"))
    label_semantics(str(root), str(words), *models_of, limit=1, mode="combined", device="cpu")
    with zipfile.ZipFile(tmp_path / "out" / ALL[0]) as file:
        pictures = [Image.open(io.BytesIO(file.read(f"{name}.png"))) for name in CHANNELS]
        ids = np.stack([np.asarray(picture) for picture in pictures])
        shown = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    assert set(np.unique(ids)) == {0, 2}
    assert (shown[ids == 2] == (250, 0, 250)).all()
    content = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert content["prompts"]["car"] == "vehicle"
    preview = np.asarray(Image.open(tmp_path / "out" / "preview.jpg"), float)
    above, below = preview[:270, :480], preview[270:540, :480]
    labelled = np.asarray(Image.fromarray(ids[0]).resize((480, 270), Image.Resampling.NEAREST)) == 2
    colour = np.median((below - 0.4 * above)[labelled], 0)
    assert colour == pytest.approx([0.6 * 250, 0, 0.6 * 250], abs=15)
    with pytest.raises(ConfigError, match="car: expected one of none, road, vehicle"):
        label_semantics(str(root), str(prompts_file), *models_of, mode="combined", device="cpu")


def test_a_model_trains_on_them(labelled, tmp_path):
    data = DataArgs(
        str(labelled), "v1.0-tiny", scenes=("scene-a",), occ3d_dir=None, depth_dir="depth_labels",
        semantics_dir="semantics_labels", view_size=(8, 22), views=2, view_offsets=(-1, 1), max_view_depth_m=80.0,
    )  # fmt: skip
    frames = NuScenesOccupancy(data, (32, 64))[1]
    assert frames.targets.view_depth_m.shape == (1, 2, 6, 8, 22)
    assert (frames.targets.view_depth_m > 0).float().mean() > 0.9
    labelled_pixels = frames.targets.view_semantics != 255
    assert labelled_pixels.any()
    # The stored camera of a name, whatever its place in the file
    stored = decode(labelled / "depth_labels" / "scene-a" / "scene-a-1.zip", "depth")["CAM_BACK"]
    view = frames.targets.view_depth_m[0, 0, CHANNELS.index("CAM_BACK")].numpy()
    assert np.isin(view, stored).all()
    out = tmp_path / "run"
    run = RunArgs(max_steps=1, batch_size=2, accelerator="cpu", progress_bar=False, log_every=1)
    train(str(out), "gaussianflowocc", TINY_MODEL, data, tuple(range(1, 17)), None, OptimizerArgs(warmup_steps=1), run)
    assert (out / "bundle" / "model.safetensors").is_file()
    log = next(out.rglob("metrics.csv")).read_text().splitlines()
    row = dict(zip(log[0].split(","), log[1].split(",")))
    losses = {key: float(value) for key, value in row.items() if ("semantics" in key or "depth" in key) and value}
    assert len(losses) >= 2
    assert all(np.isfinite(value) and value > 0 for value in losses.values()), losses


KILLED = """
import os, signal, sys, threading
from gsocc_core.commands.cli import main
sync, lock, calls = os.fsync, threading.Lock(), []
def dying(number):
    sync(number)
    with lock:
        calls.append(number)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
os.fsync = dying
main(sys.argv[1:])
"""


def test_a_killed_run_leaves_whole_files_and_goes_on(tree, models, tmp_path):
    out = tmp_path / "depth"
    words = ["label", "depth", str(tree), "--version", "v1.0-tiny", "--out", str(out), "--device", "cpu",
             "--model", str(models["depth_anything"]), "--workers", "1"]  # fmt: skip
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], env=environment(), capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    done = files(out)
    whole = [name for name in done if name in ALL]
    assert len(whole) == 3
    assert len(done) == 4  # one was written and not yet renamed
    assert all(set(decode(out / name, "depth")) == set(CHANNELS) for name in whole)
    before = {name: (out / name).stat().st_mtime_ns for name in whole}
    run_depth(tree, models, out)
    assert files(out) == ALL
    assert {name: (out / name).stat().st_mtime_ns for name in whole} == before
    fresh = tmp_path / "fresh"
    run_depth(tree, models, fresh)
    for name in ALL:
        ours, expected = decode(out / name, "depth"), decode(fresh / name, "depth")
        for camera in CHANNELS:
            np.testing.assert_allclose(ours[camera], expected[camera], rtol=0.006)


TELLS = """
import os, sys
from gsocc_core.commands.cli import main
from gsocc_core.labels.folder import LabelFolder
write = LabelFolder.write
def telling(self, frame, labels):
    write(self, frame, labels)
    with open(os.path.join(sys.argv[-1], "who.txt"), "a") as file:
        file.write(f"{os.environ['RANK']} {frame.scene_name}/{frame.token}.zip\\n")
LabelFolder.write = telling
main(sys.argv[1:-1])
"""


@pytest.mark.slow
def test_two_processes_of_torchrun_share_the_work(tree, models, tmp_path):
    out, script = tmp_path / "depth", tmp_path / "label.py"
    script.write_text(TELLS)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1",
               f"--master-port={port}", str(script), "label", "depth", str(tree), "--version", "v1.0-tiny", "--out",
               str(out), "--device", "cpu", "--model", str(models["depth_anything"]), str(tmp_path)]  # fmt: skip
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=180)
    assert ran.returncode == 0, ran.stderr
    assert "shard 0/2: 3 of 6 key frames" in ran.stderr
    who = [line.split() for line in (tmp_path / "who.txt").read_text().splitlines()]
    assert sorted(name for _, name in who) == ALL  # nothing twice
    assert {rank: sum(r == rank for r, _ in who) for rank in "01"} == {"0": 3, "1": 3}
    assert files(out) == ALL


def test_parts_by_hand_fill_one_folder(tree, models, tmp_path):
    for i in range(4):
        run_depth(tree, models, tmp_path / "out", shard=f"{i}/4", batch_size=1, size=(9, 16))
    assert files(tmp_path / "out") == ALL
    read = decode(tmp_path / "out" / ALL[0], "depth")
    assert {array.shape for array in read.values()} == {(9, 16)}


def test_other_settings_and_strange_folders_are_refused(tree, models, tmp_path):
    run_depth(tree, models, tmp_path / "out", limit=1)
    assert files(tmp_path / "out") == ALL[:1]
    with pytest.raises(OutputExistsError, match=r"size: expected None as before, or another --out, received \[9, 16\]"):
        run_depth(tree, models, tmp_path / "out", size=(9, 16))
    with pytest.raises(OutputExistsError, match="max_error"):
        run_depth(tree, models, tmp_path / "out", max_error=0.01)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputExistsError, match=r"labels\.json: expected a new folder.*thesis\.txt"):
        run_depth(tree, models, tmp_path / "mine")


def test_a_full_disk_is_reported_and_leaves_nothing(tree, tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    frame = read_key_frames(open_nuscenes(tree, "v1.0-tiny"), ["scene-a"], CHANNELS)[0][0]
    folder = LabelFolder(tmp_path / "out", "depth", CHANNELS, {}, 0.0025)
    part = tmp_path / "out" / "scene-a" / f".scene-a-0.zip.{os.getpid()}.part"
    part.parent.mkdir()
    part.symlink_to("/dev/full")  # every write fails as on a full disk
    labels = {name: np.ones((4, 4), np.float32) for name in CHANNELS}
    with pytest.raises(DataError, match=r"scene-a-0\.zip: write: expected space for \d+ bytes.*No space left"):
        folder.write(frame, labels)
    assert files(tmp_path / "out") == []
    folder.write(frame, labels)
    assert files(tmp_path / "out") == ALL[:1]


def test_a_broken_picture_is_named_and_finished_key_frames_stay(tree, models, tmp_path):
    root = shutil.copytree(tree, tmp_path / "tree")
    broken = root / "samples" / "CAM_BACK" / "scene-b-0.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(DataError, match=r"CAM_BACK/scene-b-0\.jpg: content"):
        run_depth(root, models, tmp_path / "out")
    assert set(ALL[:2]) <= set(files(tmp_path / "out")) <= set(ALL[:3])
    Image.new("RGB", (81, 45)).save(broken)
    with pytest.raises(DataError, match=r"size: expected \(45, 80\) as in the tables, received \(45, 81\)"):
        run_depth(root, models, tmp_path / "out")


def test_wrong_arguments_are_refused(tree, models, prompts_file, tmp_path):
    for options in ({"batch_size": 0}, {"workers": 0}, {"size": (0, 4)}, {"max_error": 1.0}, {"shard": "2/2"}):
        with pytest.raises(ConfigError, match=f"--{next(iter(options))}"):
            run_depth(tree, models, tmp_path / "out", **options)
    words = {"detector": str(models["detector"]), "segmenter": str(models["sam2"]), "version": "v1.0-tiny"}
    with pytest.raises(ConfigError, match="--box_threshold: expected 0"):
        label_semantics(str(tree), str(prompts_file), **words, box_threshold=20.0)
    with pytest.raises(ConfigError, match="--device"):
        label_semantics(str(tree), str(prompts_file), **words, device="tpu9")
    wrong = tmp_path / "prompts.yaml"
    wrong.write_text("lorry: [truck]")
    with pytest.raises(ConfigError, match="lorry: expected one of none, barrier"):
        label_semantics(str(tree), str(wrong), **words)
    assert not (tmp_path / "out").exists()


def test_the_command_line_ends_with_one_line(tree, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["label", "depth", str(tree), "--version", "v1.0-tiny", "--model", str(tmp_path / "nowhere")])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gsocc_core: error: command line: --model: expected a folder or hub id of a model of type")
    with pytest.raises(SystemExit):
        main(["label", "colours"])
    assert "received 'label colours'" in capsys.readouterr().err


def test_processes_of_a_launcher_take_turns(tree, models, tmp_path, monkeypatch):
    for rank, expected in (("0", ALL[0::2]), ("1", ALL)):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        run_depth(tree, models, tmp_path / "out")
        assert files(tmp_path / "out") == expected
