# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes of a data set as files of other programs, and both layouts of Occ3D predictions."""

import numpy as np
import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, OccupancyPredictor
from gsocc_core.commands.cli import main
from gsocc_core.data.build import DATASETS, with_default_grid
from gsocc_core.data.nuscenes import NuScenesOccupancy
from gsocc_core.evaluation.score import scoring_data
from gsocc_core.export.gaussian_ply import read_gaussians_ply
from gsocc_core.export.scene_npz import read_scene
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.methods.build import build_method
from gsocc_core.methods.tpvformer import TPVFormer

from ..conftest import TINY_MODEL  # noqa: TID252 - tests are no package, the fixtures' constants live beside them

#: A host whose working voxels are eight of the labels' long, for grids of many voxels.
HOST = {
    "image_size": [32, 64],
    "backbone": TINY_MODEL["backbone"],
    "network": {"dim": 8, "num_layers": 1, "num_heads": 2, "stride": [8, 8, 8], "plane_stride": [1, 1, 1],
                "pillar_points": [2, 2, 2], "plane_points": 2, "num_points": 1, "feed_hidden": 8, "head_hidden": 8},
}  # fmt: skip
#: First key frame of the tiny trees.
FIRST = {"surroundocc": "scene-a/scene-a-0", "kitti360": "2013_05_28_drive_0004_sync/000000"}


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors gain nothing from threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def data(tree):
    return ["--dataroot", str(tree), "--version", "v1.0-tiny", "--device", "cpu", "--scenes", "scene-b"]


def test_a_tree_becomes_scenes_and_a_scene_becomes_a_ply(tiny_tree, tiny_bundle, tmp_path, capsys):
    out = tmp_path / "out"
    main(
        ["export", str(tiny_bundle), "--out", str(out), *data(tiny_tree), "--formats", "ply,npz,occ3d", "--limit", "2"]
    )
    folders = sorted((out / "scene-b").iterdir())
    assert [folder.name for folder in folders] == ["scene-b-0", "scene-b-1"]
    predictor = OccupancyPredictor.load(tiny_bundle, "cpu")
    dataset = NuScenesOccupancy(scoring_data(str(tiny_tree), "v1.0-tiny", None, ("scene-b",), None), (32, 64))
    expected = predictor.predict_frames(dataset[0])
    stored = read_scene(folders[0] / "scene.npz")
    assert torch.equal(stored.gaussians.means, expected.scene.means)
    assert torch.equal(stored.grid.labels, expected.grid.labels)
    assert torch.equal(stored.grid.confidence, expected.grid.confidence)
    assert stored.reference_stamp_ns == expected.reference_stamp_ns
    with np.load(folders[0] / "labels.npz") as labels:
        assert np.array_equal(labels["semantics"], expected.grid.labels.numpy())
    assert torch.equal(read_gaussians_ply(folders[0] / "gaussians.ply").means, stored.gaussians.means)

    threshold = float(stored.gaussians.opacities.median())
    words = ["--out", str(tmp_path / "a.ply"), "--min_opacity", str(threshold), "--features", "--sh_degree", "3"]
    main(["export", str(folders[0] / "scene.npz"), *words])
    kept = read_gaussians_ply(tmp_path / "a.ply")
    chosen = stored.gaussians.opacities >= threshold
    assert torch.equal(kept.features, stored.gaussians.features[chosen])
    assert kept.colors_sh.shape[1] == 16

    for words, message in (
        (["--out", str(tmp_path / "a.obj")], "the ending .ply"),
        (["--out", str(tmp_path / "a.ply")], "does not exist"),
    ):
        with pytest.raises(SystemExit):
            main(["export", str(folders[0] / "scene.npz"), *words])
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["export", str(tiny_bundle), "--out", str(tmp_path / "none")])
    assert "dataroot" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["surroundocc", "kitti360"])
def test_other_data_sets_keep_their_grid_and_classes(name, tiny_surroundocc, tiny_kitti360, tmp_path):
    tree, protocol = {"surroundocc": tiny_surroundocc, "kitti360": tiny_kitti360}[name], DATASETS[name].protocol
    model = with_default_grid(TPVFormer, HOST, protocol)
    torch.manual_seed(0)
    method = build_method("tpvformer", model, protocol.classes, pretrained=False)
    save_bundle(tmp_path / "bundle", "tpvformer", model, method, "# tiny\n")
    words = ["--dataroot", str(tree), "--version", "v1.0-tiny", "--device", "cpu", "--dataset", name, "--limit", "1"]
    main(["export", str(tmp_path / "bundle"), "--out", str(tmp_path / "out"), *words, "--formats", "npz,occ3d"])
    (path,) = (tmp_path / "out").rglob("scene.npz")
    assert path.parent.relative_to(tmp_path / "out").as_posix() == FIRST[name]
    stored = read_scene(path)
    assert stored.gaussians is None
    assert stored.grid.grid == protocol.grid
    assert stored.classes.names == protocol.classes.names
    with np.load(path.with_name("labels.npz")) as labels:
        assert np.array_equal(labels["semantics"], stored.grid.labels.numpy())


def test_labels_of_another_grid_are_not_written_as_a_data_set_s(tiny_kitti360, tiny_bundle, tmp_path, capsys):
    words = ["--dataroot", str(tiny_kitti360), "--dataset", "kitti360", "--device", "cpu", "--limit", "1"]
    for command in (["predict"], ["export", "--formats", "npz,occ3d"]):
        with pytest.raises(SystemExit) as stop:
            main([command[0], str(tiny_bundle), "--out", str(tmp_path / "out"), *words, *command[1:]])
        assert stop.value.code == 2
        assert "classes: expected 19 classes of SSCBench-KITTI360, 0 = free" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []


def test_a_grid_that_differs_is_named_by_predict(tiny_tree, tmp_path, capsys):
    model = {**TINY_MODEL, "grid": {**TINY_MODEL["grid"], "voxel_size": 0.8}}
    method = build_method("gaussianflowocc", model, OCC3D_NUSCENES.with_channels(range(1, 17)), pretrained=False)
    save_bundle(tmp_path / "bundle", "gaussianflowocc", model, method, "# tiny\n")
    with pytest.raises(SystemExit):
        main(["predict", str(tmp_path / "bundle"), "--out", str(tmp_path / "out"), *data(tiny_tree)])
    assert "bundle: grid: expected the grid of Occ3D-nuScenes" in capsys.readouterr().err
    main(["export", str(tmp_path / "bundle"), "--out", str(tmp_path / "out"), *data(tiny_tree), "--limit", "1"])
    assert read_scene(tmp_path / "out" / "scene-b" / "scene-b-0" / "scene.npz").grid.labels.shape == (100, 100, 8)


@pytest.mark.parametrize("command", ["predict", "export", "evaluate"])
def test_a_limit_that_leaves_nothing_is_an_error(command, tiny_tree, tiny_bundle, tmp_path, capsys):
    out = [] if command == "evaluate" else ["--out", str(tmp_path / "out")]
    for limit in ("0", "-1"):
        with pytest.raises(SystemExit):
            main([command, str(tiny_bundle), *out, *data(tiny_tree), f"--limit={limit}"])
        assert f"limit: expected 1 or more, or null for all, received {limit}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_predictions_in_both_layouts_of_occ3d(tiny_tree, tiny_bundle, tmp_path):
    for layout in ("gts", "tokens"):
        words = ["--out", str(tmp_path / layout), "--layout", layout, "--limit", "1"]
        main(["predict", str(tiny_bundle), *data(tiny_tree), *words])
    # As Occ3D lays out gts/<scene>/<token>/labels.npz, and as ray evaluators read <token>.npz.
    with np.load(tmp_path / "gts" / "scene-b" / "scene-b-0" / "labels.npz") as file:
        assert file.files == ["semantics"]
        labels = file["semantics"]
    with np.load(tmp_path / "tokens" / "scene-b-0.npz") as file:
        assert file.files == ["arr_0"]
        assert np.array_equal(file["arr_0"], labels)
    assert (labels.shape, labels.dtype) == ((200, 200, 16), np.uint8)
    assert labels.max() <= 17
