# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Frame sets and Gaussians: shapes, moves between devices and types."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gsocc_core import Camera, Cameras, FrameSet, Gaussians, Targets
from gsocc_core.errors import ShapeError
from gsocc_core.geometry.rigid import quat_to_rotmat


def frames(b=2, t=3, v=4):
    camera = Camera("c", np.diag([50.0, 50.0, 1.0]), np.eye(4), 8, 6)
    cameras = Cameras.stack([camera] * (b * t * v)).map(lambda x: x.view(b, t, v, *x.shape[1:]))
    return FrameSet(
        images=torch.zeros(b, t, v, 3, 6, 8, dtype=torch.uint8),
        cameras=cameras,
        camera_names=tuple(f"c{i}" for i in range(v)),
        camera_stamps_ns=torch.zeros(b, t, v, dtype=torch.int64),
        reference_stamp_ns=torch.full((b, t), 1_700_000_000_123_456_789),
        T_ref_ego=torch.eye(4).expand(b, t, 4, 4),
        valid=torch.ones(b, t, v, dtype=torch.bool),
        pose_valid=torch.ones(b, t, dtype=torch.bool),
        targets=Targets(labels=torch.full((b, 2, 2, 2), 17, dtype=torch.uint8), view_cameras=cameras),
    )


def test_map_reaches_every_tensor_and_nothing_else():
    original = frames()
    seen = []
    mapped = original.map(lambda x: seen.append(x) or x[:1])
    assert len(seen) == 6 + 3 + 1 + 3, "own tensors, two sets of cameras (K, pose, motion) and the labels"
    assert mapped.images.shape[0] == mapped.targets.labels.shape[0] == mapped.targets.view_cameras.intrinsics.shape[0]
    assert mapped.camera_names == original.camera_names
    assert mapped.targets.view_depth_m is None
    assert original.images.shape[0] == 2


def test_moving_keeps_types_and_stamps():
    moved = frames().to("cpu")
    assert moved.images.dtype == torch.uint8
    assert moved.reference_stamp_ns[0, 0].item() == 1_700_000_000_123_456_789
    assert moved.to("meta").targets.view_cameras.intrinsics.device.type == "meta"


def test_inputs_beside_the_pictures_go_with_their_moment():
    depth, features = torch.rand(2, 3, 4, 3, 4), torch.rand(2, 3, 4, 16, 1, 2)
    one = replace(frames(), depth_m=depth, features=features).moment(1)
    assert torch.equal(one.depth_m, depth[:, 1:2])
    assert torch.equal(one.features, features[:, 1:2])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("images", torch.zeros(2, 3, 4, 6, 8)), ("images", torch.zeros(2, 3, 4, 1, 6, 8)),
        ("camera_stamps_ns", torch.zeros(2, 3)), ("reference_stamp_ns", torch.zeros(2)),
        ("T_ref_ego", torch.zeros(2, 3, 3, 4)), ("valid", torch.ones(2, 3, 5)), ("pose_valid", torch.ones(2, 1)),
        ("camera_names", ("a", "b")), ("depth_m", torch.zeros(2, 3, 4, 4, 8)), ("depth_m", torch.zeros(2, 3, 6, 8)),
        ("features", torch.zeros(2, 3, 5, 16, 2, 2)), ("features", torch.zeros(2, 3, 4, 16, 2)),
    ],
)  # fmt: skip
def test_bad_frames_are_named(key, value):
    with pytest.raises(ShapeError, match=f"FrameSet: {key}"):
        replace(frames(), **{key: value})
    with pytest.raises(ShapeError, match="FrameSet: cameras"):
        replace(frames(), cameras=frames(1).cameras)


def gaussians(*leading, n=5):
    generator = torch.Generator().manual_seed(0)
    return Gaussians(
        means=torch.randn(*leading, n, 3, generator=generator),
        scales=torch.rand(*leading, n, 3, generator=generator) + 0.1,
        quats=torch.randn(*leading, n, 4, generator=generator),
        opacities=torch.rand(*leading, n, generator=generator),
        features=torch.randn(*leading, n, 7, generator=generator),
    )


@pytest.mark.parametrize("leading", [(), (2,), (2, 3), (0,)])
def test_gaussians_take_any_leading_dimensions(leading):
    value = gaussians(*leading)
    assert len(value) == 5
    assert value.batch_shape == leading
    assert value.covariances().shape == (*leading, 5, 3, 3)
    assert value.to(torch.float64).means.dtype == torch.float64
    assert value.replace(velocities=value.means).map(lambda x: x * 0).velocities.abs().sum() == 0
    assert len(gaussians(*leading, n=0)) == 0


def test_covariances_have_the_scales_along_the_own_axes():
    value = gaussians()
    R = quat_to_rotmat(value.quats)
    own = R.transpose(-1, -2) @ value.covariances() @ R
    torch.testing.assert_close(own, torch.diag_embed(value.scales**2), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("means", torch.zeros(5, 2)), ("scales", torch.zeros(4, 3)), ("quats", torch.zeros(5, 3)),
        ("features", torch.zeros(5)), ("opacities", torch.tensor(1.0)), ("velocities", torch.zeros(2, 5, 3)),
        ("colors_sh", torch.zeros(5, 3)),
    ],
)  # fmt: skip
def test_bad_gaussians_are_named(key, value):
    with pytest.raises(ShapeError, match=f"Gaussians: {key}"):
        gaussians().replace(**{key: value})
