# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Every reader of files: whatever is damaged ends in one error of the project that names the file."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gsocc_core.data.occ3d import OCC3D_PROTOCOL, read_occ3d
from gsocc_core.data.ply_vertices import read_ply
from gsocc_core.data.view_label_files import decode
from gsocc_core.errors import GsoccError
from gsocc_core.inference.bundle import load_bundle
from gsocc_core.inference.model_card import put_scores
from gsocc_core.viewer.drive import read_prediction
from gsocc_ros.messages.label_messages import read_point_labels

from .damage import attempt, damaged, slightly_damaged
from .every_reader import ANY_BYTES, READERS, ascii_ply, occ3d, prediction, text

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*READERS, *ANY_BYTES])
def test_damage_of_any_kind_is_one_error_that_names_the_file(name, tmp_path):
    make, read = (READERS | ANY_BYTES)[name]
    path = make(tmp_path / name)
    good = path.read_bytes()
    assert attempt(name, read, path), "the good file is read"
    for what, content in damaged(good):
        path.write_bytes(content)
        assert not attempt(name, read, path) or name in ANY_BYTES, what
    for content in slightly_damaged(name, good):
        path.write_bytes(content)
        attempt(name, read, path)
    path.unlink()
    path.mkdir()
    assert not attempt(name, read, path), "a folder in its place"


#: Arrays of numbers in NumPy's files that are read.
NUMBERS = {
    "labels.npz": ("semantics", "mask_camera"), "000000_1_1.npy": ("",), "surroundocc.npy": ("",), "depth.npy": ("",),
    "prediction.npz": ("semantics",), "occupancy.npz": ("labels", "T_ego_grid", "lower_m"),
    "gaussians.npz": ("means", "features", "labels"), "scene.npz": ("means", "opacities", "labels", "T_ego_grid"),
    "points.npy": ("",), "panoptic.npz": ("data",), "000000.npz": ("camera_intrinsics", "camera_pose"),
}  # fmt: skip


class Opens:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle ran",))


@pytest.mark.parametrize("name", NUMBERS)
def test_objects_other_kinds_and_other_types_are_refused(name, tmp_path):
    make, read = READERS[name]
    path = make(tmp_path / name)
    arrays = np.load(path)
    there = dict(arrays) if path.suffix == ".npz" else {"": arrays}

    def write(changed):
        with path.open("wb") as file:
            if path.suffix == ".npz":
                np.savez(file, **changed)
            else:
                np.save(file, changed[""])

    objects = np.empty(1, object)
    objects[0] = Opens()
    for key in NUMBERS[name]:
        array = there[key]
        others = [objects, array.astype("S4"), array.astype(complex), np.zeros(array.shape, "M8[s]"), np.zeros((2, 0))]
        if array.ndim > 1:
            others += [np.array(5), array.ravel()[:-1]]
        for other in others:
            write({**there, key: other})
            assert not attempt(name, read, path), (key, other.dtype, other.shape)
        if path.suffix == ".npz":
            write({k: v for k, v in there.items() if k != key})
            # Without labels a scene has no voxels, and Gaussians take the class of their largest feature.
            # A camera may be unknown.
            optional = (name, key) in {("scene.npz", "labels"), ("scene.npz", "means"), ("gaussians.npz", "labels"),
                                       ("000000.npz", "camera_intrinsics"), ("000000.npz", "camera_pose")}  # fmt: skip
            assert attempt(name, read, path) == optional, (key, "missing")
    with path.open("wb") as file:
        (np.save if path.suffix == ".npz" else np.savez)(file, next(iter(there.values())))
    assert not attempt(name, read, path), "an array in place of several, or the other way round"


@pytest.mark.parametrize(
    ("name", "key"),
    [("labels.npz", "semantics"), ("prediction.npz", "semantics"), ("000000_1_1.npy", ""), ("scene.npz", "labels"),
     ("occupancy.npz", "labels"), ("gaussians.npz", "labels")],
)  # fmt: skip
@pytest.mark.parametrize("value", [260, -1, 3.5, np.nan, np.inf, -np.inf, 1e20])
def test_an_id_that_no_byte_holds_is_told_and_not_changed(name, key, value, tmp_path):
    make, read = READERS[name]
    path = make(tmp_path / name)
    arrays = dict(np.load(path)) if key else {"": np.load(path)}
    for dtype in (np.int64 if isinstance(value, int) else np.float64, np.float32):
        changed = arrays[key].astype(dtype)
        changed.flat[3] = value
        with path.open("wb") as file:
            np.savez(file, **{**arrays, key: changed}) if key else np.save(file, changed)
        with pytest.raises(GsoccError, match=rf"{name}: (semantics|class ids|labels): expected whole numbers 0 \.\.\."):
            read(path)
        changed.flat[3] = 1
        with path.open("wb") as file:
            np.savez(file, **{**arrays, key: changed}) if key else np.save(file, changed)
        assert attempt(name, read, path), "whole numbers of another type are the same ids"


def test_ids_beyond_the_classes_are_told_where_the_classes_are_known(tmp_path):
    path = prediction(tmp_path / "prediction.npz")
    for value, good in ((17, True), (18, False), (255, True)):
        np.savez(path, semantics=np.full((200, 200, 16), value, np.uint8))
        assert attempt("", lambda p: read_prediction(p, OCC3D_PROTOCOL), path) == good


def test_pictures_of_labels_hold_what_their_kind_can(tmp_path):
    import io
    import zipfile

    def write(kind, image):
        stream = io.BytesIO()
        image.save(stream, "PNG")
        with zipfile.ZipFile(tmp_path / "ids.zip", "w") as file:
            file.writestr("labels.json", json.dumps({"kind": kind, "min_m": 0.1, "log_step": 0.005}))
            file.writestr("front.png", stream.getvalue())
        return tmp_path / "ids.zip"

    for kind, image in (
        ("classes", Image.fromarray(np.full((2, 2), 260, np.uint16))), ("classes", Image.new("RGB", (2, 2))),
        ("depth", Image.new("RGB", (2, 2))), ("classes", Image.new("1", (2, 2))),
    ):  # fmt: skip
        with pytest.raises(GsoccError, match=r"ids.zip: front: expected \(H, W\) whole numbers 0"):
            decode(write(kind, image), kind)
    assert decode(write("depth", Image.fromarray(np.full((2, 2), 60000, np.uint16))), "depth")["front"].shape == (2, 2)


def test_masks_and_points_of_odd_types(tmp_path):
    path = occ3d(tmp_path / "labels.npz")
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "mask_camera": np.full((200, 200, 16), np.nan)})
    with pytest.raises(GsoccError, match="labels.npz: mask_camera: expected whole numbers"):
        read_occ3d(path)
    np.savez(path, **{**arrays, "mask_camera": np.ones((200, 200, 16), bool)})
    assert read_occ3d(path).mask_camera.all()
    np.savez(tmp_path / "panoptic.npz", data=np.array([260_000], np.int64))  # class 260 would become 4
    with pytest.raises(GsoccError, match="panoptic.npz: data: expected whole numbers 0 ... 255999"):
        read_point_labels(tmp_path / "panoptic.npz")
    ply = ascii_ply(tmp_path / "a.ply")
    ply.write_text(ply.read_text().replace("200", "300"))
    with pytest.raises(GsoccError, match="a.ply: red: expected whole numbers of type u1"):
        read_ply(ply)


def test_damaged_weights(tiny_bundle, tmp_path, monkeypatch):
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    path = folder / "model.safetensors"
    good = path.read_bytes()
    header = good[: 8 + int.from_bytes(good[:8], "little")]
    method = load_bundle(folder).method
    monkeypatch.setattr("gsocc_core.inference.bundle.build_trainable", lambda *_, **__: method)  # the same every time

    def read(_):
        load_bundle(folder)

    for _, content in damaged(good):
        path.write_bytes(content)
        assert not attempt("", read, path)
    for content in slightly_damaged("model.safetensors", header):
        path.write_bytes(content + good[len(header) :])
        attempt("", read, path)


def test_damaged_checkpoints_and_cards(tmp_path):
    from gsocc_core.training.train import _step

    path = tmp_path / "step=3.ckpt"
    torch.save({"global_step": 3, "state_dict": {"a": torch.zeros(9)}}, path)
    good = path.read_bytes()
    assert _step(path) == 3
    for _, content in damaged(good):
        path.write_bytes(content)
        assert not attempt("", _step, path)
    for content in slightly_damaged("checkpoint", good):
        path.write_bytes(content)
        attempt("", _step, path)
    card = text(tmp_path / "README.md", "# card")
    for content in (b"\xff\xfe", b"", b"no place"):
        card.write_bytes(content)
        assert not attempt("", lambda p: put_scores(p.parent, "|"), card)


#: Functions that read files or compile, and the modules that may call them.
DOORS = {
    "np.load": {"gsocc_core/data/stored.py"},
    "np.fromfile": {"gsocc_core/data/stored.py"},
    "json.load": set(),
    "yaml.safe_load": set(),
    "yaml.load": set(),
    "pickle.load": set(),
    "numba.njit": {"gsocc_core/compiling.py"},
}


def test_files_are_read_through_the_doors():
    found = {call: set() for call in DOORS}
    for path in [*(ROOT / "gsocc_core").rglob("*.py"), *(ROOT / "gsocc_ros").rglob("*.py")]:
        source = path.read_text(encoding="utf-8")
        for call, modules in found.items():
            if re.search(rf"\b{re.escape(call)}\(", source):
                modules.add(path.relative_to(ROOT).as_posix())
    assert found == DOORS
