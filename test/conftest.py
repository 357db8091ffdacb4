# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several rooms share: a tiny tree in nuScenes layout, written by hand, and a tiny bundle."""

import gc
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read once, when something first imports triton

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.data.surroundocc import SURROUNDOCC_GRID, label_file, write_surroundocc
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.methods.build import build_method

from .tiny_kitti360 import write_kitti360


def pytest_report_header() -> str:
    """Whoever reads a log sees which NumPy was tested."""
    return f"numpy {np.__version__} from {Path(np.__file__).parent}"


def pytest_configure(config) -> None:
    """A run that is meant for one major version of NumPy does not pass with another (``make test-numpy2``)."""
    wanted = os.environ.get("GSOCC_TEST_NUMPY")
    if wanted and np.__version__.partition(".")[0] != wanted:
        raise pytest.UsageError(f"GSOCC_TEST_NUMPY={wanted}, but this is numpy {np.__version__} from {np.__file__}")


#: Rooms whose tests compile the same kernels as another room's.
SAME_KERNELS = {"data": "synthetic", "geometry": "splat", "losses": "splat", "methods": "splat"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With several processes a room's tests stay in one: streets, kernels and imports that they share are made once.

    Another ``--dist`` on the command line is obeyed.
    """
    if config.getoption("dist") != "load":  # what -n alone stands for
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByRoom(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            room = nodeid.split("/")[1]
            return SAME_KERNELS.get(room, room)

    return ByRoom(config, log)


def pytest_collection_finish() -> None:
    """Half a million objects of imported modules stay to the end: the garbage collector need not visit them again."""
    gc.collect()
    gc.freeze()


# A busy machine is no fault of the code.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

CHANNELS = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
YAW_DEG = {"CAM_FRONT": 0, "CAM_FRONT_LEFT": 55, "CAM_FRONT_RIGHT": -55, "CAM_BACK_LEFT": 110, "CAM_BACK_RIGHT": -110,
           "CAM_BACK": 180}  # fmt: skip
OFFSET_MS = {"CAM_FRONT_LEFT": 0, "CAM_FRONT": 7.6, "CAM_FRONT_RIGHT": 15.5, "CAM_BACK_RIGHT": 23, "CAM_BACK": 32.7,
             "CAM_BACK_LEFT": 42.6}  # fmt: skip
SIZE = (80, 45)  # width, height

TINY_MODEL = {
    "grid": {"lower": [-40.0, -40.0, -1.0], "upper": [40.0, 40.0, 5.4], "voxel_size": 0.4},
    "image_size": [32, 64],
    "backbone": {
        "model_type": "resnet",
        "model_args": {"embedding_size": 8, "hidden_sizes": [8, 8, 12, 12], "depths": [1, 1, 1, 1],
                       "layer_type": "basic"},
        "out_indices": [1, 2],
    },
    "network": {"num_gaussians": 50, "dim": 16, "num_blocks": 1, "num_heads": 2, "num_points": 2, "num_inducing": 4,
                "head_hidden": 16, "dropout": 0.1, "scale_range_m": [0.2, 1.0]},
    "loss": {"semantics": 1.0, "depth": 0.1, "alpha": 0.1},
    "splat": {"threshold": 0.1},
}  # fmt: skip


def quaternion(yaw_deg: float, optical: bool) -> list[float]:
    """w, x, y, z of a sensor that looks along a heading."""
    half = np.radians(yaw_deg) / 2
    w, z = np.cos(half), np.sin(half)
    if not optical:
        return [w, 0.0, 0.0, z]
    q = (0.5, -0.5, 0.5, -0.5)  # optical frame in the body frame
    return [w * q[0] - z * q[3], w * q[1] - z * q[2], w * q[2] + z * q[1], w * q[3] + z * q[0]]


def write_tree(
    root: Path, scenes=("scene-a", "scene-b"), frames: int = 3, version: str = "v1.0-tiny", test=False
) -> Path:
    """A valid nuScenes tree of random pictures; with ``test`` one without annotations and labels."""
    # Only the devkit reads such a tree, and there is none for Python 3.13 and NumPy 2.
    pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    rng = np.random.default_rng(0)
    tables = {name: [] for name in (
        "attribute", "calibrated_sensor", "category", "ego_pose", "instance", "log", "map", "sample",
        "sample_annotation", "sample_data", "scene", "sensor", "visibility",
    )}  # fmt: skip
    root.mkdir(parents=True, exist_ok=True)
    channels = (*CHANNELS, "LIDAR_TOP")
    for channel in channels:
        modality = "lidar" if channel == "LIDAR_TOP" else "camera"
        tables["sensor"].append({"token": f"sensor-{channel}", "channel": channel, "modality": modality})
    (root / "maps").mkdir(exist_ok=True)
    Image.new("L", (20, 20)).save(root / "maps" / "map.png")
    tables["map"].append({"token": "map", "log_tokens": [f"log-{s}" for s in scenes], "category": "semantic_prior",
                          "filename": "maps/map.png"})  # fmt: skip
    for s, scene in enumerate(scenes):
        tables["log"].append({"token": f"log-{scene}", "logfile": scene, "vehicle": "n", "date_captured": "2026-01-01",
                              "location": "nowhere"})  # fmt: skip
        samples = [f"{scene}-{i}" for i in range(frames)]
        tables["scene"].append({"token": scene, "name": scene, "log_token": f"log-{scene}", "nbr_samples": frames,
                                "first_sample_token": samples[0], "last_sample_token": samples[-1],
                                "description": ""})  # fmt: skip
        for channel in channels:
            optical = channel != "LIDAR_TOP"
            yaw = YAW_DEG.get(channel, 0)
            K = [[60.0, 0, SIZE[0] / 2 + s], [0, 60.0, SIZE[1] / 2], [0, 0, 1]] if optical else []
            x, y = 1.5 * np.cos(np.radians(yaw)), 0.5 * np.sin(np.radians(yaw))
            tables["calibrated_sensor"].append({
                "token": f"cal-{scene}-{channel}", "sensor_token": f"sensor-{channel}", "camera_intrinsic": K,
                "translation": [x, y, 1.5 if optical else 1.8], "rotation": quaternion(yaw, optical),
            })  # fmt: skip
        for i, sample in enumerate(samples):
            stamp = 1_500_000_000_000_000 + s * 10**9 + i * 500_000
            tables["sample"].append({"token": sample, "timestamp": stamp, "scene_token": scene,
                                     "prev": samples[i - 1] if i else "",
                                     "next": samples[i + 1] if i + 1 < frames else ""})  # fmt: skip
            for channel in channels:
                _write_reading(root, tables, rng, scene, sample, channel, stamp, i, frames)
            if not test:
                _write_labels(root, rng, scene, sample)
    folder = root / version
    folder.mkdir()
    for name, rows in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))
    (folder / "splits.json").write_text(json.dumps({"train": [scenes[0]], "val": list(scenes[1:])}))
    return root


def _write_reading(root, tables, rng, scene, sample, channel, stamp, i, frames):
    camera = channel != "LIDAR_TOP"
    time = stamp - (50_000 - round(OFFSET_MS[channel] * 1000) if camera else 0)
    name = f"samples/{channel}/{sample}.{'jpg' if camera else 'pcd.bin'}"
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    if camera:
        small = rng.integers(0, 256, (5, 8, 3)).astype(np.uint8)
        Image.fromarray(small).resize(SIZE).save(root / name, quality=90)
    else:
        rng.uniform(-20, 20, (30, 5)).astype(np.float32).tofile(root / name)
    token = f"{sample}-{channel}"
    along = (time - stamp + i * 500_000) * 1e-6 * 5.0  # 5 m/s
    tables["ego_pose"].append({"token": f"pose-{token}", "timestamp": time, "translation": [100 + along, 50.0, 0.3],
                               "rotation": [0.98, 0.0, 0.0, 0.199]})  # fmt: skip
    neighbour = sample.rsplit("-", 1)[0]
    tables["sample_data"].append({
        "token": token, "sample_token": sample, "ego_pose_token": f"pose-{token}", "timestamp": time,
        "calibrated_sensor_token": f"cal-{scene}-{channel}", "filename": name, "is_key_frame": True,
        "fileformat": "jpg" if camera else "pcd", "height": SIZE[1] if camera else 0, "width": SIZE[0] if camera else 0,
        "prev": f"{neighbour}-{i - 1}-{channel}" if i else "",
        "next": f"{neighbour}-{i + 1}-{channel}" if i + 1 < frames else "",
    })  # fmt: skip


def _write_labels(root, rng, scene, sample):
    folder = root / "gts" / scene / sample
    folder.mkdir(parents=True)
    semantics = np.full((200, 200, 16), 17, np.uint8)
    semantics[:, :, 2] = 11
    semantics[110:120, 100:105, 2:6] = 4
    mask = rng.random(semantics.shape) < 0.3
    # Not compressed: of noise that takes forty times as long.
    np.savez(folder / "labels.npz", semantics=semantics, mask_camera=mask.astype(np.uint8),
             mask_lidar=mask.astype(np.uint8))  # fmt: skip
    depth = rng.uniform(1, 50, (6, SIZE[1], SIZE[0])).astype(np.float16)
    ids = rng.integers(0, 17, depth.shape).astype(np.int8)
    for name, array in (("metric_3d_nusc", depth), ("grounded_sam_nusc", ids)):
        (root / name / scene).mkdir(parents=True, exist_ok=True)
        np.save(root / name / scene / f"{sample}.npy", array)


@pytest.fixture(scope="session")
def tree_writer():
    """``write_tree``, for trees of other names and sizes."""
    return write_tree


@pytest.fixture(scope="session")
def tiny_tree(tmp_path_factory) -> Path:
    """Two scenes of three key frames."""
    return write_tree(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="session")
def tiny_surroundocc(tmp_path_factory) -> Path:
    """The same with road and one car in SurroundOcc labels; the rearmost rows have no label."""
    path = write_tree(tmp_path_factory.mktemp("data") / "tiny_surroundocc")
    for cloud in (path / "samples" / "LIDAR_TOP").iterdir():
        labels = np.zeros(SURROUNDOCC_GRID.shape, np.uint8)
        labels[:, :, 6], labels[100:104, 120:129, 7:9], labels[:, :5] = 11, 4, 255
        write_surroundocc(label_file(path / "nuscenes_occ", cloud), labels)
    return path


@pytest.fixture(scope="session")
def tiny_kitti360(tmp_path_factory) -> Path:
    """A drive of three key frames with two cameras and SSCBench labels."""
    return write_kitti360(tmp_path_factory.mktemp("data") / "tiny_kitti360")


@pytest.fixture(scope="session")
def tiny_test_tree(tmp_path_factory) -> Path:
    """The same in the manner of v1.0-test: no annotations, no ground truth."""
    return write_tree(tmp_path_factory.mktemp("data") / "tiny_test", version="v1.0-tinytest", test=True)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory) -> Path:
    """A bundle of a tiny random model."""
    torch.manual_seed(0)
    method = build_method("gaussianflowocc", TINY_MODEL, OCC3D_NUSCENES.with_channels(range(1, 17)), pretrained=False)
    path = tmp_path_factory.mktemp("bundles") / "tiny"
    save_bundle(path, "gaussianflowocc", TINY_MODEL, method, "# tiny\n")
    return path
