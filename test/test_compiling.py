# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Kernels run whatever became of the files that they are kept in, and without any place for such files."""

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import gsocc_core

SOURCE = """
from gsocc_core.compiling import kernel

@kernel()
def twice(x):
    return 2 * x
"""


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Calls the kernel of a module as a new process would: its dispatcher is new, its files are old."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "module.py"
    path.write_text(SOURCE)

    def start():
        spec = importlib.util.spec_from_file_location("kernels_of_a_test", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.twice(21) == 42
        return sum(module.twice.stats.cache_hits.values())

    return start


def files(tmp_path, ending):
    (found,) = (tmp_path / "cache").rglob(f"*.{ending}")
    return found


def flip_a_bit_in_the_middle(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


DAMAGES = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "other": lambda path: path.write_bytes(b"\x80\x04cos\nno_such_thing\n."),
}


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_told_and_mended(started, tmp_path, caplog, ending, damage):
    assert started() == 0
    assert started() == 1
    DAMAGES[damage](files(tmp_path, ending))
    with caplog.at_level(logging.WARNING):
        assert started() == 0
    assert "twice" in caplog.text
    assert "compiled anew" in caplog.text
    assert started() == 1, "the next start finds it mended"


def test_machine_code_with_a_flipped_bit_is_never_run(started, tmp_path, caplog):
    started()
    flip_a_bit_in_the_middle(files(tmp_path, "nbc"))
    assert started() == 0
    assert "compiled anew" in caplog.text


def test_a_lost_file_is_compiled_anew_without_a_word(started, tmp_path, caplog):
    started()
    files(tmp_path, "nbc").unlink()
    assert started() == 0
    assert started() == 1
    assert not caplog.text


def test_a_cache_that_cannot_be_written_costs_time_only(started, tmp_path, caplog, monkeypatch):
    from gsocc_core import compiling

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiling._CheckedFiles, "_save_data", full)
    assert started() == 0
    assert "No space left" in caplog.text


def test_without_any_folder_to_write_to_everything_starts(tmp_path):
    package = tmp_path / "gsocc_core"
    shutil.copytree(Path(gsocc_core.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").touch()  # a file: not even root can make the folder
    home = tmp_path / "home"
    home.touch()
    script = (
        "import numpy as np, gsocc_core\n"
        "from gsocc_core.commands.cli import main\n"
        "from gsocc_core.splat.simd import exp32\n"
        "from gsocc_core.commands.diagnosis import kernel_folder\n"
        "print(gsocc_core.__file__, float(exp32(np.float32(0.0))), kernel_folder())\n"
        "main(['--help'])\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in {"NUMBA_CACHE_DIR", "XDG_CACHE_HOME"}}
    environment |= {"PYTHONPATH": str(tmp_path), "HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{package / '__init__.py'} 1.0 None\n")
    assert "usage: gsocc_core" in done.stdout
    assert done.stderr.count("NUMBA_CACHE_DIR") == 1
