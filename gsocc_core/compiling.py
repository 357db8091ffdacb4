# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How numba kernels are compiled and kept on disk: neither a read-only nor a damaged cache stops a program."""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache

from gsocc_core.announcing import COMPILING

_log = logging.getLogger(__name__)
_DIGEST_BYTES = hashlib.sha256().digest_size


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator like ``numba.njit(cache=True, ...)``, for every kernel of the project.

    The compiled code is kept beside the module, in the user's cache or in ``NUMBA_CACHE_DIR``, whichever can be
    written. Where none can, every process compiles anew, and a line of the log says so. Code that is damaged on disk
    is compiled anew and written again.

    Args:
        options: As ``numba.njit`` takes them, without ``cache``.

    Example:
        >>> @kernel(fastmath=True)
        ... def twice(x):
        ...     return 2 * x
        >>> twice(4)
        8
    """

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        if not numba.config.DISABLE_JIT:
            dispatcher._cache = _cache_of(function)  # noqa: SLF001 - cache=True sets the same, and raises where it cannot
        return dispatcher

    return compiled


def _cache_of(function: Callable[..., Any]) -> FunctionCache | NullCache:
    try:
        return _KernelCache(function)
    except (RuntimeError, OSError):  # numba found no folder that can be written
        return _NoCache()


class _NoCache(NullCache):
    """Compiles in every process, and says once what would change that."""

    told = False

    def load_overload(self, sig: Any, target_context: Any) -> None:  # noqa: ARG002 - numba's interface
        """Nothing is stored."""
        if not _NoCache.told:
            _NoCache.told = True
            _log.warning(
                "CPU kernels are compiled anew in every process, which takes seconds each: neither the package's nor "
                "the user's cache folder can be written. Set NUMBA_CACHE_DIR to a folder that can."
            )


class _KernelCache(FunctionCache):
    """numba's cache, which treats what cannot be read or written as not being there."""

    told = False

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _CheckedFiles(
            self.cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function for a signature, or None."""
        try:
            found = super().load_overload(sig, target_context)
        except Exception as error:  # noqa: BLE001 - a damaged pickle raises whatever its bytes happen to say
            _log.warning("%s: damaged (%s), compiled anew", self._cache_file.index, type(error).__name__)
            with suppress(OSError):
                self._cache_file.index.unlink(missing_ok=True)
            return None
        if found is None and not _KernelCache.told:
            _KernelCache.told = True
            COMPILING.info("CPU kernels are compiled, once per machine; this takes up to half a minute")
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, if that works."""
        try:
            super().save_overload(sig, data)
        except Exception as error:  # noqa: BLE001 - a full disk, or an index that another process damaged meanwhile
            _log.warning("%s: cannot be written (%s)", self._cache_file.index, error)


class _CheckedFiles(IndexDataCacheFile):
    """Cache files with a checksum: flipped bits in machine code would crash, or calculate something else."""

    def __init__(self, cache_path: str, filename_base: str, source_stamp: Any) -> None:
        super().__init__(cache_path, filename_base, source_stamp)
        self.index = Path(self._index_path)
        self._version = f"{numba.__version__}, checked"

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(content).digest() + content)

    def _load_data(self, name: str) -> Any:
        stored = Path(self._data_path(name)).read_bytes()
        content = stored[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != stored[:_DIGEST_BYTES]:
            raise ValueError("the checksum differs")
        return pickle.loads(content)  # noqa: S301 - numba's own format, from a folder of the user's own
