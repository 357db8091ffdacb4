# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node around the pipeline. Only ``occupancy_node`` imports rclpy; the rest is plain Python."""
