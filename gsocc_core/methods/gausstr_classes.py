# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""From aligned features to classes: text embeddings score Gaussians, which vote in voxels (GaussTR, section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.grid_points import to_grid
from gsocc_core.geometry.voxels import SemanticGrid, VoxelField, VoxelGrid
from gsocc_core.methods.gausstr_args import SplatArgs
from gsocc_core.splat import classify_voxels, splat_to_voxels

#: Where Gaussians go that must not be counted, metres.
_AWAY_M = 1e4


def prompt_scores(features: Tensor, embeddings: Tensor, scale: float) -> Tensor:
    """Scores of every prompt, which sum to one.

    Args:
        features: (..., F) of Gaussians.
        embeddings: (P, F) of prompts.
        scale: Factor before the softmax; published: 1.

    Returns:
        (..., P).
    """
    return (scale * (features @ embeddings.T)).softmax(-1)


def dependable(scene: Gaussians, grid: VoxelGrid, splat: SplatArgs) -> Gaussians:
    """The scene in which Gaussians that are too faint, too thin, or outside the grid have opacity 0.

    Args:
        scene: (B, N) Gaussians.
        grid: Their grid.
        splat: ``least_opacity`` and ``least_std_m``.

    Returns:
        The scene; with composition ``mean``, which counts Gaussians, those of opacity 0 lie far outside.
    """
    if splat.least_opacity is not None:
        # Number by number: an upload of the corners would wait for the GPU.
        place = to_grid(scene.means, grid).unbind(-1)
        inside = [(low <= one) & (one <= high) for one, low, high in zip(place, grid.lower, grid.upper)]
        thin = torch.diagonal(scene.covariances(), dim1=-2, dim2=-1).amin(-1).sqrt() <= splat.least_std_m
        kept = (scene.opacities > splat.least_opacity) & inside[0] & inside[1] & inside[2] & ~thin
        scene = scene.replace(opacities=scene.opacities * kept)
    if splat.composition == "mean":
        scene = scene.replace(means=scene.means + _AWAY_M * (scene.opacities == 0)[..., None])
    return scene


def voxel_field(scene: Gaussians, grid: VoxelGrid, splat: SplatArgs) -> VoxelField:
    """Density and features of what is dependable in a scene, by the method's rule."""
    seen = dependable(scene.replace(velocities=None), grid, splat)
    return splat_to_voxels(seen, grid, composition=splat.composition, cutoff=splat.cutoff, support=splat.support)


def voxel_means(scene: Gaussians, values: Tensor, grid: VoxelGrid, splat: SplatArgs) -> Tensor:
    """Means (B, X, Y, Z, C) in voxels of values (B, N, C) of Gaussians, weighted as they vote; 0 where none reaches."""
    if splat.composition in {"sum", "hazard"}:  # whose features are such means
        return voxel_field(scene.replace(features=values), grid, splat).features
    ones = torch.ones_like(values[..., :1])
    found = voxel_field(scene.replace(features=torch.cat([values, ones], dim=-1)), grid, splat).features
    return found[..., :-1] / found[..., -1:].clamp(min=1e-6)


@torch.no_grad()
def voxel_classes(scene: Gaussians, grid: VoxelGrid, classes: ClassTable, splat: SplatArgs) -> SemanticGrid:
    """Labels of a scene whose features are scores of prompts.

    A voxel's scores are the mean of its Gaussians'. A prompt that nowhere stands out is left out everywhere, and the
    best of the others names the class, unless the voxel is too thin; see :func:`gsocc_core.splat.classify_voxels`.

    Args:
        scene: (B, N) Gaussians.
        grid: Where to evaluate.
        classes: Class table; ``channel_ids`` says which class each prompt stands for, several prompts may share one.
        splat: How Gaussians become voxels.

    Returns:
        (B, X, Y, Z) labels with confidence.
    """
    field = voxel_field(scene, grid, splat)
    return classify_voxels(
        field, classes, threshold=splat.threshold, least=splat.least_score,
        faint=0.0 if splat.composition == "mean" else 1e-6,
    )  # fmt: skip
