# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Ways to damage a file, and what must come of reading it."""

import zlib

import numpy as np

from gsocc_core.errors import GsoccError

#: Files of which each is damaged at so many places.
FLIPS, CUTS = 12, 6


def attempt(name, read, path):
    """True = read; False = refused by an error that names the file. Any other error is the test's failure."""
    try:
        read(path)
    except GsoccError as error:
        told = str(error)
        assert any(part in told for part in (path.name, path.parent.name, path.parent.parent.name)), told
        assert "\n" not in told
        assert len(told) < 2000
        return False
    return True


def damaged(good):
    """(what, content) of files that hold nothing of the kind."""
    rng = np.random.default_rng(1)
    yield "emptied", b""
    yield "one byte", good[:1]
    yield "zeros", bytes(len(good))
    yield "noise", rng.integers(0, 256, len(good)).astype(np.uint8).tobytes()
    yield "text", b"<html>404 not found</html>\n"


def slightly_damaged(name, good):
    """Contents that are cut, longer, or have a few wrong bytes, mostly in the first kilobyte, where headers are."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for place in rng.integers(1, len(good), CUTS):
        yield good[:place]
    yield good[:-1]
    yield good + b"\x00\x01"
    for i in range(FLIPS):
        changed = bytearray(good)
        last = len(good) if i % 2 else min(len(good), 1000)
        for place in rng.integers(0, last, int(rng.integers(1, 6))):
            changed[place] ^= 1 << int(rng.integers(8))
        yield bytes(changed)
