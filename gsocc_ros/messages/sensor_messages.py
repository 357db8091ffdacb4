# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Transforms, camera calibrations, pictures and point clouds as ROS messages, of whichever host."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gsocc_core import Camera
from gsocc_core.data.stored import read_records
from gsocc_core.errors import ShapeError
from gsocc_core.geometry.rigid import rotmat_to_quat
from gsocc_ros.messages.message_host import MessageHost

#: Points of our clouds, as long as those of nuScenes' .pcd.bin files, whose rings are float32.
_CLOUD_POINT = np.dtype({
    "names": ["x", "y", "z", "intensity", "ring"], "formats": ["<f4", "<f4", "<f4", "<f4", "<u2"], "itemsize": 20,
})  # fmt: skip
#: PointField data types of sensor_msgs.
_FIELD_CODES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}
#: CameraInfo's name of a lens model and how many coefficients it has there, by projection and largest number of ours.
_LENSES = {"pinhole": ((5, "plumb_bob"), (8, "rational_polynomial")), "fisheye": ((4, "equidistant"),)}


def transform(host: MessageHost, T_parent_child: np.ndarray, parent: str, child: str, stamp_ns: int) -> Any:
    """A geometry_msgs/TransformStamped from a (4, 4) pose of ``child`` in ``parent``."""
    quat = rotmat_to_quat(torch.from_numpy(np.ascontiguousarray(T_parent_child[:3, :3])))
    return transform_from_quat(host, quat.numpy(), T_parent_child[:3, 3], parent, child, stamp_ns)


def transform_from_quat(
    host: MessageHost, quat_wxyz: Any, translation_m: Any, parent: str, child: str, stamp_ns: int
) -> Any:
    """A geometry_msgs/TransformStamped from numbers that are a quaternion already, which is faster than by matrices.

    Args:
        host: Whose message.
        quat_wxyz: 4 numbers, scalar first, any non-zero length.
        translation_m: 3 numbers, metres.
        parent: Frame that the pose is given in.
        child: Frame whose pose it is.
        stamp_ns: Stamp.

    Raises:
        ShapeError: wrong number of elements, or a zero or non-finite quaternion.
    """
    try:  # plain numbers: numpy would take longer for four of them than all the rest
        w, x, y, z = (float(value) for value in quat_wxyz)
        length = math.sqrt(w * w + x * x + y * y + z * z)
    except (TypeError, ValueError):
        length = 0.0
    if not 1e-12 < length < math.inf:
        raise ShapeError(f"{parent} -> {child}", "rotation", "4 finite numbers w, x, y, z, not all zero", quat_wxyz)
    w, x, y, z = w / length, x / length, y / length, z / length
    try:
        tx, ty, tz = (float(value) for value in translation_m)
        finite = math.isfinite(tx) and math.isfinite(ty) and math.isfinite(tz)
    except (TypeError, ValueError):
        finite = False
    if not finite:
        raise ShapeError(f"{parent} -> {child}", "translation", "3 finite numbers (m)", translation_m)
    return host.make(
        "geometry_msgs/msg/TransformStamped",
        header=host.header(stamp_ns, parent),
        child_frame_id=child,
        transform=host.make(
            "geometry_msgs/msg/Transform",
            translation=host.make("geometry_msgs/msg/Vector3", x=tx, y=ty, z=tz),
            rotation=host.make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
        ),
    )


def transforms(host: MessageHost, items: Iterable[Any]) -> Any:
    """A tf2_msgs/TFMessage."""
    return host.make("tf2_msgs/msg/TFMessage", transforms=list(items))


def camera_info(host: MessageHost, camera: Camera, stamp_ns: int, frame_id: str) -> Any:
    """A sensor_msgs/CameraInfo: R is the identity, P = [K | 0] (REP-104, a monocular camera).

    Args:
        host: Whose message.
        camera: Pinhole or fisheye camera.
        stamp_ns: Stamp.
        frame_id: Optical frame.

    Raises:
        ShapeError: CameraInfo has no name for the projection, or for so many distortion coefficients.
    """
    K = camera.intrinsics
    distortion = camera.distortion or ()
    lens = next((lens for lens in _LENSES.get(camera.model, ()) if len(distortion) <= lens[0]), None)
    if lens is None:
        expected = "pinhole with at most 8 distortion coefficients, or fisheye with at most 4"
        raise ShapeError(f"Camera {camera.name}", "model", expected, (camera.model, len(distortion)))
    count, model = lens
    distortion = (*distortion, *(0.0,) * (count - len(distortion)))
    return host.make(
        "sensor_msgs/msg/CameraInfo",
        header=host.header(stamp_ns, frame_id),
        height=camera.height,
        width=camera.width,
        distortion_model=model,
        d=np.asarray(distortion, np.float64),
        k=K.reshape(-1).astype(np.float64),
        r=np.eye(3).reshape(-1),
        p=np.hstack([K, np.zeros((3, 1))]).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=host.make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )


def compressed_image(host: MessageHost, data: bytes, stamp_ns: int, frame_id: str, encoding: str = "jpeg") -> Any:
    """A sensor_msgs/CompressedImage that holds an encoded picture as it is."""
    return host.make(
        "sensor_msgs/msg/CompressedImage",
        header=host.header(stamp_ns, frame_id),
        format=encoding,
        data=np.frombuffer(data, np.uint8),
    )


def point_cloud(host: MessageHost, points: np.ndarray, stamp_ns: int, frame_id: str) -> Any:
    """A sensor_msgs/PointCloud2 from a structured array.

    Args:
        host: Whose message.
        points: (N,) structured little-endian array; its fields, gaps included, become the cloud's fields.
        stamp_ns: Stamp.
        frame_id: Frame of the points.
    """
    layout = points.dtype.fields or {}
    floats = [points[name] for name, (kind, *_) in layout.items() if kind.kind == "f"]
    size = points.dtype.itemsize
    return host.make(
        "sensor_msgs/msg/PointCloud2",
        header=host.header(stamp_ns, frame_id),
        height=1,
        width=len(points),
        fields=list(_point_fields(host, points.dtype)),
        is_bigendian=False,
        point_step=size,
        row_step=size * len(points),
        data=np.ascontiguousarray(points).view(np.uint8).reshape(-1),
        is_dense=all(bool(np.isfinite(values).all()) for values in floats),
    )


@lru_cache(maxsize=32)
def _point_fields(host: MessageHost, kind: np.dtype) -> tuple[Any, ...]:
    """The fields of clouds of that type, which are the same in all of them."""
    return tuple(
        host.make(
            "sensor_msgs/msg/PointField", name=name, offset=int(offset), datatype=_FIELD_CODES[f.str[1:]], count=1
        )
        for name, (f, offset, *_) in (kind.fields or {}).items()
    )


def read_lidar(path: Path) -> np.ndarray:
    """Points of a nuScenes .pcd.bin file.

    Args:
        path: Five float32 per point: x, y, z in metres, intensity, ring.

    Returns:
        (N,) structured x, y, z, intensity float32 and ring uint16, ready for :func:`point_cloud`.

    Raises:
        DataError: the file is missing, or its size does not fit.
    """
    words = read_records(path, np.dtype(("<u4", 5)), "points of x, y, z, intensity, ring")
    # The ring goes into the lower half of its word, zeros into the upper one, which is padding: faster than by fields.
    words[:, 4] = words[:, 4].view("<f4").astype(np.uint16)
    return words.view(_CLOUD_POINT).reshape(-1)
