# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The command line: ``gsocc_core synthesize | train | evaluate | predict``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from gsocc_core.errors import GsoccError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a wrong input ends with one clear line and exit code 2.

    Args:
        arguments: Words after the program's name; None = those of the process. ``train CONFIG.yaml`` stands for
            ``train --config CONFIG.yaml``. With GSOCC_DEBUG=1 in the environment errors show their traceback.
    """
    from jsonargparse import ArgumentParser

    from gsocc_core import commands

    words = list(sys.argv[1:] if arguments is None else arguments)
    if len(words) > 1 and words[0] == "train" and not words[1].startswith("-"):
        words.insert(1, "--config")
    functions = {name: getattr(commands, name) for name in ("synthesize", "train", "evaluate", "predict")}
    parser = ArgumentParser(prog="gsocc_core", description="3D semantic occupancy by Gaussian splatting.")
    subcommands = parser.add_subcommands(required=True)
    for name, function in functions.items():
        summary = (function.__doc__ or "").split("\n\n")[0]
        sub = ArgumentParser(description=summary)
        if name == "train":
            sub.add_argument("--config", action="config", help="YAML file with the arguments below")
        sub.add_function_arguments(function, as_positional=name != "train", fail_untyped=True)
        subcommands.add_subcommand(name, sub, help=summary)
    chosen = parser.instantiate_classes(parser.parse_args(words))
    values = {k: v for k, v in vars(chosen[chosen.subcommand]).items() if k != "config"}
    try:
        functions[chosen.subcommand](**values)
    except GsoccError as error:
        if os.environ.get("GSOCC_DEBUG"):
            raise
        sys.stderr.write(f"gsocc_core: error: {error}\n")
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
