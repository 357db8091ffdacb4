# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``gsocc_core view``: drives, predictions and snapshots on a web page or as pictures; no ROS, no display needed."""

from gsocc_core.viewer.frames import CameraView, FrameSource, LabelledGaussians, Motion, ViewFrame

__all__ = ["CameraView", "FrameSource", "LabelledGaussians", "Motion", "ViewFrame"]
