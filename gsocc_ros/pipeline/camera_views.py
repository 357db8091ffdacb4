# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Which voxels the cameras of a set look at; worked out once per camera and remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from gsocc_core import Cameras, VoxelGrid
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.rigid import transform_points

#: A camera counts as unmoved while no number of its calibration (pixels, metres, entries of the rotation) differs by
#: more: at 40 m that is 4 cm, a tenth of a voxel.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class _View:
    """What one camera looks at, and what that was worked out from."""

    asked: tuple[VoxelGrid, bytes, str, int]
    calibration: np.ndarray
    mask: np.ndarray


class CameraViews:
    """Fields of view of a rig's cameras on a voxel grid.

    A voxel is in view when its centre projects into the picture that the network gets. What stands in between is not
    asked, nor the ego motion between a camera's stamp and the reference. A mask is worked out again only when the grid,
    the layers or the camera's calibration changes.

    Example:
        >>> front = Cameras(torch.tensor([[[50.0, 0, 50], [0, 50, 50], [0, 0, 1]]]), torch.eye(4)[None], 100, 100)
        >>> grid = VoxelGrid((-2.0, -2.0, -2.0), (2.0, 2.0, 2.0), 2.0)  # the camera looks along z
        >>> CameraViews().in_view(grid, front, [True], np.array([True, True]))[0, 0].tolist()
        [False, True]
    """

    def __init__(self) -> None:
        self._views: dict[int, _View] = {}

    def in_view(
        self, grid: VoxelGrid, cameras: Cameras, given: Sequence[bool] | None, layers: np.ndarray
    ) -> np.ndarray:
        """Voxels in view of at least one camera whose picture was there.

        Args:
            grid: The voxels.
            cameras: (V) cameras of the pictures that the network got; T_ego_cam is their calibration.
            given: Whether each camera's picture was there; None = all.
            layers: (Z,) bool: layers of the grid that are asked, B of them.

        Returns:
            (X, Y, B) bool.

        Raises:
            ConfigError: ``given`` has another length than the cameras.
        """
        count = cameras.intrinsics.shape[0]
        given = [True] * count if given is None else list(given)
        if len(given) != count:
            raise ConfigError("CameraViews", "given", f"one value per camera, {count} of them", len(given))
        cameras = replace(cameras.to("cpu"), T_ref_ego=None)
        seen = np.zeros((*grid.shape[:2], int(layers.sum())), bool)
        for index in np.flatnonzero(given):
            seen |= self._mask(int(index), grid, cameras, layers)
        return seen

    def _mask(self, index: int, grid: VoxelGrid, cameras: Cameras, layers: np.ndarray) -> np.ndarray:
        one = cameras.map(lambda value: value[index : index + 1])
        distortion = [] if one.distortion is None else one.distortion.flatten().tolist()
        numbers = [*one.intrinsics.flatten().tolist(), *one.T_ego_cam.flatten().tolist(), one.width, one.height]
        calibration = np.array([*numbers, *distortion])
        asked = (grid, layers.tobytes(), one.model, len(calibration))
        view = self._views.get(index)
        if view is None or view.asked != asked or np.abs(view.calibration - calibration).max() > TOLERANCE:
            points = grid.centers[:, :, torch.from_numpy(layers)]
            T_ego_grid = torch.from_numpy(grid.T_ego_grid_matrix).to(points)
            valid = one.project(transform_points(T_ego_grid, points.reshape(-1, 3)))[2]
            view = self._views[index] = _View(asked, calibration, valid.reshape(points.shape[:3]).numpy())
        return view.mask
