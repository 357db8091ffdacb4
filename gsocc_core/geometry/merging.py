# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Fewer Gaussians: those that share an anchor, a voxel, become one with their moments. None is dropped."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.rigid import rotmat_to_quat

#: Largest opacity of a merged Gaussian, and the least standard deviation, in the unit of length.
_MOST_OPAQUE, _LEAST_SCALE = 0.9999, 1e-6
#: Steps of the search for the size of anchors; each halves the interval.
_STEPS = 24


def merge_gaussians(
    gaussians: Gaussians, anchor_size: float, viewpoints: Tensor | None = None, origin: Tensor | None = None
) -> Gaussians:
    """Merge the Gaussians whose means lie in the same anchor, a cube of space.

    With opacities o as weights, the mean is that of the means, the covariance that of the mixture (within and between
    its parts), and features and colours are means. Opacity: each part covers its share o_i A_i / A of the
    merged one's area, A being the product of the two largest standard deviations; parts that lie at random over each
    other leave prod(1 - o_i A_i / A) of it open.

    Args:
        gaussians: (N); one that is alone in its anchor stays as it is.
        anchor_size: Edge of an anchor, in the unit of the means.
        viewpoints: (V, 3) where cameras stand: anchors that are twice as far from the nearest of them are twice as
            large, in steps of two, with ``anchor_size`` at a distance of 1 to 2. None = all of one size.
        origin: (3) a corner of the anchors; None = the origin.

    Returns:
        (M) Gaussians, at most N, ordered by anchor; velocities are means, too.

    Raises:
        ShapeError: the Gaussians have batch dimensions, or means that are not finite.
        ConfigError: the size is not above 0.

    Example:
        >>> quats = torch.tensor([[1.0, 0, 0, 0]]).expand(3, 4)
        >>> means = torch.tensor([[0.1, 0.1, 0.1], [0.3, 0.1, 0.1], [2.0, 0.0, 0.0]])
        >>> three = Gaussians(means, torch.full((3, 3), 0.1), quats, torch.tensor([0.5, 0.5, 0.9]), torch.eye(3))
        >>> two = merge_gaussians(three, 1.0)
        >>> two.means[0], two.features[0], two.scales[0].round(decimals=4)
        (tensor([0.2000, 0.1000, 0.1000]), tensor([0.5000, 0.5000, 0.0000]), tensor([0.1000, 0.1000, 0.1414]))
    """
    if gaussians.batch_shape:
        raise ShapeError("merge_gaussians", "gaussians", "(N), without batch dimensions", gaussians.batch_shape)
    if not anchor_size > 0:
        raise ConfigError("merge_gaussians", "anchor_size", "above 0", anchor_size)
    if not bool(gaussians.means.isfinite().all()):
        raise ShapeError("merge_gaussians", "means", "finite numbers", "NaN or infinity")
    group, count = _anchors(gaussians.means, anchor_size, viewpoints, origin)
    members = torch.bincount(group, minlength=count)
    if count == len(gaussians):
        return gaussians.map(lambda t: t[group.argsort()])
    return _merged(gaussians, group, members)


def merge_to(gaussians: Gaussians, most: int, viewpoints: Tensor | None = None) -> Gaussians:
    """Merge with the smallest anchors that leave at most so many.

    Args:
        gaussians: (N).
        most: At least 1.
        viewpoints: See :func:`merge_gaussians`.

    Returns:
        (M) with M <= ``most``; the Gaussians themselves where they are few enough.

    Raises:
        ShapeError: as there.
        ConfigError: ``most`` is below 1.
    """
    if most < 1:
        raise ConfigError("merge_to", "most", "1 or more", most)
    if len(gaussians) <= most:
        return gaussians
    if not bool(gaussians.means.isfinite().all()):
        raise ShapeError("merge_to", "means", "finite numbers", "NaN or infinity")
    corner = gaussians.means.amin(0)
    extent = float((gaussians.means.amax(0) - corner).max().clamp(min=1e-6))
    if viewpoints is not None and _anchors(gaussians.means, 2 * extent, viewpoints, corner)[1] > most:
        viewpoints = None  # shells around the cameras alone are too many
    low, high = math.log(extent * 1e-6), math.log(2 * extent)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _anchors(gaussians.means, math.exp(middle), viewpoints, corner)[1] > most:
            low = middle
        else:
            high = middle
    return merge_gaussians(gaussians, math.exp(high), viewpoints, corner)


def _anchors(means: Tensor, size: float, viewpoints: Tensor | None, origin: Tensor | None) -> tuple[Tensor, int]:
    """(N) int64 number of each mean's anchor, and how many anchors there are."""
    means = means.detach().double()
    shifted = means if origin is None else means - origin.to(means)
    level = torch.zeros_like(means[:, :1])
    if viewpoints is not None:
        away = torch.cdist(means, viewpoints.to(means)).amin(1, keepdim=True)
        level = away.clamp(min=1e-6).log2().floor()
    cells = torch.cat([level, (shifted / (size * 2.0**level)).floor()], dim=1).long()
    cells = cells - cells.amin(0)
    spans = cells.amax(0) + 1
    if math.prod(spans.tolist()) < 2**62:
        key = cells[:, 0]
        for axis in range(1, cells.shape[1]):
            key = key * spans[axis] + cells[:, axis]
        found, group = torch.unique(key, return_inverse=True)
    else:
        found, group = torch.unique(cells, dim=0, return_inverse=True)
    return group, len(found)


def _merged(gaussians: Gaussians, group: Tensor, members: Tensor) -> Gaussians:
    weight = gaussians.opacities.double().clamp(min=1e-12)
    share = weight / _summed(weight, group, len(members))[group]

    def mean(value: Tensor) -> Tensor:
        shape = (-1, *(1,) * (value.ndim - 1))
        return _summed(share.view(shape) * value.double(), group, len(members))

    means = mean(gaussians.means)
    apart = gaussians.means.double() - means[group]
    covariance = mean(gaussians.map(lambda t: t.double()).covariances() + apart[:, :, None] * apart[:, None, :])
    variances, axes = torch.linalg.eigh(covariance)
    scales = variances.clamp(min=_LEAST_SCALE**2).sqrt()
    axes = axes * torch.linalg.det(axes).sign()[:, None, None]  # three columns: turning them all over turns the sign
    area = scales[:, 1] * scales[:, 2]
    own = gaussians.scales.double().clamp(min=_LEAST_SCALE)
    covered = (gaussians.opacities.double() * own.prod(-1) / own.amin(-1) / area[group]).clamp(0, _MOST_OPAQUE)
    opacities = -torch.expm1(_summed(torch.log1p(-covered), group, len(members)))
    merged = Gaussians(
        means,
        scales,
        rotmat_to_quat(axes),
        opacities,
        mean(gaussians.features),
        None if gaussians.velocities is None else mean(gaussians.velocities),
        None if gaussians.colors_sh is None else mean(gaussians.colors_sh),
    )
    merged = merged.map(lambda t: t.to(gaussians.means.dtype))
    alone = (members == 1)[group].nonzero()[:, 0]
    for name in ("means", "scales", "quats", "opacities", "features", "velocities", "colors_sh"):
        target, source = getattr(merged, name), getattr(gaussians, name)
        if target is not None and source is not None:
            target[group[alone]] = source[alone].to(target)
    return merged


def _summed(values: Tensor, group: Tensor, count: int) -> Tensor:
    return values.new_zeros((count, *values.shape[1:])).index_add_(0, group, values)
