# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Drives of every data set: the viewer and ``compare-views`` show them with their own grid, classes and masks."""

import numpy as np
import pytest
import torch
from PIL import Image

from gsocc_core.commands.cli import main
from gsocc_core.data.build import DATASETS
from gsocc_core.errors import DataError
from gsocc_core.pictures.draw import draw_voxels
from gsocc_core.viewer.open_source import open_source

OTHERS = ("surroundocc", "kitti360")
CAR = {"surroundocc": 4, "kitti360": 1}


@pytest.fixture(scope="module")
def trees(tiny_surroundocc, tiny_kitti360):
    return {"surroundocc": tiny_surroundocc, "kitti360": tiny_kitti360}


def opened(trees, name, **changes):
    return open_source(trees[name], "v1.0-tiny", dataset=name, **changes)


@pytest.fixture(scope="module")
def predictions(trees, tmp_path_factory):
    """Per data set, its ground truth of the first drive with free space for cars and where there is no label."""
    folders = {}
    for name in OTHERS:
        source, folder = opened(trees, name), tmp_path_factory.mktemp(name)
        for index in range(len(source)):
            labels = source.frame(index).truth.labels.numpy().copy()
            labels[(labels == CAR[name]) | (labels == 255)] = 0
            token = source._frames[index].token
            (folder / source.name / token).mkdir(parents=True)
            np.savez_compressed(folder / source.name / token / "labels.npz", semantics=labels)
        folders[name] = folder
    return folders


@pytest.mark.parametrize("name", OTHERS)
def test_a_drive_has_the_grid_the_classes_and_the_mask_of_its_data_set(trees, name):
    source, protocol = opened(trees, name), DATASETS[name].protocol
    truth = source.frame(1).truth
    assert len(source) == 3
    assert source.classes is truth.classes is protocol.classes
    assert truth.grid == protocol.grid
    assert torch.equal(truth.observed, truth.labels != 255)
    assert not truth.observed.all()
    assert opened(trees, name, occ3d_dir=None).frame(1).truth is None
    with pytest.raises(DataError, match=f"{protocol.labels_field}: expected a folder with labels"):
        opened(trees, name, labels_dir="nowhere")


def test_cameras_are_those_of_the_data_set(trees):
    (view,) = opened(trees, "kitti360").frame(0).views
    assert view.camera.name == "image_00"
    assert view.image.shape == (24, 88, 3)
    assert len(opened(trees, "surroundocc").frame(0).views) == 6


@pytest.mark.parametrize("name", OTHERS)
def test_commands_show_and_compare_other_data_sets(trees, predictions, tmp_path, capsys, name):
    words = [str(trees[name]), "--version", "v1.0-tiny", "--dataset", name, "--predictions", str(predictions[name])]
    main(["view", *words, "--frame", "1", "--width", "300", "--out", str(tmp_path / "view.png")])
    with Image.open(tmp_path / "view.png") as picture:
        assert picture.width == 300
    main(["compare-views", *words, "--frame", "1", "--tile_width", "48", "--out", str(tmp_path / "compare.png")])
    with Image.open(tmp_path / "compare.png") as picture:
        assert picture.width >= 48
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    rows = {line.split("|")[1].strip() for line in table[2:]}
    assert rows == {"all cameras", "top_down", *opened(trees, name).frame(0).images}


def test_predictions_on_another_grid_are_named(trees, predictions):
    source = opened(trees, "surroundocc", predictions=predictions["surroundocc"])
    assert (source.frame(0).prediction.labels != source.frame(0).truth.labels).any()
    folder = predictions["surroundocc"] / source.name / source._frames[2].token
    np.savez_compressed(folder / "labels.npz", semantics=np.zeros((256, 256, 32), np.uint8))
    with pytest.raises(DataError, match=r"the voxels of SurroundOcc-nuScenes, received \(256, 256, 32\)"):
        source.frame(2)


def test_pictures_look_along_the_car_on_a_turned_grid(trees):
    """The same voxels on SurroundOcc's grid and on one along the ego axes give the same picture."""
    truth = opened(trees, "surroundocc").frame(0).truth
    grid = type(truth.grid)((-49.06, -50.0, -3.16), (50.94, 50.0, 4.84), 0.5)  # where T_EGO_LIDAR puts the box
    labels = np.ascontiguousarray(truth.labels.numpy().transpose(1, 0, 2)[:, ::-1])  # x ahead = y, y left = -x
    turned = draw_voxels(truth.labels.numpy(), truth, 60, 40)
    along = draw_voxels(labels, type(truth)(torch.from_numpy(labels.copy()), grid, truth.classes), 60, 40)
    assert np.abs(turned.astype(int) - along).max() <= 40, "shades differ: faces across x here, across y there"
    assert np.abs(turned.astype(int) - along).mean() < 0.1
    empty = draw_voxels(np.where(labels == 255, 0, labels), type(truth)(truth.labels, grid, truth.classes), 60, 40)
    assert np.array_equal(along, empty), "voxels without a label are not drawn"
