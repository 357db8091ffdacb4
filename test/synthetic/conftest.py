# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Streets that several files look at: building one, and what is kept of it to draw it, takes seconds."""

import pytest

from gsocc_core.synthetic.world.street import build_street


@pytest.fixture(scope="session")
def street_3():
    """Seed 3, eight seconds."""
    return build_street(3, 8.0)


@pytest.fixture(scope="session")
def street_5():
    """Seed 5, eight seconds."""
    return build_street(5, 8.0)
