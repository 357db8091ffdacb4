# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The loader of DDAD on a tree made by hand."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset, protocol_of, with_voxel_labels
from gsocc_core.data.drives import collate
from gsocc_core.data.lidar_clouds import read_cloud
from gsocc_core.data.protocol import Protocol, write_protocol
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import VoxelGrid

from ..tiny_ddad import (  # noqa: TID252 - tests are no package
    CAMERAS,
    FIRST,
    LIDAR_DELAY,
    POINTS,
    STEP,
    T_ego_cam,
    T_world_ego,
    image_mask,
    write_ddad,
)

AROUND = ("CAMERA_01", "CAMERA_05", "CAMERA_07", "CAMERA_09", "CAMERA_08", "CAMERA_06")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_ddad(tmp_path_factory.mktemp("data") / "ddad")


@pytest.fixture
def root(tree, tmp_path):
    """A copy to damage."""
    return shutil.copytree(tree, tmp_path / "ddad")


def opened(root, size=(40, 64), **changes):
    return build_dataset(DataArgs(str(root), dataset="ddad", **{"views": 1, **changes}), size)


def test_a_frame_set(tree):
    data = opened(tree, split="train", history=1)
    assert [data.key_frame(i).token for i in range(3)] == [str(FIRST + i * STEP) for i in range(3)]
    frames = data[1]
    assert frames.images.shape == (1, 2, 6, 3, 40, 64)
    assert frames.camera_names == AROUND
    assert frames.scene_names == ("000000",)
    colours = frames.images[0, :, :, :, 5, 5].tolist()
    for v, name in enumerate(AROUND):
        assert colours[0][v] == [10, 30, 10 + 30 * CAMERAS.index(name)]
        assert colours[1][v] == [10, 10, 10 + 30 * CAMERAS.index(name)], "a tenth of a second before"
    assert frames.targets is None


def test_stamps_are_the_true_ones(tree):
    """JSON files take tenths of microseconds for microseconds: they speak of a second, and of the year 2464."""
    frames = opened(tree, split="val")[1]
    assert frames.reference_stamp_ns.tolist() == [[(FIRST + STEP + LIDAR_DELAY) * 100]]
    assert frames.camera_stamps_ns.tolist() == [[[(FIRST + STEP) * 100] * 6]]
    year = np.datetime64(frames.reference_stamp_ns.item(), "ns").astype("datetime64[Y]")
    assert str(year) == "2019"


def test_poses_are_those_of_the_vehicle_at_each_sensors_time(tree):
    data = opened(tree, split="val", history=1)
    frames, frame = data[2], data.key_frame(2)
    now = FIRST + 2 * STEP
    assert frames.T_world_ego[0].numpy() == pytest.approx(T_world_ego(now + LIDAR_DELAY, 1))
    for shot in frame.shots:
        assert shot.T_world_ego == pytest.approx(T_world_ego(now, 1))
        assert shot.camera.T_ego_cam == pytest.approx(T_ego_cam(shot.camera.name), abs=1e-12)
    assert frames.T_ref_ego[0, 1, :3, 3].tolist() == pytest.approx([-1.0, 0.0, 0.0], abs=1e-4), "10 m/s in 0.1 s"
    assert frames.cameras.T_ref_ego[0, 0, 0, :3, 3].tolist() == pytest.approx([-0.1, 0.0, 0.0], abs=1e-4)


def test_a_lidar_point_falls_where_it_must(tree):
    """21.6 m ahead at the height of the front camera, which stands 1.6 m ahead and fired 0.1 m before."""
    data = opened(tree, split="train")
    frame = data.key_frame(0)
    points = read_cloud(frame.lidar_path) @ frame.T_ego_lidar[:3, :3].T + frame.T_ego_lidar[:3, 3]
    assert points == pytest.approx(POINTS)
    uv, depth, valid = data[0].cameras.map(lambda t: t[0, 0]).project(torch.from_numpy(points).float())
    assert uv[0, 0].tolist() == pytest.approx([32.0, 20.0], abs=1e-3)
    assert depth[0, 0].item() == pytest.approx(20.1, abs=1e-4)
    assert valid.tolist() == [[True, False, False, True], *[[False] * 4] * 2, [False, True, False, False],
                              *[[False] * 4] * 2]  # fmt: skip


def test_the_own_vehicle_is_told(tree):
    frames = opened(tree, split="train", history=1, size=(20, 32))[1]
    assert frames.usable.shape == (1, 2, 6, 20, 32)
    for v, name in enumerate(AROUND):
        assert (frames.usable[0, 0, v].numpy() == (image_mask(name)[::2, ::2] == 0)).all(), name
    both = collate([frames, frames])
    assert both.usable.shape == (2, 2, 6, 20, 32)
    assert both.moment(1).usable.shape == (2, 1, 6, 20, 32)
    assert opened(tree, masks_dir=None)[0].usable is None


def test_labels_of_the_own_vehicle_do_not_count(root):
    labels = root / "classes"
    for token in (str(FIRST), str(FIRST + STEP)):
        (labels / "000000").mkdir(parents=True, exist_ok=True)
        (root / "metres" / "000000").mkdir(parents=True, exist_ok=True)
        np.save(labels / "000000" / f"{token}.npy", np.full((6, 40, 64), 4, np.uint8))
        np.save(root / "metres" / "000000" / f"{token}.npy", np.full((6, 40, 64), 9.0, np.float32))
    for folder in (labels, root / "metres"):
        (folder / "cameras.json").write_text(json.dumps(CAMERAS))
    data = opened(root, split="train", semantics_dir="classes", depth_dir="metres", view_size=(40, 64), views=2,
                  view_offsets=(-1,), view_images=True)  # fmt: skip
    targets = data[1].targets
    own = np.stack([image_mask(name) > 0 for name in AROUND])
    assert (targets.view_usable[0].numpy() == ~own).all()
    assert (targets.view_semantics[0].numpy() == np.where(own, 255, 4)).all()
    assert (targets.view_depth_m[0].numpy() == np.where(own, 0, 9)).all()
    assert targets.view_time_s.tolist() == [pytest.approx([0.0, -0.1])]
    first = data[0].targets
    assert first.view_valid[0, :, 0].tolist() == [True, False], "nothing lies before"
    assert first.view_usable.shape == (1, 2, 6, 40, 64)


def test_splits_and_scenes(tree, root):
    assert len(opened(tree, split="train")) == len(opened(tree, split="val")) == 3
    assert len(opened(tree)) == 6
    assert opened(tree, scenes=("000001",)).key_frame(0).scene_name == "000001"
    with pytest.raises(DataError, match=r"split vall: expected one of \['train', 'val'\]"):
        opened(tree, split="vall")
    with pytest.raises(DataError, match="scene 000007: expected one of"):
        opened(tree, scenes=("000007",))
    raw = root / "raw_data"
    raw.mkdir()
    for name in ("ddad.json", "000000", "000001"):
        (root / name).rename(raw / name)
    assert len(opened(root)) == 6, "as GaussianOcc's authors lay it out"
    for camera in CAMERAS:
        for name in ("000000", "000001"):
            (root / "turned" / name / camera).mkdir(parents=True)
            (root / "mask" / camera / name / "mask.png").rename(root / "turned" / name / camera / "mask.png")
    assert not opened(root, masks_dir="turned")[0].usable[0, 0, 0, 35].any()


def test_a_tree_may_bring_its_own_classes(root):
    classes = ClassTable(("free", "road"), ((0, 0, 0), (9, 9, 9)), free_id=0)
    grid = VoxelGrid((0.0,) * 3, (8.0,) * 3, 1.0)
    write_protocol(root, Protocol("own", classes, grid, "camera", True, ("road", 0.0), "occ3d_dir", box_classes={}))
    found = protocol_of(DataArgs(str(root), dataset="ddad"))
    assert (found.classes.names, found.grid.shape, found.labels_field) == (classes.names, (8, 8, 8), None)


def test_published_class_pictures_are_read(root):
    """GaussianOcc's ``ddad_semantic/<scene>/<camera>/<stamp>_mask.bin``: sedan is theirs 1 and Occ3D's 4."""
    for camera in CAMERAS:
        folder = root / "ddad_semantic" / "000000" / camera
        folder.mkdir(parents=True)
        for i in range(3):
            np.full((40, 64), 1, np.int8).tofile(folder / f"{FIRST + i * STEP}_mask.bin")
    data = opened(root, split="train", semantics_dir="ddad_semantic", view_size=(40, 64))
    assert (data[0].targets.view_semantics[0, 0, 1] == 4).all()
    assert (data[0].targets.view_semantics[0, 0, 0, 30:] == 255).all()


def scene_json(root, change):
    path = root / "000000" / "scene_0abc.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def calibration_json(root, change):
    path = root / "000000" / "calibration" / "c0ffee.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def late(content):
    """The second sample's CAMERA_07 fires 60 ms after the LiDAR."""
    (datum,) = [d for d in content["data"] if d["key"] == "CAMERA_07-1"]
    datum["id"]["timestamp"] = str(np.datetime64(FIRST + STEP + LIDAR_DELAY + 600_000, "us")) + "Z"


MASK = "mask/CAMERA_05/000000/mask.png"
BAD = {
    "no data set file": (lambda r: (r / "ddad.json").unlink(), r"ddad\.json: file: expected the data set's JSON"),
    "no splits": (lambda r: (r / "ddad.json").write_text("{}"), r"ddad\.json: content: expected scene_splits"),
    "no scene": (lambda r: (r / "000000/scene_0abc.json").unlink(), r"scene_0abc\.json: file: expected JSON of a dgp"),
    "scene cut short": (lambda r: (r / "000000/scene_0abc.json").write_text('{"data": ['), "scene_0abc.json: content"),
    "no samples": (lambda r: scene_json(r, lambda c: c["samples"].clear()), "samples: expected one or more"),
    "no calibration": (lambda r: (r / "000000/calibration/c0ffee.json").unlink(), r"c0ffee\.json: file"),
    "fisheye": (
        lambda r: calibration_json(r, lambda c: c["intrinsics"][2].update(fisheye=1)),
        "c0ffee.json: CAMERA_05: fisheye: expected a pinhole",
    ),
    "uncalibrated": (
        lambda r: calibration_json(r, lambda c: c["names"].__setitem__(2, "CAMERA_55")),
        "c0ffee.json: names: expected CAMERA_05 among the sensors",
    ),
    "no rotation": (
        lambda r: calibration_json(r, lambda c: c["extrinsics"][1].update(rotation={})),
        r"c0ffee\.json: quat_wxyz: expected 4 finite numbers, not all zero",
    ),
    "missing camera": (
        lambda r: scene_json(r, lambda c: c["samples"][1]["datum_keys"].remove("CAMERA_07-1")),
        r"scene_0abc\.json: sample 1: expected a picture of CAMERA_07, received only \['CAMERA_01'",
    ),
    "missing cloud": (
        lambda r: scene_json(r, lambda c: c["samples"][1]["datum_keys"].remove("LIDAR-1")),
        "sample 1: expected a point cloud of LIDAR",
    ),
    "unknown key": (
        lambda r: scene_json(r, lambda c: c["samples"][0]["datum_keys"].append("x")),
        "sample 0: expected datum keys that are among the data, received x",
    ),
    "no pose": (
        lambda r: scene_json(r, lambda c: c["data"][2]["datum"]["image"].pop("pose")),
        r"CAMERA_05, rgb/CAMERA_05/15616458249936530\.png: content: expected a pose and a time stamp",
    ),
    "not synchronised": (
        lambda r: scene_json(r, late),
        "sample 1: expected sensors that fire within 50 ms, received CAMERA_07 and LIDAR 60.0 ms apart",
    ),
    "one time twice": (
        lambda r: scene_json(r, lambda c: c["samples"].append(c["samples"][0])),
        "samples: expected different time stamps, received 15616458249936530 twice",
    ),
    "no picture": (
        lambda r: (r / f"000000/rgb/CAMERA_08/{FIRST}.png").unlink(),
        r"CAMERA_08/15616458249936530\.png: file: expected a picture of CAMERA_08",
    ),
    "no points": (
        lambda r: (r / f"000000/point_cloud/LIDAR/{FIRST + LIDAR_DELAY}.npz").unlink(),
        r"LIDAR/15616458250036530\.npz: file: expected a point cloud",
    ),
    "no masks": (lambda r: shutil.rmtree(r / "mask"), "masks_dir: expected a folder with self-occlusion masks, or nul"),
    "missing mask": (lambda r: (r / MASK).unlink(), r"mask/CAMERA_05/000000/mask\.png: file: expected a JPEG"),
    "mask of another size": (
        lambda r: Image.new("L", (32, 20)).save(r / MASK),
        r"mask\.png: size: expected \(40, 64\) as the pictures of CAMERA_05, received \(20, 32\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_trees_are_named(root, case):
    damage, expected = BAD[case]
    damage(root)
    with pytest.raises(DataError, match=expected):
        opened(root)


def test_bad_arguments_are_named(tree):
    with pytest.raises(ConfigError, match="view_sweeps: expected none with ddad"):
        opened(tree, view_sweeps=(-1,), view_images=True)
    with pytest.raises(DataError, match="sample 0: expected a picture of CAM_FRONT"):
        opened(tree, cameras=("CAM_FRONT",))
    with pytest.raises(ConfigError, match="labels_dir: expected none: DDAD has no voxel labels, received gts"):
        with_voxel_labels(DataArgs(str(tree), dataset="ddad"), "gts")
    with pytest.raises(DataError, match=r"voxel labels: expected a folder with voxel labels"):
        opened(tree).voxel_labels(0)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"points": np.zeros((2, 3))}, "data: expected arrays data"),
        ({"data": np.zeros((2, 2))}, r"data: expected \(N, 3 or more\).*received shape \(2, 2\)"),
        ({"data": np.full((2, 3), np.nan)}, "data: expected finite metres"),
        ({"data": np.zeros(2, [("X", "f4"), ("Y", "f4")])}, r"received fields \('X', 'Y'\)"),
        ({"data": np.zeros((2, 3), "U1")}, "data: expected numbers"),
    ],
)
def test_bad_clouds_are_named(tmp_path, arrays, expected):
    np.savez(tmp_path / "cloud.npz", **arrays)
    with pytest.raises(DataError, match=expected):
        read_cloud(tmp_path / "cloud.npz")


def test_clouds_of_records(tmp_path):
    points = np.array([(1, 2, 3, 9), (4, 5, 6, 9)], [("X", "f4"), ("Y", "f4"), ("Z", "f4"), ("INTENSITY", "f4")])
    np.savez(tmp_path / "cloud.npz", data=points)
    assert read_cloud(tmp_path / "cloud.npz").tolist() == [[1, 2, 3], [4, 5, 6]]
