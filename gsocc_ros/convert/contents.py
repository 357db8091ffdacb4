# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What is written of a nuScenes scene."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gsocc_core.data.occ3d import OCC3D_FOLDER
from gsocc_core.errors import ConfigError


@dataclass(frozen=True)
class Contents:
    """What is written of a scene.

    Attributes:
        occupancy: Folder of Occ3D labels inside the tree; None = without.
        sweeps: The readings between key frames too.
        radar: The radars.
        can_bus: Inertial unit, speed, steering and wheels, where the tree has the CAN bus expansion.
        road_map: The map around the drive.
        lidarseg: Clouds with the labels of their points at the key frames, where the tree has them.
        surroundocc: Folder of SurroundOcc labels, below the tree or anywhere; None = without.
        vision_msgs: The boxes as vision_msgs/Detection3DArray too.
        start_s: Leave out what is earlier, seconds after the scene's first ego pose.
        duration_s: Leave out what is as much later than that, seconds; None = to the end.

    Raises:
        ConfigError: a time is negative, or no number.
    """

    occupancy: str | None = OCC3D_FOLDER
    sweeps: bool = True
    radar: bool = True
    can_bus: bool = True
    road_map: bool = True
    lidarseg: bool = True
    surroundocc: str | None = None
    vision_msgs: bool = False
    start_s: float = 0.0
    duration_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < math.inf:
            raise ConfigError("nuscenes_to_rosbag2", "start", "seconds, not negative", self.start_s)
        if self.duration_s is not None and not 0 < self.duration_s < math.inf:
            raise ConfigError("nuscenes_to_rosbag2", "duration", "seconds, more than 0", self.duration_s)

    @property
    def whole(self) -> bool:
        """Whether no time is left out."""
        return not self.start_s and self.duration_s is None
