# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""splat_to_color: Gaussians with spherical-harmonic colours become colour pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.spherical_harmonics import sh_colors
from gsocc_core.splat.options import Backend, DepthMode
from gsocc_core.splat.to_image import splat_to_image


@dataclass(frozen=True)
class ColorRendering:
    """What cameras see of a coloured scene.

    Attributes:
        colors: (..., V, H, W, 3) red, green, blue; 1 = full; black where nothing is.
        features: (..., V, H, W, C).
        depth: (..., V, H, W) metres along the optical axis; 0 where nothing is hit.
        alpha: (..., V, H, W) accumulated opacity, 0..1.
    """

    colors: Tensor
    features: Tensor
    depth: Tensor
    alpha: Tensor

    def on(self, background: Tensor | None) -> Tensor:
        """Colours (..., V, H, W, 3) before a background of one colour (..., 3) per scene; None = black."""
        if background is None:
            return self.colors
        behind = background.to(self.colors)[..., None, None, None, :]
        return self.colors + (1 - self.alpha)[..., None] * behind


def splat_to_color(
    gaussians: Gaussians,
    cameras: Cameras,
    *,
    depth: DepthMode = "expected",
    near: float = 0.1,
    far: float = 100.0,
    backend: Backend = "auto",
) -> ColorRendering:
    """Render colours beside features, depth and opacity.

    A Gaussian's colour is that of the direction from each camera's centre to its mean, so every camera has a scene of
    its own colours: (..., V) scenes with one camera each go to :func:`~gsocc_core.splat.to_image.splat_to_image`, which
    says what is differentiable; colours are for the coefficients, the means and the poses.

    Args:
        gaussians: (..., N) Gaussians with ``colors_sh``, metres.
        cameras: (..., V) undistorted pinhole or orthographic cameras.
        depth: See ``splat_to_image``.
        near: Means nearer than this are left out, metres.
        far: Means farther than this are left out, metres.
        backend: See ``splat_to_image``.

    Returns:
        Pictures (..., V, H, W).

    Raises:
        ShapeError: there are no colours, or leading dimensions differ.
        ConfigError: see ``splat_to_image``.

    Example:
        >>> quats = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
        >>> red = torch.tensor([[[1.7725, -1.7725, -1.7725]]])
        >>> g = Gaussians(torch.tensor([[0.0, 0.0, 5.0]]), torch.ones(1, 3), quats, torch.ones(1), torch.ones(1, 1),
        ...               colors_sh=red)
        >>> K = torch.tensor([[[10.0, 0.0, 4.0], [0.0, 10.0, 4.0], [0.0, 0.0, 1.0]]])
        >>> seen = splat_to_color(g, Cameras(K, torch.eye(4)[None], 8, 8))
        >>> (seen.colors[0, 4, 4] > 0.9).tolist()
        [True, False, False]
    """
    where, leading = "splat_to_color", tuple(cameras.intrinsics.shape[:-3])
    if gaussians.colors_sh is None:
        raise ShapeError(where, "gaussians.colors_sh", "spherical-harmonic colours", None)
    if leading != gaussians.batch_shape:
        raise ShapeError(where, "cameras", f"leading dimensions {gaussians.batch_shape}", leading)
    axis, views = len(leading), cameras.intrinsics.shape[-3]
    origins = cameras.T_ref_cam[..., None, :3, 3]  # (..., V, 1, 3)
    directions = gaussians.means.unsqueeze(axis) - origins.to(gaussians.means)
    colors = sh_colors(gaussians.colors_sh.unsqueeze(axis), directions)
    plain = gaussians.replace(colors_sh=None, velocities=None)
    each = plain.map(lambda t: t.unsqueeze(axis).expand(*leading, views, *t.shape[axis:]))
    each = each.replace(features=torch.cat([each.features, colors.to(each.features)], dim=-1))
    seen = splat_to_image(
        each, cameras.map(lambda t: t.unsqueeze(axis + 1)), depth=depth, near=near, far=far, backend=backend
    )
    features, pictures = seen.features.squeeze(axis + 1).split([gaussians.features.shape[-1], 3], dim=-1)
    return ColorRendering(pictures, features, seen.depth.squeeze(axis + 1), seen.alpha.squeeze(axis + 1))
