# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Streaming metrics: they add up counts, so parts of a data set can be scored apart and merged."""
