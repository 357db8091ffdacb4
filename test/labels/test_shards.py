# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
import pytest

from gsocc_core.errors import ConfigError
from gsocc_core.labels.shards import Shard, choose_shard


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Shard(0, 1, 0)),
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}, Shard(3, 4, 1)),
        # Lightning's own launcher
        ({"WORLD_SIZE": "4", "NODE_RANK": "0", "LOCAL_RANK": "2"}, Shard(2, 4, 2)),
        ({"WORLD_SIZE": "8", "NODE_RANK": "1", "LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "4"}, Shard(6, 8, 2)),
        # srun, and a batch script outside srun
        ({"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1"}, Shard(5, 8, 1)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "1"}, Shard(0, 1, 0)),
        # torchrun inside SLURM
        ({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, Shard(1, 2, 1)),
        ({"WORLD_SIZE": "4"}, Shard(0, 1, 0)),
    ],
)
def test_the_launcher_is_understood(environment, expected):
    assert choose_shard(None, environment) == expected


def test_words_win_over_the_launcher():
    assert choose_shard("0/1", {"RANK": "3", "WORLD_SIZE": "4"}) == Shard(0, 1, 0)


@pytest.mark.parametrize("text", ["1", "2/2", "a/b", "-1/2", "1/0", ""])
def test_impossible_parts_are_refused(text):
    with pytest.raises(ConfigError, match="--shard"):
        choose_shard(text, {})


@pytest.mark.parametrize(
    "environment",
    [
        {"RANK": "4", "WORLD_SIZE": "4"},
        {"RANK": "x", "WORLD_SIZE": "4"},
        {"WORLD_SIZE": "8", "NODE_RANK": "1", "LOCAL_RANK": "2"},
    ],
)
def test_a_senseless_environment_is_refused(environment):
    with pytest.raises(ConfigError, match="environment"):
        choose_shard(None, environment)


def test_parts_are_disjoint_and_whole():
    parts = [Shard(i, 7).part(range(100)) for i in range(7)]
    assert sorted(x for part in parts for x in part) == list(range(100))
    assert {len(part) for part in parts} == {14, 15}
