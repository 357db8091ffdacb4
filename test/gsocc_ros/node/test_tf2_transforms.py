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


def buffers():
    from gsocc_ros.node.tf2_transforms import Tf2Transforms

    return Tf2Transforms(), TransformBuffer()


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


def test_faults_name_the_frame():
    for buffer in buffers():
        buffer.feed(message(("a", "b", (1, 0, 0, 0), (0, 0, 0), START)), static=True)
        buffer.feed(message(("c", "d", (1, 0, 0, 0), (0, 0, 0), START)), static=True)
        assert buffer.fault("a", "b") is None
        assert "nowhere" in buffer.fault("a", "nowhere")
        assert "d" in buffer.fault("a", "d")
        with pytest.raises(DataError, match="parent's"):
            buffer.feed(message(("a", "a", (1, 0, 0, 0), (0, 0, 0), START)), static=False)
        with pytest.raises(DataError, match="a -> b"):
            buffer.feed(message(("a", "b", (0, 0, 0, 0), (0, 0, 0), START)), static=False)
