# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a synthetic vehicle carries: where its sensors are mounted, and when each of them fires."""
