# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A prediction of the node as a snapshot: the pictures as they came, calibration, poses, occupancy."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from gsocc_core import Camera
from gsocc_core.export.snapshots import SnapshotView, write_snapshot
from gsocc_ros.pipeline.camera_input import read_picture
from gsocc_ros.pipeline.occupancy_pipeline import Occupancy
from gsocc_ros.pipeline.rig import Rig


def save_snapshot(folder: str | Path, occupancy: Occupancy, rig: Rig, bundle_id: str) -> Path:
    """Write a snapshot; see :func:`gsocc_core.export.snapshots.write_snapshot`.

    Compressed pictures are kept byte for byte, others become PNG.

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
    prediction = occupancy.prediction
    return write_snapshot(
        folder,
        prediction.grid,
        prediction.scene,
        [_view(camera, occupancy, rig) for camera in occupancy.ready.cameras],
        frame_id=rig.base_frame,
        reference_stamp_ns=prediction.reference_stamp_ns,
        bundle_id=bundle_id,
        T_world_ego=occupancy.ready.T_world_ego,
        latency_ms=occupancy.latency_ms,
    )


def _view(camera: Camera, occupancy: Occupancy, rig: Rig) -> SnapshotView:
    frame = occupancy.ready.synced.frames.get(camera.name)
    if frame is None:
        return SnapshotView(camera)
    if rig.camera(camera.name).transport == "compressed":
        return SnapshotView(camera, bytes(frame.payload.data), frame.stamp_ns)
    encoded = io.BytesIO()
    picture = read_picture(frame.payload, rig.camera(camera.name), (camera.height, camera.width))
    Image.fromarray(picture).save(encoded, "PNG")
    return SnapshotView(camera, encoded.getvalue(), frame.stamp_ns)
