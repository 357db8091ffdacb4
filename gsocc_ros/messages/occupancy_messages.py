# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Occupancy, class tables and Gaussians as ROS messages, and back. The host decides whose classes are made."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from gsocc_core import ClassTable, Gaussians, SemanticGrid, VoxelGrid
from gsocc_core.errors import DataError, ShapeError
from gsocc_core.geometry.rigid import rigid_from_quat, rotmat_to_quat
from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.sensor_messages import point_cloud

#: visualization_msgs/Marker: its type, the name it goes by, and which share of a voxel's edge a cube has (the gap tells
#: single voxels apart).
CUBE_LIST, MARKER_NAMESPACE, MARKER_SHARE = 6, "occupancy", 0.95
#: Points of occupied voxels. Every field is aligned to its size: some readers cast pointers instead of copying.
_VOXEL_POINT = np.dtype({
    "names": ["x", "y", "z", "rgb", "label", "confidence"], "formats": ["<f4", "<f4", "<f4", "<f4", "u1", "<f4"],
    "offsets": [0, 4, 8, 12, 16, 20], "itemsize": 24,
})  # fmt: skip


def class_table_id(classes: ClassTable) -> str:
    """Short id that changes with what a SemanticClassTable says: names, colours, roles of the classes."""
    content = [classes.names, classes.colors, sorted(classes.dynamic_ids), classes.free_id, classes.ignore_id]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]


class OccupiedVoxels(NamedTuple):
    """What is neither free nor without a label.

    Attributes:
        places: (N,) int64, in the flattened grid, row-major.
        labels: (N,) uint8.
        confidence: (N,) float32; 1 where the grid holds none.
    """

    places: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray


def occupied_voxels(grid: SemanticGrid) -> OccupiedVoxels:
    """The occupied voxels of a grid with labels (X, Y, Z), in row-major order.

    Raises:
        ShapeError: the labels have batch dimensions.
    """
    labels = _single(grid).reshape(-1)
    index = np.flatnonzero((labels != grid.classes.free_id) & (labels != grid.classes.ignore_id))
    confidence = np.ones(len(index), np.float32)
    if grid.confidence is not None:
        confidence = grid.confidence.cpu().numpy().reshape(-1)[index].astype(np.float32)
    return OccupiedVoxels(index, labels[index], confidence)


def centers_from_corner_m(grid: VoxelGrid, places: np.ndarray) -> np.ndarray:
    """(N, 3) float64 centres of voxels, metres along the grid's axes from its lower corner.

    Args:
        grid: Where the voxels are.
        places: (N,) in the flattened grid, row-major.
    """
    axes = ((np.arange(count) + 0.5) * size for count, size in zip(grid.shape, grid.size_m))
    return np.stack([axis[i] for axis, i in zip(axes, np.unravel_index(places, grid.shape))], axis=-1)


def centers_in_ego_m(grid: VoxelGrid, places: np.ndarray) -> np.ndarray:
    """(N, 3) float64 centres of voxels in the ego frame, metres; arguments as of :func:`centers_from_corner_m`."""
    T, centers = grid.T_ego_corner, centers_from_corner_m(grid, places)
    if grid.T_ego_grid is not None:
        centers = centers @ T[:3, :3].T
    centers += T[:3, 3]
    return centers


def _single(grid: SemanticGrid) -> np.ndarray:
    if tuple(grid.labels.shape) != grid.grid.shape:
        raise ShapeError("message", "labels", f"{grid.grid.shape} without batch dimensions", tuple(grid.labels.shape))
    return grid.labels.cpu().numpy()


def voxel_cloud(
    host: MessageHost, grid: SemanticGrid, stamp_ns: int, frame_id: str, voxels: OccupiedVoxels | None = None
) -> Any:
    """Occupied voxels as a PointCloud2: x, y, z (m), rgb (packed as RViz reads it), label, confidence.

    Args:
        host: Whose message.
        grid: Labels (X, Y, Z).
        stamp_ns: Time that the labels refer to.
        frame_id: The ego frame's name.
        voxels: The grid's, where they are known already.
    """
    index, labels, confidence = voxels or occupied_voxels(grid)
    points = np.zeros(len(labels), _VOXEL_POINT)
    points["x"], points["y"], points["z"] = centers_in_ego_m(grid.grid, index).T
    red, green, blue = grid.classes.palette().astype(np.uint32).T
    points["rgb"] = ((red << 16) | (green << 8) | blue).view(np.float32)[labels]
    points["label"], points["confidence"] = labels, confidence
    return point_cloud(host, points, stamp_ns, frame_id)


def voxel_marker(host: MessageHost, grid: SemanticGrid, stamp_ns: int, frame_id: str) -> Any:
    """Occupied voxels as one CUBE_LIST Marker.

    :func:`gsocc_ros.messages.marker_bytes.voxel_marker_bytes` makes the same much faster.

    The points are in the frame of the marker's pose, whose axes are those of the grid: cubes turn with it.
    """
    index, labels, _ = occupied_voxels(grid)
    centers = centers_from_corner_m(grid.grid, index)
    palette = grid.classes.palette() / 255.0
    colors = {
        int(i): host.make(
            "std_msgs/msg/ColorRGBA", r=float(palette[i, 0]), g=float(palette[i, 1]), b=float(palette[i, 2]), a=1.0
        )
        for i in np.unique(labels)
    }
    x, y, z = (MARKER_SHARE * s for s in grid.grid.size_m)
    return host.make(
        "visualization_msgs/msg/Marker",
        header=host.header(stamp_ns, frame_id),
        ns=MARKER_NAMESPACE,
        id=0,
        type=CUBE_LIST,
        action=0,
        pose=pose_message(host, grid.grid.T_ego_corner),
        scale=host.make("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
        color=host.make("std_msgs/msg/ColorRGBA", r=1.0, g=1.0, b=1.0, a=1.0),
        lifetime=host.make("builtin_interfaces/msg/Duration", sec=0, nanosec=0),
        frame_locked=False,
        points=[host.make("geometry_msgs/msg/Point", x=a, y=b, z=c) for a, b, c in centers.tolist()],
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

    Raises:
        ShapeError: the labels have batch dimensions.
    """
    labels = _single(grid)
    x, y, z = grid.grid.shape
    sx, sy, sz = grid.grid.size_m
    confidence, observed, velocity = np.zeros(0, np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.float32)
    if grid.confidence is not None:
        confidence = _as_bytes(grid.confidence)
    if grid.observed is not None:
        observed = grid.observed.cpu().numpy().reshape(-1).astype(np.uint8)
    if grid.velocity is not None:
        velocity = grid.velocity.cpu().numpy().reshape(-1).astype(np.float32)
    return host.make(
        "gsocc_ros/msg/SemanticOccupancy",
        header=host.header(stamp_ns, frame_id),
        origin=pose_message(host, grid.grid.T_ego_corner),
        voxel_size=host.make("geometry_msgs/msg/Vector3", x=sx, y=sy, z=sz),
        size_x=x,
        size_y=y,
        size_z=z,
        free_label=grid.classes.free_id,
        unknown_label=grid.classes.ignore_id,
        class_table_id=class_table_id(grid.classes),
        model_id=model_id,
        labels=labels.reshape(-1),
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
        DataError: an array has another length than the grid, the grid is empty, or free and unknown labels are not
            the table's.
    """
    shape = (int(message.size_x), int(message.size_y), int(message.size_z))
    count = shape[0] * shape[1] * shape[2]
    for key, expected in (("free_label", classes.free_id), ("unknown_label", classes.ignore_id)):
        if int(getattr(message, key)) != expected:
            raise DataError(where, key, f"{expected} as in the class table", int(getattr(message, key)))
    size = tuple(float(getattr(message.voxel_size, a)) for a in "xyz")
    if count == 0 or not all(0 < s < np.inf for s in size):
        raise DataError(where, "size, voxel_size", "at least one voxel of positive size (m)", (shape, size))
    arrays: dict[str, np.ndarray] = {}
    for key, kind, per_voxel in (
        ("labels", np.uint8, 1), ("confidence", np.uint8, 1), ("observed", np.uint8, 1), ("velocity", np.float32, 3),
    ):  # fmt: skip
        values = np.array(getattr(message, key), kind)
        if values.size != count * per_voxel and (values.size or key == "labels"):
            raise DataError(where, key, f"{count * per_voxel} values for a grid of {shape}", values.size)
        arrays[key] = values
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

    Raises:
        ShapeError: the scene has batch dimensions, or other feature channels than the class table.
    """
    if scene.batch_shape or scene.features.shape[-1] != len(classes.channel_ids):
        expected = f"(N, {len(classes.channel_ids)}) without batch dimensions"
        raise ShapeError("GaussianArray", "features", expected, tuple(scene.features.shape))
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
        confidence=_as_bytes(probability),
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


def _as_bytes(fractions: torch.Tensor) -> np.ndarray:
    values = torch.nan_to_num(fractions.detach().float().cpu()).clamp(0, 1).numpy().reshape(-1)
    return np.rint(values * 255).astype(np.uint8)


def pose_message(host: MessageHost, T: np.ndarray) -> Any:
    """A geometry_msgs/Pose from a (4, 4) pose."""
    w, x, y, z = rotmat_to_quat(torch.from_numpy(np.ascontiguousarray(T[:3, :3]))).tolist()
    tx, ty, tz = (float(v) for v in T[:3, 3])
    return host.make(
        "geometry_msgs/msg/Pose",
        position=host.make("geometry_msgs/msg/Point", x=tx, y=ty, z=tz),
        orientation=host.make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
    )


def pose_from_quat(host: MessageHost, quat_wxyz: Any, position_m: Any) -> Any:
    """A geometry_msgs/Pose from numbers that are a quaternion already, which is faster than by matrices.

    Args:
        host: Whose message.
        quat_wxyz: 4 numbers, scalar first, any non-zero length.
        position_m: 3 numbers, metres.
    """
    w, x, y, z = (float(value) for value in quat_wxyz)
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    px, py, pz = (float(value) for value in position_m)
    return host.make(
        "geometry_msgs/msg/Pose",
        position=host.make("geometry_msgs/msg/Point", x=px, y=py, z=pz),
        orientation=host.make("geometry_msgs/msg/Quaternion", x=x / norm, y=y / norm, z=z / norm, w=w / norm),
    )


def _read_pose(pose: Any) -> np.ndarray:
    q, p = pose.orientation, pose.position
    return rigid_from_quat([q.w, q.x, q.y, q.z], [p.x, p.y, p.z])
