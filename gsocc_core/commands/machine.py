# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Commands about this machine."""

from __future__ import annotations


def doctor(bundle: str | None = None) -> None:
    """Say what this machine has, what is missing for what, and the command that mends it.

    Args:
        bundle: Model folder, name of a shipped one or hub id to load and predict with; None = none.
    """
    from gsocc_core.commands.diagnosis import examine, table

    findings = examine(bundle)
    print(table(findings))
    if any(finding.state == "broken" for finding in findings):
        raise SystemExit(1)
