# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Datasets and label files: loaders, writers and synthetic drives."""
