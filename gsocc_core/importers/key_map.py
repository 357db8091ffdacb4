# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Key maps: which of our tensors is which of theirs. Every tensor of both sides is accounted for, by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gsocc_core.errors import BundleError
from gsocc_core.importers.checkpoint_files import Weights

#: Tensors of a layer, and of a batch norm.
LAYER = ("weight", "bias")
BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Key:
    """One tensor of theirs.

    Attributes:
        theirs: Its published name.
        ours: Names of our tensors that it becomes, in equal parts along its first axis; none = it is not needed.
        inputs_turned: So many input channels, the first of theirs, are the last of ours.
        order: Which of their numbers along ``axis`` each of ours is; None = as they come.
        axis: Of ``order``.
        spare: So many of theirs behind those that ``order`` takes have no use.
        copied: Each of ours becomes the whole of it.
        rows: First of the rows of ours that it becomes, and the one behind its last; None = all rows.
        plane: Rows and columns of a plane whose cells theirs has row by row, and ours column by column.
        may_miss: A file without it is complete.
    """

    theirs: str
    ours: tuple[str, ...] = ()
    inputs_turned: int = 0
    order: tuple[int, ...] | None = None
    axis: int = 0
    spare: int = 0
    copied: bool = False
    rows: tuple[int, int] | None = None
    plane: tuple[int, int] | None = None
    may_miss: bool = False


def same(theirs: str, ours: str | Sequence[str], parts: Sequence[str] = LAYER) -> list[Key]:
    """Keys of a layer that both sides have, one for each of its tensors; several of ours are copies of it."""
    layers = (ours,) if isinstance(ours, str) else tuple(ours)
    return [
        Key(f"{theirs}.{part}", tuple(f"{layer}.{part}" for layer in layers), copied=len(layers) > 1) for part in parts
    ]


def not_needed(names: Iterable[str], may_miss: bool = False) -> list[Key]:
    """Keys of tensors that we have no use for."""
    return [Key(name, may_miss=may_miss) for name in names]


def carry_over(weights: Sequence[Weights], keys: Sequence[Key], model: nn.Module, system: str) -> None:
    """Load a checkpoint into our model.

    Args:
        weights: Files whose names do not overlap.
        keys: Every tensor of theirs.
        model: Ours; its shapes are the expected ones, on any device.
        system: What is expected, for errors.

    Raises:
        BundleError: a tensor is missing or unknown, has another shape, or holds NaN or infinity.
    """
    check_names(weights, keys, system)
    tensors = {name: (value, file) for file in weights for name, value in file.tensors.items()}
    state = model.state_dict()
    made: dict[str, Tensor] = {}
    for key in keys:
        if key.theirs not in tensors or not key.ours:
            continue
        value, file = tensors[key.theirs]
        for name, part in _parts(value, key, state, file, system).items():
            # Rows come in the order of the keys, so that what is there is what stands above them.
            made[name] = torch.cat([made[name], part]) if key.rows is not None and key.rows[0] else part
    if left := [name for name in state if name not in made]:
        expected = f"weights for {left[0]}, which the configuration has"
        raise BundleError(weights[0].path, "content", expected, f"none, and none for {len(left) - 1} others")
    model.load_state_dict(made)


def check_names(weights: Sequence[Weights], keys: Sequence[Key], system: str) -> None:
    """Raise unless a checkpoint has the tensors of a key map, by name, and no others.

    Raises:
        BundleError: a tensor is missing or unknown; it names the first. Where most are missing, the file is of another
            system, and it says so.
    """
    tensors = {name: file.path for file in weights for name in file.tensors}
    known = {key.theirs for key in keys}
    missing = [key.theirs for key in keys if key.theirs not in tensors and not key.may_miss]
    unknown = [name for name in tensors if name not in known]
    if len(missing) > len(known) / 2:
        received = f"{len(tensors)} tensors such as {next(iter(tensors))}; {len(missing)} of {len(known)} are not there"
        raise BundleError(weights[0].path, "content", f"tensors of {system}, such as {missing[0]}", received)
    if unknown:
        received = f"an unknown tensor, and {len(unknown) - 1} others"
        raise BundleError(tensors[unknown[0]], unknown[0], f"only tensors of {system}", received)
    if missing:
        received = f"no such tensor, and {len(missing) - 1} others are missing"
        raise BundleError(weights[0].path, missing[0], f"a tensor of {system}", received)


def _parts(value: Tensor, key: Key, state: dict[str, Tensor], file: Weights, system: str) -> dict[str, Tensor]:
    """Our tensors of one of theirs."""
    for name in key.ours:
        if name not in state:
            raise BundleError(file.path, key.theirs, f"a configuration of {system} that has {name}", "one without it")
    mine = [state[name] if key.rows is None else state[name][slice(*key.rows)] for name in key.ours]
    if key.copied:
        mine = mine[:1]
    whole = (sum(m.shape[0] for m in mine), *mine[0].shape[1:]) if mine[0].ndim else ()
    if key.spare:
        whole = tuple(n + key.spare * (axis == key.axis) for axis, n in enumerate(whole))
    if tuple(value.shape) != whole:
        expected = f"{whole}, as the configuration of {system} has it"
        raise BundleError(file.path, key.theirs, expected, tuple(value.shape))
    if value.is_floating_point() != mine[0].is_floating_point():
        raise BundleError(file.path, key.theirs, f"numbers of {mine[0].dtype}", value.dtype)
    if value.is_floating_point() and not value.is_meta and not bool(value.isfinite().all()):
        count = int((~value.isfinite()).sum())
        raise BundleError(file.path, key.theirs, "finite numbers", f"{count} NaN or infinite of {value.numel()}")
    if turned := key.inputs_turned:
        value = torch.cat([value[:, turned:], value[:, :turned]], dim=1)
    if key.order is not None:
        value = value.index_select(key.axis, torch.tensor(key.order, device=value.device))
    if key.plane is not None:
        value = value.unflatten(0, key.plane).transpose(0, 1).flatten(0, 1)
    if key.copied:
        return {name: value.to(mine[0].dtype).clone() for name in key.ours}
    parts = value.split([m.shape[0] for m in mine]) if mine[0].ndim else (value,)
    return {name: part.to(m.dtype) for name, part, m in zip(key.ours, parts, mine)}
