# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Value types to ROS messages and back. Plain Python: the host decides whose message classes are made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from gsocc_core import Camera, ClassTable, Gaussians, SemanticGrid, VoxelGrid
from gsocc_core.errors import DataError
from gsocc_core.geometry.rigid import rigid_from_quat, rotmat_to_quat
from gsocc_ros.message_host import MessageHost

#: PointField data types of sensor_msgs.
_FIELD_CODES = {"u1": 2, "u2": 4, "u4": 6, "f4": 7, "f8": 8}


def class_table_id(classes: ClassTable) -> str:
    """Short id that changes with names, colours or roles of the classes."""
    text = json.dumps(classes.to_dict(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def transform(host: MessageHost, T_parent_child: np.ndarray, parent: str, child: str, stamp_ns: int) -> Any:
    """A geometry_msgs/TransformStamped from a (4, 4) pose of ``child`` in ``parent``."""
    w, x, y, z = rotmat_to_quat(torch.from_numpy(np.ascontiguousarray(T_parent_child[:3, :3]))).tolist()
    tx, ty, tz = (float(v) for v in T_parent_child[:3, 3])
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
    """
    K = camera.intrinsics
    distortion = camera.distortion or (0.0,) * (4 if camera.model == "fisheye" else 5)
    model = (
        "equidistant" if camera.model == "fisheye" else "plumb_bob" if len(distortion) <= 5 else "rational_polynomial"
    )
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
        points: (N,) structured array; its fields become the cloud's fields.
        stamp_ns: Stamp.
        frame_id: Frame of the points.
    """
    layout = points.dtype.fields or {}
    fields = [
        host.make(
            "sensor_msgs/msg/PointField", name=name, offset=int(offset), datatype=_FIELD_CODES[kind.str[1:]], count=1
        )
        for name, (kind, offset, *_) in layout.items()
    ]
    size = points.dtype.itemsize
    return host.make(
        "sensor_msgs/msg/PointCloud2",
        header=host.header(stamp_ns, frame_id),
        height=1,
        width=len(points),
        fields=fields,
        is_bigendian=False,
        point_step=size,
        row_step=size * len(points),
        data=np.ascontiguousarray(points).view(np.uint8).reshape(-1),
        is_dense=True,
    )


def occupied_voxels(grid: SemanticGrid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres (N, 3) float32 in the ego frame, labels (N,) uint8 and confidences (N,) float32 of occupied voxels."""
    labels = grid.labels.numpy()
    taken = (labels != grid.classes.free_id) & (labels != grid.classes.ignore_id)
    index = np.flatnonzero(taken)
    xyz = np.stack(np.unravel_index(index, labels.shape), axis=-1)
    centers = (np.asarray(grid.grid.lower) + (xyz + 0.5) * np.asarray(grid.grid.size_m)).astype(np.float32)
    if grid.grid.T_ego_grid is not None:
        T = grid.grid.T_ego_grid_matrix
        centers = (centers @ T[:3, :3].T + T[:3, 3]).astype(np.float32)
    confidence = np.ones(len(index), np.float32)
    if grid.confidence is not None:
        confidence = grid.confidence.numpy().reshape(-1)[index].astype(np.float32)
    return centers, labels.reshape(-1)[index], confidence


def voxel_cloud(host: MessageHost, grid: SemanticGrid, stamp_ns: int, frame_id: str) -> Any:
    """Occupied voxels as a PointCloud2: x, y, z (m), rgb (packed as RViz reads it), label, confidence."""
    centers, labels, confidence = occupied_voxels(grid)
    kinds = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<f4"), ("label", "u1"), ("confidence", "<f4")]
    points = np.zeros(len(labels), np.dtype(kinds))
    points["x"], points["y"], points["z"] = centers.T
    red, green, blue = grid.classes.palette().astype(np.uint32)[labels].T
    points["rgb"] = ((red << 16) | (green << 8) | blue).view(np.float32)
    points["label"], points["confidence"] = labels, confidence
    return point_cloud(host, points, stamp_ns, frame_id)


def voxel_marker(host: MessageHost, grid: SemanticGrid, stamp_ns: int, frame_id: str) -> Any:
    """Occupied voxels as one CUBE_LIST Marker; slower to build than :func:`voxel_cloud`, for viewers without clouds."""
    centers, labels, _ = occupied_voxels(grid)
    palette = grid.classes.palette() / 255.0
    colors = {
        int(i): host.make(
            "std_msgs/msg/ColorRGBA", r=float(palette[i, 0]), g=float(palette[i, 1]), b=float(palette[i, 2]), a=1.0
        )
        for i in np.unique(labels)
    }
    point = host.make
    x, y, z = (0.95 * s for s in grid.grid.size_m)  # a gap tells single voxels apart
    return host.make(
        "visualization_msgs/msg/Marker",
        header=host.header(stamp_ns, frame_id),
        ns="occupancy",
        id=0,
        type=6,
        action=0,
        pose=_pose(host, np.eye(4)),
        scale=host.make("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
        color=host.make("std_msgs/msg/ColorRGBA", r=1.0, g=1.0, b=1.0, a=1.0),
        lifetime=host.make("builtin_interfaces/msg/Duration", sec=0, nanosec=0),
        frame_locked=False,
        points=[point("geometry_msgs/msg/Point", x=a, y=b, z=c) for a, b, c in centers.astype(float).tolist()],
        colors=[colors[i] for i in labels.tolist()],
        texture_resource="",
        texture=host.make(
            "sensor_msgs/msg/CompressedImage", header=host.header(0, ""), format="", data=np.zeros(0, np.uint8)
        ),
        uv_coordinates=[],
        text="",
        mesh_resource="",
        mesh_file=host.make("visualization_msgs/msg/MeshFile", filename="", data=np.zeros(0, np.uint8)),
        mesh_use_embedded_materials=False,
    )


def occupancy(host: MessageHost, grid: SemanticGrid, stamp_ns: int, frame_id: str, model_id: str) -> Any:
    """A gsocc_ros/SemanticOccupancy from labels (X, Y, Z).

    Args:
        host: Whose message.
        grid: Labels without batch dimensions.
        stamp_ns: Time that the labels refer to.
        frame_id: The ego frame's name.
        model_id: What made the labels.
    """
    x, y, z = grid.grid.shape
    sx, sy, sz = grid.grid.size_m
    corner = np.eye(4)
    corner[:3, 3] = grid.grid.lower
    empty = np.zeros(0, np.uint8)
    confidence = (
        empty if grid.confidence is None else np.rint(grid.confidence.numpy().reshape(-1) * 255).astype(np.uint8)
    )
    observed = empty if grid.observed is None else grid.observed.numpy().reshape(-1).astype(np.uint8)
    velocity = np.zeros(0, np.float32)
    if grid.velocity is not None:
        velocity = grid.velocity.numpy().reshape(-1).astype(np.float32)
    return host.make(
        "gsocc_ros/msg/SemanticOccupancy",
        header=host.header(stamp_ns, frame_id),
        origin=_pose(host, grid.grid.T_ego_grid_matrix @ corner),
        voxel_size=host.make("geometry_msgs/msg/Vector3", x=sx, y=sy, z=sz),
        size_x=x,
        size_y=y,
        size_z=z,
        free_label=grid.classes.free_id,
        unknown_label=grid.classes.ignore_id,
        class_table_id=class_table_id(grid.classes),
        model_id=model_id,
        labels=grid.labels.numpy().reshape(-1),
        confidence=confidence,
        observed=observed,
        velocity=velocity,
    )


def read_occupancy(message: Any, classes: ClassTable, where: str = "SemanticOccupancy") -> SemanticGrid:
    """Labels from a gsocc_ros/SemanticOccupancy.

    Args:
        message: The message, of any host.
        classes: The table that its ``class_table_id`` refers to.
        where: Topic, for errors.

    Returns:
        Labels (X, Y, Z) with what optional parts the message holds.

    Raises:
        DataError: an array has another length than the grid, or the free label differs from the table's.
    """
    shape = (int(message.size_x), int(message.size_y), int(message.size_z))
    count = shape[0] * shape[1] * shape[2]
    if int(message.free_label) != classes.free_id:
        raise DataError(where, "free_label", classes.free_id, int(message.free_label))
    arrays: dict[str, np.ndarray] = {}
    for key, kind, per_voxel in (
        ("labels", np.uint8, 1), ("confidence", np.uint8, 1), ("observed", np.uint8, 1), ("velocity", np.float32, 3),
    ):  # fmt: skip
        values = np.array(getattr(message, key), kind)
        if values.size != count * per_voxel and (values.size or key == "labels"):
            raise DataError(where, key, f"{count * per_voxel} values for a grid of {shape}", values.size)
        arrays[key] = values
    size = tuple(float(getattr(message.voxel_size, a)) for a in "xyz")
    T = _read_pose(message.origin)
    lower = tuple(float(v) for v in T[:3, 3])
    T_ego_grid = None
    if not np.allclose(T[:3, :3], np.eye(3), atol=1e-9):
        T_ego_grid, lower = tuple(map(tuple, T)), (0.0, 0.0, 0.0)
    upper = tuple(lo + n * s for lo, n, s in zip(lower, shape, size))
    confidence, observed, velocity = arrays["confidence"], arrays["observed"], arrays["velocity"]
    return SemanticGrid(
        labels=torch.from_numpy(arrays["labels"]).view(shape),
        grid=VoxelGrid(lower, upper, size, T_ego_grid),  # type: ignore[arg-type]
        classes=classes,
        confidence=torch.from_numpy(confidence).view(shape).float() / 255 if confidence.size else None,
        observed=torch.from_numpy(observed).view(shape) > 0 if observed.size else None,
        velocity=torch.from_numpy(velocity).view(*shape, 3) if velocity.size else None,
    )


def class_table(host: MessageHost, classes: ClassTable, stamp_ns: int, frame_id: str = "") -> Any:
    """A gsocc_ros/SemanticClassTable."""
    colors = [
        host.make("std_msgs/msg/ColorRGBA", r=r / 255.0, g=g / 255.0, b=b / 255.0, a=1.0) for r, g, b in classes.colors
    ]
    return host.make(
        "gsocc_ros/msg/SemanticClassTable",
        header=host.header(stamp_ns, frame_id),
        id=class_table_id(classes),
        names=list(classes.names),
        colors=colors,
        dynamic=np.array([i in classes.dynamic_ids for i in range(len(classes.names))]),
        free_label=classes.free_id,
        unknown_label=classes.ignore_id,
    )


def read_class_table(message: Any) -> ClassTable:
    """Class table from a gsocc_ros/SemanticClassTable."""
    colors = tuple(tuple(round(255 * float(getattr(c, k))) for k in "rgb") for c in message.colors)
    return ClassTable(
        names=tuple(message.names),
        colors=colors,  # type: ignore[arg-type]
        free_id=int(message.free_label),
        ignore_id=int(message.unknown_label),
        dynamic_ids=tuple(i for i, moves in enumerate(message.dynamic) if moves),
    )


def gaussian_array(
    host: MessageHost, scene: Gaussians, classes: ClassTable, stamp_ns: int, frame_id: str, model_id: str
) -> Any:
    """A gsocc_ros/GaussianArray; the label is the class with the largest feature, confidence its softmax.

    Args:
        host: Whose message.
        scene: Gaussians without batch dimensions; feature channels as ``classes.channel_ids`` says.
        classes: Class table.
        stamp_ns: Time that the scene refers to.
        frame_id: The ego frame's name.
        model_id: What made the scene.
    """
    g = scene.map(lambda t: t.detach().float().cpu())
    probability, channel = g.features.softmax(-1).max(-1)
    quats = torch.nn.functional.normalize(g.quats, dim=-1)
    velocities = np.zeros(0, np.float32) if g.velocities is None else g.velocities.numpy().reshape(-1)
    return host.make(
        "gsocc_ros/msg/GaussianArray",
        header=host.header(stamp_ns, frame_id),
        count=len(g),
        means=g.means.numpy().reshape(-1),
        scales=g.scales.numpy().reshape(-1),
        quats=quats.numpy().reshape(-1),
        opacities=g.opacities.numpy().reshape(-1),
        labels=np.asarray(classes.channel_ids, np.uint8)[channel.numpy()],
        confidence=np.rint(probability.numpy() * 255).astype(np.uint8),
        velocities=velocities,
        class_table_id=class_table_id(classes),
        model_id=model_id,
    )


def stage_latency(host: MessageHost, milliseconds: Mapping[str, float], stamp_ns: int, frame_id: str) -> Any:
    """A gsocc_ros/StageLatency."""
    return host.make(
        "gsocc_ros/msg/StageLatency",
        header=host.header(stamp_ns, frame_id),
        stages=list(milliseconds),
        milliseconds=np.asarray(list(milliseconds.values()), np.float32),
    )


def _pose(host: MessageHost, T: np.ndarray) -> Any:
    w, x, y, z = rotmat_to_quat(torch.from_numpy(np.ascontiguousarray(T[:3, :3]))).tolist()
    tx, ty, tz = (float(v) for v in T[:3, 3])
    return host.make(
        "geometry_msgs/msg/Pose",
        position=host.make("geometry_msgs/msg/Point", x=tx, y=ty, z=tz),
        orientation=host.make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
    )


def _read_pose(pose: Any) -> np.ndarray:
    q, p = pose.orientation, pose.position
    return rigid_from_quat([q.w, q.x, q.y, q.z], [p.x, p.y, p.z])
