# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""From pictures whose poses nobody knows to Gaussians, cameras and occupancy in metres."""
