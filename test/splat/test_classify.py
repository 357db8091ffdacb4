# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""classify_voxels: the kernel and the plain PyTorch against GaussTR's class step stated once more."""

import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, ClassTable, VoxelField, VoxelGrid, classify_voxels
from gsocc_core.errors import ConfigError, ShapeError

GRID = VoxelGrid((0.0, 0.0, 0.0), (40.0, 32.0, 8.0), 1.0)  # more than one chunk of the kernel
#: 21 prompts of 16 groups; the last one, the sky, stands for free space.
PROMPT_IDS = (*range(1, 12), 13, 14, 14, 15, 15, 15, 15, 15, 16, 17)
CLASSES = OCC3D_NUSCENES.with_channels(PROMPT_IDS)


def published(density, features, threshold=0.04):
    """Softmax; prompts whose softmax(100 f) stays below 0.1 in the whole grid get 0; best of each group; best group."""
    features = features * (density / 1e-6).clamp(max=1.0)[..., None]  # sums divided by no less than 1e-6
    shares = features.softmax(-1)
    for prompt in range(features.shape[-1]):
        if (100 * features).softmax(-1)[..., prompt].max() < 0.1:
            shares[..., prompt] = 0.0
    groups = sorted(set(PROMPT_IDS))
    best = torch.full((*density.shape, len(groups)), -1.0, dtype=features.dtype)
    for prompt, group in enumerate(PROMPT_IDS):
        k = groups.index(group)
        best[..., k] = torch.maximum(best[..., k], shares[..., prompt])
    labels = torch.tensor(groups)[best.argmax(-1)]
    labels[density <= threshold] = 17
    return labels


def field(seed=0, sharpness=3.0, rare=None):
    """Nearly a third empty, a third faint; prompts ``rare`` are always a little below the best one."""
    g = torch.Generator().manual_seed(seed)
    density = 10 ** (-9 * torch.rand(*GRID.shape, generator=g)) * (torch.rand(*GRID.shape, generator=g) > 0.3)
    features = (sharpness * torch.randn(*GRID.shape, len(PROMPT_IDS), generator=g)).softmax(-1)
    if rare is not None:
        features[..., rare] = features.amax(-1, keepdim=True) - 0.2
    return VoxelField(density, features * (density > 0)[..., None], GRID)


def as_double(value):
    return VoxelField(value.density.double(), value.features.double(), GRID)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize(("sharpness", "rare"), [(3.0, None), (3.0, [1, 5]), (0.3, None)])
def test_labels_equal_the_published_class_step(kind, sharpness, rare):
    one = field(sharpness=sharpness, rare=rare)
    got = classify_voxels(one if kind == torch.float32 else as_double(one), CLASSES, threshold=0.04)
    expected = published(one.density.double(), one.features.double())
    two = one.features.topk(2, dim=-1).values
    clear = (two[..., 0] - two[..., 1] > 1e-6) | (one.density == 0)
    assert clear.float().mean() > 0.95
    assert torch.equal(got.labels[clear].long(), expected[clear])
    assert 0.05 < (got.labels != 17).float().mean() < 0.5
    full = one.density >= 0.04
    torch.testing.assert_close(got.confidence, torch.where(full, one.density, 1 - one.density))


def tiny(*rows, density=0.5):
    """Voxels in a line, three prompts of two things and the sky."""
    table = ClassTable(("car", "road", "free"), ((0, 0, 0),) * 3, free_id=2, channel_to_id=(0, 0, 1, 2))
    grid = VoxelGrid((0.0, 0.0, 0.0), (float(len(rows)), 1.0, 1.0), 1.0)
    features = torch.tensor(rows).view(len(rows), 1, 1, 4)
    return VoxelField(torch.as_tensor(density).expand(len(rows)).view(-1, 1, 1).contiguous(), features, grid), table


def both(one, table, **options):
    """Labels by the kernel, and by plain PyTorch; they must be one."""
    labels = classify_voxels(one, table, **options).labels
    double = VoxelField(one.density.double(), one.features.double(), one.grid)
    assert torch.equal(labels, classify_voxels(double, table, **options).labels)
    return labels.flatten().tolist()


def test_a_channel_that_comes_out_on_top_nowhere_is_left_out_even_where_it_is_the_largest_one():
    # At temperature 1 shares of 0.4 are out of reach but for the second voxel's road.
    one, table = tiny([0.5, 0.0, 0.4, 0.1], [0.0, 0.0, 2.0, 0.0])
    assert both(one, table, threshold=0.04, temperature=1.0, least=0.4) == [1, 1]
    assert both(one, table, threshold=0.04, temperature=1.0, least=0.3) == [0, 1]
    assert both(one, table, threshold=0.04, temperature=1.0, least=0.0) == [0, 1]
    assert both(one, table, threshold=0.04, temperature=1.0, least=1.0) == [0, 0], "where none counts, channel 0"


def test_a_group_wins_by_its_best_prompt_and_the_sky_is_free():
    one, table = tiny([0.1, 0.4, 0.3, 0.2], [0.3, 0.3, 0.4, 0.0], [0.1, 0.2, 0.3, 0.4])
    assert both(one, table, threshold=0.04) == [0, 1, 2]


def test_voxels_below_the_threshold_are_free_but_their_channels_are_seen():
    rows = [[0.5, 0.0, 0.48, 0.0], [0.0, 0.0, 1.0, 0.0]]
    one, table = tiny(*rows, density=torch.tensor([0.5, 0.01]))
    assert both(one, table, threshold=0.04, temperature=1.0, least=0.45) == [1, 2]
    # So faint that its features fade: nobody reaches the share, and the first channel is taken.
    one, table = tiny(*rows, density=torch.tensor([0.5, 1e-8]))
    assert both(one, table, threshold=0.04, temperature=1.0, least=0.45) == [0, 2]
    assert both(one, table, threshold=0.04, temperature=1.0, least=0.45, faint=0.0) == [1, 2]


def test_features_of_empty_voxels_count_as_none():
    rows = [[0.0, 0.0, 0.9, 0.8], [0.0, 0.0, 7.0, 0.0]]
    one, table = tiny(*rows, density=torch.tensor([0.5, 0.5]))
    assert both(one, table, threshold=0.0, temperature=1.0, least=0.6) == [1, 1]
    one, table = tiny(*rows, density=torch.tensor([0.5, 0.0]))
    assert both(one, table, threshold=0.0, temperature=1.0, least=0.6) == [0, 2]
    one, table = tiny([0.0, 0.0, 0.3, 0.0], [0.0] * 4, density=torch.tensor([0.5, 0.0]))
    assert both(one, table, threshold=0.0, temperature=1.0, least=0.25) == [1, 2]


def test_scenes_of_a_batch_do_not_see_each_other():
    one, table = tiny([0.5, 0.0, 0.4, 0.1], [0.0, 0.0, 2.0, 0.0])
    other = VoxelField(one.density, one.features.flip(-1), one.grid)
    batch = VoxelField(torch.stack([one.density, other.density]), torch.stack([one.features, other.features]), one.grid)
    for least in (0.3, 0.4):
        options = {"threshold": 0.04, "temperature": 1.0, "least": least}
        got = classify_voxels(batch, table, **options).labels
        assert torch.equal(got[0], classify_voxels(one, table, **options).labels)
        assert torch.equal(got[1], classify_voxels(other, table, **options).labels)
    none = VoxelField(batch.density[:0], batch.features[:0], one.grid)
    assert classify_voxels(none, table, threshold=0.04).labels.shape == (0, 2, 1, 1)


def test_bad_arguments():
    one, table = tiny([0.5, 0.0, 0.4, 0.1])
    with pytest.raises(ShapeError, match="18 channels"):
        classify_voxels(one, OCC3D_NUSCENES, threshold=0.04)
    for key, value in (("threshold", 2.0), ("least", -0.1), ("temperature", 0.0), ("faint", -1.0)):
        with pytest.raises(ConfigError, match=key):
            classify_voxels(one, table, **{"threshold": 0.04, key: value})
