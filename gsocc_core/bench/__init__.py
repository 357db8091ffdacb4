# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Measurements of the operators: time, memory, and how near they come to what the machine could do."""
