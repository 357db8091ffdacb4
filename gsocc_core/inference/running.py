# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a method's network on a device as the options say, and brings tensors there and back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.inference.options import InferenceOptions
from gsocc_core.inference.recording import RecordedCalls, record_cuda_graph
from gsocc_core.methods.method import Method, Output
from gsocc_core.networks.backbones import compute_in
from gsocc_core.networks.fixed_sizes import fixed_sizes


class NetworkRunner:
    """A method's network with a precision, compiled or recorded.

    Args:
        method: On its device, in evaluation mode. Its precision is set for whoever else runs it, too.
        options: How; None in a field = as if it were off.
    """

    def __init__(self, method: Method, options: InferenceOptions) -> None:
        self._method, self._options = method, options
        compute_in(method, options.dtype)
        run: Callable[..., Any] = method
        if options.compile:
            run = torch.compile(method, dynamic=False)
        self._run = RecordedCalls(run, record_cuda_graph) if options.cuda_graph else run

    def __call__(self, frames: FrameSet, memory: Any) -> Output:
        """Predict the scene; see :meth:`gsocc_core.methods.method.Method.forward`.

        Raises:
            ConfigError: the network cannot be compiled on this machine.
        """
        if not (self._options.compile or self._options.cuda_graph):
            return self._method(frames, memory)
        # Names differ from set to set, and what differs is compiled and recorded anew; the predictor looks at them.
        nameless = replace(frames, camera_names=_numbered(frames), sample_tokens=(), scene_names=())
        on = torch.cuda.device(frames.images.device) if frames.images.is_cuda else nullcontext()
        try:
            with fixed_sizes(), on:
                output: Output = self._run(nameless, memory)
        except torch._dynamo.exc.TorchDynamoException as error:  # noqa: SLF001 - it has no public name
            lines = [line for line in str(error).splitlines() if line.strip()]
            received = lines[0].strip() if lines else type(error).__name__
            expected = "a machine on which torch.compile works (a C++ compiler, on a GPU Triton), or false"
            raise ConfigError("inference", "compile", expected, received) from error
        return output


def _numbered(frames: FrameSet) -> tuple[str, ...]:
    return tuple(map(str, range(len(frames.camera_names))))


def to_device(frames: FrameSet, device: torch.device) -> FrameSet:
    """Frames on a device. A GPU fetches them out of pinned memory while the host goes on.

    Args:
        frames: Frames; what is there already stays.
        device: Where.
    """
    if device.type != "cuda":
        return frames.to(device)
    return frames.map(lambda t: (t if t.is_cuda else _pinned(t)).to(device, non_blocking=True))


def _pinned(value: Tensor) -> Tensor:
    """A copy in pinned memory. ``Tensor.pin_memory`` keeps strides, and fails where a tensor was expanded."""
    return torch.empty(value.shape, dtype=value.dtype, pin_memory=True).copy_(value)


def to_host(value: Tensor) -> Tensor:
    """A tensor on the CPU. From a GPU it comes when the GPU has come so far: wait for the device before reading it."""
    if not value.is_cuda:
        return value.cpu()
    held = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
    return held.copy_(value, non_blocking=True)
