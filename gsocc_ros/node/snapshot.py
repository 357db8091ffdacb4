# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""One set of pictures with its prediction as a folder, to look at later or to attach to a report."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gsocc_core import Camera, Gaussians
from gsocc_core.errors import OutputExistsError
from gsocc_ros.camera_input import read_picture
from gsocc_ros.pipeline import Occupancy
from gsocc_ros.rig import Rig

#: Version of the layout.
LAYOUT = 1


def save_snapshot(folder: str | Path, occupancy: Occupancy, rig: Rig, bundle_id: str) -> Path:
    """Write a snapshot; the folder appears complete or not at all.

    The folder holds ``snapshot.json`` (bundle id, frame, stamps, calibration and poses per camera, latency),
    ``pictures/<camera>.jpg|png`` as they came (compressed pictures byte for byte), ``occupancy.npz`` (``labels`` and
    ``confidence`` (X, Y, Z), ``lower_m``, ``voxel_size_m``, ``T_ego_grid``, class names and colors, ``free_id``) and,
    where the model predicts Gaussians, ``gaussians.npz`` (means, scales, quats, opacities, features, labels).

    Args:
        folder: Folder to create.
        occupancy: A prediction of the pipeline.
        rig: The rig that it was made with.
        bundle_id: Id of the model's bundle.

    Returns:
        The folder.

    Raises:
        OutputExistsError: the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise OutputExistsError(folder, "snapshot", "a folder that does not exist", "an existing one")
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}")
    (scratch / "pictures").mkdir(parents=True)
    try:
        cameras = [_save_camera(scratch, camera, occupancy, rig) for camera in occupancy.ready.cameras]
        prediction = occupancy.prediction
        about = {
            "layout": LAYOUT,
            "bundle": bundle_id,
            "frame_id": rig.base_frame,
            "reference_stamp_ns": prediction.reference_stamp_ns,
            "T_world_ego": _numbers(occupancy.ready.T_world_ego),
            "cameras": cameras,
            "latency_ms": dict(occupancy.latency_ms),
        }
        (scratch / "snapshot.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        grid = prediction.grid
        classes = grid.classes
        arrays = {
            "labels": grid.labels.cpu().numpy(),
            "names": np.array(classes.names),
            "colors": np.array(classes.colors, np.uint8),
            "free_id": np.array(classes.free_id),
        }
        if grid.confidence is not None:
            arrays["confidence"] = grid.confidence.float().cpu().numpy()
        np.savez_compressed(
            scratch / "occupancy.npz",
            lower_m=grid.grid.lower,
            voxel_size_m=grid.grid.size_m,
            T_ego_grid=grid.grid.T_ego_grid_matrix,
            **arrays,
        )
        if isinstance(prediction.scene, Gaussians):
            parts = ("means", "scales", "quats", "opacities", "features")
            scene = {part: getattr(prediction.scene, part).float().cpu().numpy() for part in parts}
            ids = np.asarray(classes.channel_ids, np.uint8)
            np.savez_compressed(scratch / "gaussians.npz", labels=ids[scene["features"].argmax(-1)], **scene)
        scratch.rename(folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return folder


def _save_camera(scratch: Path, camera: Camera, occupancy: Occupancy, rig: Rig) -> dict[str, Any]:
    frame = occupancy.ready.synced.frames.get(camera.name)
    about: dict[str, Any] = {
        "name": camera.name,
        "stamp_ns": None if frame is None else frame.stamp_ns,
        "picture": None,
        "width": camera.width,
        "height": camera.height,
        "model": camera.model,
        "intrinsics": _numbers(camera.intrinsics),
        "distortion": None if camera.distortion is None else list(camera.distortion),
        "T_ego_cam": _numbers(camera.T_ego_cam),
        "T_ref_ego": _numbers(camera.T_ref_ego),
    }
    if frame is None:
        return about
    if rig.camera(camera.name).transport == "compressed":
        data = bytes(frame.payload.data)
        name = f"{camera.name}.{'png' if data[:4] == bytes([0x89, 0x50, 0x4E, 0x47]) else 'jpg'}"
        (scratch / "pictures" / name).write_bytes(data)
    else:
        name = f"{camera.name}.png"
        picture = read_picture(frame.payload, rig.camera(camera.name), (camera.height, camera.width))
        Image.fromarray(picture).save(scratch / "pictures" / name)
    about["picture"] = f"pictures/{name}"
    return about


def _numbers(matrix: np.ndarray | None) -> list[list[float]] | None:
    return None if matrix is None else np.asarray(matrix, np.float64).tolist()
