# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How a network is run: precision, compilation, recording."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

import torch

from gsocc_core.errors import ConfigError
from gsocc_core.methods.method import Method

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class InferenceOptions:
    """How a network is run. None = not said: what a bundle says holds on a GPU, and nothing of it on the CPU.

    Attributes:
        precision: What the network of the pictures (backbone) computes in; its maps, what follows, and the splatting
            are float32.
        compile: ``torch.compile`` makes kernels of the network; they are compiled by the first pictures, in a minute or
            so.
        cuda_graph: The network is recorded with its first pictures and replayed, which spares the launch of each
            kernel. NVIDIA GPUs only, and methods whose ``RECORDABLE`` is true.

    Raises:
        ConfigError: an unknown precision.

    Example:
        >>> InferenceOptions(cuda_graph=True).over(InferenceOptions("bfloat16", cuda_graph=False))
        InferenceOptions(precision='bfloat16', compile=None, cuda_graph=True)
    """

    precision: Precision | None = None
    compile: bool | None = None
    cuda_graph: bool | None = None

    def __post_init__(self) -> None:
        if self.precision is not None and self.precision not in get_args(Precision):
            expected = f"one of {', '.join(get_args(Precision))}"
            raise ConfigError("inference", "precision", expected, repr(self.precision))

    @property
    def dtype(self) -> torch.dtype | None:
        """What the network of the pictures computes in; None = in its own type, float32."""
        return {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(self.precision or "")

    def over(self, other: InferenceOptions | None) -> InferenceOptions:
        """These options, and those of another where nothing is said."""
        if other is None:
            return self
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return InferenceOptions(**{k: getattr(other, k) if v is None else v for k, v in own.items()})


def chosen_options(
    given: InferenceOptions | None, bundled: InferenceOptions | None, method: Method, device: torch.device
) -> InferenceOptions:
    """What is in force on a device.

    Args:
        given: What the caller says.
        bundled: What the bundle says.
        method: What is to be run.
        device: Where.

    Raises:
        ConfigError: a CUDA graph is asked for on another device, or of a method that none can hold.
    """
    options = (given or InferenceOptions()).over(bundled if device.type == "cuda" else None)
    if options.cuda_graph and device.type != "cuda":
        raise ConfigError("inference", "cuda_graph", "false, or device cuda", f"device {device}")
    if options.cuda_graph and not method.RECORDABLE:
        expected = "false, since the method's work depends on what the pictures show"
        raise ConfigError("inference", "cuda_graph", expected, f"{type(method).__name__}, cuda_graph true")
    return options
