# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Nearest points and spacing against all distances, by both ways to them."""

import math

import pytest
import torch

from gsocc_core.errors import ShapeError
from gsocc_core.geometry import nearest as module
from gsocc_core.geometry.nearest import nearest, spacing


def cloud(count, seed):
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


def by_hand(queries, points, count):
    squared = [[sum((a - b) ** 2 for a, b in zip(q, p)) for p in points.tolist()] for q in queries.tolist()]
    rows = [sorted((d, i) for i, d in enumerate(row))[:count] for row in squared]
    return torch.tensor([[d for d, _ in row] for row in rows]), torch.tensor([[i for _, i in row] for row in rows])


@pytest.mark.parametrize("way", ["_by_tree", "_by_blocks"])
@pytest.mark.parametrize("count", [1, 4])
def test_neighbours_are_the_nearest(way, count, monkeypatch):
    queries, points = cloud(17, 0), cloud(40, 1)
    squared, index = by_hand(queries, points, count)
    monkeypatch.setattr(module, "_BLOCK", 200)  # several blocks
    assert torch.equal(getattr(module, way)(queries, points, count), index)
    found = nearest(queries, points, count)
    torch.testing.assert_close(found[0], squared)
    assert torch.equal(found[1], index)


def test_spacing_is_the_root_mean_square_of_the_three_nearest():
    points = cloud(25, 2)
    for i, found in enumerate(spacing(points).tolist()):
        others = sorted(math.dist(points[i].tolist(), p) for j, p in enumerate(points.tolist()) if j != i)[:3]
        assert found == pytest.approx(math.sqrt(sum(d * d for d in others) / 3), rel=1e-5)
    assert spacing(points[:1]).tolist() == [0.0]
    assert spacing(points[:2])[0].item() == pytest.approx(math.dist(points[0].tolist(), points[1].tolist()), rel=1e-5)


def test_too_few_points_are_named():
    with pytest.raises(ShapeError, match="points: expected at least 3, received 2"):
        nearest(torch.zeros(1, 3), torch.zeros(2, 3), 3)
    with pytest.raises(ShapeError, match="queries, points: expected"):
        nearest(torch.zeros(1, 2), torch.zeros(2, 3))
    with pytest.raises(ShapeError, match="expected finite numbers, received NaN or infinity"):
        spacing(torch.tensor([[0.0, 0, 0], [torch.nan, 0, 0]]))
