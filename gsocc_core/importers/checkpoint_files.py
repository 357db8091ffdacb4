# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The door for checkpoints of others: tensors by name, and nothing that a pickle wants to run."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gsocc_core.errors import BundleError

#: Where trainers keep weights beside other things.
_SHELVES = ("state_dict", "model_state_dict", "model", "net")
#: First parts of all names in a file, of wrappers around the model: data-parallel training, Lightning, torch.compile.
_WRAPPERS = ("module.", "model.", "_orig_mod.")
#: What trainers write beside weights, as pickles name it. Something that does nothing takes its place.
_BOOKKEEPING = (
    "_codecs.encode", "argparse.Namespace", "mmengine.logging.history_buffer.HistoryBuffer", "numpy.dtype",
    "numpy.ndarray", "numpy.core.multiarray._reconstruct", "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct", "numpy._core.multiarray.scalar", "numpy.dtypes.Float64DType",
    "numpy.dtypes.Int64DType", "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict", "lightning.fabric.utilities.data.AttributeDict",
)  # fmt: skip
_LFS, _ZIP = b"version https://git-lfs", b"PK\x03\x04"


@dataclass(frozen=True)
class Weights:
    """What a checkpoint holds.

    Attributes:
        path: The file.
        tensors: By their authors' names, without what wrappers put in front.
        numbers: Plain numbers that lay among them.
    """

    path: Path
    tensors: dict[str, Tensor]
    numbers: dict[str, int | float]


class _Nothing:
    """Takes the place of an object that is of no use here."""

    def __new__(cls, *_: Any, **__: Any) -> _Nothing:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def read_weights(path: str | Path, system: str) -> Weights:
    """Read the tensors of a checkpoint, without running anything that it brings.

    Args:
        path: A file of ``torch.save``: tensors by name, or a dictionary that holds them under ``state_dict``, ``model``
            or the like. Prefixes of wrappers, such as ``module.``, are taken off where every name has them.
        system: What is expected, for errors.

    Returns:
        The tensors on the CPU, of the type that they are stored in.

    Raises:
        BundleError: the file is missing, is no checkpoint (a Git LFS pointer, a web page), ends early, is a pickle of
            more than tensors, or has no weights in it.
    """
    path = Path(path)
    _check_kind(path, system)
    content = _load(path, system)
    if isinstance(content, Mapping):
        shelf = next((content[name] for name in _SHELVES if isinstance(content.get(name), Mapping)), None)
        if shelf is None and "param_groups" in content:
            raise BundleError(path, "content", f"weights of {system}", "the state of an optimiser and no weights")
        content = content if shelf is None else shelf
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        found = ", ".join(map(str, list(content)[:5])) if isinstance(content, Mapping) else type(content).__name__
        raise BundleError(path, "content", f"tensors of {system} by name", found or "nothing")
    named = _unwrapped({str(name): value for name, value in content.items()})
    tensors = {name: value.detach() for name, value in named.items() if isinstance(value, Tensor)}
    numbers = {name: value for name, value in named.items() if isinstance(value, int | float)}
    for name, value in named.items():
        if name not in tensors and name not in numbers:
            raise BundleError(path, name, "a tensor", type(value).__name__)
    return Weights(path, tensors, numbers)


def _check_kind(path: Path, system: str) -> None:
    """Tell files apart by how they begin and end."""
    expected = f"a checkpoint of {system}"
    if path.is_dir():
        raise BundleError(path, "file", expected, "a folder")
    if not path.is_file():
        raise BundleError(path, "file", expected, "no such file")
    with path.open("rb") as file:
        head = file.read(1024)
    if head.startswith(_LFS):
        size = re.search(rb"\nsize (\d+)", head)
        told = f"for {int(size[1]):,} bytes " if size else ""
        received = f"a Git LFS pointer {told}instead of the file: run `git lfs pull` in its repository"
        raise BundleError(path, "content", expected, received)
    if head.lstrip()[:15].lower().startswith((b"<!doctype", b"<html")):
        received = "a web page: open the link in a browser, and download the file itself"
        raise BundleError(path, "content", expected, received)
    if head.startswith(_ZIP) and not zipfile.is_zipfile(path):
        received = f"a file that ends early, after {path.stat().st_size:,} bytes: download it again"
        raise BundleError(path, "content", expected, received)


def _load(path: Path, system: str) -> Any:
    expected = f"tensors of {system} by name"
    try:
        with _bookkeeping_is_nothing():
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named is None:
            raise BundleError(path, "content", expected, f"a damaged file ({_line(error)})") from error
        received = (
            f"a pickle that runs {named[1]}, which is not done here: load it with its authors' code and save "
            "model.state_dict() instead"
        )
        raise BundleError(path, "content", expected, received) from error
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise BundleError(path, "content", expected, f"a damaged file ({_line(error)})") from error


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:120]}" if text else type(error).__name__


@contextmanager
def _bookkeeping_is_nothing() -> Iterator[None]:
    """Inside, torch's reader of weights makes :class:`_Nothing` of what trainers write beside them."""
    before = torch.serialization.get_safe_globals()
    known = {name for name in (_name(entry) for entry in before) if name}
    made: list[Any] = [_nothing(name) for name in _BOOKKEEPING if name not in known]
    torch.serialization.add_safe_globals(made)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _name(entry: Any) -> str:
    if isinstance(entry, tuple):
        return str(entry[1])
    return f"{entry.__module__}.{entry.__qualname__}"


def _nothing(name: str) -> type:
    module, _, own = name.rpartition(".")
    return type(own, (_Nothing,), {"__module__": module, "__qualname__": own})


def _unwrapped(named: dict[str, Any]) -> dict[str, Any]:
    while prefix := next((w for w in _WRAPPERS if all(name.startswith(w) for name in named)), None):
        named = {name[len(prefix) :]: value for name, value in named.items()}
    return named
