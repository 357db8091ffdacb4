# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The arguments of one command: from its words, from a file that ``--config`` names, and back as such a file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from gsocc_core.arguments import keyword_arguments, positional_names, put, read_words, retyped
from gsocc_core.errors import ConfigError
from gsocc_core.yaml_files import read_yaml

_FILE = "a YAML file with the command's arguments"


def first_words(name: str, function: Callable[..., None]) -> tuple[str, ...]:
    """Names of the arguments of a command that words without a name stand for; ``config`` for ``train``."""
    return ("config",) if name == "train" else positional_names(function)


def read_arguments(name: str, function: Callable[..., None], words: Sequence[str]) -> dict[str, Any] | None:
    """Arguments of a command.

    Args:
        name: The command, for errors.
        function: Its typed function.
        words: Behind the command's name. ``--config FILE`` names a YAML file with arguments, which the words overrule;
            ``--print_config`` prints all arguments as such a file.

    Returns:
        Keyword arguments; None = they have been printed.

    Raises:
        ConfigError: a word or a key of the file is unknown, missing or does not fit; it names the file or the command
            line, the key, what was expected and what was received.
    """
    if name == "train":
        function = train_of(words)
    printed = "--print_config" in words or "--print-config" in words
    words = [word for word in words if word not in {"--print_config", "--print-config"}]
    given = read_words(words, function, first_words(name, function), ["config"])
    content: dict[str, Any] = {}
    where: object = "command line"
    for key, value in given:
        if key == "config":
            where = Path(value)
            content = read_yaml(where, _FILE)
            keyword_arguments(function, content, where, partial=True)  # before the words, so that errors name the file
    for key, value in given:
        if key != "config":
            put(content, key, value)
    if printed:
        _print_config(function, keyword_arguments(function, content, where, partial=True))
        return None
    if name != "train":
        _check_complete(name, function, content)
    made = keyword_arguments(function, content, where)
    if name == "train":
        from gsocc_core.data.build import with_data_defaults
        from gsocc_core.methods.build import method_class, parse_arguments

        made["model"] = with_data_defaults(method_class(made["method"], where), made["model"], made["data"])
        parse_arguments(made["method"], made["model"], where, key="model")
    return made


def train_of(words: Sequence[str]) -> Callable[..., None]:
    """``train`` with ``data`` of the kind that the method takes which words, or else the file that they name, choose.

    Args:
        words: Behind ``train``; they need not be right otherwise.

    Raises:
        ConfigError: the file is damaged, or there is no such method.
    """
    from gsocc_core.commands.models import train
    from gsocc_core.data.args import DataArgs

    given = {}
    for word, following in zip(words, [*words[1:], ""]):
        key, has_value, text = word.partition("=")
        given[key] = text if has_value else following
    first = words[0] if words and not words[0].startswith("-") else None
    path, method = Path(given.get("--config") or first or ""), given.get("--method")
    if method is None and path.is_file():
        method = read_yaml(path, _FILE).get("method")
    if method is None:
        return retyped(train, data=DataArgs)
    from gsocc_core.methods.build import method_class

    return retyped(train, data=method_class(method, "command line" if "--method" in given else path).DATA)


def _check_complete(name: str, function: Callable[..., None], content: dict[str, Any]) -> None:
    """Say how an argument is given that is missing.

    Raises:
        ConfigError: an argument without a default is missing.
    """
    order = first_words(name, function)
    for key, parameter in inspect.signature(function).parameters.items():
        if parameter.default is inspect.Parameter.empty and key not in content:
            first = f" or the first word after {name!r}" if order[:1] == (key,) else ""
            first = f" or the words behind {order[0].upper()}" if key in order[1:] else first
            expected = f"--{key} VALUE{first} (gsocc_core {name} --help lists all)"
            raise ConfigError("command line", key, expected, "nothing")


def _print_config(function: Callable[..., None], given: Mapping[str, Any]) -> None:
    """Arguments as YAML, those that have no value yet as null."""
    import yaml

    content = {}
    for key, parameter in inspect.signature(function).parameters.items():
        default = None if parameter.default is inspect.Parameter.empty else parameter.default
        content[key] = _plain(given.get(key, default))
    print(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), end="")


def _plain(value: Any) -> Any:
    """A value as YAML has it."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value) if field.init}
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
