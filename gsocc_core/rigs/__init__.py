# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rigs of own cameras: their files, calibrations of other tools, checks, and pictures in folders."""
