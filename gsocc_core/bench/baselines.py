# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Other procedures, measured side by side: what one is, and how a file brings some."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import VoxelGrid


@dataclass(frozen=True)
class Baseline:
    """A procedure that turns Gaussians into voxels.

    Attributes:
        name: Shown in the table.
        splat: Fills density (X, Y, Z) and votes (X, Y, Z, C), which the caller provides.
        classify: Labels (X, Y, Z) out of density and votes.
        unweighted: The opacity takes no part in the votes, as in ``sum_unweighted``.
    """

    name: str
    splat: Callable[[Gaussians, VoxelGrid, Tensor, Tensor], None]
    classify: Callable[[Tensor, Tensor], Tensor]
    unweighted: bool = False


def load_baselines(path: str) -> tuple[Baseline, ...]:
    """The tuple ``BASELINES`` of a Python file, which is executed like any script.

    Raises:
        ConfigError: no such file, or it has no such tuple.
    """
    file = Path(path)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise ConfigError("bench", "baselines", "a Python file", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found = getattr(module, "BASELINES", None)
    if not isinstance(found, tuple) or not all(isinstance(b, Baseline) for b in found):
        raise ConfigError(path, "BASELINES", "a tuple of gsocc_core.bench.baselines.Baseline", type(found).__name__)
    return found
