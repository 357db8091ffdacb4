# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A program that loads and compiles for long says so at once, one that ends at once says nothing of it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gsocc_core.announcing import announced

STARTING = "demo: starting; kernels that this machine has not compiled yet take up to half a minute"
COMPILING = "CPU kernels are compiled, once per machine; this takes up to half a minute"


def test_silence_is_broken_unless_the_program_ends_at_once(capsys, monkeypatch):
    monkeypatch.setattr("gsocc_core.announcing.SILENCE_S", 0.05)
    with announced("demo"):
        time.sleep(0.5)
    assert capsys.readouterr().err.splitlines() == [STARTING]
    monkeypatch.setattr("gsocc_core.announcing.SILENCE_S", 60.0)
    with announced("demo"):
        pass
    assert capsys.readouterr().err == ""


def compile_a_kernel(number):
    from gsocc_core.compiling import kernel

    return kernel()(lambda x: x + 1)(number)


@pytest.mark.parametrize("where", ["here", "in workers", "in a library"])
def test_compiling_is_told_once(where, tmp_path):
    script = f"""
from contextlib import nullcontext
from gsocc_core.announcing import announced
from gsocc_core.processes import worker_context, worker_pool
from test_announcing import compile_a_kernel
if __name__ == "__main__":
    with announced("demo") if {where != "in a library"} else nullcontext():
        if {where == "in workers"}:
            with worker_pool(2, worker_context("test_announcing")) as pool:
                print(sum(pool.map(compile_a_kernel, [1, 2, 3])))
        else:
            print(sum(map(compile_a_kernel, [1, 2, 3])))
"""
    (tmp_path / "program.py").write_text(script)
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "9\n"
    assert done.stderr.count(COMPILING) == (where != "in a library"), done.stderr


def test_a_command_speaks_before_it_loads_and_its_help_does_not():
    """Before PyTorch is imported, which takes longer than anybody waits for a first word."""
    script = (
        "import sys, threading\n"
        "from gsocc_core import announcing\n"
        "announcing.SILENCE_S = 0.0\n"
        "said = []\n"
        "announcing._say = lambda line: said.append((line.split(';')[0], 'torch' in sys.modules))\n"
        "from gsocc_core.commands.cli import main\n"
        "sys.argv[1:] = ['check-rig', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    print(said)\n"
        "sys.argv[1:] = ['check-rig', 'nowhere']\n"
        "try:\n    main()\nexcept SystemExit:\n    print(said)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["[]", "[('gsocc_core check-rig: starting', False)]"], done.stderr
