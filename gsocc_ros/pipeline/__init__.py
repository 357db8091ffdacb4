# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras and transforms in, predictions out. Plain Python, no rclpy."""
