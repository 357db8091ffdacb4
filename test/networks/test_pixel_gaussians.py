# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians lifted from pixels, and the probabilities that say where."""

import numpy as np
import pytest
import torch

from gsocc_core.networks.depth_bins import DepthBins
from gsocc_core.networks.pixel_gaussians import PixelGaussians

from ..methods.tiny_frames import frames  # noqa: TID252 - tests are no package


def test_quantiles_are_those_of_a_histogram_that_is_even_within_bins():
    torch.manual_seed(0)
    bins = DepthBins(4, 16, (1.0, 60.0))
    logits = (3 * torch.randn(1, 2, 16, 3, 2, dtype=torch.float64)).requires_grad_()
    shares = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    found = bins.quantiles_m(logits, shares)
    edges = np.linspace(0, np.log(60.0), 17)
    likely = logits.detach().softmax(2)[0].numpy()
    for v, i, j in np.ndindex(2, 3, 2):
        upto = np.concatenate([[0.0], likely[v, :, i, j].cumsum()])
        expected = np.exp(np.interp(shares.numpy(), upto, edges))
        np.testing.assert_allclose(found[0, v, i, j].detach().numpy(), expected, rtol=1e-6)
    assert torch.autograd.gradcheck(lambda t: bins.quantiles_m(t, shares), (logits,), atol=1e-6)


def test_sure_pixels_keep_their_gaussians_together_and_borders_of_two_things_get_both():
    bins = DepthBins(4, 32, (1.0, 60.0))
    logits = torch.full((1, 1, 32, 1, 2), -20.0)
    logits[0, 0, 10, 0, 0] = 0.0
    logits[0, 0, [5, 25], 0, 1] = 0.0
    near, far = bins.quantiles_m(logits, torch.tensor([0.25, 0.75]))[0, 0, 0].unbind(-1)
    width = 60 ** (1 / 32)
    assert 1 < far[0] / near[0] < width
    assert near[1].item() == pytest.approx(float(bins.centers_m[5]), rel=1e-4)
    assert far[1].item() == pytest.approx(float(bins.centers_m[25]), rel=1e-4)


@pytest.mark.parametrize(("bins", "per_pixel"), [(0, 1), (12, 1), (12, 3)])
def test_means_lie_on_the_rays_of_their_pixels(bins, per_pixel):
    torch.manual_seed(0)
    cameras = frames(b=2, v=3).cameras.map(lambda t: t[:, 0])
    lift = PixelGaussians(8, (2.0, 20.0), bins, per_pixel)
    features, means, logits = lift(torch.randn(2, 3, 8, 4, 8), cameras)
    assert features.shape == (2, 3 * 32 * per_pixel, 8)
    assert (logits is None) if not bins else (logits.shape == (2, 3, bins, 4, 8))
    uv, _, valid = cameras.resized(8, 4).project(means)
    column, row = torch.meshgrid(torch.arange(8) + 0.5, torch.arange(4) + 0.5, indexing="xy")
    expected = torch.stack([column, row], -1).view(-1, 2).repeat_interleave(per_pixel, 0)
    distance_m = (means.view(2, 3, -1, 3) - cameras.T_ref_cam[..., None, :3, 3]).norm(dim=-1)
    for view in range(3):
        own = slice(view * 32 * per_pixel, (view + 1) * 32 * per_pixel)
        assert valid[:, view, own].all()
        torch.testing.assert_close(uv[:, view, own], expected.expand(2, -1, -1), atol=1e-4, rtol=1e-4)
    assert distance_m.min() > 2.0
    if bins:
        steps = distance_m.view(2, 3, 32, per_pixel).diff(dim=-1)
        assert (steps > 0).all()
        assert distance_m.max() < 20.0
