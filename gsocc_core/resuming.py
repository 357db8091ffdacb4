# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Folders of many items: what is complete stays when the work ends early, and the same command does the rest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gsocc_core._version import __version__
from gsocc_core.errors import DataError, OutputExistsError, say_how_to_go_on
from gsocc_core.whole import becomes, incomplete, whole_file, writing

#: Folder in the incomplete one: which command writes it, which items are complete, and the item that is not.
RECORD = ".unfinished"


class Items:
    """What is complete of a folder, and a place for what is not.

    Args:
        folder: The incomplete folder, with its record; what belongs to no item is written into it at the end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._done = folder, folder / RECORD / "done.jsonl"
        self._values: dict[str, Any] = {}
        text = self._done.read_text(encoding="utf-8") if self._done.exists() else ""
        for line in text.splitlines():
            with suppress(ValueError):  # a killed process may have left half of its last line
                entry = json.loads(line)
                self._values[entry["item"]] = entry["value"]
        if text and not text.endswith("\n"):
            self._note("\n")

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __len__(self) -> int:
        return len(self._values)

    def value(self, name: str) -> Any:
        """What :meth:`finish` was told of a complete item."""
        return self._values[name]

    def begin(self, name: str) -> Path:
        """An empty folder for the files of an item, laid out as in the folder to come.

        Args:
            name: Of the item, with which a path could end.
        """
        place = self._place(name)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        return place

    def finish(self, name: str, value: Any = None) -> None:
        """Put the files of an item to those of the others, and note that it is complete.

        Args:
            name: Of the item.
            value: Something plain to be kept with it.
        """
        place = self._place(name)
        for path in sorted(place.rglob("*")):
            target = self.folder / path.relative_to(place)
            if path.is_dir():
                target.mkdir(exist_ok=True)
            else:
                path.replace(target)
        shutil.rmtree(place)
        self._note(json.dumps({"item": name, "value": value}) + "\n")
        self._values[name] = value

    def _note(self, line: str) -> None:
        with self._done.open("a", encoding="utf-8") as file:
            file.write(line)

    def _place(self, name: str) -> Path:
        return self.folder / RECORD / "items" / name


@contextmanager
def resumable_folder(out: str | Path, arguments: Mapping[str, Any]) -> Iterator[Items]:
    """Fill a folder item by item under the name ``<out>.incomplete``, and rename it at the end.

    Where the work ended early, the same work goes on with what is not complete.

    Args:
        out: The folder to come.
        arguments: What decides what will be in it, as plain values: only work with the same arguments goes on.

    Yields:
        What is complete, and a place for the rest. After an exception, Ctrl+C among them, the incomplete folder stays
        if an item in it is complete, and the program's last line says how to go on.

    Raises:
        OutputExistsError: ``out`` exists, another process fills the folder, or it was begun with other arguments.
        DataError: the system does not let it be written, or the disk is full.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "squares"
        >>> with resumable_folder(folder, {"power": 2}) as items:
        ...     for n in range(3):
        ...         if str(n) not in items:
        ...             (items.begin(str(n)) / f"{n}.txt").write_text(str(n**2)) and items.finish(str(n))
        >>> sorted(path.name for path in folder.iterdir())
        ['0.txt', '1.txt', '2.txt']
    """
    out, items = Path(out), None
    part = incomplete(out)
    told = json.loads(json.dumps({"version": __version__, **arguments}, default=str))
    try:
        with writing(out), becomes(out), _recorded(part, told):
            items = Items(part)
            shutil.rmtree(part / RECORD / "items", ignore_errors=True)
            yield items
            shutil.rmtree(part / RECORD)
    except BaseException as error:
        if items is not None and len(items):
            say_how_to_go_on(error, _goes_on(part))
        elif items is not None:
            shutil.rmtree(part, ignore_errors=True)
        raise


def unfinished(out: str | Path) -> str | None:
    """What an earlier command left of a folder of items, and how to go on; None = nothing.

    Args:
        out: The folder to come, as :func:`resumable_folder` takes it.
    """
    part = incomplete(Path(out))
    return _goes_on(part) if (part / RECORD).is_dir() else None


def _goes_on(part: Path) -> str:
    return f"{part} keeps what is complete, and the same command goes on with the rest"


@contextmanager
def _recorded(part: Path, told: dict[str, Any]) -> Iterator[None]:
    """The folder with its record, which no other process has meanwhile."""
    record = part / RECORD / "command.json"
    if not part.exists():
        try:
            record.parent.mkdir(parents=True)
            with whole_file(record) as path:
                path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        except BaseException:  # a folder without a record would stand in the way of the next attempt
            shutil.rmtree(part, ignore_errors=True)
            raise
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        expected = "none, or one of the same command; remove it, or choose another name"
        raise OutputExistsError(part, "unfinished work", expected, "a folder without a record") from error
    except ValueError as error:
        raise DataError(record, "record", "JSON; remove the folder to begin anew", error) from error
    with record.open("r+", encoding="utf-8") as file:
        if not _locked(file.fileno()):
            raise OutputExistsError(part, "unfinished work", "none", "a folder that another command fills")
        for key in sorted({*told, *found}):
            if told.get(key) != found.get(key):
                expected = f"{found.get(key)!r} as before, another out, or this folder removed"
                raise OutputExistsError(part, key, expected, repr(told.get(key)))
        yield


def _locked(descriptor: int) -> bool:
    """Lock a file until it is closed; False = another process has it. Where nothing can be locked, nothing is."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
