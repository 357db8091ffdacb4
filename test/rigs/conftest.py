# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rigs are small: threads only get in each other's way."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """One thread for the tests of a file."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
