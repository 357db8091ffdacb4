# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""CPU seconds of `make test` or `make demo` in several checkouts, in turns: what a change costs everybody.

    python benchmarks/make_times.py ../gsocc-before . --pairs 5
    python benchmarks/make_times.py ../gsocc-before . --verb demo --empty_caches --pairs 2

Counted is what the verb and all processes that it starts spend, orphans included; Linux only. Each checkout has a
`.venv`, and the caches of an earlier run unless they are to be empty.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: Orphans become children of this process, so that their time is counted (prctl(2)).
PR_SET_CHILD_SUBREAPER = 36


def cpu_seconds(checkout: Path, verb: str, empty_caches: bool) -> float:
    """Run a verb of the Makefile once."""
    # In a process of its own: what its children spent is told for all of them together.
    child = os.fork()
    if child:
        _, status, used = os.wait4(child, 0)
        if status:
            raise SystemExit(f"{checkout}: make {verb} failed")
        return used.ru_utime + used.ru_stime
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"PYTHONPATH": str(checkout.resolve())}
        if empty_caches:
            environment["NUMBA_CACHE_DIR"] = cache
        command = ["make", "-o", ".venv/.installed", verb]
        done = subprocess.run(  # noqa: S603 - our own program
            command, cwd=checkout, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
    deadline = time.monotonic() + 60
    with contextlib.suppress(ChildProcessError):  # all have ended
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.1)
    os._exit(done.returncode)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", type=Path, nargs="+")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--verb", choices=("test", "demo"), default="test")
    parser.add_argument("--empty_caches", action="store_true", help="every run compiles its kernels anew")
    options = parser.parse_args()
    seconds: dict[Path, list[float]] = {checkout: [] for checkout in options.checkouts}
    for number in range(options.pairs):
        for checkout, found in seconds.items():
            found.append(cpu_seconds(checkout, options.verb, options.empty_caches))
            sys.stdout.write(f"{number + 1} {checkout}: {found[-1]:.0f} s\n")
            sys.stdout.flush()
    first = seconds[options.checkouts[0]]
    for checkout, found in seconds.items():
        ratio = statistics.median(b / a for a, b in zip(first, found))
        sys.stdout.write(
            f"{checkout}: median {statistics.median(found):.0f} s, {ratio:.2f} of {options.checkouts[0]}\n"
        )


if __name__ == "__main__":
    main()
