# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node around the pipeline: the only room that imports rclpy."""
