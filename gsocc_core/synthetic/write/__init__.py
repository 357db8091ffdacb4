# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How a synthetic drive is written: trees in the layouts of public data sets, with labels."""
