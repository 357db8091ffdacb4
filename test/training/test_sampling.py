# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The stream of batches."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gsocc_core.training.sampling import StepSampler, ViewStepSampler


@given(st.integers(1, 50), st.integers(1, 7), st.integers(0, 5), st.integers(0, 30))
def test_a_resumed_stream_goes_on_where_it_was(size, batch, seed, start):
    straight, resumed = iter(StepSampler(size, batch, seed)), iter(StepSampler(size, batch, seed, start))
    for _ in range(start):
        next(straight)
    assert [next(straight) for _ in range(3)] == [next(resumed) for _ in range(3)]


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 3))
def test_every_item_comes_once_per_epoch_over_all_processes(size, batch, world):
    samplers = [StepSampler(size, batch, 0, rank=r, world_size=world) for r in range(world)]
    stream = []
    step = 0
    while len(stream) < 2 * size:
        for sampler in samplers:
            stream += sampler.batch(step)
        step += 1
    assert Counter(i for i, _ in stream[:size]) == Counter(range(size))
    assert len({draw for _, draw in stream}) == len(stream), "every visit draws anew"


def test_steps_come_along_for_data_sets_that_follow_a_schedule():
    plain, stepped = iter(StepSampler(5, 3, 1, 40)), iter(ViewStepSampler(StepSampler(5, 3, 1, 40)))
    for step in (40, 41, 42):
        assert next(stepped) == [(index, seed, step) for index, seed in next(plain)]
