# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The PLY of Gaussians holds what viewers expect, byte for byte, and comes back."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core import OCC3D_NUSCENES, ClassTable, Gaussians
from gsocc_core.data.ply_vertices import read_ply, write_ply
from gsocc_core.errors import DataError, ShapeError
from gsocc_core.export.gaussian_ply import read_gaussians_ply, write_gaussians_ply

CLASSES = OCC3D_NUSCENES.with_channels(range(1, 17))


def scene(seed=0, count=40, harmonics=None, velocities=False):
    g = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=g)

    return Gaussians(
        means=rand(count, 3) * 80 - 40,
        scales=10 ** (rand(count, 3) * 4 - 3),
        quats=torch.randn(count, 4, generator=g),
        opacities=rand(count),
        features=torch.randn(count, 16, generator=g) * 5,
        velocities=torch.randn(count, 3, generator=g) if velocities else None,
        colors_sh=None if harmonics is None else torch.randn(count, harmonics, 3, generator=g),
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([None, 1, 4, 9, 16]), st.booleans())
def test_a_scene_comes_back(tmp_path_factory, seed, harmonics, velocities):
    gaussians = scene(seed, harmonics=harmonics, velocities=velocities)
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    write_gaussians_ply(path, gaussians, CLASSES, features=True)
    read = read_gaussians_ply(path)
    exact = ["means", "quats", "features"] + ["velocities"] * velocities + ["colors_sh"] * (harmonics is not None)
    for name in exact:
        assert torch.equal(getattr(read, name), getattr(gaussians, name)), name
    torch.testing.assert_close(read.scales, gaussians.scales, rtol=1e-6, atol=0)
    torch.testing.assert_close(read.opacities, gaussians.opacities, rtol=2e-6, atol=1e-7)
    again = path.with_name("b.ply")  # what was read once is written alike, up to a step of float32
    write_gaussians_ply(again, read, CLASSES, features=True)
    first, second = read_ply(path), read_ply(again)
    assert list(first) == list(second)
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-4, atol=2e-6, err_msg=name)


def test_the_bytes_are_those_that_viewers_read(tmp_path):
    quats = torch.tensor([[0.5, -0.5, 0.5, 0.5]])
    features = torch.zeros(1, 16)
    features[0, 3] = 1.0  # channel 3 is class 4: car
    gaussians = Gaussians(
        torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.1, 1.0, 2.0]]), quats, torch.tensor([0.8]), features
    )
    write_gaussians_ply(tmp_path / "a.ply", gaussians, CLASSES)
    content = (tmp_path / "a.ply").read_bytes()
    header, _, body = content.partition(b"end_header\n")
    names = [line.split()[-1].decode() for line in header.splitlines() if line.startswith(b"property float")]
    assert names == [
        "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2",
        "rot_0", "rot_1", "rot_2", "rot_3",
    ]  # fmt: skip
    values = struct.unpack("<17f", body)
    rgb = [(c / 255 - 0.5) / 0.28209479177387814 for c in OCC3D_NUSCENES.colors[4]]
    expected = [1, 2, 3, 0, 0, 0, *rgb, np.log(0.8 / 0.2), np.log(0.1), 0, np.log(2), 0.5, -0.5, 0.5, 0.5]
    assert np.allclose(values, expected, atol=1e-6)


def test_harmonics_are_stored_channel_by_channel_and_filled_up(tmp_path):
    gaussians = scene(1, count=3, harmonics=4)
    write_gaussians_ply(tmp_path / "a.ply", gaussians, sh_degree=3)
    table = read_ply(tmp_path / "a.ply")
    assert sum(name.startswith("f_rest_") for name in table) == 45
    # f_rest: 15 of red, 15 of green, 15 of blue
    assert np.array_equal(table["f_rest_15"], gaussians.colors_sh[:, 1, 1].numpy())
    assert np.array_equal(table["f_rest_2"], gaussians.colors_sh[:, 3, 0].numpy())
    assert not table["f_rest_3"].any()
    with pytest.raises(ShapeError, match="sh_degree"):
        write_gaussians_ply(tmp_path / "b.ply", gaussians, sh_degree=0)


def test_a_file_of_another_program_is_read(tmp_path):
    rng = np.random.default_rng(0)
    names = ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3)), *(f"f_rest_{i}" for i in range(45))]
    names += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    columns = {name: rng.normal(size=6) for name in names}
    write_ply(tmp_path / "a.ply", columns)
    read = read_gaussians_ply(tmp_path / "a.ply")
    assert read.colors_sh.shape == (6, 16, 3)
    assert read.features.shape == (6, 0)
    assert np.allclose(read.opacities, 1 / (1 + np.exp(-columns["opacity"])), atol=1e-6)
    assert np.allclose(read.colors_sh[:, 1, 2], columns["f_rest_30"].astype(np.float32))


def test_extreme_opacities_stay_finite(tmp_path):
    gaussians = scene(2, count=4).replace(opacities=torch.tensor([0.0, 1.0, 1e-30, 0.5]))
    write_gaussians_ply(tmp_path / "a.ply", gaussians, CLASSES)
    assert np.isfinite(read_ply(tmp_path / "a.ply")["opacity"]).all()
    assert torch.allclose(read_gaussians_ply(tmp_path / "a.ply").opacities, gaussians.opacities, atol=1e-7)


def test_bad_input_is_named_and_nothing_is_left(tmp_path):
    good = scene(3, count=4)
    other = ClassTable(("a", "free"), ((1, 2, 3),) * 2, 1)
    for gaussians, classes, key in (
        (good.map(lambda t: t[None]), CLASSES, "gaussians"),
        (good, None, "classes"),
        (good, other, "classes"),
        (good.replace(scales=torch.zeros(4, 3)), CLASSES, "scales"),
        (good.replace(means=torch.full((4, 3), torch.nan)), CLASSES, "means"),
    ):
        with pytest.raises(ShapeError) as error:
            write_gaussians_ply(tmp_path / "a.ply", gaussians, classes)
        assert error.value.key == key
    assert not list(Path(tmp_path).iterdir())
    write_ply(tmp_path / "points.ply", {"x": np.zeros(2)})
    with pytest.raises(DataError, match="property y"):
        read_gaussians_ply(tmp_path / "points.ply")
