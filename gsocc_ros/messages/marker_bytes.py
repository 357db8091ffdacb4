# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The CUBE_LIST Marker as serialised bytes: 20,000 message objects for 20,000 points would take most of the time."""

from __future__ import annotations

import numpy as np
import torch

from gsocc_core import SemanticGrid
from gsocc_core.geometry.rigid import rotmat_to_quat
from gsocc_ros.messages.occupancy_messages import (
    CUBE_LIST,
    MARKER_NAMESPACE,
    MARKER_SHARE,
    OccupiedVoxels,
    centers_from_corner_m,
    occupied_voxels,
)

_POINT = np.dtype("<f8")


class _Cdr:
    """Writes little-endian CDR version 1, the format in which ROS 2 sends and stores messages (OMG DDSI-RTPS, 10.2)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, kind: str, *values: float) -> None:
        """Numbers of one numpy type, aligned to its size."""
        self.block(np.asarray(values, kind))

    def block(self, values: np.ndarray) -> None:
        """The elements of an array, aligned to their size."""
        if values.size:
            self._pad(values.itemsize)
            self._append(values.tobytes())

    def text(self, value: str) -> None:
        """A string: length with the closing zero, characters, zero."""
        data = value.encode() + b"\0"
        self.add("<u4", len(data))
        self._append(data)

    def _pad(self, size: int) -> None:
        self._append(b"\0" * (-self._size % size))

    def _append(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)

    def message(self) -> bytes:
        """Everything, behind the header that names the encoding."""
        return b"".join([b"\0\1\0\0", *self._parts])


def voxel_marker_bytes(grid: SemanticGrid, stamp_ns: int, frame_id: str, voxels: OccupiedVoxels | None = None) -> bytes:
    """The serialised Marker that :func:`gsocc_ros.messages.occupancy_messages.voxel_marker` describes.

    rclpy publishes bytes as they are, and recordings store them.

    Args:
        grid: Labels (X, Y, Z).
        stamp_ns: Time that the labels refer to.
        frame_id: The ego frame's name.
        voxels: The grid's, where they are known already.

    Raises:
        ShapeError: the labels have batch dimensions.

    Example:
        ``publisher.publish(voxel_marker_bytes(prediction.grid, prediction.reference_stamp_ns, "base_link"))``
    """
    index, labels, _ = voxels or occupied_voxels(grid)
    size_m = np.asarray(grid.grid.size_m)
    palette = np.ones((256, 4), "<f4")
    shades = grid.classes.palette() / 255.0
    palette[: len(shades), :3] = shades
    pose = grid.grid.T_ego_corner
    w, x, y, z = rotmat_to_quat(torch.from_numpy(np.ascontiguousarray(pose[:3, :3]))).tolist()
    out = _Cdr()
    out.add("<i4", stamp_ns // 1_000_000_000)
    out.add("<u4", stamp_ns % 1_000_000_000)
    out.text(frame_id)
    out.text(MARKER_NAMESPACE)
    out.add("<i4", 0, CUBE_LIST, 0)  # id, type, action: add
    out.add("<f8", *pose[:3, 3].tolist(), x, y, z, w)
    out.add("<f8", *(MARKER_SHARE * size_m))
    out.add("<f4", 1.0, 1.0, 1.0, 1.0)
    out.add("<i4", 0, 0)  # lifetime: for ever
    out.add("u1", 0)  # frame_locked
    out.add("<u4", len(index))
    out.block(centers_from_corner_m(grid.grid, index).astype(_POINT, copy=False))
    out.add("<u4", len(labels))
    out.block(palette[labels])
    out.text("")  # texture_resource
    out.add("<i4", 0, 0)  # texture: stamp, frame, format, data
    out.text("")
    out.text("")
    out.add("<u4", 0)
    out.add("<u4", 0)  # uv_coordinates
    out.text("")  # text
    out.text("")  # mesh_resource
    out.text("")  # mesh_file: name, data
    out.add("<u4", 0)
    out.add("u1", 0)  # mesh_use_embedded_materials
    return out.message()
