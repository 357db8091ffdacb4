# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""YAML as plain values of a bounded size: a file from a stranger costs neither the memory nor the stack."""

from __future__ import annotations

from typing import Any

import yaml

from gsocc_core.errors import ConfigError

#: Longest file, bytes; the parser takes about ten seconds for one.
MAX_BYTES = 1 << 20
#: Most values, one behind an alias counted wherever it is used.
MAX_VALUES = 200_000
#: Most lists and mappings within each other.
MAX_DEPTH = 50
_DEEP = f"lists and mappings nested deeper than {MAX_DEPTH}"


def read_yaml(path: Any, expected: str) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Args:
        path: The file.
        expected: What it should be, for errors.

    Returns:
        The mapping.

    Raises:
        ConfigError: as :func:`load_yaml`, or the file holds something else.
    """
    content = load_yaml(path, expected)
    if not isinstance(content, dict):
        text = repr(content)
        raise ConfigError(path, "file", f"{expected}: a mapping", text if len(text) <= 80 else f"{text[:77]}...")
    return content


def load_yaml(path: Any, expected: str) -> Any:
    """Read a YAML file.

    Args:
        path: The file.
        expected: What it should be, for errors.

    Returns:
        Numbers, texts, lists and mappings.

    Raises:
        ConfigError: the file is missing, is not YAML in UTF-8, or is larger or deeper than any that this project reads.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - path may be any path-like
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigError(path, "file", f"{expected}, of at most {MAX_BYTES} bytes", "a longer file")
        text = content.decode("utf-8")
        if text.startswith("%YAML:"):  # OpenCV's own spelling, which YAML does not know
            text = text.partition("\n")[2]
        return parse_yaml(text)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(path, "file", expected, " ".join(str(error).split())) from error


def parse_yaml(text: str) -> Any:
    """Plain values of YAML text.

    Raises:
        yaml.YAMLError: the text is not YAML, holds a value that its tag does not fit, nests deeper than
            :data:`MAX_DEPTH`, or stands for more than :data:`MAX_VALUES` values.

    Example:
        >>> parse_yaml("{speed: 3, wheels: [1, 2]}")
        {'speed': 3, 'wheels': [1, 2]}
        >>> parse_yaml("a: &a [1, *a]")
        Traceback (most recent call last):
        ...
        yaml.error.YAMLError: lists and mappings nested deeper than 50
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {}, MAX_DEPTH)
        return loader.construct_document(node)
    except yaml.YAMLError:
        raise
    except Exception as error:
        raise yaml.YAMLError(f"{type(error).__name__}: {error}") from error
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """Stops at the first bracket or dash that nests too deep: PyYAML looks far ahead, and takes long for each."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._open = 0

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        if self.flow_level >= MAX_DEPTH:
            raise yaml.YAMLError(_DEEP)
        super().fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self._open > MAX_DEPTH:
            raise yaml.YAMLError(_DEEP)
        self._open += 1
        node = super().compose_node(parent, index)
        self._open -= 1
        return node


def _measure(node: yaml.Node, known: dict[int, tuple[int, int]], room: int) -> tuple[int, int]:
    """Number of values of a node and how deep they nest; an alias is the same node once more."""
    count, depth = known.get(id(node), (1, 0))
    if id(node) not in known and isinstance(node, yaml.CollectionNode):
        if room <= 0:
            raise yaml.YAMLError(_DEEP)
        parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        measured = [_measure(part, known, room - 1) for part in parts]
        count += sum(number for number, _ in measured)
        depth = 1 + max((inner for _, inner in measured), default=0)
        known[id(node)] = count, depth
    if depth > room:
        raise yaml.YAMLError(_DEEP)
    if count > MAX_VALUES:
        raise yaml.YAMLError(f"more than {MAX_VALUES} values")
    return count, depth
