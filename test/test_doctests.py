# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Every example in a docstring runs and gives what it says."""

import doctest
import importlib
from functools import cache
from pathlib import Path

import pytest

from gsocc_core.synthetic.world import street

ROOT = Path(__file__).parents[1]
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("gsocc_core", "gsocc_ros")
    for path in (ROOT / package).rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)


@pytest.fixture(autouse=True, scope="module")
def one_street_of_a_kind():
    """Examples look at the same few streets; building one takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(street, "build_street", cache(street.build_street))
        yield


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples in {name}; the report is above"
