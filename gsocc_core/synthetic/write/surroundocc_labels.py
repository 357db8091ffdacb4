# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""SurroundOcc's classes of synthetic voxels."""

from __future__ import annotations

import numpy as np

from gsocc_core.data.surroundocc import SURROUNDOCC_NUSCENES
from gsocc_core.geometry.classes import OCC3D_NUSCENES

#: Folder of SurroundOcc labels in a tree.
SURROUNDOCC_FOLDER = "nuscenes_occ"


def surroundocc_labels(occ3d_ids: np.ndarray) -> np.ndarray:
    """SurroundOcc ids of Occ3D ids; ``others`` has no class there and gets no label.

    Example:
        >>> surroundocc_labels(np.array([0, 4, 16, 17], np.uint8)).tolist()
        [255, 4, 16, 0]
    """
    table = np.full(256, SURROUNDOCC_NUSCENES.ignore_id, np.uint8)
    for i, name in enumerate(OCC3D_NUSCENES.names):
        if name in SURROUNDOCC_NUSCENES.names:
            table[i] = SURROUNDOCC_NUSCENES.names.index(name)
    return table[occ3d_ids]
