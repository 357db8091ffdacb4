# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Outputs that appear when they are complete and never in part, and what the system says when it lets nobody write."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gsocc_core.errors import DataError, GsoccError, OutputExistsError

#: What was expected, by what the system answers.
_EXPECTED = {
    errno.ENOSPC: "space on the disk", errno.EDQUOT: "space within the quota", errno.EACCES: "permission",
    errno.EPERM: "permission", errno.EROFS: "a file system that can be written", errno.ENOENT: "a path that exists",
    errno.ENOTDIR: "a path through folders alone", errno.EISDIR: "a file", errno.EEXIST: "a path that is free",
    errno.EMFILE: "fewer open files (ulimit -n)", errno.ENFILE: "fewer open files in the system",
    errno.ENAMETOOLONG: "a shorter name", errno.EADDRINUSE: "a port that is free", errno.EIO: "a disk that works",
    errno.ELOOP: "links that end somewhere",
    errno.EFBIG: "a limit for files that allows it (ulimit -f)",
}  # fmt: skip
#: With less left a disk counts as full, bytes.
_FULL = 1 << 16


def system_fault(error: OSError, where: object = None) -> DataError:
    """What the system would not do, as an error of this project.

    Args:
        error: What it raised.
        where: File or folder where the error names none.

    Example:
        >>> system_fault(PermissionError(13, "Permission denied", "/data/out"))
        DataError('/data/out: access: expected permission, received Permission denied')
    """
    place = error.filename if error.filename is not None else where
    place = "system" if place is None else os.fsdecode(place) if isinstance(place, bytes) else place
    expected = _EXPECTED.get(error.errno or 0, "what the system can do")
    return DataError(place, "access", expected, error.strerror or error)


def check_place(path: str | Path) -> Path:
    """Raise unless something could be written at a path: before the work, not after it.

    Args:
        path: File or folder to come; folders above it may be missing.

    Returns:
        The path.

    Raises:
        DataError: a file is in the way, or a folder above cannot be written.

    Example:
        >>> check_place("/dev/null/a")
        Traceback (most recent call last):
        ...
        gsocc_core.errors.DataError: /dev/null/a: out: expected a folder above it, received /dev/null, which is none
    """
    path = Path(path)
    above = path.absolute().parent
    while not os.path.lexists(above):
        above = above.parent
    if not above.is_dir():
        raise DataError(path, "out", "a folder above it", f"{above}, which is none")
    if not os.access(above, os.W_OK | os.X_OK):
        raise DataError(path, "out", f"permission to write in {above}", "none")
    return path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Write a file under another name with the same ending, and rename it at the end; the folder is made.

    Args:
        path: The file, which is replaced.

    Yields:
        The path to write to. After an exception nothing is left of it, and ``path`` is as it was.

    Raises:
        DataError: the system does not let it be written, or the disk is full.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def incomplete(out: Path) -> Path:
    """What a folder is called until it is complete."""
    return out.with_name(f"{out.name}.incomplete")


@contextmanager
def whole_folder(out: str | Path) -> Iterator[Path]:
    """Fill a folder under the name ``<out>.incomplete``, and rename it at the end.

    Args:
        out: The folder to come.

    Yields:
        The folder to fill. After an exception, Ctrl+C and SIGTERM (see :mod:`gsocc_core.program`) it is removed; a
        process that is killed leaves it.

    Raises:
        OutputExistsError: ``out`` exists, or such a folder is there: somebody else writes it, or was killed.
        DataError: the system does not let it be written, or the disk is full.
    """
    out = Path(out)
    part, made = incomplete(out), False
    try:
        with writing(out), becomes(out):
            try:
                part.mkdir()
            except FileExistsError as error:
                expected = "none: another command writes it, or one was killed; remove it, or choose another name"
                raise OutputExistsError(part, "unfinished work", expected, "an existing folder") from error
            made = True
            yield part
    except BaseException:
        if made:
            shutil.rmtree(part, ignore_errors=True)
        raise


@contextmanager
def becomes(out: Path) -> Iterator[None]:
    """What is called ``<out>.incomplete`` at the end of the block gets its name, which must be free before and then.

    Args:
        out: The folder to come; those above it are made.

    Raises:
        OutputExistsError: it exists.
    """
    if os.path.lexists(out):
        raise OutputExistsError(out, "out", "a folder that does not exist", "an existing one")
    check_place(out).parent.mkdir(parents=True, exist_ok=True)
    yield
    if os.path.lexists(out):
        raise OutputExistsError(out, "out", "a folder that does not exist", "one that came meanwhile")
    incomplete(out).rename(out)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Errors of the system name the output where they name nothing; so do those of libraries on a full disk."""
    try:
        yield
    except GsoccError:
        raise
    except OSError as error:
        raise system_fault(error, path) from error
    except Exception as error:
        free = _free_bytes(path)
        if free is None or free >= _FULL:
            raise
        raise DataError(path, "access", "space on the disk", f"{free} bytes left ({error})") from error


def _free_bytes(path: Path) -> int | None:
    """Bytes left where a path lies; None = nobody can tell."""
    above = path.absolute().parent
    while not above.exists():
        above = above.parent
    try:
        return shutil.disk_usage(above).free
    except OSError:
        return None
