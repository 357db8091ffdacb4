# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Faults of one cause count as one kind, and every kind is told once."""

from gsocc_core.errors import DataError
from gsocc_ros.pipeline.faults import Faults, fault_kind, fault_text


def raised(make):
    try:
        make()
    except Exception as error:  # noqa: BLE001 - any kind is what the tests are about
        return error
    raise AssertionError


def broken_picture(stamp_ns, topic="/front/image"):
    return DataError(f"{topic} at {stamp_ns} ns", "content", "a JPEG or PNG", f"{stamp_ns % 7} bytes")


def test_stamps_and_values_make_no_new_kind_but_topics_and_keys_do():
    assert (
        fault_kind(broken_picture(1_700_000_000_000_000_000))
        == fault_kind(broken_picture(5))
        == "/front/image: content"
    )
    assert fault_kind(broken_picture(5, "/cam1/image")) != fault_kind(broken_picture(5, "/cam2/image"))
    assert fault_kind(DataError("/front/camera_info", "d", 1, 2)) != fault_kind(
        DataError("/front/camera_info", "k", 1, 2)
    )


def test_other_exceptions_are_told_apart_by_type_and_line():
    one, same = (raised(lambda: {}["key"]) for _ in range(2))
    other, never_raised = raised(lambda: {}["key"]), KeyError("key")
    assert fault_kind(one) == fault_kind(same)
    assert fault_kind(one) != fault_kind(other)
    assert fault_kind(one).startswith("KeyError in test_faults.py, line ")
    assert fault_kind(never_raised) == "KeyError"
    assert fault_text(one) == "KeyError: 'key'"
    assert fault_text(broken_picture(5)) == str(broken_picture(5))


def test_every_kind_is_counted_and_told_once_others_with_their_traceback(caplog):
    faults = Faults("a set is left out")
    first = broken_picture(1)
    for error in (first, *(broken_picture(stamp) for stamp in range(2, 9))):
        faults.add(error)
    for _ in range(3):
        faults.add(raised(lambda: 1 / 0))
    assert list(faults.counts.values()) == [8, 3]
    assert faults.first is first
    told = [(record.getMessage(), record.exc_info is not None) for record in caplog.records]
    assert told == [
        (f"a set is left out: {first}", False),
        ("a set is left out: ZeroDivisionError: division by zero", True),
    ]
