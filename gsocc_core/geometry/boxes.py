# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes around things, with the velocities of the things."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Boxes:
    """K boxes.

    Attributes:
        T_ego_box: (K, 4, 4) float64 poses; a box's x axis points along its length.
        sizes_lwh_m: (K, 3) length, width, height, metres.
        velocities_mps: (K, 3) over ground, along the axes of the ego frame, m/s; nan = not known.
        class_ids: (K,) Occ3D-nuScenes class ids.
    """

    T_ego_box: np.ndarray
    sizes_lwh_m: np.ndarray
    velocities_mps: np.ndarray
    class_ids: np.ndarray

    def index_of(self, points_ego: np.ndarray) -> np.ndarray:
        """Which box holds a point.

        Args:
            points_ego: (P, 3) metres, ego frame.

        Returns:
            (P,) index of the first box that holds it; -1 = none.

        Example:
            >>> one = Boxes(np.eye(4)[None], np.array([[4.0, 2, 2]]), np.zeros((1, 3)), np.array([4]))
            >>> one.index_of(np.array([[1.9, 0.9, 0.0], [0.0, 1.1, 0.0]])).tolist()
            [0, -1]
        """
        found = np.full(len(points_ego), -1)
        for k in range(len(self.class_ids) - 1, -1, -1):
            T = self.T_ego_box[k]
            local = (points_ego - T[:3, 3]) @ T[:3, :3]
            found[(np.abs(local) <= 0.5 * self.sizes_lwh_m[k]).all(-1)] = k
        return found
