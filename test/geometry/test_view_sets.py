# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Sets of views: what fits together, and batches of samples with different numbers of views."""

from dataclasses import replace

import pytest
import torch

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.view_sets import ViewSet, collate_views


def views(count, batch=1, value=1, **parts):
    K, T = torch.eye(3).expand(batch, count, 3, 3), torch.eye(4).expand(batch, count, 4, 4)
    images = torch.full((batch, count, 3, 4, 6), value, dtype=torch.uint8)
    names = tuple(tuple(str(i) for i in range(count)) for _ in range(batch))
    return ViewSet(images, K.clone(), T.clone(), torch.ones(batch, count, dtype=torch.bool),
                   scene_names=("s",) * batch, frame_names=names, **parts)  # fmt: skip


def test_a_batch_fills_up_those_with_fewer_views():
    one = views(1, value=5, depth_m=torch.ones(1, 1, 4, 6), semantics=torch.zeros(1, 1, 4, 6, dtype=torch.uint8),
                features=torch.ones(1, 1, 2, 3, 3), targets=views(2, value=7))  # fmt: skip
    three = views(3, value=6, depth_m=torch.ones(1, 3, 4, 6), semantics=torch.zeros(1, 3, 4, 6, dtype=torch.uint8),
                  features=torch.ones(1, 3, 2, 3, 3), targets=views(2, value=8))  # fmt: skip
    batch = collate_views([one, three])
    assert batch.images.shape == (2, 3, 3, 4, 6)
    assert batch.valid.tolist() == [[True, False, False], [True] * 3]
    assert batch.pose_known.tolist() == batch.intrinsics_known.tolist() == batch.valid.tolist()
    assert batch.images[0, :, 0, 0, 0].tolist() == [5, 0, 0]
    assert batch.depth_m[0, 1:].sum() == batch.features[0, 1:].sum() == 0
    assert (batch.semantics[0, 1:] == 255).all()
    assert batch.targets.images[:, 0, 0, 0, 0].tolist() == [7, 8]
    assert batch.frame_names == (("0",), ("0", "1", "2"))
    assert batch.scene_names == ("s", "s")


def test_parts_of_some_samples_only_and_other_sizes_are_told():
    with pytest.raises(ShapeError, match=r"collate_views: depth_m: expected in all samples of a batch, or in none"):
        collate_views([views(1, depth_m=torch.ones(1, 1, 4, 6)), views(1)])
    small = views(1, features=torch.ones(1, 1, 2, 3, 3)), views(1, features=torch.ones(1, 1, 2, 3, 4))
    with pytest.raises(ShapeError, match=r"collate_views: features: expected one size"):
        collate_views(list(small))


@pytest.mark.parametrize(("key", "value"), [
    ("images", torch.zeros(1, 2, 4, 4, 6)), ("intrinsics", torch.zeros(1, 1, 3, 3)), ("valid", torch.ones(2, 2)),
    ("depth_m", torch.zeros(1, 2, 6, 4)), ("features", torch.zeros(1, 1, 3, 2, 2)),
])  # fmt: skip
def test_shapes_that_do_not_fit_are_told(key, value):
    with pytest.raises(ShapeError, match=f"ViewSet: {key}: expected"):
        replace(views(2), **{key: value})


def test_targets_have_the_same_samples_and_no_targets():
    with pytest.raises(ShapeError, match="ViewSet: targets: expected 1 samples, received 2"):
        replace(views(2), targets=views(1, batch=2))
    with pytest.raises(ShapeError, match=r"targets\.targets"):
        replace(views(2), targets=replace(views(1), targets=views(1)))


def test_unknown_intrinsics_are_no_numbers_and_targets_keep_theirs():
    hidden = replace(views(2), targets=views(1)).without_intrinsics()
    assert not hidden.intrinsics_known.any()
    assert hidden.targets.intrinsics_known.all()
    assert hidden.pose_known.all()
    assert hidden.to("meta").targets.images.is_meta, "every tensor moves"
