# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""CPU seconds of `make test` in several checkouts, in turns: what a change costs everybody who works on the code.

    python benchmarks/suite_time.py ../gsocc-before . --pairs 5

Counted is what the tests and all processes that they start spend, orphans included; Linux only. Each checkout has its
own `.venv` and the caches of an earlier run.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

#: Orphans become children of this process, so that their time is counted (prctl(2)).
PR_SET_CHILD_SUBREAPER = 36


def cpu_seconds(checkout: Path) -> float:
    """Run the tests once."""
    # In a process of its own: what its children spent is told for all of them together.
    child = os.fork()
    if child:
        _, status, used = os.wait4(child, 0)
        if status:
            raise SystemExit(f"{checkout}: make test failed")
        return used.ru_utime + used.ru_stime
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    done = subprocess.run(["make", "test"], cwd=checkout, stdout=subprocess.DEVNULL, check=False)  # noqa: S607
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
    options = parser.parse_args()
    seconds: dict[Path, list[float]] = {checkout: [] for checkout in options.checkouts}
    for number in range(options.pairs):
        for checkout, found in seconds.items():
            found.append(cpu_seconds(checkout))
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
