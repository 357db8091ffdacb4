# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A mapping of a YAML file that is read key by key, so that every mistake is named with file and key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from gsocc_core.errors import ConfigError

_T = TypeVar("_T", bound=str)
#: Characters of a wrong value that an error shows.
_SHOWN = 80


class Section:
    """A mapping of which every key is taken once; what is left over at the end is an error.

    Args:
        path: The file, for errors.
        prefix: Dotted name of the mapping inside the file with a final dot, or nothing.
        content: The mapping.

    Raises:
        ConfigError: the content is no mapping.

    Example:
        >>> section = Section(Path("rig.yaml"), "", {"base_frame": "base_link", "cameas": {}})
        >>> section.text("base_frame")
        'base_link'
        >>> section.finish()
        Traceback (most recent call last):
        ...
        gsocc_core.errors.ConfigError: rig.yaml: cameas: expected one of ['base_frame'], received an unknown key
    """

    def __init__(self, path: Path, prefix: str, content: Any) -> None:
        if not isinstance(content, dict):
            text = repr(content)
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
            raise ConfigError(path, prefix.rstrip(".") or "file", "a mapping", shown)
        self.path, self.prefix = path, prefix
        self._rest: dict[Any, Any] = dict(content)
        self._known: list[str] = []

    def fault(self, key: str, expected: str, received: object) -> ConfigError:
        """The error that names file and key."""
        return ConfigError(self.path, self.prefix + key, expected, f"{received!r}")

    def has(self, key: str) -> bool:
        """Whether a key was given and not taken yet."""
        return key in self._rest

    def take(self, key: str, required: bool = False, default: Any = None) -> Any:
        """Any value."""
        self._known.append(key)
        if required and key not in self._rest:
            close = difflib.get_close_matches(key, [str(rest) for rest in self._rest], n=1)
            hint = f" (is {self.prefix}{close[0]} meant?)" if close else ""
            raise ConfigError(self.path, self.prefix + key, "a value", f"nothing{hint}")
        return self._rest.pop(key, default)

    def skip(self, keys: Sequence[str]) -> None:
        """Pass over keys that another reader of the same file takes."""
        for key in keys:
            self.take(key)

    def text(self, key: str, required: bool = False, default: str | None = None) -> str | None:
        """A text that is not empty."""
        value = self.take(key, required, default)
        if value is not None and (not isinstance(value, str) or not value):
            raise self.fault(key, "a text", value)
        if required and value is None:
            raise self.fault(key, "a text", value)
        return value

    def choice(self, key: str, options: tuple[_T, ...], default: _T) -> _T:
        """One of some words."""
        value = self.take(key, default=default)
        if value not in options:
            raise self.fault(key, f"one of {list(options)}", value)
        return cast("_T", value)

    def number(self, key: str, default: float | None, low: float | None = None, null: bool = False) -> float | None:
        """A number, above ``low`` if that is given; None only where ``null`` allows it."""
        value = self.take(key, default=default)
        if value is None and null:
            return None
        wrong = isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9
        if wrong or (low is not None and value <= low):
            kind = "a number" if low is None else f"a number above {low:g}"
            raise self.fault(key, f"{kind} or null" if null else kind, value)
        return float(value)

    def whole(self, key: str) -> int:
        """A positive whole number that must be given."""
        value = self.take(key, required=True)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.fault(key, "a positive whole number", value)
        return value

    def numbers(self, key: str, counts: tuple[int, ...]) -> tuple[float, ...]:
        """A list of numbers, as many as one of ``counts``, that must be given."""
        value = self.take(key, required=True)
        wrong = not isinstance(value, list) or len(value) not in counts
        if wrong or any(isinstance(v, bool) or not isinstance(v, int | float) or not abs(v) < 1e15 for v in value):
            raise self.fault(key, f"{' or '.join(map(str, counts))} numbers in a list", value)
        return tuple(float(v) for v in value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.take(key, default=default)
        if not isinstance(value, bool):
            raise self.fault(key, "true or false", value)
        return value

    def section(self, key: str) -> Section:
        """A mapping inside that must be given."""
        return Section(self.path, f"{self.prefix}{key}.", self.take(key, required=True))

    def sections(self) -> Iterator[tuple[str, Section]]:
        """All that is left, each a mapping under its name."""
        for key in list(self._rest):
            if not isinstance(key, str) or not key:
                raise self.fault(str(key), "a name", key)
            yield key, self.section(key)

    def finish(self) -> None:
        """Complain about what nobody took.

        Raises:
            ConfigError: a key is left.
        """
        for key in self._rest:
            raise ConfigError(self.path, f"{self.prefix}{key}", f"one of {self._known}", "an unknown key")
