# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Labels of pictures from foundation models: metric depth, classes from words, and features."""
