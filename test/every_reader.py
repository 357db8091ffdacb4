# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A good file of every kind that is read, and its reader."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from gsocc_core import OCC3D_NUSCENES, Camera, Gaussians, SemanticGrid, VoxelGrid
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
from gsocc_core.evaluation.lidar_depth import _lidar_points_ego
from gsocc_core.export.scene_npz import read_scene, write_scene
from gsocc_core.export.snapshots import SnapshotView, write_snapshot
from gsocc_core.geometry.classes import ClassTable
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
