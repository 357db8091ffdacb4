# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Occupancy, class tables and Gaussians as messages: fields, axis order, round trips, and what rclpy asks for."""

import array
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.typesys.store import Nodetype

from gsocc_core import OCC3D_NUSCENES, Camera, Gaussians, SemanticGrid, VoxelGrid, VoxelScores
from gsocc_core.errors import DataError, ShapeError
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_core.inference.found import find_clusters, find_voxels
from gsocc_ros.messages import message_host, query_messages, sensor_messages
from gsocc_ros.messages import occupancy_messages as messages
from gsocc_ros.messages.message_host import MessageHost, rosbags_host

GRID = VoxelGrid((-2.0, -1.0, -0.5), (2.0, 2.0, 1.5), (1.0, 0.5, 0.4))
TURN = rigid_from_quat([0.9, 0.1, -0.2, 0.3], [1.0, 2.0, 3.0])
TURNED = VoxelGrid(GRID.lower, GRID.upper, GRID.voxel_size, tuple(map(tuple, TURN)))
STAMP = 1_700_000_000_123_456_789
HOST, TYPES = rosbags_host()


def grid_of(labels, grid=GRID, classes=OCC3D_NUSCENES, **optional):
    return SemanticGrid(torch.as_tensor(labels, dtype=torch.uint8), grid, classes, **optional)


def random_grid(seed, grid=GRID, optional=True):
    rng = torch.Generator().manual_seed(seed)
    shape = grid.shape
    labels = torch.randint(0, 18, shape, generator=rng, dtype=torch.uint8)
    labels[0, 0, 0] = OCC3D_NUSCENES.ignore_id
    if not optional:
        return grid_of(labels, grid)
    return grid_of(
        labels, grid, confidence=torch.rand(shape, generator=rng), observed=torch.rand(shape, generator=rng) > 0.5,
        velocity=torch.randn(*shape, 3, generator=rng),
    )  # fmt: skip


def through_bytes(message, types=TYPES):
    kind = message.__msgtype__
    return types.deserialize_cdr(types.serialize_cdr(message, kind), kind)


def decode(cloud):
    """(N,) structured array of a PointCloud2, from its own field list alone."""
    formats = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 8: "<f8"}
    layout = {
        "names": [f.name for f in cloud.fields], "formats": [formats[f.datatype] for f in cloud.fields],
        "offsets": [f.offset for f in cloud.fields], "itemsize": cloud.point_step,
    }  # fmt: skip
    assert cloud.row_step == cloud.point_step * cloud.width == len(cloud.data)
    return np.frombuffer(bytes(cloud.data), np.dtype(layout))


# --- SemanticOccupancy ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distro", ["jazzy", "humble"])
@pytest.mark.parametrize("grid", [GRID, TURNED], ids=["ego", "turned"])
@pytest.mark.parametrize("optional", [True, False])
def test_occupancy_survives_the_wire(distro, grid, optional):
    host, types = rosbags_host(distro)
    sent = random_grid(3, grid, optional)
    back = messages.read_occupancy(
        through_bytes(messages.occupancy(host, sent, STAMP, "base_link", "m"), types), OCC3D_NUSCENES
    )
    assert torch.equal(back.labels, sent.labels)
    assert back.grid.shape == grid.shape
    point = torch.tensor([[1, 2, 3]])
    ours, theirs = (
        T[:3, :3] @ g.centers[tuple(point[0])].double().numpy() + T[:3, 3]
        for g, T in ((grid, grid.T_ego_grid_matrix), (back.grid, back.grid.T_ego_grid_matrix))
    )
    np.testing.assert_allclose(theirs, ours, atol=1e-6)
    if not optional:
        assert back.confidence is back.observed is back.velocity is None
        return
    assert torch.equal(back.observed, sent.observed)
    assert torch.equal(back.velocity, sent.velocity)
    assert (back.confidence - sent.confidence).abs().max() <= 0.5 / 255 + 1e-6


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(1, 5)] * 3), st.data())
def test_flat_index_is_x_major_and_the_origin_is_a_corner(shape, data):
    x, y, z = (data.draw(st.integers(0, n - 1)) for n in shape)
    lower = tuple(data.draw(st.integers(-50, 50)) / 4 for _ in range(3))
    grid = VoxelGrid(lower, tuple(lo + n * 0.5 for lo, n in zip(lower, shape)), 0.5)
    labels = torch.full(shape, 17, dtype=torch.uint8)
    labels[x, y, z] = 4
    message = messages.occupancy(HOST, grid_of(labels, grid), STAMP, "base_link", "m")
    assert np.flatnonzero(message.labels == 4).tolist() == [(x * message.size_y + y) * message.size_z + z]
    corner, size = message.origin.position, message.voxel_size
    center = [corner.x + (x + 0.5) * size.x, corner.y + (y + 0.5) * size.y, corner.z + (z + 0.5) * size.z]
    np.testing.assert_allclose(center, grid.centers[x, y, z], atol=1e-5)


def test_every_field_of_an_occupancy_message():
    labels = torch.full(GRID.shape, 17, dtype=torch.uint8)
    message = messages.occupancy(HOST, grid_of(labels), STAMP, "base_link", "a-model")
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert message.header.frame_id == "base_link"
    position, turn = message.origin.position, message.origin.orientation
    assert (position.x, position.y, position.z) == (-2.0, -1.0, -0.5)
    assert (turn.w, turn.x, turn.y, turn.z) == (1.0, 0.0, 0.0, 0.0)
    assert (message.voxel_size.x, message.voxel_size.y, message.voxel_size.z) == (1.0, 0.5, 0.4)
    assert (message.size_x, message.size_y, message.size_z) == GRID.shape == (4, 6, 5)
    assert (message.free_label, message.unknown_label, message.model_id) == (17, 255, "a-model")
    assert message.class_table_id == messages.class_table_id(OCC3D_NUSCENES)
    assert message.labels.dtype == np.uint8
    assert [a.size for a in (message.labels, message.confidence, message.observed, message.velocity)] == [120, 0, 0, 0]


def test_confidence_outside_its_range_is_clipped():
    confidence = torch.full(GRID.shape, 0.5)
    confidence[0, 0] = torch.tensor([-1.0, 2.0, float("nan"), float("inf"), 1.0])
    grid = replace(random_grid(0, optional=False), confidence=confidence)
    message = messages.occupancy(HOST, grid, STAMP, "base_link", "m")
    assert message.confidence[:6].tolist() == [0, 255, 0, 255, 255, 128]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"labels": np.zeros(7, np.uint8)}, "labels: expected 120 values"),
        ({"labels": np.zeros(0, np.uint8)}, "labels: expected 120 values"),
        ({"confidence": np.zeros(119, np.uint8)}, "confidence: expected 120"),
        ({"velocity": np.zeros(120, np.float32)}, "velocity: expected 360"),
        ({"free_label": 0}, "free_label: expected 17"),
        ({"unknown_label": 0}, "unknown_label: expected 255"),
        ({"size_y": 0, "labels": np.zeros(0, np.uint8)}, "at least one voxel"),
        ({"voxel_size": HOST.make("geometry_msgs/msg/Vector3", x=1.0, y=0.0, z=1.0)}, "positive size"),
        ({"voxel_size": HOST.make("geometry_msgs/msg/Vector3", x=1.0, y=float("nan"), z=1.0)}, "positive size"),
    ],
)
def test_wrong_occupancy_messages_name_topic_and_field(change, expected):
    message = replace(messages.occupancy(HOST, random_grid(1), STAMP, "base_link", "m"), **change)
    with pytest.raises(DataError, match=expected) as caught:
        messages.read_occupancy(message, OCC3D_NUSCENES, "/some/topic")
    assert "/some/topic" in str(caught.value)


def test_batches_are_refused():
    batch = SemanticGrid(torch.zeros(1, *GRID.shape, dtype=torch.uint8), GRID, OCC3D_NUSCENES)
    for build in (messages.voxel_cloud, messages.voxel_marker):
        with pytest.raises(ShapeError, match="without batch"):
            build(HOST, batch, STAMP, "base_link")
    with pytest.raises(ShapeError, match="without batch"):
        messages.occupancy(HOST, batch, STAMP, "base_link", "m")


# --- views of the occupied voxels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [GRID, TURNED], ids=["ego", "turned"])
def test_the_cloud_holds_each_occupied_voxel_once(grid):
    sent = random_grid(5, grid)
    points = decode(through_bytes(messages.voxel_cloud(HOST, sent, STAMP, "base_link")))
    taken = (sent.labels != 17) & (sent.labels != 255)
    assert len(points) == int(taken.sum())
    T = grid.T_ego_grid_matrix
    expected = grid.centers[taken].double().numpy() @ T[:3, :3].T + T[:3, 3]
    np.testing.assert_allclose(np.stack([points["x"], points["y"], points["z"]], -1), expected, atol=1e-5)
    np.testing.assert_array_equal(points["label"], sent.labels[taken])
    np.testing.assert_allclose(points["confidence"], sent.confidence[taken])
    blue, green, red, _ = points["rgb"].copy().view(np.uint8).reshape(-1, 4).T
    np.testing.assert_array_equal(np.stack([red, green, blue], -1), OCC3D_NUSCENES.palette()[sent.labels[taken]])


def test_cloud_fields_are_aligned_to_their_size():
    cloud = messages.voxel_cloud(HOST, random_grid(5), STAMP, "base_link")
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "rgb", "label", "confidence"]
    for field in cloud.fields:
        size = 1 if field.datatype == 2 else 4
        assert field.offset % size == cloud.point_step % size == 0


def test_a_free_grid_gives_an_empty_cloud_and_marker():
    free = grid_of(torch.full(GRID.shape, 17))
    cloud, marker = (f(HOST, free, STAMP, "base_link") for f in (messages.voxel_cloud, messages.voxel_marker))
    assert (cloud.width, len(cloud.data)) == (0, 0)
    assert len(through_bytes(marker).points) == len(marker.colors) == 0


@pytest.mark.parametrize("grid", [GRID, TURNED], ids=["ego", "turned"])
def test_cubes_stand_where_the_cloud_has_points(grid):
    sent = random_grid(6, grid)
    marker = through_bytes(messages.voxel_marker(HOST, sent, STAMP, "base_link"))
    points = decode(messages.voxel_cloud(HOST, sent, STAMP, "base_link"))
    q, p = marker.pose.orientation, marker.pose.position
    T = rigid_from_quat([q.w, q.x, q.y, q.z], [p.x, p.y, p.z])
    cubes = np.array([[c.x, c.y, c.z] for c in marker.points]) @ T[:3, :3].T + T[:3, 3]
    np.testing.assert_allclose(cubes, np.stack([points["x"], points["y"], points["z"]], -1), atol=1e-5)
    colors = np.array([[c.r, c.g, c.b] for c in marker.colors]) * 255
    np.testing.assert_allclose(colors, OCC3D_NUSCENES.palette()[points["label"]], atol=1e-3)
    assert {c.a for c in marker.colors} == {1.0}
    assert (marker.type, marker.action) == (6, 0)
    np.testing.assert_allclose([marker.scale.x, marker.scale.y, marker.scale.z], 0.95 * np.array(GRID.size_m))


# --- class table ---------------------------------------------------------------------------------------------------


def test_class_tables_survive_the_wire_with_their_id():
    message = through_bytes(messages.class_table(HOST, OCC3D_NUSCENES, STAMP))
    back = messages.read_class_table(message)
    assert back == OCC3D_NUSCENES
    assert message.id == messages.class_table_id(back)
    # How a model numbers its channels is not in the message, so it does not change the id either.
    assert message.id == messages.class_table_id(OCC3D_NUSCENES.with_channels(range(1, 17)))


@pytest.mark.parametrize(
    "change",
    [
        {"names": ("other", *OCC3D_NUSCENES.names[1:])}, {"colors": ((1, 2, 3), *OCC3D_NUSCENES.colors[1:])},
        {"free_id": 0}, {"ignore_id": 254}, {"dynamic_ids": ()},
    ],
)  # fmt: skip
def test_the_id_changes_with_what_the_message_says(change):
    assert messages.class_table_id(replace(OCC3D_NUSCENES, **change)) != messages.class_table_id(OCC3D_NUSCENES)


# --- Gaussians -----------------------------------------------------------------------------------------------------


def test_every_field_of_a_gaussian_message():
    classes = OCC3D_NUSCENES.with_channels([4, 11])
    scene = Gaussians(
        torch.tensor([[1.0, 2, 3], [4, 5, 6]]), torch.tensor([[0.1, 0.2, 0.3]] * 2),
        torch.tensor([[2.0, 0, 0, 0], [0, 0, 3, 0]]), torch.tensor([0.25, 1.0]),
        torch.tensor([[0.0, np.log(3.0)], [0.0, -100.0]]), velocities=torch.tensor([[1.0, 0, 0], [0, -2, 0]]),
    )  # fmt: skip
    message = through_bytes(messages.gaussian_array(HOST, scene, classes, STAMP, "base_link", "m"))
    assert message.count == 2
    assert message.means.tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(message.scales, [0.1, 0.2, 0.3] * 2)
    assert message.quats.tolist() == [1, 0, 0, 0, 0, 0, 1, 0]
    assert message.opacities.tolist() == [0.25, 1.0]
    assert message.labels.tolist() == [11, 4]
    assert message.confidence.tolist() == [191, 255]
    assert message.velocities.tolist() == [1, 0, 0, 0, -2, 0]
    assert message.class_table_id == messages.class_table_id(classes)
    still = messages.gaussian_array(HOST, scene.replace(velocities=None), classes, STAMP, "base_link", "m")
    assert still.velocities.size == 0


def test_gaussians_have_to_fit_the_class_table():
    scene = Gaussians(torch.zeros(2, 3), torch.ones(2, 3), torch.eye(4)[:2], torch.ones(2), torch.zeros(2, 18))
    with pytest.raises(ShapeError, match=r"expected \(N, 2\)"):
        messages.gaussian_array(HOST, scene, OCC3D_NUSCENES.with_channels([4, 11]), STAMP, "base_link", "m")
    with pytest.raises(ShapeError, match="without batch"):
        messages.gaussian_array(HOST, scene.map(lambda t: t[None]), OCC3D_NUSCENES, STAMP, "base_link", "m")


# --- hosts ---------------------------------------------------------------------------------------------------------

INTEGERS = {"int8", "uint8", "byte", "char", "int16", "uint16", "int32", "uint32", "int64", "uint64"}
CODES = {"uint8": "B", "int8": "b", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f", "float64": "d"}


def strict(kind, value, where):
    """Assert what the setters of rclpy's generated classes assert, given a field's definition in rosbags."""
    node, detail = kind
    if node == Nodetype.NAME:
        assert value.type_name == detail, where
    elif node == Nodetype.BASE:
        base = detail[0]
        python = int if base in INTEGERS else float if base.startswith("float") else {"bool": bool, "string": str}[base]
        assert isinstance(value, python), (where, type(value))
    else:
        item, count = detail
        if node == Nodetype.SEQUENCE and item[0] == Nodetype.BASE and item[1][0] in CODES:
            assert isinstance(value, array.array), (where, type(value))
            assert value.typecode == CODES[item[1][0]], where
        elif node == Nodetype.ARRAY:
            assert len(value) == count, where
            assert all(isinstance(v, float) for v in value), where
        else:
            assert isinstance(value, list), where
            for element in value:
                strict(item, element, where)


def strict_host(types):
    """A host whose messages are as choosy as rclpy's."""

    def find(name):
        def make(**fields):
            definitions = dict(types.fielddefs[name][1])
            assert set(fields) <= set(definitions), name
            for key, value in fields.items():
                strict(definitions[key], value, f"{name}.{key}")
            return type("Message", (), {"type_name": name, **fields})()

        return make

    return MessageHost(find, message_host._rclpy_array)


@pytest.mark.parametrize("distro", ["jazzy", "humble"])
def test_rclpy_would_take_every_message(distro):
    host = strict_host(rosbags_host(distro)[1])
    grid = random_grid(2)
    scene = Gaussians(
        torch.zeros(2, 3), torch.ones(2, 3), torch.eye(4)[:2], torch.ones(2), torch.zeros(2, 18), torch.zeros(2, 3)
    )
    tail = (STAMP, "base_link")
    found = find_voxels(VoxelScores(torch.tensor([3]), torch.ones(1, 1), grid.grid, ("dog",)))
    built = [
        messages.occupancy(host, grid, *tail, "m"), messages.occupancy(host, random_grid(2, TURNED, False), *tail, "m"),
        messages.class_table(host, OCC3D_NUSCENES, *tail), messages.voxel_cloud(host, grid, *tail),
        messages.voxel_marker(host, grid, *tail), messages.stage_latency(host, {"a": np.float64(1), "b": 2}, *tail),
        messages.gaussian_array(host, scene, OCC3D_NUSCENES, *tail, "m"),
        sensor_messages.transforms(host, [sensor_messages.transform(host, TURN, "a", "b", STAMP)]),
        sensor_messages.camera_info(host, Camera("c", np.eye(3), np.eye(4), 4, 3, distortion=(0.1,) * 4), *tail),
        sensor_messages.compressed_image(host, b"\xff\xd8", *tail),
        query_messages.query_words(host, ("dog",), 0.5, *tail), query_messages.score_cloud(host, found, *tail),
        query_messages.query_markers(host, found, ("dog",), *tail),
        query_messages.word_clusters(host, find_clusters(found), grid.grid)[0],
    ]  # fmt: skip
    assert bytes(built[0].labels) == grid.labels.numpy().tobytes()
    assert np.array(built[0].velocity, np.float32).tobytes() == grid.velocity.numpy().tobytes()
    assert built[2].dynamic == [i in OCC3D_NUSCENES.dynamic_ids for i in range(18)]


def test_definitions_are_frozen():
    """Recordings are read by these hashes of names and types (REP-2016); a changed field makes old ones unreadable."""
    frozen = {
        "GaussianArray": "941254b68303aa2b",
        "QueryWords": "1a6d0eeb811f643f",
        "SemanticClassTable": "da92bf9f7231d1a4",
        "SemanticOccupancy": "96fb28e35d23eed4",
        "StageLatency": "f406645e0e38c39c",
        "WordCluster": "102e562544d20a45",
    }
    assert {name: TYPES.hash_rihs01(f"gsocc_ros/msg/{name}")[7:23] for name in message_host.OWN_MESSAGES} == frozen


def test_every_definition_is_built_and_registered():
    root = Path(message_host.__file__).parents[2]
    assert sorted(p.stem for p in (root / "msg").glob("*.msg")) == sorted(message_host.OWN_MESSAGES)
    build = (root / "CMakeLists.txt").read_text()
    assert all(f"msg/{name}.msg" in build for name in message_host.OWN_MESSAGES)


def test_missing_definitions_are_named(monkeypatch):
    monkeypatch.setattr(message_host, "OWN_MESSAGES", ("Nothing",))
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/nowhere/install")
    with pytest.raises(DataError, match=r"msg/Nothing\.msg: expected a file in one of .*/nowhere/install/share"):
        rosbags_host()


def test_own_messages_register_twice():
    message_host.register_own_messages(TYPES)


@pytest.mark.ros
def test_what_ros_serialises_rosbags_reads():
    serialization = pytest.importorskip("rclpy.serialization")
    host, sent = message_host.rclpy_host(), random_grid(4)
    raw = serialization.serialize_message(messages.occupancy(host, sent, STAMP, "base_link", "m"))
    back = messages.read_occupancy(TYPES.deserialize_cdr(raw, "gsocc_ros/msg/SemanticOccupancy"), OCC3D_NUSCENES)
    assert torch.equal(back.labels, sent.labels)
    assert torch.equal(back.velocity, sent.velocity)
    raw = serialization.serialize_message(messages.class_table(host, OCC3D_NUSCENES, STAMP))
    table = TYPES.deserialize_cdr(raw, "gsocc_ros/msg/SemanticClassTable")
    assert messages.read_class_table(table) == OCC3D_NUSCENES
