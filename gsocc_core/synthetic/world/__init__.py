# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What stands and moves in a synthetic street: roads, buildings, vehicles, people, light."""
