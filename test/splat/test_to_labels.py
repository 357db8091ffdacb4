# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""splat_to_labels: the fused path gives what the volume's argmax gives."""

import math

import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, Gaussians, SemanticGrid, VoxelGrid, splat_to_labels, splat_to_voxels
from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.splat import warm_up

GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 2.2), 0.4)
CLASSES = OCC3D_NUSCENES.with_channels(range(1, 17))


def random_scene(n, batch=()):
    torch.manual_seed(0)
    return Gaussians(
        torch.rand(*batch, n, 3) * 8 - 4, torch.rand(*batch, n, 3) + 0.1, torch.randn(*batch, n, 4),
        torch.rand(*batch, n), torch.randn(*batch, n, 16),
    )  # fmt: skip


@pytest.mark.parametrize("composition", ["sum", "hazard", "sum_unweighted", "mean"])
@pytest.mark.parametrize("support", ["ellipsoid", "box", "box_voxels"])
def test_fused_labels_equal_the_volume(composition, support):
    scene = random_scene(40)
    options = {"composition": composition, "support": support}
    field = splat_to_voxels(scene, GRID, **options)
    occupancy = 1 - torch.exp(-field.density) if composition == "hazard" else field.density.clamp(max=1)
    expected = torch.where(
        occupancy >= 0.4, torch.tensor(CLASSES.channel_ids, dtype=torch.uint8)[field.features.argmax(-1)], 17
    )
    best = field.features.topk(2, dim=-1).values
    clear = ((best[..., 0] - best[..., 1]) > 1e-4) & ((occupancy - 0.4).abs() > 1e-5)
    got = splat_to_labels(scene, GRID, CLASSES, threshold=0.4, **options)
    assert torch.equal(got.labels[clear], expected[clear].to(torch.uint8))
    assert clear.float().mean() > 0.5
    confidence = torch.where(expected != 17, occupancy, 1 - occupancy)
    torch.testing.assert_close(got.confidence[clear], confidence[clear], rtol=1e-4, atol=1e-5)
    reference = splat_to_labels(scene, GRID, CLASSES, threshold=0.4, backend="reference", **options)
    assert (reference.labels == got.labels).float().mean() > 0.999


@pytest.mark.parametrize("composition", ["sum", "hazard", "sum_unweighted", "mean"])
def test_a_wide_support_labels_what_the_gaussian_fills(composition):
    car = torch.nn.functional.one_hot(torch.tensor([3]), 16).float()  # channel 3 stands for class 4
    one = Gaussians(torch.tensor([[0.25, 0.25, 4.25]]), torch.full((1, 3), 0.2), torch.eye(4)[:1], torch.ones(1), car)
    column = VoxelGrid((0.0, 0.0, 0.0), (0.5, 0.5, 8.5), 0.5)
    got = splat_to_labels(one, column, CLASSES, composition=composition, threshold=0.3, cutoff=16.0)
    assert got.labels.flatten().tolist() == [17] * 8 + [4] + [17] * 8
    expected = 1 - math.exp(-1) if composition == "hazard" else 1.0
    assert got.confidence[0, 0, 8].item() == pytest.approx(expected, rel=1e-4)


def test_batches_and_out_buffers():
    scene = random_scene(30, batch=(2,))
    got = splat_to_labels(scene, GRID, CLASSES, threshold=0.3)
    assert torch.equal(got.labels[1], splat_to_labels(scene.map(lambda t: t[1]), GRID, CLASSES, threshold=0.3).labels)
    out = SemanticGrid(torch.zeros_like(got.labels), GRID, CLASSES, torch.zeros_like(got.confidence))
    splat_to_labels(scene, GRID, CLASSES, threshold=0.3, out=out)
    assert torch.equal(out.labels, got.labels)


def test_no_gaussians_means_free_and_sure():
    empty = random_scene(3).map(lambda t: t[:0])
    got = splat_to_labels(empty, GRID, CLASSES, threshold=0.0)
    assert (got.labels == 17).all()
    assert (got.confidence == 1).all()


def test_bad_arguments():
    with pytest.raises(ShapeError, match="18 channels"):
        splat_to_labels(random_scene(3), GRID, OCC3D_NUSCENES, threshold=0.3)
    with pytest.raises(ConfigError, match="threshold"):
        splat_to_labels(random_scene(3), GRID, CLASSES, threshold=1.5)


def test_warm_up_runs():
    warm_up()
