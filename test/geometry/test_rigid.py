# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms: group axioms and quaternions at every angle."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.rigid import invert_rigid, quat_to_rotmat, rigid_from_quat, rotmat_to_quat, transform_points

coordinates = st.floats(-100, 100)
unit = st.floats(-1, 1)
quats = st.tuples(unit, unit, unit, unit).filter(lambda q: math.hypot(*q) > 0.01)
transforms = st.builds(
    lambda q, t: torch.from_numpy(rigid_from_quat(q, t)), quats, st.tuples(coordinates, coordinates, coordinates)
)
quick = settings(deadline=None, max_examples=60)


def rotation(axis, angle):
    """Rodrigues' formula, (3, 3) float64."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * K + (1 - math.cos(angle)) * K @ K


@quick
@given(transforms, transforms, transforms)
def test_transforms_form_a_group(a, b, c):
    eye = torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(a @ invert_rigid(a), eye, atol=1e-9, rtol=0)
    torch.testing.assert_close(invert_rigid(a) @ a, eye, atol=1e-9, rtol=0)
    torch.testing.assert_close(invert_rigid(invert_rigid(a)), a, atol=1e-9, rtol=0)
    torch.testing.assert_close((a @ b) @ c, a @ (b @ c), atol=1e-9, rtol=0)
    torch.testing.assert_close(invert_rigid(a @ b), invert_rigid(b) @ invert_rigid(a), atol=1e-8, rtol=0)


@quick
@given(transforms, transforms)
def test_transforms_keep_distances_and_compose(a, b):
    points = torch.from_numpy(np.random.default_rng(0).uniform(-50, 50, (7, 3)))
    moved = transform_points(a, points)
    torch.testing.assert_close(torch.cdist(moved, moved), torch.cdist(points, points), atol=1e-6, rtol=0)
    torch.testing.assert_close(transform_points(a @ b, points), transform_points(a, transform_points(b, points)))
    homogeneous = torch.cat([points, torch.ones(7, 1)], -1) @ a.T
    torch.testing.assert_close(moved, homogeneous[:, :3])


@quick
@given(quats)
def test_rotations_are_orthonormal_and_quaternions_come_back(quat):
    R = quat_to_rotmat(torch.tensor(quat, dtype=torch.float64))
    torch.testing.assert_close(R @ R.T, torch.eye(3, dtype=torch.float64), atol=1e-12, rtol=0)
    assert torch.linalg.det(R) == pytest.approx(1)
    again = rotmat_to_quat(R)
    assert again.norm() == pytest.approx(1)
    assert again[0] >= 0
    torch.testing.assert_close(quat_to_rotmat(again), R, atol=1e-12, rtol=0)


@quick
@given(st.tuples(unit, unit, unit).filter(lambda a: math.hypot(*a) > 0.01), st.floats(-math.pi, math.pi))
def test_quaternions_agree_with_rodrigues(axis, angle):
    n = np.asarray(axis) / np.linalg.norm(axis)
    quat = torch.tensor([math.cos(angle / 2), *(math.sin(angle / 2) * n)])
    assert quat_to_rotmat(quat).numpy() == pytest.approx(rotation(axis, angle), abs=1e-12)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -2, 3), (-1, 1e-4, 0)])
@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, math.pi / 2, math.pi - 1e-9, math.pi, math.pi + 1e-6])
def test_half_turns_and_tiny_turns_are_stable(axis, angle):
    R = torch.from_numpy(rotation(axis, angle))
    torch.testing.assert_close(quat_to_rotmat(rotmat_to_quat(R)), R, atol=1e-12, rtol=0)
    single = R.float()
    torch.testing.assert_close(quat_to_rotmat(rotmat_to_quat(single)), single, atol=1e-6, rtol=0)


def test_batches_equal_loops_and_length_does_not_matter():
    rng = np.random.default_rng(0)
    quats_ = torch.from_numpy(rng.normal(size=(2, 3, 4)))
    R = quat_to_rotmat(quats_)
    for index in np.ndindex(2, 3):
        torch.testing.assert_close(R[index], quat_to_rotmat(quats_[index]))
        torch.testing.assert_close(rotmat_to_quat(R)[index], rotmat_to_quat(R[index]))
    torch.testing.assert_close(quat_to_rotmat(quats_ * 7), R)


def test_gradients_are_right():
    generator = torch.Generator().manual_seed(0)
    quat = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    T = torch.from_numpy(rigid_from_quat([0.3, -0.2, 0.9, 0.1], [1, 2, 3])).requires_grad_()
    points = torch.randn(5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(quat_to_rotmat, (quat,))
    assert torch.autograd.gradcheck(lambda q: rotmat_to_quat(quat_to_rotmat(q)), (quat,))
    assert torch.autograd.gradcheck(transform_points, (T, points))
    assert torch.autograd.gradcheck(invert_rigid, (T,))


@pytest.mark.parametrize("quat", [[0, 0, 0, 0], [1, 0, 0], [math.nan, 0, 0, 1], [[1, 0, 0, 0]]])
def test_bad_quaternions_are_named(quat):
    with pytest.raises(ShapeError, match="quat_wxyz"):
        rigid_from_quat(quat, [0, 0, 0])


@pytest.mark.parametrize("translation", [[0, 0], [0, 0, math.inf]])
def test_bad_translations_are_named(translation):
    with pytest.raises(ShapeError, match="translation_m"):
        rigid_from_quat([1, 0, 0, 0], translation)
