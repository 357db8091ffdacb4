# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Every example runs as a user would run it: a process of its own, in an empty folder."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples"


@dataclass(frozen=True)
class Run:
    """How one example is run: small sizes, what it must print, and the files that it leaves."""

    name: str
    words: tuple[str, ...]
    printed: str
    files: tuple[str, ...] = ()
    slow: bool = False
    needs: str | None = None


RUNS = (
    Run("01_splat_to_voxels", ("--density_per_m2", "6"), "driveable_surface", ("voxels.png",)),
    Run("02_load_and_predict", ("--image_scale", "0.1"), "(200, 200, 16) voxels", ("prediction.png",), slow=True),
    Run(
        "03_train_a_small_model", ("--steps", "2", "--duration_s", "0.6", "--image_scale", "0.06"), "IoU",
        ("small_run/run/bundle/model.safetensors", "small_run/run/config.yaml"), slow=True, needs="nuscenes",
    ),
    Run(
        "04_replay_a_recording", ("--duration_s", "0.6", "--image_scale", "0.1"), "occupied voxels around the car",
        ("replayed/occupancy/metadata.yaml",), slow=True, needs="nuscenes",
    ),
    Run("05_write_your_own_method", ("--steps", "2", "--batch", "1"), "IoU on a new scene"),
    Run(
        "06_render_inside_your_model", ("--steps", "2", "--count", "30", "--size", "16"), "PSNR of the new view",
        ("learned.png",),
    ),
)  # fmt: skip


@pytest.mark.parametrize("run", [pytest.param(r, id=r.name, marks=[pytest.mark.slow] if r.slow else []) for r in RUNS])
def test_example_runs(run, tmp_path, execute):
    if run.needs:
        pytest.importorskip(run.needs)
    status, printed, complained = execute(run.name, run.words, tmp_path)
    assert status == 0, complained[-3000:]
    assert run.printed in printed
    for name in run.files:
        assert (tmp_path / name).stat().st_size > 0


def test_every_example_is_run():
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == [run.name for run in RUNS]


@pytest.mark.slow
def test_own_method_learns(tmp_path, execute):
    _, printed, _ = execute("05_write_your_own_method", ("--steps", "150"), tmp_path)
    losses = [float(line.split()[-1]) for line in printed.splitlines() if line.startswith("step")]
    assert losses[-1] < 0.7 * losses[0], printed
    assert float(printed.split("IoU on a new scene:")[1].split()[0]) > 30


@pytest.mark.slow
def test_rendering_learns_a_view_that_was_never_shown(tmp_path, execute):
    _, printed, _ = execute("06_render_inside_your_model", ("--steps", "100"), tmp_path)
    psnr = [float(line.split()[-2]) for line in printed.splitlines() if line.startswith("step")]
    assert psnr[-1] > psnr[0] + 3, printed


#: Forks a process per request, after the imports that every example begins with and before anything was computed.
SERVER = """
import json, os, runpy, sys, traceback
import gsocc_core, jsonargparse, torch._dynamo
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    path, words, folder, out, err = json.loads(line)
    child = os.fork()
    if not child:
        os.dup2(os.open(out, os.O_CREAT | os.O_WRONLY), 1)
        os.dup2(os.open(err, os.O_CREAT | os.O_WRONLY), 2)
        os.chdir(folder)
        sys.argv, sys.path[0], code = [path, *words], os.path.dirname(path), 0
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as error:
            code = error.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
    print(json.dumps(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def execute(tmp_path_factory):
    """Run an example: its status and what it printed and complained."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    words = [sys.executable, "-c", SERVER]
    with subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert json.loads(server.stdout.readline()) == "ready"

        def run(name, words, folder):
            texts = [tmp_path_factory.mktemp("texts") / kind for kind in ("out", "err")]
            request = [str(FOLDER / f"{name}.py"), words, str(folder), *map(str, texts)]
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            return json.loads(server.stdout.readline()), *(text.read_text() for text in texts)

        yield run
        server.kill()
