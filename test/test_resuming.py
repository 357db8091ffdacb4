# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Work on many items that ended early goes on: what was complete is not done again, and the result is the same."""

import errno
import subprocess
import sys

import pytest

from gsocc_core.errors import DataError, OutputExistsError
from gsocc_core.program import Terminated, run
from gsocc_core.resuming import RECORD, resumable_folder

NAMES = ("a", "b/1", "b/2", "c")
KEEPS = "out.incomplete keeps what is complete, and the same command goes on with the rest"


@pytest.fixture
def work(tmp_path):
    """Writes a file per item and a table of all values; raises at an item; returns what it did."""

    def fill(at="", error=None, **arguments):
        did = []
        with resumable_folder(tmp_path / "out", {"power": 2, **arguments}) as items:
            for n, name in enumerate(NAMES):
                if name in items:
                    continue
                folder = items.begin(name) / "files" / name
                folder.mkdir(parents=True)
                (folder / "half").write_text(str(n))
                if name == at:
                    raise error
                (folder / "whole").write_text(str(n**2))
                items.finish(name, {"square": n**2})
                did.append(name)
            (items.folder / "table").write_text(str([items.value(name) for name in NAMES]))
        return did

    return fill


def files(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "demo: interrupted; "),
        (Terminated(), 143, "demo: terminated; "),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "access: expected space on the disk, received No space "),
        (DataError("a.png", "picture", "one", "none"), 2, "demo: error: a.png: picture: expected one, received none; "),
    ],
)
def test_what_was_complete_is_not_done_again_and_the_result_is_the_same(
    work, tmp_path, capsys, monkeypatch, error, code, line
):
    monkeypatch.delenv("GSOCC_DEBUG", raising=False)
    assert work() == list(NAMES)
    whole = files(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "before")
    assert run("demo", lambda: work(at="b/2", error=error)) == code
    (told,) = capsys.readouterr().err.splitlines()
    assert line in told
    assert told.endswith(KEEPS)
    assert {path.name for path in tmp_path.iterdir()} == {"before", "out.incomplete"}
    assert work() == ["b/2", "c"]
    assert files(tmp_path / "out") == whole
    assert {path.name for path in tmp_path.iterdir()} == {"before", "out"}
    with pytest.raises(OutputExistsError, match="out: expected a folder that does not exist"):
        work()


def test_without_anything_complete_nothing_is_left(work, tmp_path, capsys):
    assert run("demo", lambda: work(at="a", error=KeyboardInterrupt())) == 130
    assert "nothing is left of an output that was not complete; the same command begins anew" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_half_a_line_and_half_an_item(work, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        work(at="c", error=KeyboardInterrupt())
    done = tmp_path / "out.incomplete" / RECORD / "done.jsonl"
    done.write_text(done.read_text()[:-9])
    with pytest.raises(KeyboardInterrupt):
        work(at="c", error=KeyboardInterrupt())
    assert work() == ["c"], "b/2 was noted on a line of its own"


def test_other_arguments_are_refused_and_change_nothing(work, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        work(at="c", error=KeyboardInterrupt())
    before = files(tmp_path)
    expected = r"out\.incomplete: power: expected 2 as before, another out, or this folder removed, received 3"
    with pytest.raises(OutputExistsError, match=expected):
        work(power=3)
    with pytest.raises(OutputExistsError, match=r"out\.incomplete: limit: expected None as before"):
        work(limit=1)
    assert files(tmp_path) == before
    (tmp_path / "out.incomplete" / RECORD / "command.json").unlink()
    with pytest.raises(OutputExistsError, match="unfinished work: expected none, or one of the same command"):
        work()


def test_two_processes_do_not_fill_the_same_folder(work, tmp_path):
    script = (
        "import sys; from gsocc_core.resuming import resumable_folder\n"
        "with resumable_folder(sys.argv[1], {'power': 2}) as items:\n"
        "    items.begin('a'); items.finish('a'); print('writes', flush=True); sys.stdin.read()\n"
    )
    words = [sys.executable, "-c", script, tmp_path / "out"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"writes\n"
        with pytest.raises(OutputExistsError, match="a folder that another command fills"):
            work()
        process.kill()
    assert work() == list(NAMES[1:])


def test_a_folder_whose_record_cannot_be_written_is_gone_again(tmp_path, monkeypatch):
    """Left behind without a record, it would be refused as nobody's by the next attempt."""
    from gsocc_core import resuming

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(resuming, "whole_file", full)
    with pytest.raises(DataError, match="expected space on the disk"), resumable_folder(tmp_path / "out", {}):
        pass
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    with resumable_folder(tmp_path / "out", {}):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
