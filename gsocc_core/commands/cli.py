# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The command line: every command is a typed function, its signature the arguments.

Functions of :mod:`gsocc_core.commands` are commands, and so are those that an installed package names in the
entry-point group ``gsocc.commands``, as ``gsocc_ros`` does.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from difflib import get_close_matches
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gsocc_core.announcing import announced
from gsocc_core.errors import ConfigError, how_to_go_on, say_how_to_go_on
from gsocc_core.program import GO_ON, run
from gsocc_core.resuming import unfinished
from gsocc_core.whole import check_place

COMMANDS = (
    "synthesize", "label depth", "label semantics", "label features", "label stand-in", "text", "train",
    "import gausstr", "import gaussianocc", "import tpvformer", "import uni3r", "evaluate", "evaluate-poses",
    "evaluate-views", "baseline", "predict", "reconstruct", "query", "check-rig", "rig", "export", "view",
    "compare-views", "bench", "doctor",
)  # fmt: skip
#: How to go on after an interrupt, by a command's first word, where something is left.
_GO_ON = {
    "train": "the same command with --resume auto goes on from the last checkpoint",
    "label": "the same command goes on with what has no labels yet",
}
#: Arguments that name an output, which must have a place before the work begins.
_OUTPUTS = ("out", "report")
#: Entry-point group of commands of other packages.
GROUP = "gsocc.commands"
#: Command of another package that ``view RECORDING`` stands for.
VIEW_BAG = "view-bag"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a wrong input ends with one clear line and exit code 2, see :mod:`gsocc_core.program`.

    Args:
        arguments: Words after the program's name; None = those of the process. With ``--debug`` among them, or
            GSOCC_DEBUG=1 in the environment, errors show their traceback.

    Raises:
        SystemExit: always with ``--help``, and with the exit code after an error.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    work = partial(_run, [word for word in words if word != "--debug"], is_program=arguments is None)
    if code := run("gsocc_core", work, debug="--debug" in words, go_on=_GO_ON.get(words[0] if words else "", GO_ON)):
        raise SystemExit(code)


def run_program(program: str, function: Callable[..., Any], arguments: Sequence[str] | None = None) -> int:
    """Run one function as a program of its own, with the words, errors and exit codes of a command.

    Args:
        program: Its name.
        function: With a typed signature.
        arguments: Words after the program's name; None = those of the process.

    Returns:
        The exit code, see :func:`gsocc_core.program.run`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)

    def work() -> None:
        from gsocc_core.commands.reading import read_arguments

        rest = [word for word in words if word != "--debug"]
        if {"-h", "--help"} & set(rest):
            _help(program, function, ())
        with announced(program) if arguments is None else nullcontext():
            _call(function, read_arguments(program, function, rest))

    return run(program, work, debug="--debug" in words)


def function_of(name: str) -> Callable[..., Any]:
    """The function of a command.

    Raises:
        ConfigError: no package has it, or that one cannot be imported.
    """
    if name in COMMANDS:
        from gsocc_core import commands

        return getattr(commands, name.replace(" ", "_").replace("-", "_"))
    entry = next((e for e in entry_points(group=GROUP) if e.name == name), None)
    if entry is None:
        raise ConfigError("command line", "command", f"a package with the command {name}, as gsocc_ros", "none")
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError("command line", name, f"{entry.value} can be imported", error) from error


def command_names() -> tuple[str, ...]:
    """All commands: the own ones, then those of other packages."""
    return (*COMMANDS, *sorted({entry.name for entry in entry_points(group=GROUP)} - set(COMMANDS)))


def split_words(words: Sequence[str]) -> tuple[str, list[str]]:
    """Name of the command that words call, and those behind it.

    Args:
        words: At least one.

    Raises:
        ConfigError: there is no such command; it says which one may be meant.

    Example:
        >>> split_words(["label", "stand_in", "data", "--jobs", "2"])
        ('label stand-in', ['data', '--jobs', '2'])
    """
    names = command_names()
    spelled = [word.replace("_", "-") for word in words[:2]]
    for name in (" ".join(spelled), spelled[0]):
        if name in names:
            rest = list(words[name.count(" ") + 1 :])
            free = (word for word in rest if not word.startswith("-"))
            is_bag = name == "view" and any((Path(word) / "metadata.yaml").is_file() for word in free)
            return (VIEW_BAG if is_bag else name), rest
    groups = {name.split()[0] for name in names if " " in name}
    received = " ".join(words[: 2 if spelled[0] in groups else 1])
    meant = get_close_matches(received, names, 1)
    hint = f" (is {meant[0]} meant?)" if meant else ""
    raise ConfigError("command line", "command", f"one of {', '.join(names)}", f"{received!r}{hint}")


def _run(words: list[str], is_program: bool) -> None:
    if not words or words[0] in {"-h", "--help"}:
        lines = [*_listed(), *(f"  {told}" for told in _refused())]
        sys.stdout.write("usage: gsocc_core COMMAND [WORDS ...] [--key value ...]\n\n" + "\n".join(lines) + "\n\n")
        sys.stdout.write("gsocc_core COMMAND --help lists the arguments of a command.\n")
        raise SystemExit(0 if words else 2)
    if words[0] == "--version":
        from gsocc_core._version import __version__

        sys.stdout.write(f"gsocc_core {__version__}\n")
        return
    if words[0] == "completion":
        from gsocc_core.commands.completion import completion

        found = {}
        for name in command_names():
            with suppress(ConfigError):  # --help says what cannot be imported
                found[name] = function_of(name)
        sys.stdout.write(completion(found))
        return
    from gsocc_core.commands.reading import first_words, read_arguments, train_of

    name, rest = split_words(words)
    if {"-h", "--help"} & set(rest):
        function = function_of(name)
        _help(f"gsocc_core {name}", train_of(rest) if name == "train" else function, first_words(name, function))
    with announced(f"gsocc_core {name}") if is_program else nullcontext():
        function = function_of(name)
        _call(function, read_arguments(name, function, rest))


def _call(function: Callable[..., Any], arguments: Mapping[str, Any] | None) -> None:
    """Call a command whose arguments were not just printed, after a look at where its outputs shall go."""
    if arguments is None:
        return
    outputs = [arguments[name] for name in _OUTPUTS if arguments.get(name) is not None]
    for out in outputs:
        check_place(out)
    try:
        function(**arguments)
    except KeyboardInterrupt as error:  # while it still imports, say, beside what an earlier one left
        left = [how for how in map(unfinished, outputs) if how is not None]
        if left and how_to_go_on(error) is None:
            say_how_to_go_on(error, left[0])
        raise


def _listed() -> Iterator[str]:
    """Every command with its summary, or with the reason why it cannot be imported."""
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    for name in command_names():
        summary = _summary(function_of(name).__doc__) if name in COMMANDS else _summary_of(others[name])
        yield f"  {name:<20}{summary}"


def _summary_of(entry: EntryPoint) -> str:
    """First sentence of a function's docstring, read without importing its module, which may take seconds."""
    try:
        spec = find_spec(entry.module)
        source = Path(spec.origin or "").read_text(encoding="utf-8") if spec is not None else None
    except (ImportError, OSError) as error:
        return f"not available: {error}"
    if source is None:
        return f"not available: no module {entry.module}"
    functions = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == entry.attr]
    return _summary(ast.get_docstring(functions[0]) if functions else None)


def _refused() -> Iterator[str]:
    """Commands of other packages that have the name of an own one, which stands."""
    for entry in entry_points(group=GROUP):
        if entry.name in COMMANDS:
            yield f"{entry.name} of {entry.value} is refused: gsocc_core has a command of that name"


def _help(program: str, function: Callable[..., Any], first: Sequence[str]) -> None:
    """Print the arguments of a command.

    Raises:
        SystemExit: always.
    """
    from jsonargparse import ArgumentParser

    from gsocc_core.arguments import argument_type, is_list, positional_names

    first = first or positional_names(function)
    parameters = inspect.signature(function).parameters
    shown = []
    for name in first:
        optional = name in parameters and parameters[name].default is not inspect.Parameter.empty
        word = name.upper() + (" ..." if is_list(argument_type(function, name)) else "")
        shown.append(f"[{word}]" if optional else word)
    parser = ArgumentParser(
        prog=program, usage=f"{program} {' '.join(shown)} [--key value ...]", description=_summary(function.__doc__)
    )
    parser.add_argument("--config", help="YAML file with the arguments below; words overrule it.")
    parser.add_argument("--print_config", action="store_true", help="Print all arguments as such a file, and end.")
    parser.add_function_arguments(function, fail_untyped=True)
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to the texts
        action.help = (action.help or "").replace("None =", "null =")  # what YAML calls it
    parser.print_help()
    raise SystemExit(0)


def _summary(docstring: str | None) -> str:
    return " ".join((docstring or "").split("\n\n")[0].split())


if __name__ == "__main__":
    main()
