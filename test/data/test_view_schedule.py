# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Which frames are views: the published protocols, equal targets for different numbers of views, and stages."""

import numpy as np
import pytest

from gsocc_core.arguments import keyword_arguments
from gsocc_core.data.view_schedule import SpanStage, ViewSchedule
from gsocc_core.errors import ConfigError


def schedule(span, **keys):
    return ViewSchedule(stages=(SpanStage(0, (span, span)),), **keys)


def test_the_published_test_of_many_views_is_every_second_frame():
    eight = schedule(14, context=(8,), targets=7)
    assert eight.choose(8, 14, 0) == ((0, 2, 4, 6, 8, 10, 12, 14), (1, 3, 5, 7, 9, 11, 13))
    assert eight.starts(30) == (0,)


def test_the_published_test_of_pairs_takes_frames_1_and_4_of_8():
    pairs = schedule(2, stride=8, offsets=(0, 3))
    assert pairs.starts(30) == (0, 3, 8, 11, 16, 19, 24, 27)
    assert [pairs.choose(2, 2, s).targets for s in pairs.starts(30)[:3]] == [(1,), (4,), (9,)]


def test_numbers_of_views_to_be_compared_share_span_and_targets():
    for targets in (1, 3):
        asked = schedule(14, context=(2, 4, 8), targets=targets, avoid=(2, 4, 8))
        chosen = [asked.choose(count, 14, 5) for count in (2, 4, 8)]
        assert len({c.targets for c in chosen}) == 1
        assert {(c.context[0], c.context[-1]) for c in chosen} == {(5, 19)}
        assert all(not set(c.context) & set(c.targets) for c in chosen)


def test_drawn_targets_lie_between_the_views_and_on_none():
    one = schedule(6, targets=3)
    drawn = {one.choose(2, 6, 10, np.random.default_rng(seed)).targets for seed in range(30)}
    assert len(drawn) > 5
    for targets in drawn:
        assert list(targets) == sorted(set(targets))
        assert set(targets) <= set(range(11, 16))


def test_drawn_views_come_in_any_order_on_request():
    any_order = schedule(6, context=(4,), any_order=True)
    drawn = [any_order.choose(4, 6, 10, np.random.default_rng(seed)) for seed in range(60)]
    assert {tuple(sorted(choice.context)) for choice in drawn} == {(10, 12, 14, 16)}
    assert len({choice.context for choice in drawn}) > 15, "of 24"
    plain = [schedule(6, context=(4,)).choose(4, 6, 10, np.random.default_rng(seed)) for seed in range(60)]
    assert [choice.targets for choice in plain] == [choice.targets for choice in drawn], "the same targets"
    assert any_order.choose(4, 6, 10).context == (10, 12, 14, 16), "without a seed as ever"


def test_a_single_view_has_its_targets_behind_it():
    assert schedule(3, context=(1,), targets=3).choose(1, 3, 4) == ((4,), (5, 6, 7))


def test_stages_follow_the_step_and_the_last_one_holds_without():
    two = ViewSchedule(context=(2, 4), stages=(SpanStage(0, (4, 6)), SpanStage(100, (8, 12))))
    assert [two.stage(step).span for step in (0, 99, 100, None)] == [(4, 6), (4, 6), (8, 12), (8, 12)]
    counts = [two.views_at(step) for step in range(200)]
    assert counts == [two.views_at(step) for step in range(200)]
    assert 60 < counts.count(2) < 140


def test_a_short_video_is_used_whole():
    assert schedule(20).starts(9) == (0,)
    assert schedule(4, stride=2).starts(9) == (0, 2, 4)


def test_yaml_says_the_same():
    plain = {"context": [2, 4], "stages": [{"begin": 0, "span": [6, 6]}, {"begin": 50, "span": [6, 12]}], "targets": 2}
    made = ViewSchedule(**keyword_arguments(ViewSchedule, plain, "a.yaml"))
    assert made == ViewSchedule((2, 4), (SpanStage(0, (6, 6)), SpanStage(50, (6, 12))), 2)


@pytest.mark.parametrize(("keys", "told"), [
    ({"context": ()}, "schedule: context: expected numbers of 1 or more"), ({"context": (0,)}, "context"),
    ({"targets": -1}, "schedule: targets: expected 0 or more"), ({"offsets": (-1,)}, "offsets"),
    ({"stages": (SpanStage(5, (4, 4)),)}, "schedule: stages: expected one or more, beginning at ascending steps"),
    ({"stages": (SpanStage(0, (6, 4)),)}, "schedule: span: expected fewest, most"),
    ({"context": (8,)}, "schedule: span: expected frames for 8 context views and 1 targets"),
    ({"targets": 4}, "schedule: span: expected frames for 2 context views and 4 targets"),
])  # fmt: skip
def test_what_makes_no_sense_is_told(keys, told):
    with pytest.raises(ConfigError, match=told):
        ViewSchedule(**keys)
