# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A moved scene looks to a moved camera as the scene did to the camera."""

import pytest
import torch

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussian_motion import move_gaussians
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.rigid import quat_to_rotmat
from gsocc_core.geometry.spherical_harmonics import rotate_sh, sh_colors
from gsocc_core.splat.to_color import splat_to_color


def pose(seed):
    g = torch.Generator().manual_seed(seed)
    T = torch.eye(4, dtype=torch.float64)
    T[:3, :3] = quat_to_rotmat(torch.randn(4, generator=g, dtype=torch.float64))
    T[:3, 3] = torch.randn(3, generator=g, dtype=torch.float64)
    return T


@pytest.mark.parametrize("count", [1, 4, 9, 16])
def test_turned_harmonics_give_the_same_colours_in_turned_directions(count):
    g = torch.Generator().manual_seed(count)
    c, d = (torch.randn(*s, generator=g, dtype=torch.float64) for s in ((20, count, 3), (20, 3)))
    R = pose(3)[:3, :3]
    torch.testing.assert_close(sh_colors(rotate_sh(c, R), d @ R.T), sh_colors(c, d))
    with pytest.raises(ShapeError, match="coefficients"):
        rotate_sh(c[:, :1].expand(-1, 2, -1), R)


def test_a_moved_and_scaled_scene_looks_the_same_to_a_camera_that_moved_along():
    g = torch.Generator().manual_seed(1)
    draw = lambda *s: torch.rand(*s, generator=g)  # noqa: E731
    means = torch.cat([draw(200, 2) * 4 - 2, draw(200, 1) * 3 + 3], -1)
    scene = Gaussians(
        means, 0.05 + 0.1 * draw(200, 3), draw(200, 4) - 0.5, draw(200), draw(200, 2), draw(200, 3),
        draw(200, 9, 3) - 0.5,
    )  # fmt: skip
    T, scale = pose(2), 2.5
    moved = move_gaussians(scene, T, scale)
    K = torch.tensor([[[20.0, 0, 12], [0, 20, 12], [0, 0, 1]]])
    here = splat_to_color(scene, Cameras(K, torch.eye(4)[None], 24, 24))
    there = splat_to_color(moved, Cameras(K, T.float()[None], 24, 24))
    torch.testing.assert_close(there.colors, here.colors, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(there.features, here.features, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(there.depth, scale * here.depth, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(moved.velocities, (scene.velocities.double() * scale @ T[:3, :3].T).float())
