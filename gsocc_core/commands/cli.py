# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The command line: every function of :mod:`gsocc_core.commands` is a command, its signature the arguments."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gsocc_core.errors import ConfigError, GsoccError

COMMANDS = (
    "synthesize", "label depth", "label semantics", "label features", "label stand-in", "text", "train",
    "import gausstr", "import gaussianocc", "import tpvformer", "import uni3r", "evaluate", "evaluate-poses",
    "evaluate-views", "baseline", "predict", "query", "check-rig", "rig", "export", "view", "compare-views", "bench",
    "doctor",
)  # fmt: skip
#: First words of commands of two words.
_GROUPS = {name.split()[0] for name in COMMANDS if " " in name}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a wrong input ends with one clear line and exit code 2.

    Args:
        arguments: Words after the program's name; None = those of the process. With ``--debug`` among them, or
            GSOCC_DEBUG=1 in the environment, errors show their traceback.

    Raises:
        SystemExit: always with ``--help``, and with code 2 after an error.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words or bool(os.environ.get("GSOCC_DEBUG"))
    try:
        _run([word for word in words if word != "--debug"])
    except GsoccError as error:
        if debug:
            raise
        sys.stderr.write(f"gsocc_core: error: {' '.join(str(error).split())}\n")
        raise SystemExit(2) from error
    except KeyboardInterrupt:
        if debug:
            raise
        raise SystemExit(130) from None


def _run(words: list[str]) -> None:
    from gsocc_core import __version__, commands

    functions: dict[str, Callable[..., None]] = {
        name: getattr(commands, name.replace(" ", "_").replace("-", "_")) for name in COMMANDS
    }
    if not words or words[0] in {"-h", "--help"}:
        lines = [f"  {name:<20}{_summary(function)}" for name, function in functions.items()]
        sys.stdout.write("usage: gsocc_core COMMAND [--key value ...]\n\n" + "\n".join(lines) + "\n\n")
        sys.stdout.write("gsocc_core COMMAND --help lists the arguments of a command.\n")
        raise SystemExit(0 if words else 2)
    if words[0] == "--version":
        sys.stdout.write(f"gsocc_core {__version__}\n")
        return
    parts = 2 if words[0] in _GROUPS else 1
    words = [*(word.replace("_", "-") for word in words[:parts]), *words[parts:]]
    name = next((n for n in COMMANDS if words[: n.count(" ") + 1] == n.split()), None)
    if name is None:
        received = " ".join(words[:parts])
        meant = get_close_matches(received, COMMANDS, 1)
        hint = f" (is {meant[0]} meant?)" if meant else ""
        raise ConfigError("command line", "command", f"one of {', '.join(COMMANDS)}", f"{received!r}{hint}")
    function = functions[name]
    function(**_arguments(name, function, words[name.count(" ") + 1 :]))


def _arguments(name: str, function: Callable[..., None], words: Sequence[str]) -> dict[str, Any]:
    """Arguments of a command from its words and, for ``train``, from the file that the first one names."""
    from gsocc_core.arguments import keyword_arguments, put, read_words
    from gsocc_core.yaml_files import read_yaml

    positional = "config" if name == "train" else next(iter(inspect.signature(function).parameters))
    if name == "train":
        function = train_of(words)
    if {"-h", "--help"} & set(words):
        _help(name, function, positional)
    given = read_words(words, function, positional)
    content: dict[str, Any] = {}
    where: object = "command line"
    for key, value in given:
        if key == "config":
            where = Path(value)
            content = read_yaml(where, "a YAML file with the command's arguments")
            keyword_arguments(function, content, where, partial=True)  # before the words, so that errors name the file
    for key, value in given:
        if key != "config":
            put(content, key, value)
    if name != "train":
        _check_complete(name, function, positional, content)
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
    from gsocc_core.arguments import retyped
    from gsocc_core.commands.models import train
    from gsocc_core.data.args import DataArgs
    from gsocc_core.methods.build import method_class
    from gsocc_core.yaml_files import read_yaml

    given = {}
    for word, following in zip(words, [*words[1:], ""]):
        key, has_value, text = word.partition("=")
        given[key] = text if has_value else following
    first = words[0] if words and not words[0].startswith("-") else None
    path, method = Path(given.get("--config") or first or ""), given.get("--method")
    if method is None and path.is_file():
        method = read_yaml(path, "a YAML file with the command's arguments").get("method")
    kind = (
        DataArgs if method is None else method_class(method, path if "--method" not in given else "command line").DATA
    )
    return retyped(train, data=kind)


def _check_complete(name: str, function: Callable[..., None], positional: str, content: dict[str, Any]) -> None:
    """Say how an argument is given that is missing.

    Raises:
        ConfigError: an argument without a default is missing.
    """
    from gsocc_core.arguments import list_behind

    for key, parameter in inspect.signature(function).parameters.items():
        if parameter.default is inspect.Parameter.empty and key not in content:
            first = f" or the first word after {name!r}" if key == positional else ""
            first = f" or the words behind {positional.upper()}" if key == list_behind(function, positional) else first
            expected = f"--{key} VALUE{first} (gsocc_core {name} --help lists all)"
            raise ConfigError("command line", key, expected, "nothing")


def _help(name: str, function: Callable[..., None], positional: str) -> None:
    from jsonargparse import ArgumentParser

    from gsocc_core.arguments import list_behind

    required = name == "train" or inspect.signature(function).parameters[positional].default is inspect.Parameter.empty
    first = positional.upper() if required else f"[{positional.upper()}]"
    more = list_behind(function, positional)
    usage = f"gsocc_core {name} {first}{f' {more.upper()} ...' if more else ''} [--key value ...]"
    parser = ArgumentParser(prog=f"gsocc_core {name}", usage=usage, description=_summary(function))
    if positional == "config":
        parser.add_argument("--config", help="YAML file with the arguments below; words overrule it. (required)")
    parser.add_function_arguments(function, fail_untyped=True)
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to the texts
        action.help = (action.help or "").replace("None =", "null =")  # what YAML calls it
    parser.print_help()
    raise SystemExit(0)


def _summary(function: Callable[..., None]) -> str:
    return " ".join((function.__doc__ or "").split("\n\n")[0].split())


if __name__ == "__main__":
    main()
