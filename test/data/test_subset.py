# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The small mode chooses the same key frames wherever and in whatever order they are listed."""

from dataclasses import replace

import pytest

from gsocc_core.data.build import build_dataset
from gsocc_core.data.drives import collate
from gsocc_core.data.nuscenes import DataArgs
from gsocc_core.data.subset import choose_fraction
from gsocc_core.errors import ConfigError

NAMES = [f"scene-{i // 40:04d}/{i:05d}" for i in range(28130)]
FIRST = ["scene-0000/00002", "scene-0000/00003", "scene-0000/00006"]


def test_a_fifth_of_nuscenes_has_the_published_number_of_key_frames():
    assert len(choose_fraction(NAMES, 0.2, 0)) == 5626
    assert len(choose_fraction(NAMES[:6019], 0.2, 0)) == 1203


def test_the_choice_is_fixed_spread_nested_and_needs_no_order():
    chosen = choose_fraction(NAMES, 0.2, 0)
    # Written down: another choice would make ablations incomparable.
    assert sorted(chosen)[:3] == FIRST
    assert choose_fraction(NAMES[::-1], 0.2, 0) == chosen
    assert choose_fraction(NAMES, 0.1, 0) < chosen
    assert len({name.split("/")[0] for name in chosen}) > 690, "all scenes but a few take part"
    other = choose_fraction(NAMES, 0.2, 1)
    assert 0.15 < len(other & chosen) / len(chosen) < 0.25, "another seed is another choice"


def test_all_and_at_least_one():
    assert choose_fraction(NAMES[:7], 1.0, 5) == set(NAMES[:7])
    assert len(choose_fraction(NAMES[:3], 0.2, 0)) == 1
    assert len(choose_fraction(NAMES[:15], 0.2, 0)) == 3, "0.2 * 15 is not 2.9999"
    for wrong in (0.0, -0.1, 1.01, float("nan")):
        with pytest.raises(ConfigError, match="fraction: expected above 0 and at most 1"):
            choose_fraction(NAMES[:3], wrong, 0)


def test_items_are_few_but_their_past_is_whole(tiny_tree):
    args = DataArgs(str(tiny_tree), "v1.0-tiny", depth_dir=None, semantics_dir=None, views=1, history=1, fraction=0.5)
    part, whole = build_dataset(args, (32, 64)), build_dataset(replace(args, fraction=1.0), (32, 64))
    assert (len(part), len(whole)) == (3, 6)
    known = {frames.sample_tokens[0]: frames for frames in (whole[i] for i in range(6))}
    for index in range(3):
        frames = part[index]
        same = known[frames.sample_tokens[0]]
        assert frames.pose_valid.tolist() == same.pose_valid.tolist()
        assert frames.images.equal(same.images), "the frame before comes along although it is no item"
    kept = part.key_frame(0).scene_name
    alone = part.of_scenes([kept])
    assert {alone.key_frame(i).token for i in range(len(alone))} <= {part.key_frame(i).token for i in range(3)}
    assert collate([part[0], part[1]]).images.shape[0] == 2
