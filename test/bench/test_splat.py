# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark counts what it says, and its baselines are the procedures that they claim to be."""

import json
from pathlib import Path

import pytest
import torch

from gsocc_core import VoxelField, VoxelGrid, splat_to_voxels
from gsocc_core.bench import splat as bench
from gsocc_core.bench.baselines import load_baselines
from gsocc_core.bench.bounds import Machine, pixel_pairs, splat_flops, voxel_pairs, written_bytes
from gsocc_core.bench.measure import cpu_ms, extra_memory_mb
from gsocc_core.bench.report import Row, table
from gsocc_core.bench.scenes import one_per_voxel, random_scene, surround_cameras
from gsocc_core.commands.cli import main
from gsocc_core.errors import ConfigError

GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 2.2), 0.4)
BASELINES = str(Path(__file__).parents[2] / "benchmarks" / "published_splats.py")


def test_pairs_are_those_inside_the_ellipsoids():
    scene = random_scene(30, "mixed", GRID)
    offset = GRID.centers.reshape(-1, 1, 3).double() - scene.means.double()
    inverse = torch.linalg.inv(scene.covariances().double())
    inside = torch.einsum("pni,nij,pnj->pn", offset, inverse, offset) <= 9
    assert voxel_pairs(scene, GRID) == pytest.approx(int(inside.sum()), abs=2)


def test_pixel_pairs_count_what_a_picture_is_made_of():
    scene, cameras = random_scene(200, "mixed", GRID), surround_cameras(20, 12)
    few = pixel_pairs(scene.map(lambda t: t[:20]), cameras)
    assert 0 < few < pixel_pairs(scene, cameras) < 200 * 6 * 20 * 12
    assert pixel_pairs(scene.replace(opacities=torch.zeros(200)), cameras) == 0


def test_bounds():
    machine = Machine(gflops=100.0, gbytes=10.0)
    assert splat_flops(1000, 18) == 38_000
    assert written_bytes(GRID, 18) == 20 * 20 * 8 * 19 * 4
    assert written_bytes(GRID, None) == 20 * 20 * 8 * 5
    assert machine.least_ms(1e9, 1e6) == pytest.approx(10.0)
    assert machine.least_ms(1e6, 1e9) == pytest.approx(100.0)


def test_measures_time_and_memory():
    block = []
    megabytes = extra_memory_mb(lambda: block.append(torch.ones(25_000_000)), torch.device("cpu"))
    assert megabytes is None or 95 < megabytes < 130
    assert cpu_ms(lambda: sum(range(100_000)), 3) > 0.2


@pytest.mark.parametrize("index", range(3))
def test_baselines_add_up_like_the_reference_where_nothing_is_cut_off(index):
    baseline = load_baselines(BASELINES)[index]
    scene = random_scene(40, "small", GRID)
    scene = scene.replace(means=scene.means * 0.6, scales=scene.scales * 0.5 + 0.1)
    density, votes = torch.full(GRID.shape, 7.0), torch.full((*GRID.shape, 18), 7.0)
    baseline.splat(scene, GRID, density, votes)
    composition = "sum_unweighted" if baseline.unweighted else "sum"
    expected = splat_to_voxels(scene, GRID, composition=composition, cutoff=30.0, backend="reference")
    assert expected.density.max() > 0.3
    torch.testing.assert_close(density, expected.density, rtol=1e-3, atol=1.2e-2)  # exp(-9 / 2) = 0.011
    solid = expected.density > 0.2
    torch.testing.assert_close(votes[solid], expected.features[solid], rtol=0.1, atol=0.1)
    labels = baseline.classify(density, votes)
    assert (labels[density == 0] == 17).all()
    assert torch.equal(labels[solid], votes[solid].argmax(-1))


def test_the_slice_loop_is_the_support_box_voxels():
    scene = random_scene(200, "small", GRID)
    scene = scene.replace(means=scene.means * 1.3)  # some boxes end just outside the grid
    density, votes = torch.full(GRID.shape, 7.0), torch.full((*GRID.shape, 18), 7.0)
    load_baselines(BASELINES)[0].splat(scene, GRID, density, votes)
    ours = splat_to_voxels(scene, GRID, support="box_voxels")
    assert ((ours.density > 0) == (density > 0)).float().mean() > 0.999  # but for edges that float32 moves over a face
    torch.testing.assert_close(density, ours.density, rtol=0, atol=2e-5)
    solid = ours.density > 1e-3
    torch.testing.assert_close(votes[solid], ours.features[solid], rtol=1e-3, atol=1e-3)


def test_one_command_prints_a_table_and_writes_json(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench.VoxelGrid, "occ3d", classmethod(lambda cls: GRID))
    out = tmp_path / "deep" / "splat.json"
    main(
        ["bench", "splat", "--gaussians", "[50]", "--sigma", "[mixed]", "--repeats", "1", "--images", "false",
         "--device", "cpu", "--baselines", BASELINES, "--out", str(out)]
    )  # fmt: skip
    text = capsys.readouterr().out
    written = json.loads(out.read_text())
    cases = [row["case"] for row in written["rows"]]
    assert "labels only" in cases
    assert "fixed neighbourhood, row unique, then its class step" in cases
    assert {row["scene"] for row in written["rows"]} == {"50 mixed", "3,200 voxel"}
    assert all(case in text for case in cases)
    assert written["schema"] == 1
    assert not list(out.parent.glob("*.part"))


def test_clear_errors(tmp_path):
    (tmp_path / "none.py").write_text("x = 1\n")
    with pytest.raises(ConfigError, match="BASELINES"):
        load_baselines(str(tmp_path / "none.py"))
    with pytest.raises(ConfigError, match="Python file"):
        load_baselines(str(tmp_path / "missing.py"))
    with pytest.raises(ConfigError, match=r"sigma.*mixed"):
        bench.run((10,), ("wide",), False, 1, 1, "cpu", None, False, None)


def test_a_table_leaves_out_what_was_not_measured():
    text = table([Row("s", "c", 2.0, bound_ms=1.0), Row("s", "d", None, note="too slow")])
    assert "| s | c | 2.0 |  |  | 1.0 | 50 % |  |" in text
    assert "| s | d |  |  |  |  |  | too slow |" in text


def test_a_dense_scene_has_one_gaussian_per_voxel():
    scene = one_per_voxel(GRID)
    assert len(scene) == 20 * 20 * 8
    field = splat_to_voxels(scene, GRID)
    assert isinstance(field, VoxelField)
    assert (field.density > 0).all()


@pytest.mark.parametrize("words", ["--threads 0", "--repeats 0", "--gaussians 10,-3"])
def test_numbers_that_measure_nothing_are_told(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(["bench", "splat", *words.split()])
    assert end.value.code == 2
    key = words.split()[0].removeprefix("--")
    assert f"gsocc_core: error: bench: {key}: expected 1 or more, received" in capsys.readouterr().err
