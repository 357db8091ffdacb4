# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Words out of fixed lists that commands and functions take; on their own, since ``--help`` imports nothing heavy."""

from typing import Literal

#: Storage files of rosbag2.
Storage = Literal["mcap", "sqlite3"]
#: ROS 2 distributions whose message definitions are known.
Distro = Literal["jazzy", "humble"]
#: Where ego poses come from: the transforms between the rig's fixed and base frame, or nowhere.
PoseSource = Literal["transforms", "unknown"]
