# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Sets of views: what fits together, and batches of samples with different numbers of views."""

from dataclasses import replace

import pytest
import torch

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.cameras import Cameras
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


def test_a_mirrored_scene_is_one_that_could_be():
    """Every pixel's point, in the first camera's frame and in the world, has its x turned round."""
    g = torch.Generator().manual_seed(0)
    T = torch.eye(4).repeat(1, 2, 1, 1)
    T[0, 1, :3, :3] = torch.linalg.qr(torch.randn(3, 3, generator=g))[0]
    T[0, 1, :3, :3] *= torch.det(T[0, 1, :3, :3])
    T[0, 1, :3, 3] = torch.tensor([0.3, -0.2, 0.5])
    K = torch.tensor([[5.0, 0.1, 2.5], [0, 6, 1.5], [0, 0, 1]]).expand(1, 2, 3, 3)
    picture = torch.randint(0, 256, (1, 2, 3, 4, 6), generator=g, dtype=torch.uint8)
    one = replace(
        views(2), images=picture, intrinsics=K, T_first_cam=T, T_world_first=T[:, 1].double(),
        semantics=picture[:, :, 0], features=torch.rand(1, 2, 2, 2, 3, generator=g),
    )  # fmt: skip
    one = replace(one, targets=replace(one))
    flip = torch.tensor([-1.0, 1.0, 1.0])
    for before, after in ((one, one.mirrored()), (one.targets, one.mirrored().targets)):
        (o, d), (o_after, d_after) = (Cameras(v.intrinsics, v.T_first_cam, 6, 4).rays() for v in (before, after))
        torch.testing.assert_close(o_after + 2 * d_after, (o + 2 * d).flip(-2) * flip, atol=1e-5, rtol=1e-5)
        for key in ("images", "semantics", "features"):
            assert torch.equal(getattr(after, key), getattr(before, key).flip(-1))
    world, mirrored = one.T_world_first[0], one.mirrored().T_world_first[0]
    point = torch.tensor([0.4, 0.7, 1.1, 1.0], dtype=torch.float64)
    whole = torch.tensor([-1.0, 1, 1, 1], dtype=torch.float64)
    torch.testing.assert_close(mirrored @ (whole * point), whole * (world @ point))
    assert one.mirrored().depth_m is None
    again = one.mirrored().mirrored()
    torch.testing.assert_close(again.T_first_cam, one.T_first_cam)
    torch.testing.assert_close(again.intrinsics, one.intrinsics)
