# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Weights that others published, as bundles: their names for our tensors, their configuration, their licence."""
