# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""may_be_seen: taking out what it says leaves every picture as it was."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core import Cameras, Gaussians, splat_to_image
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_core.splat.images.pruning import may_be_seen


def scene_and_cameras(seed, model, sigma):
    g = torch.Generator().manual_seed(seed)
    n = 300
    means = (torch.rand(n, 3, generator=g) - 0.5) * 40
    scales = sigma * (0.05 + torch.rand(n, 3, generator=g))
    quats = torch.randn(n, 4, generator=g)
    scene = Gaussians(means, scales, quats, torch.rand(n, generator=g) ** 4, torch.randn(n, 2, generator=g))
    focal = 20.0 if model == "pinhole" else 1.5
    K = torch.tensor([[focal, 0, 11.0], [0, focal * 1.1, 9.0], [0, 0, 1]]).expand(3, 3, 3)
    turns = torch.randn(3, 4, generator=g).double().numpy()
    poses = torch.stack([torch.from_numpy(rigid_from_quat(list(q), [1.0, -2.0, 0.5])).float() for q in turns])
    return scene, Cameras(K, poses, 26, 16, model)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000), model=st.sampled_from(["pinhole", "orthographic"]),
    sigma=st.sampled_from([0.01, 0.3, 3.0, 20.0]),
)  # fmt: skip
def test_pictures_do_not_change(seed, model, sigma):
    scene, cameras = scene_and_cameras(seed, model, sigma)
    seen = may_be_seen(scene, cameras, 0.1, 30.0)
    whole = splat_to_image(scene, cameras, near=0.1, far=30.0)
    pruned = splat_to_image(scene.map(lambda t: t[seen]), cameras, near=0.1, far=30.0)
    for name in ("features", "depth", "alpha"):
        assert torch.equal(getattr(whole, name), getattr(pruned, name)), name


@pytest.mark.parametrize("model", ["pinhole", "orthographic"])
def test_it_takes_out_the_faint_and_what_lies_aside(model):
    scene, cameras = scene_and_cameras(3, model, 0.3)
    seen = may_be_seen(scene, cameras, 0.1, 30.0)
    assert not seen[scene.opacities < 1 / 255].any()
    assert seen.any()
    assert (~seen & (scene.opacities > 0.1)).sum() > 20


def test_a_gaussian_in_the_middle_of_the_picture_stays():
    scene, cameras = scene_and_cameras(0, "pinhole", 0.3)
    ahead = cameras.T_ref_cam[0, :3, 3] + 5 * cameras.T_ref_cam[0, :3, 2]
    one = scene.map(lambda t: t[:1]).replace(means=ahead[None], opacities=torch.ones(1))
    assert may_be_seen(one, cameras, 0.1, 30.0).all()
    assert not may_be_seen(one, cameras, 6.0, 30.0).any()
