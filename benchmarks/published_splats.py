# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Published procedures from Gaussians to voxels, written plainly in PyTorch, to measure side by side with ours.

gsocc_core bench splat --baselines benchmarks/published_splats.py
"""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core import Gaussians, VoxelGrid
from gsocc_core.bench.baselines import Baseline
from gsocc_core.geometry.rigid import quat_to_rotmat

#: Half edge of the cube that a Gaussian visits, voxels (GaussianFlowOcc's default).
NEIGHBOURHOOD = 4
#: Gaussians handled at once where the procedure allows it.
CHUNK = 1000
FREE = 17


def _inverse_covariances(scene: Gaussians) -> Tensor:
    whitening = quat_to_rotmat(scene.quats).transpose(-1, -2) / scene.scales[..., :, None]
    return whitening.transpose(-1, -2) @ whitening


def slice_loop(scene: Gaussians, grid: VoxelGrid, density: Tensor, votes: Tensor) -> None:
    """GaussTR (Jiang et al. 2025): one Gaussian at a time adds to the block of voxels that its 3-sigma box touches."""
    density.zero_()
    votes.zero_()
    centers = grid.centers.to(scene.means)
    lower, upper, size = (scene.means.new_tensor(v) for v in (grid.lower, grid.upper, grid.size_m))
    sigma = scene.covariances()
    half = 3 * sigma.diagonal(dim1=-2, dim2=-1).sqrt()
    for i in range(len(scene)):
        low, high = scene.means[i] - half[i], scene.means[i] + half[i]
        if bool((high < lower).any() or (low > upper).any()):
            continue
        corners = torch.stack([low, high]).clamp(lower, upper)  # within the volume truncating means rounding down
        first, last = ((corners - lower) / size).long().tolist()
        block = tuple(slice(p, q + 1) for p, q in zip(first, last))
        offset = centers[block] - scene.means[i]
        inverse = torch.linalg.inv(sigma[i])
        weight = scene.opacities[i] * torch.exp(-0.5 * ((offset @ inverse) * offset).sum(-1))
        density[block] += weight
        votes[block] += weight[..., None] * scene.features[i]
    votes /= density.clamp(min=1e-6)[..., None]


def denoised_classes(density: Tensor, votes: Tensor) -> Tensor:
    """GaussTR's class step: a softmax, classes that win nowhere taken out, the largest one, free below a density."""
    probability = votes.softmax(-1)
    present = (100 * votes).softmax(-1).flatten(0, -2).amax(0) >= 0.1
    labels = (probability * present).argmax(-1)
    return torch.where(density > 0.04, labels, FREE)


def _cube(scene: Gaussians, grid: VoxelGrid, part: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Voxels (n, 729, 3) of the cubes around Gaussians, which of them exist, and exp(-1/2 d^T Sigma^-1 d)."""
    device = scene.means.device
    steps = torch.arange(-NEIGHBOURHOOD, NEIGHBOURHOOD + 1, device=device)
    cube = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    lower, size = (scene.means.new_tensor(v) for v in (grid.lower, grid.size_m))
    cells = ((scene.means[part] - lower) / size).floor().long()[:, None] + cube
    inside = ((cells >= 0) & (cells < torch.tensor(grid.shape, device=device))).all(-1)
    offset = lower + (cells + 0.5) * size - scene.means[part, None]
    inverse = _inverse_covariances(scene.map(lambda t: t[part]))
    return cells, inside, torch.exp(-0.5 * torch.einsum("nki,nij,nkj->nk", offset, inverse, offset))


def neighbourhood_unique(scene: Gaussians, grid: VoxelGrid, density: Tensor, votes: Tensor) -> None:
    """GaussianFlowOcc (Boeder et al. 2025): a cube of voxels around every Gaussian, all pairs at once.

    Equal voxels are found by a row-wise ``unique``, then come two scatter-additions; the opacity takes no part in the
    vote.
    """
    everyone = torch.arange(len(scene), device=scene.means.device)
    cells, inside, phi = _cube(scene, grid, everyone)
    owner = everyone[:, None].expand(inside.shape)[inside]
    cells, phi = cells[inside], phi[inside]
    unique, place = torch.unique(cells, dim=0, return_inverse=True)
    sums = phi.new_zeros(len(unique)).scatter_add_(0, place, phi * scene.opacities[owner])
    rows = phi[:, None] * scene.features[owner]
    classes = phi.new_zeros(len(unique), rows.shape[1])
    classes.scatter_add_(0, place[:, None].expand_as(rows), rows)
    density.zero_()
    votes.zero_()
    x, y, z = unique.unbind(-1)
    density[x, y, z] = sums  # the original clamps at 1, which would hide the error of large sums
    votes[x, y, z] = classes


def neighbourhood_index_add(scene: Gaussians, grid: VoxelGrid, density: Tensor, votes: Tensor) -> None:
    """The same sums with one number per voxel instead of rows, and ``index_add_``: a scatter as one would tune it."""
    density.zero_()
    votes.zero_()
    _, size_y, size_z = grid.shape
    for part in torch.arange(len(scene), device=scene.means.device).split(CHUNK):
        cells, inside, phi = _cube(scene, grid, part)
        flat = ((cells[..., 0] * size_y + cells[..., 1]) * size_z + cells[..., 2])[inside]
        owner = part[:, None].expand(inside.shape)[inside]
        density.view(-1).index_add_(0, flat, phi[inside] * scene.opacities[owner])
        votes.view(-1, votes.shape[-1]).index_add_(0, flat, phi[inside][:, None] * scene.features[owner])


def largest_class(density: Tensor, votes: Tensor) -> Tensor:
    """GaussianFlowOcc's class step: the largest vote, free below a density."""
    return torch.where(density >= 0.05, votes.argmax(-1), FREE)


BASELINES = (
    Baseline("slice loop per Gaussian", slice_loop, denoised_classes),
    Baseline("fixed neighbourhood, row unique", neighbourhood_unique, largest_class, unweighted=True),
    Baseline("fixed neighbourhood, index_add", neighbourhood_index_add, largest_class, unweighted=True),
)
