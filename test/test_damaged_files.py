# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Every reader of files: whatever is damaged ends in one error of the project that names the file."""

import json
import re
import shutil
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from gsocc_core import OCC3D_NUSCENES, Camera, Gaussians, SemanticGrid, VoxelGrid
from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.feature_files import decode_features, encode_features, read_basis, write_basis
from gsocc_core.data.images import decode_image
from gsocc_core.data.occ3d import OCC3D_PROTOCOL, read_occ3d
from gsocc_core.data.ply_vertices import read_ply, write_ply
from gsocc_core.data.scannet import read_frame, read_ids, read_label_table
from gsocc_core.data.sscbench_labels import read_sscbench
from gsocc_core.data.stored import read_splits
from gsocc_core.data.surroundocc import read_surroundocc
from gsocc_core.data.video import VideoFrame
from gsocc_core.data.view_label_files import decode, encode_classes, encode_depth, read_folder_content
from gsocc_core.data.view_labels import camera_order, sample_view_labels
from gsocc_core.errors import GsoccError
from gsocc_core.evaluation.lidar_depth import _lidar_points_ego
from gsocc_core.export.scene_npz import read_scene, write_scene
from gsocc_core.export.snapshots import SnapshotView, write_snapshot
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.inference.bundle import load_bundle
from gsocc_core.inference.model_card import put_scores
from gsocc_core.rigs.point_files import read_points
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_core.viewer.drive import read_prediction
from gsocc_core.viewer.snapshot import SnapshotSource
from gsocc_core.yaml_files import read_yaml
from gsocc_ros.convert.convert_scenes import _read_manifest
from gsocc_ros.messages.can_messages import read_can_bus
from gsocc_ros.messages.label_messages import read_point_labels
from gsocc_ros.messages.map_messages import read_mask
from gsocc_ros.messages.radar_messages import RADAR_POINT, read_radar
from gsocc_ros.messages.sensor_messages import read_lidar
from gsocc_ros.pipeline.camera_input import read_mask as read_polygon

ROOT = Path(__file__).resolve().parents[1]
#: Files of which each is damaged at so many places.
FLIPS, CUTS = 12, 6
RNG = np.random.default_rng(0)
CAMERA = Camera("front", np.array([[40.0, 0, 16], [0, 40, 8], [0, 0, 1]]), np.eye(4), 32, 16)


def small_scene():
    quats = torch.tensor([[1.0, 0, 0, 0]]).expand(5, 4)
    scene = Gaussians(torch.rand(5, 3), torch.ones(5, 3), quats, torch.rand(5), torch.rand(5, 18))
    grid = VoxelGrid((0.0, 0.0, 0.0), (4.0, 4.0, 2.0), 1.0)
    return scene, SemanticGrid(torch.randint(0, 18, (4, 4, 2), dtype=torch.uint8), grid, OCC3D_NUSCENES)


def save(path, array):
    np.save(path, array)
    return path


def picture(path, mode="RGB", size=(32, 16)):
    pixels = RNG.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def pcd(path, kind, body):
    header = "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 6\nHEIGHT 1\n"
    path.write_bytes(f"{header}VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 6\nDATA {kind}\n".encode() + body)
    return path


POINTS = RNG.uniform(-9, 9, (6, 3)).astype("<f4")


def packed_pcd(path):
    raw = POINTS.T.tobytes()
    literal = b"".join(bytes([len(raw[i : i + 32]) - 1]) + raw[i : i + 32] for i in range(0, len(raw), 32))
    return pcd(path, "binary_compressed", np.array([len(literal), len(raw)], "<u4").tobytes() + literal)


def ascii_ply(path):
    header = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty uchar red\nend_header\n"
    path.write_text(f"{header}1.5 200\n-2 0\n")
    return path


def occ3d(path):
    masks = {key: np.ones((200, 200, 16), np.uint8) for key in ("mask_camera", "mask_lidar")}
    np.savez_compressed(path, semantics=np.full((200, 200, 16), 17, np.uint8), **masks)
    return path


def sscbench_raw(path):
    np.zeros(256 * 256 * 32, "<u2").tofile(path)
    np.zeros(256 * 256 * 32 // 8, np.uint8).tofile(path.with_suffix(".invalid"))
    return path


def depth_npy(path):
    return save(path, RNG.uniform(1, 50, (1, 16, 32)).astype(np.float16))


def prediction(path):
    np.savez_compressed(path, semantics=np.full((200, 200, 16), 17, np.uint8))
    return path


def snapshot(path, file):
    scene, grid = small_scene()
    data = picture(path.parent / "p.png").read_bytes()
    write_snapshot(path, grid, scene, [SnapshotView(CAMERA, data)], frame_id="b", reference_stamp_ns=1, bundle_id="x")
    return path / file


def scene_file(path):
    scene, grid = small_scene()
    write_scene(path, OCC3D_NUSCENES, gaussians=scene, grid=grid)
    return path


def radar(path):
    fields = RADAR_POINT.names
    kinds = [{"f": "F", "i": "I", "u": "U"}[RADAR_POINT[name].kind] for name in fields]
    sizes = [str(RADAR_POINT[name].itemsize) for name in fields]
    points = np.zeros(3, [(name, RADAR_POINT[name]) for name in fields])
    lines = ["VERSION 0.7", f"FIELDS {' '.join(fields)}", f"SIZE {' '.join(sizes)}", f"TYPE {' '.join(kinds)}"]
    lines += [f"COUNT {' '.join('1' * len(fields))}", "WIDTH 3", "HEIGHT 1", "POINTS 3", "DATA binary"]
    path.write_bytes(("\n".join(lines) + "\n").encode() + points.tobytes())
    return path


def panoptic(path):
    np.savez_compressed(path, data=np.array([1001, 17000, 0], np.uint16))
    return path


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def write_bytes(path, content):
    path.write_bytes(content)
    return path


def basis_file(path):
    write_basis(path.parent, torch.eye(3))
    return path


def clouded(path):
    return SimpleNamespace(lidar_path=path, T_ego_lidar=np.eye(4))


def video_pose(path):
    (path.parent / "s" / "pose").mkdir(parents=True)
    (path.parent / "s" / "color").mkdir()
    picture(path.parent / "s" / "color" / "000000.png")
    np.savez(path.parent / "s" / "pose" / path.name, camera_intrinsics=np.eye(3), camera_pose=np.eye(4))
    return path.parent / "s" / "pose" / path.name


def video_labels(path):
    (path.parent / "s" / "labels").mkdir(parents=True)
    return picture(path.parent / "s" / "labels" / path.name, "L")


def read_video_labels(path):
    frame = VideoFrame("s", path.stem, path.parent.parent / "color" / path.name, 32, 16, None, None)
    return read_ids(frame, 32, 16)


RIG = (ROOT / "config" / "rigs" / "example_calibrated.yaml").read_text()
#: File name -> how a good one is made, and how it is read.
READERS = {
    "labels.npz": (occ3d, read_occ3d),
    "000000_1_1.npy": (lambda p: save(p, np.zeros((256, 256, 32), np.uint8)), read_sscbench),
    "surroundocc.npy": (lambda p: save(p, RNG.integers(0, 16, (40, 4))), read_surroundocc),
    "depth.npy": (depth_npy, lambda p: sample_view_labels(p, ("front",), [CAMERA], 8, 4, "depth")),
    "depth.zip": (lambda p: write_bytes(p, encode_depth({"front": np.ones((9, 9))})), lambda p: decode(p, "depth")),
    "ids.zip": (lambda p: write_bytes(p, encode_classes({"front": np.ones((9, 9))})), lambda p: decode(p, "classes")),
    "features.zip": (lambda p: write_bytes(p, encode_features({"front": np.ones((2, 3, 4))})), decode_features),
    "basis.safetensors": (basis_file, lambda p: read_basis(p.parent)),
    "cameras.json": (lambda p: text(p, ["CAM_FRONT", "CAM_BACK"]), lambda p: camera_order(p.parent)),
    "labels.json": (lambda p: text(p, {"cameras": ["front"]}), lambda p: read_folder_content(p.parent)),
    "splits.json": (lambda p: text(p, {"train": ["a"], "val": ["b"]}), read_splits),
    "prediction.npz": (prediction, lambda p: read_prediction(p, OCC3D_PROTOCOL)),
    "occupancy.npz": (lambda p: snapshot(p.parent / "s", p.name), lambda p: SnapshotSource(p.parent).frame(0)),
    "gaussians.npz": (lambda p: snapshot(p.parent / "s", p.name), lambda p: SnapshotSource(p.parent).frame(0)),
    "snapshot.json": (lambda p: snapshot(p.parent / "s", p.name), lambda p: SnapshotSource(p.parent).frame(0)),
    "scene.npz": (scene_file, read_scene),
    "binary.ply": (lambda p: write_ply(p, {"x": POINTS[:, 0], "y": POINTS[:, 1]}) or p, read_ply),
    "ascii.ply": (ascii_ply, read_ply),
    "points.npy": (lambda p: save(p, POINTS), read_points),
    "binary.pcd": (lambda p: pcd(p, "binary", POINTS.tobytes()), read_points),
    "packed.pcd": (packed_pcd, read_points),
    "ascii.pcd": (lambda p: pcd(p, "ascii", b"1 2 3\n" * 6), read_points),
    "picture.jpg": (picture, decode_image),
    "picture.png": (picture, decode_image),
    "000000.npz": (video_pose, lambda p: read_frame(p.parent.parent.parent, "s", "000000.png")),
    "000000.png": (video_labels, read_video_labels),
    "labels.tsv": (lambda p: text(p, "id\traw_category\tnyu40class\n1\twall\twall\n"), read_label_table),
    "grey.png": (lambda p: picture(p, "L"), read_mask.__wrapped__),
    "radar.pcd": (radar, read_radar),
    "panoptic.npz": (panoptic, read_point_labels),
    "manifest.json": (
        lambda p: text(p, {"version": "v", "scenes": {}, "failed": {}}), lambda p: _read_manifest(p.parent, "v"),
    ),
    "scene-0001_ms_imu.json": (
        lambda p: text(p.parent / "can_bus" / p.name, [{"utime": 1}]),
        lambda p: read_can_bus(p.parent.parent, "scene-0001"),
    ),
    "table.yaml": (lambda p: text(p, "a: [1, 2]\nb: {c: text}\n"), lambda p: read_yaml(p, "a table")),
    "classes.yaml": (lambda p: OCC3D_NUSCENES.to_yaml(p) or p, ClassTable.from_yaml),
    "rig.yaml": (lambda p: text(p, RIG), CameraRig.load),
    "mask.yaml": (lambda p: text(p, "[[0, 0], [5, 0], [5, 5]]"), lambda p: read_polygon(SimpleNamespace(mask=p))),
}  # fmt: skip
#: The same for files of which any bytes of the right size are good ones.
ANY_BYTES = {
    "000000.label": (sscbench_raw, read_sscbench),
    "cloud.pcd.bin": (lambda p: write_bytes(p, bytes(60)), lambda p: _lidar_points_ego(clouded(p))),
    "lidar.pcd.bin": (lambda p: write_bytes(p, bytes(60)), read_lidar),
    "points.bin": (lambda p: write_bytes(p, bytes(64)), read_points),
    "lidarseg.bin": (lambda p: write_bytes(p, bytes(8)), read_point_labels),
}


def attempt(name, read, path):
    """True = read; False = refused by an error that names the file. Any other error is the test's failure."""
    try:
        read(path)
    except GsoccError as error:
        told = str(error)
        assert any(part in told for part in (path.name, path.parent.name, path.parent.parent.name)), told
        assert "\n" not in told
        assert len(told) < 2000
        return False
    return True


def damaged(good):
    """(what, content) of files that hold nothing of the kind."""
    rng = np.random.default_rng(1)
    yield "emptied", b""
    yield "one byte", good[:1]
    yield "zeros", bytes(len(good))
    yield "noise", rng.integers(0, 256, len(good)).astype(np.uint8).tobytes()
    yield "text", b"<html>404 not found</html>\n"


def slightly_damaged(name, good):
    """Contents that are cut, longer, or have a few wrong bytes, mostly in the first kilobyte, where headers are."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for place in rng.integers(1, len(good), CUTS):
        yield good[:place]
    yield good[:-1]
    yield good + b"\x00\x01"
    for i in range(FLIPS):
        changed = bytearray(good)
        last = len(good) if i % 2 else min(len(good), 1000)
        for place in rng.integers(0, last, int(rng.integers(1, 6))):
            changed[place] ^= 1 << int(rng.integers(8))
        yield bytes(changed)


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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    ["calibration/perspective.txt", "calibration/calib_cam_to_pose.txt", "calibration/calib_cam_to_velo.txt",
     "data_2d_raw/{drive}/poses.txt", "data_2d_raw/{drive}/image_00/timestamps.txt"],
)  # fmt: skip
def test_damaged_text_of_kitti360(name, tiny_kitti360, tmp_path):
    from .tiny_kitti360 import DRIVE

    root = tmp_path / "tree"
    shutil.copytree(tiny_kitti360, root)
    path = root / name.format(drive=DRIVE)
    args = DataArgs(str(root), dataset="kitti360")
    good = path.read_bytes()

    def read(_):
        build_dataset(args, (24, 88))

    assert attempt("", read, path)
    for what, content in damaged(good):
        path.write_bytes(content)
        assert not attempt("", read, path) or (what == "emptied" and path.name == "timestamps.txt")
    for content in slightly_damaged(name, good):
        path.write_bytes(content)
        attempt("", read, path)
    for old in (b"1", b"0"):
        for new in (b"nan", b"inf", b"9" * 400, b"1e400", b"-"):
            path.write_bytes(good.replace(old, new, 5))
            attempt("", read, path)


@pytest.mark.parametrize("table", ["sample", "sample_data", "calibrated_sensor", "ego_pose", "scene", "splits"])
def test_damaged_tables_of_nuscenes(table, tiny_tree, tmp_path):
    root = tmp_path / "tree"
    shutil.copytree(tiny_tree, root, ignore=shutil.ignore_patterns("gts", "*_nusc"))
    path = root / "v1.0-tiny" / f"{table}.json"
    args = DataArgs(str(root), "v1.0-tiny", "val", occ3d_dir=None, depth_dir=None, semantics_dir=None, views=1)
    good = path.read_bytes()

    def read(_):
        build_dataset(args, (32, 64))

    assert attempt("", read, path)
    contents = [content for _, content in damaged(good)] + [b"[" * 100_000, b"[1, 2]", b"{}", b"null"]
    if table != "splits":
        rows = json.loads(good)
        for key in rows[0]:
            contents += [json.dumps([{**row, key: value} for row in rows]).encode() for value in (None, "x", [[]])]
    told = 0
    for content in contents:
        path.write_bytes(content)
        told += not attempt("", read, path)
    assert told >= 6


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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    ["ddad.json", "000000/scene_0abc.json", "000000/calibration/c0ffee.json", "info/info_train.json",
     "mask/CAMERA_07/000000/mask.png"],
)  # fmt: skip
def test_damaged_files_of_ddad(name, tmp_path):
    from .tiny_ddad import write_ddad, write_info

    root = write_ddad(tmp_path / "tree", samples=1)
    (root / "info").mkdir()
    (root / "info" / "info_train.json").write_text(json.dumps(write_info(root, samples=1)))
    path, args = root / name, DataArgs(str(root), dataset="ddad", split="train", info_dir="info", views=1)
    good = path.read_bytes()

    def read(_):
        assert build_dataset(args, (40, 64))[0].usable is not None

    assert attempt("", read, path)
    for _, content in damaged(good):
        path.write_bytes(content)
        assert not attempt("", read, path)
    for content in slightly_damaged(name, good):
        path.write_bytes(content)
        attempt("", read, path)
    if path.suffix == ".json":
        for old in (b"1", b"0"):
            for new in (b"NaN", b"Infinity", b"9" * 400, b"1e400", b"null", b"[]", b'"x"'):
                path.write_bytes(good.replace(b": " + old, b": " + new, 5))
                attempt("", read, path)
