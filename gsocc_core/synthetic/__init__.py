# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic drives: procedural streets, seen by cameras and LiDAR, written as a nuScenes tree."""
