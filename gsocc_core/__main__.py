# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``python -m gsocc_core``."""

from gsocc_core.commands.cli import main

if __name__ == "__main__":
    main()
