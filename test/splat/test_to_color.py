# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Colour pictures against one camera and one colour at a time."""

import pytest
import torch

from gsocc_core import Cameras, Gaussians, splat_to_image
from gsocc_core.errors import ShapeError
from gsocc_core.geometry.spherical_harmonics import sh_basis
from gsocc_core.splat.to_color import splat_to_color


def scene(b=2, n=12, degree=3):
    g = torch.Generator().manual_seed(0)
    means = torch.randn(b, n, 3, generator=g) + torch.tensor([0.0, 0.0, 6.0])
    return Gaussians(
        means, torch.rand(b, n, 3, generator=g) + 0.2, torch.randn(b, n, 4, generator=g),
        torch.rand(b, n, generator=g), torch.randn(b, n, 2, generator=g),
        colors_sh=torch.randn(b, n, (degree + 1) ** 2, 3, generator=g),
    )  # fmt: skip


def cameras(b=2, v=3):
    T = torch.eye(4).repeat(b, v, 1, 1)
    T[..., 0, 3] = torch.linspace(-2, 2, b * v).view(b, v)
    K = torch.tensor([[20.0, 0, 8], [0, 20, 6], [0, 0, 1]]).expand(b, v, 3, 3)
    return Cameras(K, T, 16, 12)


@pytest.mark.parametrize("degree", [0, 3])
def test_every_camera_sees_the_colors_of_its_own_side(degree):
    gaussians, rig = scene(degree=degree), cameras()
    found = splat_to_color(gaussians, rig)
    for b in range(2):
        for v in range(3):
            ways = gaussians.means[b] - rig.T_ref_cam[b, v, :3, 3]
            basis = sh_basis(ways / ways.norm(dim=-1, keepdim=True), degree)
            colors = torch.relu((basis[:, :, None] * gaussians.colors_sh[b]).sum(1) + 0.5)
            one = gaussians.map(lambda t, b=b: t[b]).replace(features=colors, colors_sh=None)
            seen = splat_to_image(one, rig.map(lambda t, b=b, v=v: t[b, v : v + 1]))
            torch.testing.assert_close(found.colors[b, v], seen.features[0], atol=1e-5, rtol=1e-4)
    plain = splat_to_image(gaussians, rig)
    for name in ("features", "depth", "alpha"):
        torch.testing.assert_close(getattr(found, name), getattr(plain, name), atol=1e-5, rtol=1e-4)


def test_every_coefficient_learns():
    gaussians = scene()
    sh = gaussians.colors_sh.requires_grad_()
    splat_to_color(gaussians, cameras()).colors.square().sum().backward()
    assert (sh.grad.abs().sum((0, 1)) > 0).all()


def test_what_is_missing_is_named():
    with pytest.raises(ShapeError, match="colors_sh: expected spherical-harmonic colours, received None"):
        splat_to_color(scene().replace(colors_sh=None), cameras())
    with pytest.raises(ShapeError, match=r"cameras: expected leading dimensions \(2,\), received \(1,\)"):
        splat_to_color(scene(), cameras(b=1))
