# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""tf2's buffer and the one for bag replay answer alike."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gsocc_core.errors import DataError
from gsocc_ros.pipeline.transform_buffer import TransformBuffer

pytestmark = pytest.mark.ros
pytest.importorskip("tf2_ros")

MS = 1_000_000
START = 1_700_000_000_000 * MS


def message(*transforms):
    """A TFMessage of (parent, child, quat wxyz, translation, stamp)."""
    from geometry_msgs.msg import TransformStamped
    from tf2_msgs.msg import TFMessage

    items = []
    for parent, child, quat, shift, stamp in transforms:
        item = TransformStamped()
        item.header.frame_id, item.child_frame_id = parent, child
        item.header.stamp.sec, item.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
        r, t = item.transform.rotation, item.transform.translation
        r.w, r.x, r.y, r.z = (float(v) for v in quat)
        t.x, t.y, t.z = (float(v) for v in shift)
        items.append(item)
    return TFMessage(transforms=items)


def buffers(**options):
    from rclpy.serialization import serialize_message

    from gsocc_ros.node.tf2_transforms import Tf2Transforms

    class Told(Tf2Transforms):
        """As over DDS: it is told of serialised messages."""

        def feed(self, message, static):
            super().feed(serialize_message(message), static)

    return Told(**options), TransformBuffer(**options)


quats = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: sum(v * v for v in q) > 0.1)
shifts = st.tuples(*[st.floats(-50, 50)] * 3)


@settings(max_examples=60, deadline=None)
@given(
    moving=st.lists(st.tuples(quats, shifts, st.integers(1, 200)), min_size=2, max_size=6),
    mount=st.tuples(quats, shifts), where=st.floats(0, 1), tolerance_ms=st.integers(0, 30),
    beside_ms=st.integers(-50, 50),
)  # fmt: skip
def test_both_answer_alike(moving, mount, where, tolerance_ms, beside_ms):
    # Half a turn apart, both ways round are equally short.
    units = np.array([np.divide(quat, np.linalg.norm(quat)) for quat, _, _ in moving])
    assume((abs((units[1:] * units[:-1]).sum(1)) > 1e-6).all())
    stamps = np.cumsum([START, *[gap * MS for _, _, gap in moving[1:]]]).tolist()
    # The product alone is rounded: a float64 cannot hold nanoseconds since 1970.
    asked = stamps[0] + round(where * (stamps[-1] - stamps[0]))
    edge = (stamps[0] if beside_ms < 0 else stamps[-1]) + beside_ms * MS
    answers = []
    for buffer in buffers():
        buffer.feed(message(("base_link", "camera", *mount, START)), static=True)
        for (quat, shift, _), stamp in zip(moving, stamps, strict=True):
            buffer.feed(message(("map", "base_link", quat, shift, stamp)), static=False)
        found = [buffer.lookup("map", "camera", asked), buffer.lookup("camera", "map"), buffer.lookup("map", "map")]
        try:
            found.append(buffer.lookup("map", "camera", edge, tolerance_ms * MS))
        except DataError:
            found.append(None)
        answers.append(found)
    for ours, theirs in zip(*answers, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, atol=1e-7)


def test_a_jump_back_forgets_what_moved_and_keeps_what_is_fixed():
    one = (1, 0, 0, 0)
    for buffer in buffers():
        buffer.feed(message(("base_link", "camera", one, (0, 0, 1), START)), static=True)
        for k in range(5):
            buffer.feed(message(("map", "base_link", one, (k, 0, 0), START + k * 1000 * MS)), static=False)
        buffer.feed(message(("map", "base_link", one, (9, 0, 0), START)), static=False)
        np.testing.assert_allclose(buffer.lookup("map", "camera")[:3, 3], [9, 0, 1])
        with pytest.raises(DataError):
            buffer.lookup("map", "camera", START + 4000 * MS)


@pytest.mark.parametrize(("parent", "child"), [("/map", "base_link"), ("map", "/base_link")])
def test_another_spelling_of_a_link_is_the_same_link(parent, child):
    one = (1, 0, 0, 0)
    for buffer in buffers():
        buffer.lookup("map", "map")
        for k in range(9):  # two publishers, or one that starts again; here and there in turn at the end
            names = (parent, child) if k in {5, 6, 8} else ("map", "base_link")
            buffer.feed(message((*names, one, (k, 0, 0), START + k * 1000 * MS)), static=False)
            assert buffer.lookup("map", "base_link")[0, 3] == k
        assert buffer.lookup("map", "base_link", START + 5500 * MS)[0, 3] == pytest.approx(5.5)


def test_a_child_may_move_to_another_parent_and_back():
    one = (1, 0, 0, 0)
    for buffer in buffers():
        buffer.feed(message(("map", "dock", one, (10, 0, 0), START)), static=True)
        for k, parent in enumerate(("map", "dock", "dock", "map")):
            buffer.feed(message((parent, "base_link", one, (k, 0, 0), START + k * 100 * MS)), static=False)
            assert buffer.lookup("map", "base_link")[0, 3] == k + 10 * (parent == "dock")


def test_faults_name_the_frame():
    for buffer in buffers():
        buffer.feed(message(("a", "b", (1, 0, 0, 0), (0, 0, 0), START)), static=True)
        buffer.feed(message(("c", "d", (1, 0, 0, 0), (0, 0, 0), START)), static=True)
        assert buffer.fault("a", "b") is None
        assert "nowhere" in buffer.fault("a", "nowhere")
        assert "d" in buffer.fault("a", "d")


def test_broken_transforms_are_told_once_and_cost_only_themselves():
    one, shift, told = (1, 0, 0, 0), (0, 0, 0), []
    for buffer in buffers(tell=told.append):
        buffer.fault("a", "joint")  # tf2 is told of what somebody asks for, and only that is looked at
        for k in range(3):
            stamp = START + k * 100 * MS
            joints = [("a", "a", one, shift, stamp), ("a", "joint", (0, 0, 0, 0), shift, stamp)]
            joints.append(("", "lost", one, shift, stamp))
            buffer.feed(message(*joints, ("map", "base_link", one, (k, 0, 0), stamp)), static=False)
        assert buffer.lookup("map", "base_link", START + 150 * MS)[0, 3] == pytest.approx(1.5)
        assert [error.key for error in told] == [
            "child_frame_id", "transform a -> joint", "frame_id of the transform to lost",
        ]  # fmt: skip
        told.clear()


def test_a_frame_that_nobody_asks_for_may_have_two_clocks():
    one = (1, 0, 0, 0)
    for buffer in buffers():
        for k in range(40):
            now = START + k * 50 * MS
            buffer.feed(message(("map", "base_link", one, (k, 0, 0), now)), static=False)
            for clock in (now, now + 3000 * MS):
                buffer.feed(message(("map", "person", one, (1, 2, 3), clock)), static=False)
            for before in range(max(0, k - 5), k):  # the last quarter of a second
                assert buffer.lookup("map", "base_link", START + before * 50 * MS)[0, 3] == pytest.approx(before)


def test_a_frame_that_is_asked_for_later_holds_nothing_from_before_the_jump():
    one = (1, 0, 0, 0)
    for buffer in buffers():
        for k in range(5):
            buffer.feed(message(("map", "person", one, (k, 0, 0), START + k * 1000 * MS)), static=False)
        buffer.feed(message(("map", "person", one, (9, 0, 0), START)), static=False)
        with pytest.raises(DataError):
            buffer.lookup("map", "person", START + 1000 * MS)
        buffer.feed(message(("map", "person", one, (9, 0, 0), START + 100 * MS)), static=False)
        assert buffer.lookup("map", "person", START + 100 * MS)[0, 3] == pytest.approx(9)


def test_whatever_tf2_raises_becomes_an_error_of_ours():
    """After a jump of one link the others know nothing, which tf2 tells by the base of its exceptions."""
    one = (1, 0, 0, 0)
    for buffer in buffers():
        buffer.feed(message(("map", "odom", one, (0, 0, 0), START + 2000 * MS)), static=False)
        buffer.feed(message(("odom", "base_link", one, (0, 0, 0), START + 2000 * MS)), static=False)
        buffer.lookup("map", "base_link", START + 2000 * MS)
        buffer.feed(message(("map", "odom", one, (0, 0, 0), START)), static=False)
        with pytest.raises(DataError):
            buffer.lookup("map", "base_link", START, 20 * MS)
        with pytest.raises(DataError):
            buffer.lookup("map", "", START, 20 * MS)


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)


@settings(max_examples=30, deadline=None)
@given(
    sent=st.lists(st.tuples(names, names, quats, shifts, st.integers(0, 2**31 * 1000 * MS - 1)), max_size=4),
    far=st.booleans(),
)
def test_the_bytes_of_a_message_are_read_as_ros_reads_them(sent, far):
    """``far``: as a machine of the other byte order writes them."""
    from rclpy.serialization import serialize_message
    from tf2_msgs.msg import TFMessage

    from gsocc_ros.node.raw_transforms import raw_transforms, read_pose

    content = message(*sent)
    raw = _other_order(content) if far else serialize_message(content)
    found = list(raw_transforms(raw))
    assert len(found) == len(sent)
    for got, (parent, child, (w, x, y, z), shift, stamp) in zip(found, sent, strict=True):
        assert (got.parent.decode(), got.child.decode(), got.stamp_ns) == (parent, child, stamp)
        np.testing.assert_array_equal(read_pose(got.pose), [*shift, x, y, z, w])
    assert list(raw_transforms(serialize_message(TFMessage()))) == []


def _other_order(content):
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_JAZZY)
    make = types.types

    def plain(item):
        if not hasattr(item, "get_fields_and_field_types"):
            return [plain(one) for one in item] if isinstance(item, list) else item
        name = "/".join((type(item).__module__.split(".")[0], "msg", type(item).__name__))
        return make[name](**{field: plain(getattr(item, field)) for field in item.get_fields_and_field_types()})

    return bytes(types.serialize_cdr(plain(content), "tf2_msgs/msg/TFMessage", little_endian=False))


def test_links_that_nobody_asks_for_cost_tf2_nothing_until_somebody_does(monkeypatch):
    buffer, _ = buffers()
    put, given_to_tf2 = buffer._buffer.set_transform, []
    monkeypatch.setattr(
        buffer._buffer, "set_transform", lambda m, who: (given_to_tf2.append(m.child_frame_id), put(m, who))
    )
    one = (1, 0, 0, 0)
    buffer.fault("odom", "base_link")
    for k in range(20):
        joints = [("base_link", f"joint_{j}", one, (j, k, 0), START + k * 10 * MS) for j in range(3)]
        buffer.feed(message(("odom", "base_link", one, (k, 0, 0), START + k * 10 * MS), *joints), static=False)
    assert given_to_tf2 == ["base_link"] * 20
    # A camera on an arm: what came before anybody asked for it counts, too.
    at = buffer.lookup("odom", "joint_2", START + 55 * MS)
    np.testing.assert_allclose(at[:3, 3], [5.5 + 2, 5.5, 0])
    buffer.feed(message(("base_link", "joint_2", one, (9, 9, 9), START + 200 * MS)), static=False)
    assert given_to_tf2[20:] == ["joint_2"] * 21


def test_a_frame_that_is_its_own_parent_now_and_then_costs_its_own_message_only():
    one, told = (1, 0, 0, 0), []
    for buffer in buffers(tell=told.append):
        buffer.fault("odom", "base_link")
        for k in range(5):
            stamp = START + k * 100 * MS
            buffer.feed(message(("base_link", "base_link", one, (0, 0, 0), stamp)), static=False)
            buffer.feed(message(("odom", "base_link", one, (k, 0, 0), stamp)), static=False)
        assert buffer.lookup("odom", "base_link", START + 150 * MS)[0, 3] == pytest.approx(1.5)
    assert len(told) == 2
