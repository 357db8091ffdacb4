# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""nuScenes to rosbag2 and back, and rigs from recordings. Needs no ROS installation."""
