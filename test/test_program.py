# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""However a program ends, it says so in one line, and nothing half-written is left."""

import errno
import os
import resource
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

from gsocc_core.commands.cli import main, run_program
from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.program import run
from gsocc_core.whole import check_place, whole_file, whole_folder


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("a.yaml", "key", "this", "that"), 2, "error: a.yaml: key: expected this, received that"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/a"),
            2,
            "error: /a: access: expected permission, recei",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "error: system: access: expected space on the disk, rec"),
        (FileNotFoundError(errno.ENOENT, "No such file", b"/b"), 2, "error: /b: access: expected a path that exists, "),
        (MemoryError(), 2, "error: memory: expected more of it, or less work at a time, received no more"),
        (BrokenProcessPool("ended"), 2, "error: worker process: expected one that lives"),
        (KeyboardInterrupt(), 130, "interrupted; nothing is left of an output that was not complete"),
        (KeyError("x"), 1, "error: KeyError at test_program.py:"),
    ],
)
def test_every_end_is_one_line(error, code, line, capsys, monkeypatch):
    monkeypatch.delenv("GSOCC_DEBUG", raising=False)
    assert run("demo", raising(error)) == code
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"demo: {line}")
    with pytest.raises(type(error)):
        run("demo", raising(error), debug=True)


def test_a_pipe_that_breaks_is_no_good_end_unless_it_is_that_of_the_output(capsys, monkeypatch):
    monkeypatch.delenv("GSOCC_DEBUG", raising=False)
    assert run("demo", raising(BrokenPipeError(errno.EPIPE, "Broken pipe"))) == 2
    assert "demo: error: " in capsys.readouterr().err
    code = (
        "import os, sys; from gsocc_core.program import run\n"
        "def work():\n    while True: print('line', flush=True)\n"
        "sys.exit(run('demo', work))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"line\n"
    process.stdout.close()  # as head does
    assert (process.wait(60), process.stderr.read()) == (0, b"")


def test_sigterm_cleans_up_as_an_interrupt_does(tmp_path, capsys):
    def work():
        with whole_folder(tmp_path / "out") as part:
            (part / "a").write_text("half")
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()

    before = signal.getsignal(signal.SIGTERM)
    assert run("demo", work, go_on="with --resume it goes on") == 143
    assert capsys.readouterr().err == "demo: terminated; with --resume it goes on\n"
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_outputs_without_a_place_are_told_before_the_work(tmp_path, capsys):
    (tmp_path / "file").write_text("")

    def work(out: str, report: str | None = None) -> None:
        raise AssertionError("began")

    bad = str(tmp_path / "file" / "out.json")
    expected = f"out.json: out: expected a folder above it, received {tmp_path}/file, which is none"
    for words in ([bad], [str(tmp_path / "good"), "--report", bad]):
        assert run_program("demo", work, words) == 2
        assert expected in capsys.readouterr().err
    assert check_place(tmp_path / "new" / "deep" / "out") == tmp_path / "new" / "deep" / "out"
    with pytest.raises(SystemExit) as end:
        main(["bench", "splat", "--out", bad])
    assert end.value.code == 2
    assert expected in capsys.readouterr().err


def test_a_folder_appears_when_it_is_complete(tmp_path):
    out = tmp_path / "new" / "out"
    with whole_folder(out) as part:
        assert part == tmp_path / "new" / "out.incomplete"
        (part / "a").write_text("all")
        assert not out.exists()
    assert (out / "a").read_text() == "all"
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    with pytest.raises(OutputExistsError, match="out: expected a folder that does not exist"), whole_folder(out):
        raise AssertionError
    (tmp_path / "b.incomplete").mkdir()
    expected = r"b\.incomplete: unfinished work: expected none: another command writes it, or one was killed"
    with pytest.raises(OutputExistsError, match=expected), whole_folder(tmp_path / "b"):
        raise AssertionError
    assert (tmp_path / "b.incomplete").is_dir()  # it may be somebody else's


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_after_an_exception_nothing_is_left(tmp_path, error):
    (tmp_path / "kept.npz").write_bytes(b"before")

    def fill():
        with whole_folder(tmp_path / "out") as part:
            (part / "a").mkdir()
            raise error

    def write():
        with whole_file(tmp_path / "kept.npz") as part:
            part.write_bytes(b"half")
            raise error

    for work in (fill, write):
        with pytest.raises(type(error)):
            work()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("kept.npz", b"before")]


def test_what_cannot_be_written_is_told_with_its_name(tmp_path):
    """A limit for files fails writing in the middle, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    limit = "access: expected a limit for files"
    try:
        with pytest.raises(DataError, match=rf"a\.npz: {limit}"), whole_file(tmp_path / "a.npz") as part:
            np.savez(part, x=np.random.default_rng(0).random(9999))
        with pytest.raises(DataError, match=f"out: {limit}"), whole_folder(tmp_path / "out") as part:
            (part / "b").write_bytes(bytes(9999))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


#: Ends a program where it imports the first package that reads the environment, or that may import one.
NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_NUM_THREADS")
WATCH = f"""
import os, sys
NAMES = {NAMES}
class Watch:
    def find_spec(self, name, *rest):
        if name in ("numpy", "torch", "numba", "rclpy"):
            print(*(os.environ.get(name) for name in NAMES), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch())
"""


@pytest.mark.parametrize("program", ["gsocc_core.commands.cli", "gsocc_ros.node.process"])
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "None 1000 1"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None 1"),
        ({"GOMP_SPINCOUNT": "7", "OPENBLAS_NUM_THREADS": "3"}, "None 7 3"),
    ],
)
def test_threads_of_programs_sleep_where_they_wait_unless_somebody_asks_for_more(program, asked, expected):
    environment = {key: value for key, value in os.environ.items() if key not in NAMES} | asked
    code = f"{WATCH}from {program} import main\nmain(['doctor'])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == f"{expected}\n", done.stderr
