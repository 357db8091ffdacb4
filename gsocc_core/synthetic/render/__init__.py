# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How a synthetic street is seen: pictures with depth, classes and instances, and rays."""
