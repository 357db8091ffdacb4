# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A function of tensors that is recorded once per kind of arguments and then replayed, as a CUDA graph."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

#: Kinds of arguments that are kept; each holds the memory of a whole call.
KEPT = 8

#: Records a call: returns what replays it, and the result, whose tensors every replay fills again.
Recorder = Callable[[Callable[[], Any]], tuple[Callable[[], None], Any]]


@dataclass(frozen=True)
class _Recorded:
    inputs: list[Tensor]
    replay: Callable[[], None]
    result: Any


class RecordedCalls:
    """Calls of a function, each kind of which is recorded when it first comes.

    Args:
        function: Takes and returns tensors, dataclasses, tuples, lists, dictionaries and plain values. It must do the
            same work for all arguments of one kind: same shapes, types and plain values.
        record: How; see :data:`Recorder`.

    Example:
        >>> def again(call):  # stands in for a GPU
        ...     result = call()
        ...     return lambda: result.copy_(call()), result
        >>> twice = RecordedCalls(lambda x: 2 * x, again)
        >>> one, two = twice(torch.ones(1)), twice(torch.full((1,), 2.0))
        >>> one.item(), two.item()
        (2.0, 4.0)
    """

    def __init__(self, function: Callable[..., Any], record: Recorder) -> None:
        self._function, self._record = function, record
        self._kinds: OrderedDict[Hashable, _Recorded] = OrderedDict()

    def __call__(self, *arguments: Any) -> Any:
        """Replay; the result is the caller's own."""
        tensors: list[Tensor] = []
        kind = _kind(arguments, tensors)
        if kind not in self._kinds:
            self._kinds[kind] = self._recorded(arguments)
            if len(self._kinds) > KEPT:
                self._kinds.popitem(last=False)
        self._kinds.move_to_end(kind)
        recorded = self._kinds[kind]
        for held, value in zip(recorded.inputs, tensors):
            held.copy_(value, non_blocking=True)
        recorded.replay()
        return mapped(recorded.result, torch.clone)

    def _recorded(self, arguments: tuple[Any, ...]) -> _Recorded:
        held = mapped(arguments, lambda value: value.clone())
        inputs: list[Tensor] = []
        _kind(held, inputs)
        return _Recorded(inputs, *self._record(lambda: self._function(*held)))


def record_cuda_graph(call: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
    """Record a call as a CUDA graph; see :data:`Recorder`.

    Three calls go before it, in which libraries choose their kernels and constants are uploaded.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # Other threads, which decode pictures, may go on meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = call()
    return graph.replay, result


def _kind(value: Any, tensors: list[Tensor]) -> Hashable:
    """What tells two calls apart but the numbers in their tensors, which are appended to a list."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return tuple(value.shape), value.dtype, value.device
    if is_dataclass(value) and not isinstance(value, type):
        return type(value), tuple(_kind(getattr(value, f.name), tensors) for f in fields(value))
    if isinstance(value, tuple | list):
        return type(value), tuple(_kind(one, tensors) for one in value)
    if isinstance(value, dict):
        return tuple((key, _kind(one, tensors)) for key, one in value.items())
    return type(value), value


def mapped(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """A value whose tensors went through a function, whatever holds them.

    Example:
        >>> mapped({"a": (torch.ones(1), 3)}, lambda t: t + 1)
        {'a': (tensor([2.]), 3)}
    """
    if isinstance(value, Tensor):
        return function(value)
    if is_dataclass(value) and not isinstance(value, type):
        made = copy.copy(value)
        for field in fields(value):  # not by its constructor, whose checks have been made
            object.__setattr__(made, field.name, mapped(getattr(value, field.name), function))
        return made
    if isinstance(value, tuple | list):
        items = [mapped(one, function) for one in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {key: mapped(one, function) for key, one in value.items()}
    return value
