# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A tree whose labels bring a grid and classes of their own: everything follows them, and what contradicts is told."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from gsocc_core import OCC3D_NUSCENES, ClassTable, OccupancyPredictor, VoxelGrid
from gsocc_core.commands.cli import main
from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset, check_fit, protocol_of
from gsocc_core.data.occ3d import OCC3D_PROTOCOL
from gsocc_core.data.protocol import CLASSES_FILE, PROTOCOL_FILE, read_protocol, write_protocol
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.evaluation.score import score_baseline, scoring_data
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.methods.build import build_method

from ..conftest import TINY_MODEL  # noqa: TID252 - tests are no package, the fixtures' constants live beside them

GRID = VoxelGrid((-8.0, -6.0, -1.0), (8.0, 6.0, 3.0), (1.0, 1.0, 0.5))
CLASSES = ClassTable(("free", "floor", "shelf", "cart"), ((9, 9, 9), (1, 2, 3), (4, 5, 6), (7, 8, 9)), 0, 255, (3,))
OWN = replace(
    OCC3D_PROTOCOL, title="a warehouse", classes=CLASSES, grid=GRID, ground=("floor", 0.0),
    box_classes={"vehicle.car": "cart"},
)  # fmt: skip


def write_labels(tree, shape=GRID.shape, high=4):
    rng = np.random.default_rng(0)
    for path in (tree / "gts").rglob("labels.npz"):
        mask = np.ones(shape, np.uint8)
        np.savez_compressed(
            path, semantics=rng.integers(0, high, shape).astype(np.uint8), mask_camera=mask, mask_lidar=mask
        )


@pytest.fixture(scope="module")
def warehouse(tree_writer, tmp_path_factory):
    tree = tree_writer(tmp_path_factory.mktemp("own") / "tree")
    write_labels(tree)
    write_protocol(tree / "gts", OWN)
    return tree


@pytest.fixture
def copy(warehouse, tmp_path):
    return shutil.copytree(warehouse, tmp_path / "tree")


def data(tree, **more):
    return DataArgs(str(tree), "v1.0-tiny", views=1, depth_dir=None, semantics_dir=None, **more)


@pytest.fixture
def bundle(tmp_path):
    plain = {"lower": list(GRID.lower), "upper": list(GRID.upper), "voxel_size": list(GRID.size_m)}
    model = {**TINY_MODEL, "grid": plain}
    torch.manual_seed(0)
    method = build_method("gaussianflowocc", model, CLASSES.with_channels([1, 2, 3]), pretrained=False)
    save_bundle(tmp_path / "bundle", "gaussianflowocc", model, method, "# tiny\n")
    return tmp_path / "bundle"


def test_what_is_written_is_read(tmp_path):
    write_protocol(tmp_path, replace(OWN, grid=replace(GRID, T_ego_grid=np.diag([1.0, -1, -1, 1]).tolist())))
    found = read_protocol(tmp_path)
    assert found.grid == replace(GRID, T_ego_grid=tuple(map(tuple, np.diag([1.0, -1, -1, 1]).tolist())))
    assert (found.classes, found.title, found.ground) == (CLASSES, OWN.title, OWN.ground)
    assert found.box_classes == OWN.box_classes
    assert read_protocol(tmp_path / "nowhere") is None


def test_the_loader_follows_and_others_stay(warehouse, tiny_tree):
    dataset = build_dataset(data(warehouse), (16, 28))
    assert (dataset.protocol.grid, dataset.protocol.classes) == (GRID, CLASSES)
    assert dataset[0].targets.labels.shape == (1, *GRID.shape)
    assert protocol_of(data(warehouse, occ3d_dir=None)).classes == CLASSES, "labels of pictures have these classes, too"
    assert protocol_of(data(warehouse, dataset="surroundocc")).title == "SurroundOcc-nuScenes"
    assert build_dataset(data(tiny_tree), (16, 28)).protocol is OCC3D_PROTOCOL


def test_training_evaluation_baselines_and_pictures_follow(warehouse, tmp_path, capsys):
    model = {key: value for key, value in TINY_MODEL.items() if key != "grid"}
    model["loss"] = {"semantics": 0.0, "depth": 0.0, "occupied": 1.0, "voxel_classes": 1.0}
    content = {
        "out": str(tmp_path / "run"), "method": "gaussianflowocc", "model": model, "channels": [1, 2, 3],
        "data": {"dataroot": str(warehouse), "version": "v1.0-tiny", "views": 1, "depth_dir": None,
                 "semantics_dir": None},
        "run": {"max_steps": 1, "batch_size": 1, "accelerator": "cpu", "checkpoint_every": 1, "progress_bar": False},
    }  # fmt: skip
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(content))
    main(["train", str(tmp_path / "train.yaml")])
    bundle = tmp_path / "run" / "bundle"
    assert OccupancyPredictor.load(bundle, "cpu").grid == GRID
    assert "a warehouse" in (bundle / "README.md").read_text()
    place = ["--dataroot", str(warehouse), "--version", "v1.0-tiny"]
    main(["evaluate", str(bundle), *place, "--device", "cpu", "--limit", "1"])
    assert "mIoU" in capsys.readouterr().out
    assert score_baseline("majority", scoring_data(str(warehouse), "v1.0-tiny"), train_split="train").frames == 6
    main(["view", str(warehouse), "--version", "v1.0-tiny", "--out", str(tmp_path / "v.png"), "--width", "400"])
    assert Image.open(tmp_path / "v.png").width == 400


def test_labels_of_another_shape_are_told(copy):
    write_labels(copy, (16, 12, 9))
    with pytest.raises(DataError, match=r"labels.npz: .*\(16, 12, 8\), the grid of a warehouse.*\(16, 12, 9\)"):
        build_dataset(data(copy), (16, 28)).voxel_labels(0)


def test_labels_beyond_the_class_table_are_told(copy):
    write_labels(copy, high=5)
    with pytest.raises(DataError, match=r"labels.npz: semantics: expected whole numbers 0 ... 3 and 255, received 4"):
        build_dataset(data(copy), (16, 28)).voxel_labels(0)


@pytest.mark.parametrize("missing", [PROTOCOL_FILE, CLASSES_FILE])
def test_one_file_without_the_other_is_told(copy, missing):
    (copy / "gts" / missing).unlink()
    with pytest.raises(ConfigError, match=f"{missing}: file: expected {PROTOCOL_FILE} and {CLASSES_FILE} together"):
        protocol_of(data(copy))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"grid": {"lower": [0, 0, 0], "upper": [1, 1, 1]}}, "grid.voxel_size"),
        ({"grid": {"lower": [0, 0, 0], "upper": [1, 1, 1], "voxel_size": 0.3}}, "divisor"),
        ({"ground": {"label": "sand"}}, "ground.label: expected a class of .*, received sand"),
        ({"boxes": {"vehicle.car": "lorry"}}, "boxes: expected a class of .*, received lorry"),
        ({"colour": 1}, "colour"),
    ],
)
def test_wrong_files_are_told(copy, change, expected):
    path = copy / "gts" / PROTOCOL_FILE
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    with pytest.raises(ConfigError, match=expected):
        protocol_of(data(copy))


def test_a_bundle_of_another_grid_or_classes_is_told(warehouse, tiny_bundle, bundle, capsys):
    protocol = protocol_of(data(warehouse))
    check_fit(protocol, CLASSES, GRID, "model")
    with pytest.raises(ConfigError, match="4 classes of a warehouse, 0 = free, received 18, 17 = free"):
        check_fit(protocol, OCC3D_NUSCENES, GRID, "model")
    with pytest.raises(ConfigError, match="grid: expected the grid of a warehouse"):
        check_fit(protocol, CLASSES, VoxelGrid.occ3d(), "model")
    with pytest.raises(SystemExit):
        main(["evaluate", str(tiny_bundle), "--dataroot", str(warehouse), "--version", "v1.0-tiny", "--device", "cpu"])
    assert "4 classes of a warehouse" in capsys.readouterr().err
