# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The layer over gsplat: what of gsplat runs without a GPU agrees with our rules and takes our call."""

import inspect

import pytest
import torch

from gsocc_core import Cameras, Gaussians
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_core.splat.images import cuda
from gsocc_core.splat.images.reference import project_gaussians
from gsocc_core.splat.images.rules import LOW_PASS_PX2

gsplat = pytest.importorskip("gsplat")


def random_scene(n, batch=()):
    g = torch.Generator().manual_seed(2)
    means = (torch.rand(*batch, n, 3, generator=g, dtype=torch.float64) - 0.5) * 16
    scales = 0.05 + torch.rand(*batch, n, 3, generator=g, dtype=torch.float64)
    quats = torch.randn(*batch, n, 4, generator=g, dtype=torch.float64)
    opacities = torch.rand(*batch, n, generator=g, dtype=torch.float64)
    return Gaussians(means, scales, quats, opacities, torch.randn(*batch, n, 3, generator=g, dtype=torch.float64))


def cameras(model, batch=()):
    focal = 30.0 if model == "pinhole" else 2.0
    K = torch.tensor([[focal, 0, 14.0], [0, focal * 1.2, 9.0], [0, 0, 1]], dtype=torch.float64)
    poses = [rigid_from_quat([0.9, 0.1 * k, 0.3, -0.2], [0.5, k, -0.4]) for k in range(2)]
    T = torch.stack([torch.from_numpy(pose) for pose in poses])
    return Cameras(K.expand(*batch, 2, 3, 3), T.expand(*batch, 2, 4, 4), 30, 20, model)


@pytest.mark.parametrize("model", ["pinhole", "orthographic"])
def test_projection_equals_gsplats_own_reference(model):
    from gsplat.cuda._torch_impl import _fully_fused_projection

    scene, rig = random_scene(200), cameras(model)
    _, means2d, depths, conics, _ = _fully_fused_projection(
        scene.means, scene.covariances(), rig.viewmats, rig.intrinsics, rig.width, rig.height, eps2d=LOW_PASS_PX2,
        near_plane=0.1, far_plane=100.0, camera_model="ortho" if model == "orthographic" else "pinhole",
    )  # fmt: skip
    checked = 0
    for v, (viewmat, K) in enumerate(zip(rig.viewmats, rig.intrinsics)):
        in_camera = scene.means @ viewmat[:3, :3].T + viewmat[:3, 3]
        used = in_camera[:, 2] > 0.1
        uv, covariances = project_gaussians(
            in_camera[used], scene.covariances()[used], viewmat, K, (rig.height, rig.width), model == "orthographic"
        )
        inverse = torch.linalg.inv(covariances)
        ours = torch.stack([inverse[:, 0, 0], inverse[:, 0, 1], inverse[:, 1, 1]], -1)
        torch.testing.assert_close(uv, means2d[v][used], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(ours, conics[v][used], rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(in_camera[used, 2], depths[v][used])
        checked += int(used.sum())
    assert checked > 100


@pytest.mark.parametrize(("count", "prune_from", "packed"), [(40, 1000, False), (40, 10, True), (0, 1000, False)])
def test_gsplat_takes_the_call(monkeypatch, count, prune_from, packed):
    """Without a GPU gsplat cannot draw; its signature and its shape rules can still refuse a call."""
    calls = []
    signature = inspect.signature(gsplat.rasterization)

    def record(**arguments):
        bound = signature.bind(**arguments).arguments
        calls.append(bound)
        lead, n = bound["means"].shape[:-2], bound["means"].shape[-2]
        assert bound["opacities"].shape == (*lead, n)
        assert bound["viewmats"].shape == (*lead, 2, 4, 4)
        assert bound["Ks"].shape == (*lead, 2, 3, 3)
        shape = (*lead, 2, bound["height"], bound["width"])
        return torch.zeros(*shape, bound["colors"].shape[-1] + 1), torch.zeros(*shape, 1), {}

    monkeypatch.setattr(gsplat, "rasterization", record)
    monkeypatch.setattr(cuda, "PRUNE_FROM", prune_from)
    features, depth, alpha = cuda.images_cuda(random_scene(count, (3,)), cameras("pinhole", (3,)), 0.1, 50.0)
    assert features.shape == (3, 2, 20, 30, 3)
    assert depth.shape == alpha.shape == (3, 2, 20, 30)
    assert len(calls) == (0 if not count else 3 if packed else 1)
    assert all(call["packed"] == packed for call in calls)
    if packed:
        assert sum(call["means"].shape[0] for call in calls) < 3 * count, "what no camera sees is left out"


def test_a_missing_gsplat_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gsplat", None)
    with pytest.raises(ConfigError, match="gsplat"):
        cuda.images_cuda(random_scene(4, (1,)), cameras("pinhole", (1,)), 0.1, 50.0)
