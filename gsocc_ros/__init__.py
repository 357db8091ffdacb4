# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""gsocc_ros: the ROS 2 side. Everything but the node itself is plain Python and needs no ROS installation."""

from pkgutil import extend_path

# A built workspace holds the generated gsocc_ros.msg in another folder of the same name: look there, too.
__path__ = extend_path(__path__, __name__)
