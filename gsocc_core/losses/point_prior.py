# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Points of a picture against those of a teacher whose frame and scale are its own."""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.nearest import nearest
from gsocc_core.geometry.similarity import fit_similarity


def point_prior_loss(points: Tensor, prior: Tensor, confidence: Tensor, keep: float = 0.9) -> Tensor:
    """Distance from predicted points to a teacher's, moved to them by the best similarity (Uni3R's geometry loss).

    For every view, the similarity that takes the teacher's points to the predicted ones is fitted over all its pixels,
    without gradient. Then the mean, over the most confident pixels, of the squared distance from the predicted point to
    the nearest of the teacher's moved points of these pixels; a mean over the views that have any.

    Args:
        points: (M, N, 3) predicted, M views of N pixels.
        prior: (M, N, 3) of a teacher, each view in any frame and scale.
        confidence: (M, N); 0 or less = the teacher says nothing there, and the pixel is left out of the fit too.
        keep: Share of a view's pixels that count in the distance, the most confident ones.

    Returns:
        Scalar; its gradient reaches ``points`` alone; 0 without any pixel.

    Raises:
        ShapeError: shapes that differ.

    Example:
        >>> points = torch.rand(2, 20, 3)
        >>> point_prior_loss(points, points.flip(-1) * -3 + 1, torch.ones(2, 20)).item() < 1e-10
        True
    """
    if points.shape != prior.shape or confidence.shape != points.shape[:-1]:
        shapes = (tuple(prior.shape), tuple(confidence.shape))
        raise ShapeError("point_prior_loss", "prior, confidence", f"as points, {tuple(points.shape)}", shapes)
    known = confidence > 0
    prior = torch.where(known[..., None], prior.detach(), 0.0).to(points)
    moved = fit_similarity(prior, points.detach(), known.to(points)).apply(prior)
    losses = []
    for view, there in enumerate(known.sum(-1).tolist()):
        if not there:
            continue
        kept = confidence[view].topk(max(round(keep * there), 1)).indices
        chosen, target = points[view, kept], moved[view, kept]
        with torch.no_grad():
            partner = nearest(chosen, target)[1][:, 0]
        losses.append((chosen - target[partner]).square().sum(-1).mean())
    return torch.stack(losses).mean() if losses else points.sum() * 0.0
