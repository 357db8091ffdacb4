# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc's ``_mask.bin`` files, written byte by byte, through the loader."""

import shutil

import numpy as np
import pytest

from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.data.nuscenes_index import SURROUND_CAMERAS
from gsocc_core.errors import DataError

#: Their id -> Occ3D's, by name.
EXPECTED = {
    0: "others", 1: "car", 2: "driveable_surface", 3: "bus", 4: "truck", 5: "terrain", 6: "vegetation", 7: "sidewalk",
    8: "bicycle", 9: "barrier", 10: "pedestrian", 11: "manmade", 12: "motorcycle", 13: "construction_vehicle",
    14: "trailer", 15: "traffic_cone", 16: "free", -1: "others",
}  # fmt: skip


def written(root, folder, below="samples"):
    """Masks of all key frames: column c shows their id c - 1, rows from 30 on -1; rows differ by nothing else."""
    ids = np.tile(np.arange(80, dtype=np.int8) % 18 - 1, (45, 1))
    ids[30:] = -1
    for picture in (root / "samples").rglob("*.jpg"):
        path = root / folder / below / picture.parent.name / f"{picture.stem}_mask.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        ids.tofile(path)
    return ids


@pytest.fixture
def tree(tiny_tree, tmp_path):
    root = shutil.copytree(tiny_tree, tmp_path / "tree")
    written(root, "nuscenes_semantic")
    return root


def opened(root, **options):
    options = {"depth_dir": None, "semantics_dir": "nuscenes_semantic", "occ3d_dir": None, "view_size": (45, 80),
               "views": 1, "max_view_depth_m": 1000.0} | options  # fmt: skip
    return NuScenesOccupancy(DataArgs(str(root), "v1.0-tiny", **options), (32, 64))


@pytest.mark.parametrize("sky", [False, True])
def test_ids_become_those_of_occ3d(tree, sky):
    dataset = opened(tree, label_sky=sky)
    semantics = dataset[0].targets.view_semantics
    names = dataset.protocol.classes.names
    for column in range(36):
        name = EXPECTED[column % 18 - 1]
        # 0 is no label in folders of pictures: what they call "others" trains nothing there either.
        expected = {"others": 255, "free": 17 if sky else 255}.get(name, names.index(name))
        assert (semantics[0, 0, :, :30, column] == expected).all(), (column, name)
    assert (semantics[0, 0, :, 30:] == 255).all(), "no mask is no label, and never the sky"


def test_other_places_are_found_too(tree):
    whole = opened(tree)[1].targets.view_semantics
    written(tree, "mine", below="")
    assert (opened(tree, semantics_dir="mine")[1].targets.view_semantics == whole).all()
    few = opened(tree, semantics_dir="mine", cameras=("CAM_BACK",))[1].targets.view_semantics
    assert (few[:, :, 0] == whole[:, :, SURROUND_CAMERAS.index("CAM_BACK")]).all()


def test_what_cannot_be_a_mask_is_named(tree):
    path = tree / "nuscenes_semantic" / "samples" / "CAM_FRONT" / "scene-a-0_mask.bin"
    good = np.fromfile(path, np.int8)
    good[:-80].tofile(path)
    with pytest.raises(DataError, match=r"scene-a-0_mask.bin: size: expected 3600 bytes, \(45, 80\).*received 3520"):
        opened(tree)[0]
    for wrong in (17, -2):
        np.where(np.arange(3600) == 7, np.int8(wrong), good).tofile(path)
        with pytest.raises(DataError, match=rf"scene-a-0_mask.bin: class ids: expected -1 ... 16, received {wrong}"):
            opened(tree)[0]
    path.unlink()
    with pytest.raises(DataError, match="scene-a-0_mask.bin"):
        opened(tree)[0]
    with pytest.raises(DataError, match="nuscenes_semantic: kind: expected depth, received classes"):
        opened(tree, depth_dir="nuscenes_semantic", semantics_dir=None)[1]
    shutil.rmtree(tree / "nuscenes_semantic")
    with pytest.raises(DataError, match="nuscenes_semantic.*no such folder"):
        opened(tree)
