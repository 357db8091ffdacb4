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
    from jsonargparse import CLI

    from gsocc_core import commands

    words = list(sys.argv[1:] if arguments is None else arguments)
    if len(words) > 1 and words[0] == "train" and not words[1].startswith("-"):
        words.insert(1, "--config")
    available = {name: getattr(commands, name) for name in ("synthesize", "train", "evaluate", "predict")}
    try:
        CLI(available, args=words, as_positional=True, fail_untyped=True, description=__doc__)
    except GsoccError as error:
        if os.environ.get("GSOCC_DEBUG"):
            raise
        sys.stderr.write(f"gsocc_core: error: {error}\n")
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
