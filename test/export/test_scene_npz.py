# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A scene in NPZ comes back bit for bit, needs no pickle and says itself what it holds."""

import numpy as np
import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, Gaussians, SemanticGrid, VoxelGrid
from gsocc_core.errors import DataError, OutputExistsError, ShapeError
from gsocc_core.export.scene_npz import read_scene, write_scene

POSE = ((1.0, 0, 0, 0.9), (0, 1, 0, 0), (0, 0, 1, 1.8), (0, 0, 0, 1))


def parts(full, pose=None):
    g = torch.Generator().manual_seed(0)
    gaussians = Gaussians(
        torch.randn(9, 3, generator=g), torch.rand(9, 3, generator=g), torch.randn(9, 4, generator=g),
        torch.rand(9, generator=g), torch.randn(9, 16, generator=g),
        velocities=torch.randn(9, 3, generator=g) if full else None,
        colors_sh=torch.randn(9, 4, 3, generator=g) if full else None,
    )  # fmt: skip
    box = VoxelGrid((-2, -2, -1), (2, 2, 1), (0.5, 0.4, 0.2), pose)
    labels = torch.randint(0, 18, box.shape, generator=g).to(torch.uint8)
    grid = SemanticGrid(
        labels, box, CLASSES,
        torch.rand(box.shape, generator=g) if full else None,
        torch.rand(box.shape, generator=g) > 0.5 if full else None,
        torch.randn(*box.shape, 3, generator=g) if full else None,
    )  # fmt: skip
    return gaussians, grid


CLASSES = OCC3D_NUSCENES.with_channels(range(1, 17))


@pytest.mark.parametrize(("full", "pose"), [(True, POSE), (False, None)])
def test_everything_comes_back_bit_for_bit(tmp_path, full, pose):
    gaussians, grid = parts(full, pose)
    write_scene(
        tmp_path / "a.npz", CLASSES, gaussians=gaussians, grid=grid, reference_stamp_ns=1_700_000_000_123_456_789
    )
    read = read_scene(tmp_path / "a.npz")
    for name in ("means", "scales", "quats", "opacities", "features", "velocities", "colors_sh"):
        a, b = getattr(gaussians, name), getattr(read.gaussians, name)
        assert (a is None and b is None) or torch.equal(a, b), name
    for name in ("labels", "confidence", "observed", "velocity"):
        a, b = getattr(grid, name), getattr(read.grid, name)
        assert (a is None and b is None) or torch.equal(a, b), name
    assert read.grid.grid == grid.grid
    assert read.classes == read.grid.classes == CLASSES
    assert read.reference_stamp_ns == 1_700_000_000_123_456_789


def test_the_file_describes_every_array_it_holds(tmp_path):
    gaussians, grid = parts(True)
    write_scene(tmp_path / "a.npz", CLASSES, gaussians=gaussians, grid=grid)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        readme = str(file["README"])
        assert all(name in readme for name in file.files if name != "README")
        assert file["class_names"][4] == "car"


def test_one_part_suffices_and_nothing_is_written_over(tmp_path):
    gaussians, grid = parts(False)
    write_scene(tmp_path / "a.npz", CLASSES, gaussians=gaussians)
    write_scene(tmp_path / "b.npz", CLASSES, grid=grid)
    assert read_scene(tmp_path / "a.npz").grid is None
    assert read_scene(tmp_path / "b.npz").gaussians is None
    with pytest.raises(OutputExistsError):
        write_scene(tmp_path / "a.npz", CLASSES, grid=grid)
    with pytest.raises(ShapeError, match="at least one"):
        write_scene(tmp_path / "c.npz", CLASSES)
    with pytest.raises(ShapeError, match="batch"):
        write_scene(tmp_path / "c.npz", CLASSES, gaussians=gaussians.map(lambda t: t[None]))


def test_other_files_are_clear_errors(tmp_path):
    np.savez(tmp_path / "labels.npz", semantics=np.zeros(3))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 no zip")
    write_scene(tmp_path / "good.npz", CLASSES, grid=parts(False)[1])
    content = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "short.npz").write_bytes(content[: len(content) // 2])
    for name in ("labels.npz", "broken.npz", "short.npz", "none.npz"):
        with pytest.raises(DataError, match=name):
            read_scene(tmp_path / name)
