# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Results as a table and as JSON."""

from __future__ import annotations

import datetime as dt
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from gsocc_core._version import __version__
from gsocc_core.bench.bounds import Machine
from gsocc_core.whole import whole_file

#: Changes when a field of the JSON changes its meaning.
SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        scene: Gaussians and their sizes.
        case: What was measured.
        ms: Time, milliseconds; None = not measured.
        memory_mb: Most memory held beyond inputs and given buffers, MB; None = not measured.
        pairs: (voxel, Gaussian) or (pixel, Gaussian) pairs.
        bound_ms: Least time for arithmetic and output, milliseconds.
        note: Why something is missing, or how far from the exact sum.
    """

    scene: str
    case: str
    ms: float | None
    memory_mb: float | None = None
    pairs: int | None = None
    bound_ms: float | None = None
    note: str = ""

    @property
    def share(self) -> float | None:
        """Share of the bound that was reached."""
        return None if self.ms is None or self.bound_ms is None else self.bound_ms / self.ms


def table(rows: Sequence[Row]) -> str:
    """Markdown table."""
    lines = [
        "| scene | case | ms | extra MB | pairs, 10^6 | bound, ms | share of bound | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (
            row.scene, row.case, _number(row.ms), _number(row.memory_mb), _number(row.pairs and row.pairs / 1e6),
            _number(row.bound_ms), "" if row.share is None else f"{100 * row.share:.0f} %", row.note,
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"


def header(machine: Machine, device: torch.device, threads: int) -> str:
    """What the numbers were measured on."""
    where = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()}, {threads} thread(s)"
    )
    return (
        f"{where}: {machine.gflops:.0f} GFLOP/s in a float32 matrix product, {machine.gbytes:.1f} GB/s when filling "
        f"memory. Python {platform.python_version()}, PyTorch {torch.__version__}, numba {numba.__version__}. "
        f"Times: {'CUDA events' if device.type == 'cuda' else 'CPU time of the calling thread'}, median."
    )


def as_json(rows: Sequence[Row], machine: Machine, device: torch.device, threads: int) -> dict[str, Any]:
    """Everything, for machines."""
    return {
        "schema": SCHEMA,
        "date": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "command": sys.argv,
        "device": header(machine, device, threads),
        "machine": asdict(machine),
        "threads": threads,
        "versions": {"gsocc": __version__, "torch": torch.__version__, "numpy": np.__version__},
        "rows": [{**asdict(row), "share": row.share} for row in rows],
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a report that appears only when complete."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")
