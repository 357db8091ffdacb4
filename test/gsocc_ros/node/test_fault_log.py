# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The node's log tells every kind of fault, and none of them in a flood."""

import time

from gsocc_core.errors import DataError
from gsocc_ros.node.fault_log import LOG_EVERY_S, FaultLog


class Logger:
    def __init__(self):
        self.lines = []

    def error(self, text):
        self.lines.append(text)


def stumble(count):
    try:
        return [][count]
    except IndexError as error:
        return error


def test_a_kind_is_told_every_few_seconds_whatever_its_stamp(monkeypatch):
    log, now = FaultLog(Logger()), [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for step in range(100):  # ten seconds of a camera at 10 Hz
        now[0] = 100.0 + 0.1 * step
        log.error(DataError(f"/front/image at {step * 10**8} ns", "content", "a JPEG", f"{step} bytes"), "lost")
    assert len(log._logger.lines) == 10 / LOG_EVERY_S
    assert log._logger.lines[0] == "lost: /front/image at 0 ns: content: expected a JPEG, received 0 bytes"
    log.error(DataError("/rear/image at 0 ns", "content", "a JPEG", "0 bytes"), "lost")
    assert len(log._logger.lines) == 10 / LOG_EVERY_S + 1


def test_what_nobody_raises_on_purpose_comes_once_with_its_traceback(monkeypatch):
    log, now = FaultLog(Logger()), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for now[0] in (0.0, 1.0, 6.0):
        log.error(stumble(3), "a set is lost")
    first, second = log._logger.lines
    assert first.startswith("a set is lost: IndexError: list index out of range\nTraceback (most recent call last):\n")
    assert "return [][count]" in first
    assert second == "a set is lost: IndexError: list index out of range"
