# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Plain values from YAML files and command lines, checked against the typed signatures that will receive them."""

from __future__ import annotations

import difflib
import functools
import inspect
import json
import math
import re
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from gsocc_core.errors import ConfigError, GsoccError
from gsocc_core.yaml_files import parse_yaml

_LISTS = {tuple, list, Sequence}
# YAML 1.1 reads 1e-3 as a word, since it lacks the point; people mean a number.
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def keyword_arguments(
    function: Callable[..., Any],
    content: Mapping[str, Any],
    where: object,
    *,
    skip: Collection[str] = (),
    partial: bool = False,
) -> dict[str, Any]:
    """Turn plain values into the arguments of a function or constructor.

    Args:
        function: A function or class with a typed signature.
        content: Name -> number, text, list or mapping.
        where: File or place that the values come from, for errors.
        skip: Parameters that come from elsewhere.
        partial: Required arguments may be missing.

    Returns:
        The values, with dataclasses and tuples made.

    Raises:
        ConfigError: a key is unknown or missing, or a value does not fit its type; it names the key.

    Example:
        >>> def drive(speed: float, wheels: tuple[int, int] = (2, 2)) -> None: ...
        >>> keyword_arguments(drive, {"speed": 3, "wheels": [1, 2]}, "car.yaml")
        {'speed': 3.0, 'wheels': (1, 2)}
        >>> keyword_arguments(drive, {"speed": "fast"}, "car.yaml")
        Traceback (most recent call last):
        ...
        gsocc_core.errors.ConfigError: car.yaml: speed: expected a number, received 'fast'
    """
    called = function.__init__ if inspect.isclass(function) else function
    hints = get_type_hints(called)
    parameters = inspect.signature(function).parameters
    required = [n for n, p in parameters.items() if p.default is inspect.Parameter.empty and n not in skip]
    known = {n: hints.get(n, Any) for n in parameters if n not in skip}
    return _members(content, known, [] if partial else required, where, "")


def retyped(function: Callable[..., Any], **types: Any) -> Callable[..., Any]:
    """The same function, some of whose arguments are read as other types than its signature has.

    Args:
        function: With a typed signature.
        types: Type of each of these arguments.

    Example:
        >>> def drive(car: Any, speed: float = 1.0) -> None: ...
        >>> keyword_arguments(retyped(drive, car=int), {"car": "van"}, "car.yaml")
        Traceback (most recent call last):
        ...
        gsocc_core.errors.ConfigError: car.yaml: car: expected a whole number, received 'van'
    """

    @functools.wraps(function)
    def same(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    signature = inspect.signature(function)
    parameters = [p.replace(annotation=types.get(p.name, p.annotation)) for p in signature.parameters.values()]
    same.__annotations__ = get_type_hints(function) | types
    same.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return same


def from_plain(annotation: Any, value: Any, where: object, key: str) -> Any:
    """Turn one plain value into a value of a type; see :func:`keyword_arguments`.

    Args:
        annotation: The type: a dataclass, int, float, bool, str, None, Any, Literal, Union, tuple, list or dict.
        value: Number, text, list or mapping.
        where: File or place that the value comes from.
        key: Its key there.

    Returns:
        The value.

    Raises:
        ConfigError: it does not fit.
    """
    if is_dataclass(annotation) and isinstance(annotation, type):
        return _dataclass(annotation, value, where, key)
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        return _union(annotation, value, where, key)
    if origin in _LISTS and isinstance(value, list | tuple):
        return _sequence(annotation, value, where, key)
    fits, made = _plain(annotation, value) if origin not in _LISTS else (False, None)
    if not fits:
        raise ConfigError(where, key, _described(annotation), _shown(value))
    return made


def positional_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Arguments that words without a name stand for: the first one, those behind it that are required, up to a list.

    Args:
        function: The command. A group of values is never such an argument, nor what stands behind one.

    Example:
        >>> def load(car: str, things: tuple[str, ...], heavy: bool = False) -> None: ...
        >>> positional_names(load)
        ('car', 'things')
    """
    names: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind = argument_type(function, name)
        plain = not is_dataclass(kind) and (get_origin(kind) or kind) is not dict
        if names and not (
            plain and (parameter.default is inspect.Parameter.empty or (is_list(kind) and len(names) < 2))
        ):
            break
        names.append(name)
        if is_list(kind):
            break
    return tuple(names)


def read_words(
    words: Sequence[str], function: Callable[..., Any], positionals: Sequence[str], texts: Collection[str] = ()
) -> list[tuple[str, Any]]:
    """Read the words of a command line as arguments of a function.

    Args:
        words: Those without a name stand for the positional arguments in their order, the last of which takes all that
            are left where it is a list. Names may hold - for _, truth values may be written as ``--key`` and
            ``--no-key``, lists as ``a,b``; everything else is YAML.
        function: The command.
        positionals: Names of arguments.
        texts: Names of arguments that the function itself does not have; their values stay texts.

    Returns:
        Dotted names and plain values.

    Raises:
        ConfigError: an argument is unknown, lacks its value or does not fit its type.

    Example:
        >>> def drive(car: str, lights: bool = True, stops: tuple[str, ...] = ()) -> None: ...
        >>> read_words(["van", "--no-lights", "--stops", "a,b"], drive, ["car"])
        [('car', 'van'), ('lights', False), ('stops', ['a', 'b'])]
        >>> def load(car: str, things: tuple[str, ...]) -> None: ...
        >>> read_words(["van", "crate", "garden chair"], load, ["car", "things"])
        [('car', 'van'), ('things', ['crate', 'garden chair'])]
    """
    queue, free, named = list(words), [], []
    while queue:
        word = queue.pop(0)
        if not word.startswith("--"):
            if re.match("-[a-zA-Z]", word):
                raise ConfigError("command line", word, "--key value", "a word without a key")
            free.append(word)
            continue
        key, has_value, text = word[2:].partition("=")
        key = key.replace("-", "_")
        annotation = argument_type(function, key)
        if annotation is None and key.startswith("no_") and argument_type(function, key[3:]) is bool:
            key, has_value, text = key[3:], "=", "false"
        elif not has_value and annotation is bool and (not queue or queue[0] not in {"true", "false"}):
            text = "true"
        elif not has_value:
            if not queue:
                raise ConfigError("command line", f"--{key}", "a value", "nothing")
            text = queue.pop(0)
        named.append((key, text))
    result = []
    for key, word in [*_free(free, function, positionals), *named]:
        annotation = argument_type(function, key)
        whole = not is_list(annotation) or word == "null" or word.startswith("[")
        text = word if whole else _listed(word, annotation)
        result.append((key, text if key in texts else _typed(function, key, text)))
    return result


def _free(words: Sequence[str], function: Callable[..., Any], positionals: Sequence[str]) -> list[tuple[str, str]]:
    """Words without a name and the arguments that they stand for."""
    last = argument_type(function, positionals[-1]) if positionals else None
    single = len(positionals) - 1 if is_list(last) else len(positionals)
    result = list(zip(positionals[:single], words))
    left = words[single:]
    if left and not is_list(last):
        raise ConfigError("command line", left[0], "--key value", "a word without a key")
    if left:
        result.append((positionals[-1], _joined(left, last)))
    return result


def _joined(words: Sequence[str], annotation: Any) -> str:
    """Words as one list in YAML; several texts in quotes, so that YAML leaves them as they are."""
    if len(words) == 1:
        return words[0]
    return json.dumps(words, ensure_ascii=False) if is_list(annotation, str) else ",".join(words)


def _listed(text: str, annotation: Any) -> str:
    """Members with commas between them as a list in YAML; where texts are wanted, 7, no and #1 are texts."""
    plain = f"[{text}]"
    if not is_list(annotation, str):
        return plain
    try:
        fits = all(isinstance(member, str) for member in parse_yaml(plain))
    except yaml.YAMLError:
        fits = False
    return plain if fits else json.dumps([part.strip() for part in text.split(",")], ensure_ascii=False)


def put(content: dict[str, Any], name: str, value: Any) -> None:
    """Set a value by its dotted name, making the mappings on the way; what stands beside it stays."""
    *groups, last = name.split(".")
    for group in groups:
        inner = content.get(group)
        content[group] = dict(inner) if isinstance(inner, Mapping) else {}
        content = content[group]
    content[last] = value


def argument_type(function: Callable[..., Any], name: str) -> Any:
    """Type of an argument by its dotted name, for instance ``run.max_steps``; None = there is no such argument."""
    owner: Any = function
    for part in name.split("."):
        owner = next((m for m in get_args(owner) if is_dataclass(m)), owner)
        owner = get_type_hints(owner).get(part) if is_dataclass(owner) or owner is function else None
        if owner is None:
            return None
    return owner


def is_list(annotation: Any, of: Any = None) -> bool:
    """Whether a type is a list or tuple, or one of those or None; ``of`` = and nothing but such values are in it.

    Example:
        >>> is_list(tuple[str, ...] | None), is_list(str)
        (True, False)
    """
    members = get_args(annotation) if get_origin(annotation) in {Union, types.UnionType} else (annotation,)
    kinds = [member for member in members if member is not type(None)]
    return bool(kinds) and all(
        get_origin(kind) in _LISTS and (of is None or {of} == set(get_args(kind)) - {Ellipsis}) for kind in kinds
    )


def _typed(function: Callable[..., Any], name: str, text: str) -> Any:
    """The plain value of a word: what YAML reads in it, or the text itself where the signature wants text."""
    try:
        parsed = parse_yaml(text)
    except yaml.YAMLError:
        parsed = text
    errors = []
    for value in (parsed, text):
        content: dict[str, Any] = {}
        put(content, name, value)
        try:
            keyword_arguments(function, content, "command line", partial=True)
        except ConfigError as error:
            if error.received != "nothing":  # other members of a group may come from a file
                errors.append(error)
                continue
        return value
    raise errors[0]


def _members(
    content: Mapping[str, Any], known: Mapping[str, Any], required: Sequence[str], where: object, prefix: str
) -> dict[str, Any]:
    for key in content:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise ConfigError(where, f"{prefix}{key}", f"one of {', '.join(known)}", f"an unknown key{hint}")
    result = {key: from_plain(known[key], value, where, f"{prefix}{key}") for key, value in content.items()}
    for key in required:
        if key not in content:
            raise ConfigError(where, f"{prefix}{key}", _described(known[key]), "nothing")
    return result


def _dataclass(cls: type, value: Any, where: object, key: str) -> Any:
    if not isinstance(value, Mapping):
        raise ConfigError(where, key, _described(cls), _shown(value))
    hints = get_type_hints(cls)
    members = [f for f in fields(cls) if f.init]
    required = [f.name for f in members if f.default is MISSING and f.default_factory is MISSING]
    given = _members(value, {f.name: hints[f.name] for f in members}, required, where, f"{key}.")
    try:
        return cls(**given)
    except GsoccError as error:
        inner = error.key.removeprefix(f"{key.rpartition('.')[2]}.")  # some groups name themselves
        raise ConfigError(where, f"{key}.{inner}", error.expected, error.received) from error


def _union(annotation: Any, value: Any, where: object, key: str) -> Any:
    members = get_args(annotation)
    if value is None and type(None) in members:
        return None
    for member in members:
        if is_dataclass(member) and isinstance(value, Mapping):
            return from_plain(member, value, where, key)  # its own error says more than "none of these types"
    errors: list[ConfigError] = []
    for member in members:
        try:
            return from_plain(member, value, where, key)
        except ConfigError as error:  # noqa: PERF203 - trying is how a union is read
            errors.append(error)
    inside = [error for error in errors if error.key != key]
    raise inside[0] if inside else ConfigError(where, key, _described(annotation), _shown(value))


def _sequence(annotation: Any, value: Sequence[Any], where: object, key: str) -> Any:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is tuple and inner[-1] is not Ellipsis:
        if len(value) != len(inner):
            raise ConfigError(where, key, _described(annotation), _shown(value))
        kinds = inner
    else:
        kinds = (inner[0],) * len(value)
    items = [from_plain(kind, item, where, f"{key}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value))]
    return items if origin is list else tuple(items)


def _plain(annotation: Any, value: Any) -> tuple[bool, Any]:
    """Whether a value fits a type without parts, and the value in that type."""
    if annotation is float and isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is float:
        return (True, float(value)) if number and math.isfinite(value) else (False, None)
    if annotation is int:
        return number and isinstance(value, int), value
    if get_origin(annotation) is Literal:
        return value in get_args(annotation), value
    kind = get_origin(annotation) or annotation
    return annotation is Any or (isinstance(kind, type) and isinstance(value, kind)), value


_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    dict: "a mapping",
    type(None): "null",
}


def _described(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if is_dataclass(annotation):
        return f"a mapping with keys among {', '.join(f.name for f in fields(annotation))}"
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in {Union, types.UnionType}:
        return " or ".join(_described(member) for member in inner)
    if origin in _LISTS:
        parts = [_described(member) for member in inner if member is not Ellipsis]
        if origin is not tuple or Ellipsis in inner:
            return f"a list, each {parts[0]}"
        return f"a list of {len(parts)}, each {parts[0]}" if len(set(parts)) == 1 else f"a list: {', '.join(parts)}"
    return _NAMES.get(origin or annotation, "a value")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
