# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as 4x4 matrices. ``T_a_b`` maps points of frame b into frame a."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gsocc_core.errors import ShapeError


def transform_points(T_a_b: Tensor, points_b: Tensor) -> Tensor:
    """Map points from frame b to frame a.

    Args:
        T_a_b: (..., 4, 4) rigid transform.
        points_b: (..., N, 3) points in frame b, metres.

    Returns:
        (..., N, 3) points in frame a, metres.

    Example:
        >>> transform_points(torch.eye(4), torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[1., 2., 3.]])
    """
    return points_b @ T_a_b[..., :3, :3].transpose(-1, -2) + T_a_b[..., None, :3, 3]


def invert_rigid(T_a_b: Tensor) -> Tensor:
    """Invert rigid transforms exactly: R -> R^T, t -> -R^T t.

    Args:
        T_a_b: (..., 4, 4) rigid transform.

    Returns:
        (..., 4, 4) ``T_b_a``.
    """
    rotation_b_a = T_a_b[..., :3, :3].transpose(-1, -2)
    inverse = torch.zeros_like(T_a_b)
    inverse[..., :3, :3] = rotation_b_a
    inverse[..., :3, 3] = -(rotation_b_a @ T_a_b[..., :3, 3:])[..., 0]
    inverse[..., 3, 3] = 1.0
    return inverse


def quat_to_rotmat(quats: Tensor) -> Tensor:
    """Rotation matrices of quaternions (w, x, y, z); any non-zero length is accepted and normalised.

    Args:
        quats: (..., 4) quaternions, scalar first.

    Returns:
        (..., 3, 3) rotation matrices.

    Example:
        >>> quat_to_rotmat(torch.tensor([2.0, 0.0, 0.0, 0.0]))
        tensor([[1., 0., 0.],
                [0., 1., 0.],
                [0., 0., 1.]])
    """
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        dim=-1,
    ).unflatten(-1, (3, 3))  # fmt: skip


def rotmat_to_quat(rotmats: Tensor) -> Tensor:
    """Unit quaternions (w, x, y, z), w >= 0, of rotation matrices, stable at every angle.

    Reads the quaternion from the largest column of the symmetric matrix K of
    Bar-Itzhack (2000), "New method for extracting the quaternion from a rotation matrix".

    Args:
        rotmats: (..., 3, 3) rotation matrices.

    Returns:
        (..., 4) unit quaternions.
    """
    m = rotmats
    t = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    diagonal = torch.stack(
        [1 + t, 1 + 2 * m[..., 0, 0] - t, 1 + 2 * m[..., 1, 1] - t, 1 + 2 * m[..., 2, 2] - t], dim=-1
    )
    w, x, y, z = diagonal.unbind(-1)
    columns = torch.stack(
        [
            torch.stack([w, wx, wy, wz], -1), torch.stack([wx, x, xy, xz], -1),
            torch.stack([wy, xy, y, yz], -1), torch.stack([wz, xz, yz, z], -1),
        ],
        dim=-2,
    )  # fmt: skip
    best = diagonal.argmax(-1)[..., None, None].expand(*diagonal.shape[:-1], 1, 4)
    quats = torch.nn.functional.normalize(columns.gather(-2, best)[..., 0, :], dim=-1)
    return torch.where(quats[..., :1] < 0, -quats, quats)


def multiply_quats(q_a_b: Tensor, q_b_c: Tensor) -> Tensor:
    """Hamilton products: the rotation by ``q_b_c`` first, then by ``q_a_b``.

    Args:
        q_a_b: (..., 4) quaternions w, x, y, z.
        q_b_c: (..., 4) likewise.

    Returns:
        (..., 4), of the product of their lengths.

    Example:
        >>> half_turn_x, half_turn_y = torch.tensor([0.0, 1, 0, 0]), torch.tensor([0.0, 0, 1, 0])
        >>> multiply_quats(half_turn_x, half_turn_y)
        tensor([0., 0., 0., 1.])
    """
    q_a_b, q_b_c = torch.broadcast_tensors(q_a_b, q_b_c)
    w0, v0, w1, v1 = q_a_b[..., :1], q_a_b[..., 1:], q_b_c[..., :1], q_b_c[..., 1:]
    scalar = w0 * w1 - (v0 * v1).sum(-1, keepdim=True)
    return torch.cat([scalar, w0 * v1 + w1 * v0 + torch.linalg.cross(v0, v1)], dim=-1)


def rotation_fault(T_a_b: np.ndarray) -> str | None:
    """Why the rotation of a transform is none.

    Args:
        T_a_b: (4, 4) or (3, 3).

    Returns:
        The reason in words, or None: it is a rotation to a thousandth.

    Example:
        >>> rotation_fault(np.diag([1.0, 1.0, -1.0])), rotation_fault(np.eye(4))
        ('mirrors (determinant -1)', None)
    """
    R = T_a_b[:3, :3]
    with np.errstate(all="ignore"):  # numbers may be anything
        error = float(np.abs(R @ R.T - np.eye(3)).max())
    if not error <= 1e-3:
        return f"is not orthonormal (R R^T differs from 1 by {error:.3g})"
    return "mirrors (determinant -1)" if np.linalg.det(R) < 0 else None


def rigid_from_quat(quat_wxyz: object, translation_m: object) -> np.ndarray:
    """One transform from a quaternion and a translation, in float64.

    Args:
        quat_wxyz: 4 numbers, scalar first, any non-zero length.
        translation_m: 3 numbers, metres.

    Returns:
        (4, 4) float64 ``T_a_b`` when the pose is that of b in a.

    Raises:
        ShapeError: wrong number of elements, or a zero or non-finite quaternion.

    Example:
        >>> rigid_from_quat([1, 0, 0, 0], [1, 2, 3])[:3, 3]
        array([1., 2., 3.])
    """
    quat = np.asarray(quat_wxyz, dtype=np.float64)
    translation = np.asarray(translation_m, dtype=np.float64)
    if quat.shape != (4,) or not np.isfinite(quat).all() or not np.linalg.norm(quat) > 1e-12:
        raise ShapeError("rigid_from_quat", "quat_wxyz", "4 finite numbers, not all zero", quat_wxyz)
    if translation.shape != (3,) or not np.isfinite(translation).all():
        raise ShapeError("rigid_from_quat", "translation_m", "3 finite numbers", translation_m)
    T = np.eye(4)
    T[:3, :3] = quat_to_rotmat(torch.from_numpy(quat)).numpy()
    T[:3, 3] = translation
    return T
