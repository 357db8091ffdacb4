# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The transform tree composes, inverts and interpolates like rigid motions do."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from gsocc_core.errors import DataError
from gsocc_ros.pipeline.transform_buffer import TransformBuffer

SECOND = 1_000_000_000
random_pose = st.tuples(
    st.integers(0, 2**31).map(lambda seed: Rotation.random(random_state=seed)),
    st.tuples(*[st.floats(-2000, 2000, allow_nan=False)] * 3).map(np.array),
)


def wxyz(rotation):
    x, y, z, w = rotation.as_quat()
    return [w, x, y, z]


def matrix(pose):
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = pose[0].as_matrix(), pose[1]
    return T


def put(buffer, parent, child, pose, stamp_ns=0, static=True):
    buffer.set_transform(parent, child, wxyz(pose[0]), pose[1], stamp_ns, static)


@settings(max_examples=50, deadline=None)
@given(poses=st.lists(random_pose, min_size=6, max_size=6))
def test_chains_compose_through_the_common_ancestor(poses):
    """map > odom > base > lidar, base > mount > camera."""
    buffer = TransformBuffer()
    edges = [("map", "odom"), ("odom", "base"), ("base", "lidar"), ("base", "mount"), ("mount", "camera")]
    for (parent, child), pose in zip(edges, poses, strict=False):
        put(buffer, parent, child, pose)
    T = dict(zip((child for _, child in edges), map(matrix, poses), strict=False))
    expected = np.linalg.inv(T["lidar"]) @ T["mount"] @ T["camera"]
    np.testing.assert_allclose(buffer.lookup("lidar", "camera"), expected, atol=1e-8)
    np.testing.assert_allclose(buffer.lookup("map", "lidar"), T["odom"] @ T["base"] @ T["lidar"], atol=1e-8)
    round_trip = buffer.lookup("camera", "map") @ buffer.lookup("map", "camera")
    np.testing.assert_allclose(round_trip, np.eye(4), atol=1e-7)
    np.testing.assert_array_equal(buffer.lookup("base", "base"), np.eye(4))


@settings(max_examples=60, deadline=None)
@given(first=random_pose, second=random_pose, fraction=st.floats(0, 1), flip=st.booleans())
def test_between_stamps_the_pose_is_lerp_and_slerp(first, second, fraction, flip):
    buffer = TransformBuffer()
    put(buffer, "odom", "base", first, SECOND, static=False)
    sign = -1 if flip else 1  # q and -q are the same rotation
    buffer.set_transform("odom", "base", [sign * v for v in wxyz(second[0])], second[1], 2 * SECOND)
    stamp = SECOND + round(fraction * SECOND)
    T = buffer.lookup("odom", "base", stamp)
    share = (stamp - SECOND) / SECOND
    expected = Slerp([0, 1], Rotation.concatenate([first[0], second[0]]))(share).as_matrix()
    if (first[0].inv() * second[0]).magnitude() < np.pi - 1e-3:  # beyond, the shorter arc is a matter of rounding
        np.testing.assert_allclose(T[:3, :3], expected, atol=1e-7)
    np.testing.assert_allclose(T[:3, 3], (1 - share) * first[1] + share * second[1], atol=1e-8)
    np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-12)


def test_nothing_is_made_up_outside_the_history():
    buffer = TransformBuffer()
    for second in (1, 2):
        buffer.set_transform("odom", "base", [1, 0, 0, 0], [second, 0, 0], second * SECOND)
    assert buffer.lookup("odom", "base", 2 * SECOND + 20_000_000, 20_000_000)[0, 3] == 2
    assert buffer.lookup("odom", "base", 1 * SECOND - 20_000_000, 20_000_000)[0, 3] == 1
    for stamp in (2 * SECOND + 20_000_001, SECOND - 20_000_001):
        with pytest.raises(DataError, match=f"odom -> base: expected a pose at {stamp} ns"):
            buffer.lookup("odom", "base", stamp, 20_000_000)
    with pytest.raises(DataError):
        buffer.lookup("odom", "base", 2 * SECOND + 1)
    assert buffer.lookup("odom", "base")[0, 3] == 2


def test_out_of_order_and_repeated_stamps_keep_the_history_sorted():
    buffer = TransformBuffer()
    for second in (3, 1, 2, 2):
        buffer.set_transform("odom", "base", [1, 0, 0, 0], [second * 10, 0, 0], second * SECOND // 10)
    assert buffer.lookup("odom", "base", SECOND // 4)[0, 3] == pytest.approx(25)
    assert buffer.lookup("odom", "base", SECOND // 10 * 2)[0, 3] == 20


def test_a_loop_starts_the_history_anew_and_keeps_static_links():
    buffer = TransformBuffer()
    buffer.set_transform("base", "camera", [1, 0, 0, 0], [0, 0, 2], 0, static=True)
    for second in (1, 2, 3):
        buffer.set_transform("odom", "base", [1, 0, 0, 0], [second, 0, 0], second * SECOND)
    buffer.set_transform("odom", "base", [1, 0, 0, 0], [7, 0, 0], SECOND)
    assert buffer.lookup("odom", "camera")[:3, 3].tolist() == [7, 0, 2]
    with pytest.raises(DataError, match="expected a pose at 2000000000 ns"):
        buffer.lookup("odom", "base", 2 * SECOND)


@pytest.mark.parametrize("late", [1, 3])
def test_messages_that_come_late_cost_no_history(late):
    """Each a second after its stamp, between others that come at once."""
    buffer = TransformBuffer()
    steps = [*range(20), *range(8, 8 + late), *range(20, 24)]
    for step in (step for k, step in enumerate(steps) if k >= 20 or not 8 <= step < 8 + late):
        buffer.set_transform("odom", "base", [1, 0, 0, 0], [step**2, 0, 0], step * SECOND // 10)
    for step in range(24):
        assert buffer.lookup("odom", "base", step * SECOND // 10)[0, 3] == step**2


def test_a_loop_forgets_what_was_before_also_when_it_comes_there_again():
    buffer = TransformBuffer()
    for lap in (1, 2):
        for step in range(12):
            buffer.set_transform(
                "odom", "base", [1, 0, 0, 0], [lap, 0, 0], (lap - 1) * SECOND // 100 + step * SECOND // 10
            )
    assert buffer.lookup("odom", "base", SECOND // 5)[0, 3] == 2
    with pytest.raises(DataError, match="expected a pose at 0 ns"):
        buffer.lookup("odom", "base", 0)


def test_memory_is_bounded():
    buffer = TransformBuffer(history_ns=SECOND)
    for step in range(2000):
        buffer.set_transform("odom", "base", [1, 0, 0, 0], [step, 0, 0], step * 10_000_000)
    assert len(buffer._links["base"].stamps) < 300
    assert buffer.lookup("odom", "base", 1_995 * 10_000_000)[0, 3] == 1995


def test_a_new_parent_replaces_the_old_one():
    buffer = TransformBuffer()
    buffer.set_transform("odom", "base", [1, 0, 0, 0], [1, 0, 0], 0, static=True)
    buffer.set_transform("map", "base", [1, 0, 0, 0], [2, 0, 0], 0, static=True)
    assert buffer.lookup("map", "base")[0, 3] == 2
    with pytest.raises(DataError, match="odom"):
        buffer.lookup("odom", "base")


def test_unknown_and_unconnected_frames_are_named():
    buffer = TransformBuffer()
    buffer.set_transform("base", "camera", [1, 0, 0, 0], [0, 0, 0], 0, static=True)
    buffer.set_transform("world", "tower", [1, 0, 0, 0], [0, 0, 0], 0, static=True)
    with pytest.raises(DataError, match=r"cam_left: expected one of the frames .*'base', 'camera'.* unknown frame"):
        buffer.lookup("base", "cam_left")
    with pytest.raises(DataError, match="tower: expected a chain to base"):
        buffer.lookup("base", "tower")


def test_a_ring_of_frames_does_not_hang():
    buffer = TransformBuffer()
    buffer.set_transform("a", "b", [1, 0, 0, 0], [0, 0, 0], 0, static=True)
    buffer.set_transform("b", "a", [1, 0, 0, 0], [0, 0, 0], 0, static=True)
    with pytest.raises(DataError):
        buffer.lookup("a", "c")


def stamped(parent, child, stamp_ns, x=0.0, quat=(1, 0, 0, 0)):
    w, qx, qy, qz = quat
    pose = SimpleNamespace(
        translation=SimpleNamespace(x=x, y=0.0, z=0.0), rotation=SimpleNamespace(w=w, x=qx, y=qy, z=qz)
    )
    sec, nanosec = divmod(stamp_ns, SECOND)
    header = SimpleNamespace(frame_id=parent, stamp=SimpleNamespace(sec=sec, nanosec=nanosec))
    return SimpleNamespace(header=header, child_frame_id=child, transform=pose)


def told_buffer():
    told = []
    return TransformBuffer(tell=lambda error: told.append(str(error))), told


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (stamped("arm", "joint", SECOND, quat=(0, 0, 0, 0)), "/tf: transform arm -> joint: expected 4 finite numbers"),
        (stamped("arm", "joint", SECOND, quat=(float("nan"), 0, 0, 1)), "/tf: transform arm -> joint: expected 4"),
        (stamped("arm", "joint", SECOND, x=float("inf")), "/tf: transform arm -> joint: expected 3 finite numbers"),
        (stamped("joint", "joint", SECOND), "/tf: child_frame_id: expected a name other than the parent's"),
        (stamped("arm", "", SECOND), "/tf: child_frame_id: expected a name other than the parent's"),
        (stamped("", "joint", SECOND), "/tf: frame_id of the transform to joint: expected the name of a frame"),
    ],
)
def test_a_broken_transform_costs_nothing_but_itself(broken, text):
    buffer, told = told_buffer()
    for second in (1, 2, 3):
        beside = [stamped("odom", "base", second * SECOND, float(second)), broken]
        beside.append(stamped("base", "camera", second * SECOND, 5.0))
        buffer.feed(SimpleNamespace(transforms=beside), static=False)
    assert buffer.lookup("odom", "camera", 2 * SECOND)[0, 3] == 7.0
    assert len(told) == 1, "once per child frame"
    assert told[0].startswith(text)
    assert "joint" not in buffer.frames


def test_every_frame_with_broken_transforms_is_told(caplog):
    broken = [stamped("arm", f"joint_{n}", SECOND, quat=(0, 0, 0, 0)) for n in (1, 2, 1)]
    TransformBuffer().feed(SimpleNamespace(transforms=broken), static=True, topic="/tf_static")
    assert [r.message.split(": expected")[0] for r in caplog.records] == [
        "/tf_static: transform arm -> joint_1", "/tf_static: transform arm -> joint_2"
    ]  # fmt: skip
    with pytest.raises(DataError, match="transform arm -> joint: expected 4 finite numbers"):
        TransformBuffer().set_transform("arm", "joint", [0, 0, 0, 0], [0, 0, 0], 0)


def test_two_clocks_on_one_frame_leave_the_others_alone():
    buffer = TransformBuffer()
    for step in range(100):
        now = SECOND + step * 10_000_000
        buffer.feed(SimpleNamespace(transforms=[stamped("odom", "base", now, step * 0.1)]), static=False)
        for clock in (now, now + 5 * SECOND, now - 700_000_000):
            buffer.feed(SimpleNamespace(transforms=[stamped("map", "person", clock)]), static=False)
    assert buffer.lookup("odom", "base", SECOND + 105_000_000)[0, 3] == pytest.approx(1.05)


def test_how_long_a_pose_is_known():
    buffer = TransformBuffer()
    assert buffer.known_until_ns("map", "camera") == -np.inf
    buffer.set_transform("base", "camera", [1, 0, 0, 0], [0, 0, 1], 0, static=True)
    assert buffer.known_until_ns("camera", "base") == np.inf
    buffer.set_transform("map", "odom", [1, 0, 0, 0], [0, 0, 0], 4 * SECOND)
    buffer.set_transform("odom", "base", [1, 0, 0, 0], [0, 0, 0], 9 * SECOND)
    buffer.set_transform("map", "person", [1, 0, 0, 0], [0, 0, 0], 99 * SECOND)
    assert buffer.known_until_ns("map", "camera") == 4 * SECOND
    assert buffer.known_until_ns("odom", "camera") == 9 * SECOND
