# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Everything is in pyproject.toml; this file lets older pip and setuptools find it."""

from setuptools import setup

setup()
