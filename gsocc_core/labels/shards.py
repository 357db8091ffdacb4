# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Which part of the work a process does: what it was told, else what its launcher's environment says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gsocc_core.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """One of several processes that share the work.

    Attributes:
        index: Number of this process, 0 ... count - 1.
        count: Number of processes.
        local_index: Its number on this machine, which picks a GPU.
    """

    index: int = 0
    count: int = 1
    local_index: int = 0

    def part(self, items: Sequence[T]) -> list[T]:
        """Every ``count``-th item.

        Example:
            >>> Shard(1, 3).part("abcdefg")
            ['b', 'e']
        """
        return list(items[self.index :: self.count])


def choose_shard(text: str | None, environment: Mapping[str, str]) -> Shard:
    """The part of this process.

    Args:
        text: ``i/n`` with i = 0 ... n - 1; None = look into the environment.
        environment: Variables of the process; torchrun's (RANK, WORLD_SIZE, LOCAL_RANK), Lightning's (NODE_RANK for
            RANK) and SLURM's (SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID) are understood, the first that are there win.

    Returns:
        The part; all of the work if nothing speaks of parts.

    Raises:
        ConfigError: the text or a variable makes no sense.

    Example:
        >>> choose_shard("2/8", {})
        Shard(index=2, count=8, local_index=0)
        >>> choose_shard(None, {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"})
        Shard(index=5, count=8, local_index=1)
    """
    local = _number(environment, "LOCAL_RANK", _number(environment, "SLURM_LOCALID", 0))
    if text is not None:
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None or int(found[1]) >= int(found[2]):
            raise ConfigError("command line", "--shard", "i/n with i = 0 ... n - 1, for instance 0/8", repr(text))
        return Shard(int(found[1]), int(found[2]), local)
    if "WORLD_SIZE" in environment and ("RANK" in environment or "LOCAL_RANK" in environment):
        index, count = _rank(environment, local), _number(environment, "WORLD_SIZE", 1)
    elif "SLURM_PROCID" in environment:
        # In a batch script outside srun there is one process, whatever the job asked for: only srun's steps count.
        count = _number(environment, "SLURM_STEP_NUM_TASKS", _number(environment, "SLURM_NTASKS", 1))
        index = _number(environment, "SLURM_PROCID", 0)
    else:
        return Shard()
    if not 0 <= index < count:
        raise ConfigError("environment", "rank of this process", f"0 ... {count - 1}", index)
    return Shard(index, count, local)


def _rank(environment: Mapping[str, str], local: int) -> int:
    if "RANK" in environment:
        return _number(environment, "RANK", 0)
    node = _number(environment, "NODE_RANK", 0)  # Lightning's own launcher sets no RANK
    if node and "LOCAL_WORLD_SIZE" not in environment:
        raise ConfigError("environment", "RANK", "the number of this process, or --shard i/n", "NODE_RANK only")
    return node * _number(environment, "LOCAL_WORLD_SIZE", 0) + local


def _number(environment: Mapping[str, str], key: str, default: int) -> int:
    text = environment.get(key)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError as error:
        raise ConfigError("environment", key, "a whole number", repr(text)) from error
