# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Options that the operators share, and the checks on their inputs."""

from __future__ import annotations

import importlib.util
import math
from typing import Literal, get_args

import torch
from torch import Tensor

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.gaussians import Gaussians

Composition = Literal["sum", "hazard", "sum_unweighted", "mean"]
Support = Literal["ellipsoid", "box", "box_voxels"]
Backend = Literal["auto", "reference", "cpu", "cuda"]
DepthMode = Literal["expected", "accumulated"]


def check_choice(where: str, key: str, value: str, choices: object) -> None:
    """Raise ConfigError unless ``value`` is one of a Literal's choices."""
    if value not in get_args(choices):
        raise ConfigError(where, key, f"one of {get_args(choices)}", value)


def check_cutoff(where: str, cutoff: float) -> None:
    """Raise ConfigError unless the cutoff is a positive finite number of standard deviations."""
    if not (math.isfinite(cutoff) and cutoff > 0):
        raise ConfigError(where, "cutoff", "a positive number of standard deviations", cutoff)


def check_finite(where: str, gaussians: Gaussians) -> None:
    """Raise ShapeError when a field holds NaN or infinity: one bad mean would silently empty a whole scene."""
    for name in ("means", "scales", "quats", "opacities", "features"):
        value = getattr(gaussians, name)
        if not bool(torch.isfinite(value).all()):
            count = int((~torch.isfinite(value)).sum())
            raise ShapeError(where, name, "finite numbers", f"{count} NaN or infinite of {value.numel()}")


def check_buffer(where: str, key: str, buffer: Tensor, shape: tuple[int, ...], like: Tensor) -> None:
    """Raise ShapeError unless an output buffer has the wanted shape, type and device and lies without gaps."""
    expected = (shape, like.dtype, like.device.type)
    received = (tuple(buffer.shape), buffer.dtype, buffer.device.type)
    if expected != received or not buffer.is_contiguous():
        raise ShapeError(where, key, f"contiguous {expected}", received)


def resolve_backend(where: str, backend: Backend, device: torch.device) -> Backend:
    """The backend that "auto" stands for on a device, or the named one after checking that it can run there.

    Raises:
        ConfigError: unknown name.
        ConfigError: the backend does not run on this device or machine.
    """
    check_choice(where, "backend", backend, Backend)
    if backend == "auto":
        backend = "cuda" if device.type == "cuda" else "cpu" if device.type == "cpu" else "reference"
    if backend == "cpu" and device.type != "cpu":
        raise ConfigError(where, "backend", "tensors on the CPU for backend 'cpu'", f"tensors on {device}")
    if backend == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError(where, "backend", "an NVIDIA GPU that PyTorch can use, for backend 'cuda'", "none")
        if device.type != "cuda":
            raise ConfigError(where, "backend", "tensors on the GPU for backend 'cuda'", f"tensors on {device}")
        if where != "splat_to_image" and importlib.util.find_spec("triton") is None:
            raise ConfigError(where, "backend", "triton (pip install triton), for backend 'cuda'", "not installed")
    return backend
