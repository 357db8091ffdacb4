# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth learns from pictures alone: a neighbouring picture, warped by the right depth, looks like the present one.

After Monodepth2 (Godard et al., ICCV 2019), as GaussianOcc uses it. Pictures are (..., 3, H, W) with values 0..1.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.rigid import transform_points

#: What a pixel shows whose surface lies outside the neighbouring picture: nothing that counts, or the nearest pixel of
#: the border (the original's).
Outside = Literal["ignored", "border"]

#: Constants of SSIM for values 0..1 (Wang et al. 2004).
_C1, _C2 = 0.01**2, 0.03**2
#: SSIM of a pixel sees pixels this far away.
SSIM_REACH_PX = 1
#: Error of what cannot be compared; more than any other.
_NEVER = 1e3
#: Added to depth before it is inverted, metres.
_SMALL = 1e-7


def ssim_dissimilarity(one: Tensor, other: Tensor) -> Tensor:
    """(1 - SSIM) / 2 of every pixel and channel, 0..1, over windows of 3 x 3 with mirrored borders.

    Args:
        one: (..., C, H, W) values 0..1.
        other: The same shape.

    Returns:
        (..., C, H, W).

    Example:
        >>> grey = torch.full((1, 4, 4), 0.5)
        >>> ssim_dissimilarity(grey, grey).max().item()
        0.0
    """
    x, y = one.reshape(-1, 1, *one.shape[-2:]), other.reshape(-1, 1, *other.shape[-2:])
    # One average over all five moments: padding and windows cost more than the numbers.
    moments = torch.cat([x, y, x * x, y * y, x * y], dim=1)
    mean = functional.avg_pool2d(functional.pad(moments, (1, 1, 1, 1), mode="reflect"), 3, 1)
    mx, my, xx, yy, xy = mean.unbind(1)
    over = (2 * mx * my + _C1) * (2 * (xy - mx * my) + _C2)
    under = (mx * mx + my * my + _C1) * ((xx - mx * mx) + (yy - my * my) + _C2)
    return ((1 - over / under) / 2).clamp(0, 1).view_as(one)


def photometric_error(one: Tensor, other: Tensor, ssim: float = 0.85) -> Tensor:
    """How different two pictures look at each pixel: SSIM and absolute difference, means over the channels.

    Args:
        one: (..., C, H, W) values 0..1.
        other: The same shape.
        ssim: Weight of :func:`ssim_dissimilarity`; that of the absolute difference is 1 - ``ssim``.

    Returns:
        (..., H, W).
    """
    return ssim * ssim_dissimilarity(one, other).mean(-3) + (1 - ssim) * (one - other).abs().mean(-3)


def warp(pictures: Tensor, source: Cameras, depth_m: Tensor, target: Cameras) -> tuple[Tensor, Tensor]:
    """What ``target`` would see, by its depth, if it looked at the surfaces that ``source`` has taken pictures of.

    Lens distortion is followed on both sides. Differentiable for the depth, the pictures and both poses.

    Args:
        pictures: (..., V, 3, H, W) of the cameras ``source``, values 0..1.
        source: (..., V) cameras of these pictures.
        depth_m: (..., V, h, w) depth along the optical axis of each of the cameras ``target``, metres.
        target: (..., V) cameras at the size of the depth. Camera v looks at what camera v of ``source`` has taken.

    Returns:
        (..., V, 3, h, w) pictures, and (..., V, h, w) bool: the surface lies in front of the source camera and inside
        its picture. Elsewhere the picture shows the nearest pixel of the source's border.

    Raises:
        ShapeError: the depth has another size than ``target``.
    """
    height, width = depth_m.shape[-2:]
    if (height, width) != (target.height, target.width):
        raise ShapeError("warp", "depth_m", f"(..., {target.height}, {target.width}), as target", tuple(depth_m.shape))
    rays = target.rays_at(target.pixel_centres())
    points = transform_points(target.T_ref_cam, rays * depth_m.flatten(-2)[..., None])
    # Every camera looks at its own points, so each becomes a rig of one.
    places = len(source.intrinsics.shape) - 2
    rig = source.map(lambda t: t.unsqueeze(places))
    uv, _, seen = rig.project(points)
    place = uv.squeeze(places) / uv.new_tensor([source.width, source.height]) * 2 - 1
    warped = functional.grid_sample(
        pictures.flatten(0, -4), place.reshape(-1, height, width, 2), padding_mode="border", align_corners=False
    )
    leading = pictures.shape[:-3]
    return warped.view(*leading, *warped.shape[1:]), seen.squeeze(places).unflatten(-1, (height, width))


def minimum_reprojection(
    present: Tensor, warped: Tensor, seen: Tensor, still: Tensor | None = None, ssim: float = 0.85
) -> Tensor:
    """The least photometric error of any neighbour, so that what one of them cannot see costs nothing.

    Args:
        present: (..., 3, H, W) values 0..1.
        warped: (K, ..., 3, H, W) the neighbours' pictures, warped to the present.
        seen: (K, ..., H, W) bool: the neighbour's picture is there and shows the pixel.
        still: (K, ..., 3, H, W) the same pictures as they were taken, or None. A pixel that looks more like one of
            these teaches nothing: the camera rests, or what it shows moves along (auto-masking). Its error, without
            gradient, stays in the mean, as published.
        ssim: See :func:`photometric_error`.

    Returns:
        Scalar mean over the pixels that a neighbour shows; 0 when there is none.
    """
    errors = photometric_error(warped, present.expand_as(warped), ssim)
    least = torch.where(seen, errors, _NEVER).amin(0)
    used = seen.any(0)
    if still is not None:
        with torch.no_grad():
            resting = photometric_error(still, present.expand_as(still), ssim)
            there = seen.flatten(-2).any(-1)[..., None, None]
            resting = torch.where(there, resting, _NEVER).amin(0)
        least = torch.where(resting <= least, resting, least)
    return (least * used).sum() / used.sum().clamp(min=1)


def reprojection_loss(
    depth_m: Tensor,
    pictures: Tensor,
    cameras: Cameras,
    valid: Tensor,
    *,
    auto_mask: bool = True,
    outside: Outside = "ignored",
    ssim: float = 0.85,
    usable: Tensor | None = None,
) -> Tensor:
    """Photometric loss of the present depth against the pictures of other moments.

    Args:
        depth_m: (B, V, h, w) metres of the present cameras, at any size; enlarged bilinearly to that of the pictures.
        pictures: (B, S, V, 3, H, W) uint8; moment 0 is the present, the others are its neighbours.
        cameras: (B, S, V) of these pictures, in the present ego frame.
        valid: (B, S, V) bool: the picture is there and its pose is known.
        auto_mask: See ``still`` of :func:`minimum_reprojection`.
        outside: See :data:`Outside`.
        ssim: See :func:`photometric_error`.
        usable: (B, V, H, W) bool: the present pixel shows the surroundings, not the robot itself; None = all do.

    Returns:
        Scalar; 0, with a gradient of 0, where no present picture has a neighbour.

    Raises:
        ShapeError: the pictures have another size than their cameras.
    """
    size = (cameras.height, cameras.width)
    if tuple(pictures.shape[-2:]) != size:
        raise ShapeError("reprojection_loss", "pictures", ("B", "S", "V", 3, *size), tuple(pictures.shape))
    if depth_m.shape[-2:] != size:
        depth_m = functional.interpolate(depth_m, size, mode="bilinear", align_corners=False)
    values = pictures.to(depth_m.dtype) / 255
    present, target = values[:, 0], cameras.map(lambda t: t[:, 0])
    there = valid & valid[:, :1]
    warped, seen = [], []
    for moment in range(1, pictures.shape[1]):
        picture, shown = warp(values[:, moment], cameras.map(lambda t, m=moment: t[:, m]), depth_m, target)
        warped.append(picture)
        shown = (shown | (outside == "border")) & there[:, moment, :, None, None]
        seen.append(shown if usable is None else shown & usable)
    if not warped:
        return depth_m.sum() * 0.0
    still = values[:, 1:].movedim(1, 0) if auto_mask else None
    return minimum_reprojection(present, torch.stack(warped), torch.stack(seen), still, ssim)


def smoothness_loss(depth_m: Tensor, pictures: Tensor) -> Tensor:
    """Inverse depth changes little where the picture does (Heise et al. 2013, as in Monodepth2).

    With d the inverse depth divided by its mean over the picture: the mean of |dx d| exp(-|dx I|), plus the same along
    y, where |dx I| is a mean over the channels.

    Args:
        depth_m: (..., H, W) metres, above 0.
        pictures: (..., 3, H, W) values 0..1.

    Returns:
        Scalar.

    Example:
        >>> smoothness_loss(torch.full((4, 4), 7.0), torch.rand(3, 4, 4)).item()
        0.0
    """
    inverse = 1 / (depth_m + _SMALL)
    inverse = inverse / (inverse.mean((-2, -1), keepdim=True) + _SMALL)
    total = depth_m.new_zeros(())
    for axis in (-1, -2):
        edge = pictures.diff(dim=axis).abs().mean(-3)
        total = total + (inverse.diff(dim=axis).abs() * torch.exp(-edge)).mean()
    return total
