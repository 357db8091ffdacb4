# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Words that a shell completes: commands and the names of their arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

_SCRIPT = """\
# eval "$(gsocc_core completion)" in bash; zsh wants "autoload -U +X bashcompinit && bashcompinit" before it.
_gsocc_core() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" options=""
    case "${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}" in
{cases}
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        options="{first}"
    elif [ "$COMP_CWORD" -eq 2 ] && [ "${{word#-}}" = "$word" ]; then
        case "${{COMP_WORDS[1]}}" in
{seconds}
            *) options="" ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$options" -- "$word"))
}}
complete -o default -F _gsocc_core gsocc_core
"""


def completion(functions: Mapping[str, Callable[..., Any]]) -> str:
    """A script that teaches bash and zsh the commands of ``gsocc_core`` and their arguments; files as usual.

    Args:
        functions: Command -> function.

    Example:
        >>> def drive(car: str, speed: float = 1.0) -> None: ...
        >>> "--car --speed" in completion({"drive": drive})
        True
    """
    first = sorted({name.split()[0] for name in functions})
    groups: dict[str, list[str]] = {}
    for name in functions:
        head, _, tail = name.partition(" ")
        if tail:
            groups.setdefault(head, []).append(tail)
    longest_first = sorted(functions, key=lambda name: -name.count(" "))
    cases = [
        f"""        {_pattern(name)}) options="{" ".join(_options(functions[name]))}" ;;""" for name in longest_first
    ]
    seconds = [f'            {head}) options="{" ".join(tails)}" ;;' for head, tails in groups.items()]
    return _SCRIPT.format(cases="\n".join(cases), first=" ".join(first), seconds="\n".join(seconds))


def _pattern(name: str) -> str:
    """What the first two words of a command line are, as bash matches them."""
    return f'"{name}"' if " " in name else f'"{name} "*'


def _options(owner: Any, prefix: str = "--") -> Iterator[str]:
    """Names of arguments, those inside groups with dots."""
    hints = get_type_hints(owner.__init__ if inspect.isclass(owner) else owner)
    names = [f.name for f in fields(owner) if f.init] if is_dataclass(owner) else inspect.signature(owner).parameters
    for name in names:
        kind = next((m for m in (hints.get(name), *get_args(hints.get(name))) if is_dataclass(m)), None)
        if kind is None:
            yield f"{prefix}{name}"
        else:
            yield from _options(kind, f"{prefix}{name}.")
