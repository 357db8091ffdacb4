# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Data sets by name: defaults, fit, and a run from training to scores on a grid that is not Occ3D's."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import yaml

from gsocc_core import OCC3D_NUSCENES, VoxelGrid
from gsocc_core.commands.cli import main
from gsocc_core.data.args import SURROUND_CAMERAS, DataArgs
from gsocc_core.data.build import DATASETS, build_dataset, check_fit, protocol_of, with_default_grid, with_voxel_labels
from gsocc_core.data.occ3d import OCC3D_PROTOCOL
from gsocc_core.data.surroundocc import SURROUNDOCC_GRID, SURROUNDOCC_NUSCENES, SurroundOccNuScenes
from gsocc_core.errors import ConfigError
from gsocc_core.evaluation.label_sources import constant_source, ground_labels
from gsocc_core.evaluation.score import score, score_baseline, scoring_data
from gsocc_core.inference.bundle import load_bundle
from gsocc_core.methods.gaussianflowocc import GaussianFlowOcc

from ..conftest import TINY_MODEL  # noqa: TID252 - tests are no package, the fixtures' constants live beside them


@pytest.fixture
def root(tiny_surroundocc):
    return tiny_surroundocc


def test_names_choose_classes_grid_and_rules():
    assert list(DATASETS) == ["occ3d", "surroundocc", "kitti360", "ddad"]
    found = {name: protocol_of(DataArgs("x", dataset=name)) for name in DATASETS}
    assert [p.mask for p in found.values()] == ["camera", "none", "none", "none"]
    assert [p.rays for p in found.values()] == [True, False, False, False]
    assert [len(p.classes.names) for p in found.values()] == [18, 17, 19, 18]
    assert [p.max_depth_m for p in found.values()] == [80, 80, 80, 200]
    for protocol in found.values():
        (name, z_m), grid = protocol.ground, protocol.grid
        assert name in protocol.classes.names
        assert grid.lower[2] < z_m < grid.upper[2]
        assert protocol.labels_field is None or hasattr(DataArgs("x"), protocol.labels_field)
    with pytest.raises(ConfigError, match="expected one of occ3d, surroundocc, kitti360, ddad, received kitti"):
        protocol_of(DataArgs("x", dataset="kitti"))


def test_defaults_follow_the_data_set():
    assert DataArgs("x").cameras == DataArgs("x", dataset="surroundocc").cameras == SURROUND_CAMERAS
    args = DataArgs("x", dataset="kitti360")
    assert (args.cameras, args.depth_dir, args.semantics_dir) == (("image_00",), None, None)
    assert DataArgs("x", dataset="kitti360", cameras=("image_01",)).cameras == ("image_01",)
    assert replace(args, split="val").cameras == ("image_00",)
    assert DataArgs("x", dataset="ddad").cameras[:2] == ("CAMERA_01", "CAMERA_05")
    assert with_voxel_labels(DataArgs("x", dataset="ddad"), None) == DataArgs("x", dataset="ddad")
    assert with_voxel_labels(args, None).sscbench_dir is None
    assert with_voxel_labels(DataArgs("x"), "other").occ3d_dir == "other"
    assert scoring_data("x", "v", dataset="surroundocc", labels_dir="here").surroundocc_dir == "here"
    assert scoring_data("x", "v", occ3d_dir=None, dataset="surroundocc").surroundocc_dir is None


def test_a_grid_is_filled_in_where_a_method_wants_one():
    filled = with_default_grid(GaussianFlowOcc, {"image_size": [1, 2]}, SurroundOccNuScenes.protocol)
    assert filled["grid"]["lower"] == [-50.0, -50.0, -5.0]
    assert np.asarray(filled["grid"]["T_ego_grid"]).shape == (4, 4)
    assert with_default_grid(GaussianFlowOcc, {"grid": {}}, SurroundOccNuScenes.protocol) == {"grid": {}}
    assert with_default_grid(lambda classes: None, {}, SurroundOccNuScenes.protocol) == {}


def test_a_model_that_does_not_fit_is_refused():
    protocol = SurroundOccNuScenes.protocol
    check_fit(protocol, protocol.classes, protocol.grid, "model")
    with pytest.raises(ConfigError, match="17 classes of SurroundOcc-nuScenes, 0 = free, received 18, 17 = free"):
        check_fit(protocol, OCC3D_NUSCENES, protocol.grid, "model")
    with pytest.raises(ConfigError, match="grid: expected the grid of SurroundOcc-nuScenes"):
        check_fit(protocol, protocol.classes, SURROUNDOCC_GRID, "a grid without its pose")
    check_fit(OCC3D_PROTOCOL, OCC3D_NUSCENES, VoxelGrid.occ3d(), "model")


def test_scores_follow_the_protocol(root):
    data = scoring_data(str(root), "v1.0-tiny", dataset="surroundocc")
    ground = score_baseline("ground", data)
    assert (ground.mask, ground.frames) == ("none", 6)
    assert math.isnan(ground.rayiou)
    assert math.isnan(ground.miou_15), "these classes lack others"
    # Every road voxel with a label is right, the car is missed, 14 classes are absent.
    assert ground.per_class["driveable_surface"] == 1.0
    assert ground.per_class["car"] == 0.0
    assert ground.miou == 0.5
    assert len(ground.absent) == 14
    kind = score_baseline("ground", data, absent="counts_as_one")
    assert kind.miou == pytest.approx(15 / 16)
    assert score_baseline("majority", data, train_split="train").miou == 1.0
    dataset = build_dataset(data, (16, 28))
    labels = ground_labels(dataset.protocol)
    rays = score("rays", dataset, constant_source(labels), rays=True, limit=1)
    assert 0 < rays.rayiou < 1


def test_from_training_to_scores(root, tmp_path, capsys):
    model = {key: value for key, value in TINY_MODEL.items() if key != "grid"}
    model["loss"] = {"semantics": 0.0, "depth": 0.0, "occupied": 1.0, "voxel_classes": 1.0}
    content = {
        "out": str(tmp_path / "run"), "method": "gaussianflowocc", "model": model, "channels": list(range(1, 17)),
        "data": {"dataset": "surroundocc", "dataroot": str(root), "version": "v1.0-tiny", "split": "train", "views": 1,
                 "depth_dir": None, "semantics_dir": None, "fraction": 0.7},
        "run": {"max_steps": 1, "batch_size": 1, "accelerator": "cpu", "checkpoint_every": 1, "progress_bar": False},
    }  # fmt: skip
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(content))
    main(["train", str(path)])
    bundle = tmp_path / "run" / "bundle"
    loaded = load_bundle(bundle)
    assert loaded.classes.names == SURROUNDOCC_NUSCENES.names
    check_fit(SurroundOccNuScenes.protocol, loaded.classes, loaded.method.grid, bundle)
    assert "SurroundOcc-nuScenes" in (bundle / "README.md").read_text()

    # A run that began before data sets had names goes on.
    stored = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    for key in ("fraction_seed", "sscbench_dir"):
        del stored["data"][key]
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(stored))
    main(["train", str(path), "--resume", "auto", "--run.max_steps", "2"])

    words = ["--dataroot", str(root), "--version", "v1.0-tiny", "--split", "val", "--limit", "1"]
    main(["evaluate", str(bundle), "--dataset", "surroundocc", *words, "--out", str(tmp_path / "scores")])
    (scores,) = json.loads((tmp_path / "scores.json").read_text())
    assert (scores["frames"], scores["mask"], scores["absent_rule"]) == (1, "none", "left_out")
    assert set(scores["per_class"]) == set(SURROUNDOCC_NUSCENES.names[1:])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["evaluate", str(bundle), *words])
    assert "classes: expected 18 classes of Occ3D-nuScenes" in capsys.readouterr().err
