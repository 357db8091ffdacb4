# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings of a made-up robot: messages of cameras, transforms and a LiDAR, and bags of them."""

import io
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from gsocc_ros.convert.events import LATCHED
from gsocc_ros.pipeline.rig import Rig

MS = 1_000_000
START = 1_700_000_000_000 * MS
TYPES = get_typestore(Stores.ROS2_JAZZY)
SPEED_M_S = 10.0


@dataclass(frozen=True)
class Event:
    topic: str
    message_type: str
    stamp_ns: int
    message: Any


def ros(name, /, **fields):
    return TYPES.types[name](**fields)


def header(stamp_ns, frame):
    stamp = ros("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return ros("std_msgs/msg/Header", stamp=stamp, frame_id=frame)


def transform(parent, child, stamp_ns, translation, quat_xyzw=(0.0, 0.0, 0.0, 1.0)):
    vector = ros("geometry_msgs/msg/Vector3", **dict(zip("xyz", map(float, translation), strict=True)))
    rotation = ros("geometry_msgs/msg/Quaternion", **dict(zip("xyzw", map(float, quat_xyzw), strict=True)))
    pose = ros("geometry_msgs/msg/Transform", translation=vector, rotation=rotation)
    return ros(
        "geometry_msgs/msg/TransformStamped", header=header(stamp_ns, parent), child_frame_id=child, transform=pose
    )


def tf(stamp_ns, topic, *transforms):
    return Event(topic, "tf2_msgs/msg/TFMessage", stamp_ns, ros("tf2_msgs/msg/TFMessage", transforms=list(transforms)))


def camera_info(stamp_ns, frame, width, height, model="plumb_bob", d=(0.0,) * 5, **changes):
    f = width / 2
    k = np.array([f, 0, width / 2, 0, f, height / 2, 0, 0, 1.0])
    region = ros("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    fields = {
        "header": header(stamp_ns, frame), "height": height, "width": width, "distortion_model": model,
        "d": np.array(d, np.float64), "k": k, "r": np.eye(3).ravel(),
        "p": np.array([f, 0, width / 2, 0, 0, f, height / 2, 0, 0, 0, 1, 0.0]), "binning_x": 0, "binning_y": 0,
        "roi": region,
    }  # fmt: skip
    return ros("sensor_msgs/msg/CameraInfo", **{**fields, **changes})


def jpeg(width, height, level):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (level, 255 - level, 128)).save(buffer, "JPEG", quality=90)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def picture(transport, stamp_ns, frame, width, height, level):
    if transport == "compressed":
        kind = "sensor_msgs/msg/CompressedImage"
        return kind, ros(kind, header=header(stamp_ns, frame), format="jpeg", data=jpeg(width, height, level))
    kind = "sensor_msgs/msg/Image"
    data = np.full((height, width, 3), (128, 255 - level, level), np.uint8).ravel()
    fields = {"height": height, "width": width, "encoding": "bgr8", "is_bigendian": 0, "step": width * 3}
    return kind, ros(kind, header=header(stamp_ns, frame), data=data, **fields)


def cloud(stamp_ns):
    kind = "sensor_msgs/msg/PointCloud2"
    fields = {"height": 1, "width": 0, "fields": [], "is_bigendian": False, "point_step": 16, "row_step": 0}
    return kind, ros(kind, header=header(stamp_ns, "lidar"), data=np.zeros(0, np.uint8), is_dense=True, **fields)


@dataclass
class Robot:
    """Drives along +x of the fixed frame at 10 m/s; camera i sits at (i, 0, 1.5) of the base and looks ahead."""

    rig: Rig
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    size: tuple[int, int] = (64, 36)
    cycles: int = 6
    cycle_ms: float = 100.0
    silent: tuple[str, ...] = ()
    frames: Mapping[str, str] = field(default_factory=dict)

    def frame(self, name):
        return self.frames.get(name, name.lower())

    def cycle_start_ns(self, cycle):
        return START + round(cycle * self.cycle_ms * MS)

    def reference_ns(self, cycle):
        if self.rig.reference is not None:
            return self.cycle_start_ns(cycle) + round(self.rig.reference.trigger_offset_ms * MS)
        return self.cycle_start_ns(cycle) + round(self.rig.camera(self.rig.anchor).trigger_offset_ms * MS)

    def events(self):
        optical = (-0.5, 0.5, -0.5, 0.5)  # x right, y down, z ahead
        mounts = [
            transform(self.rig.base_frame, camera.frame or camera.name.lower(), START, (i, 0, 1.5), optical)
            for i, camera in enumerate(self.rig.cameras)
        ]
        events = [tf(START, "/tf_static", *mounts)]
        for cycle in range(self.cycles):
            events += self._cycle(cycle)
        return sorted(events, key=lambda event: event.stamp_ns)

    def _cycle(self, cycle):
        start, stamps, level = self.cycle_start_ns(cycle), [], 20 * cycle % 240  # survives JPEG
        for camera in self.rig.cameras:
            if camera.name in self.silent:
                continue
            stamp, frame = start + round((camera.trigger_offset_ms or 0) * MS), self.frame(camera.name)
            width, height = self.sizes.get(camera.name, self.size)
            info = camera_info(stamp, frame, width, height)
            yield Event(camera.camera_info_topic, "sensor_msgs/msg/CameraInfo", stamp, info)
            yield Event(
                camera.topic, *self._timed(stamp, picture(camera.transport, stamp, frame, width, height, level))
            )
            stamps.append(stamp)
        if self.rig.reference is not None:
            stamps.append(self.reference_ns(cycle))
            yield Event(self.rig.reference.topic, *self._timed(stamps[-1], cloud(stamps[-1])))
        for stamp in sorted(set(stamps)) if self.rig.fixed_frame else []:
            x = SPEED_M_S * (stamp - START) / 1e9
            yield tf(stamp, "/tf", transform(self.rig.fixed_frame, self.rig.base_frame, stamp, (x, 0, 0)))

    @staticmethod
    def _timed(stamp, kind_and_message):
        return kind_and_message[0], stamp, kind_and_message[1]


@dataclass(frozen=True)
class Foreign:
    """A topic whose type no Python library knows: one message, and a schema as the recorder wrote it."""

    topic: str
    message_type: str
    definition: str
    encoding: str = "ros2msg"
    raw: bytes = b"\x00\x01\x00\x00foreign!"
    hash: str = "RIHS01_" + "5a" * 32


def write_bag(path, events, types=TYPES, storage="mcap", foreign=()):
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        connections = {}
        for item in foreign:
            made = writer.add_connection(item.topic, item.message_type, msgdef=item.definition or " ", rihs01=item.hash)
            writer.write(made, events[0].stamp_ns, item.raw)
        for event in events:
            if event.topic not in connections:
                # Whoever joins late hears static transforms, as recorders note it.
                qos = [LATCHED] if event.topic == "/tf_static" else []
                connections[event.topic] = writer.add_connection(
                    event.topic, event.message_type, typestore=types, offered_qos_profiles=qos
                )
            data = types.serialize_cdr(event.message, event.message_type)
            writer.write(connections[event.topic], event.stamp_ns, data)
    for item in foreign:
        _encode(path, item, storage)
    return path


def _encode(path, item, storage):
    """The writer knows two encodings; recorders write others, too."""
    if storage == "mcap":
        file = path / f"{path.name}.mcap"
        kind, old, new = (
            len(text).to_bytes(4, "little") + text.encode() for text in (item.message_type, "ros2msg", item.encoding)
        )
        assert len(old) == len(new), "encodings of seven letters keep the file's offsets"
        file.write_bytes(file.read_bytes().replace(kind + old, kind + new))
    else:
        with closing(sqlite3.connect(path / f"{path.name}.db3")) as file, file:
            change = "UPDATE message_definitions SET encoding = ? WHERE topic_type = ?"
            assert file.execute(change, (item.encoding, item.message_type)).rowcount == 1


@pytest.fixture(scope="session")
def foreign_topic():
    """The Foreign class, for tests of what stands beside a robot's own topics."""
    return Foreign


@pytest.fixture(scope="session")
def robot():
    """The Robot class, for tests that record their own drives."""
    return Robot


@pytest.fixture(scope="session")
def bag_of():
    """Write events into a bag folder."""
    return write_bag


def write_radar(path, points, tail=b"\n"):
    """A radar file as nuScenes writes it: packed fields, and something behind the last point."""
    names = points.dtype.names
    packed = np.dtype([(name, points.dtype[name]) for name in names])
    header = ["# .PCD v0.7 - Point Cloud Data file format", "VERSION 0.7", f"FIELDS {' '.join(names)}"]
    header += ["SIZE " + " ".join(str(packed[name].itemsize) for name in names)]
    header += ["TYPE " + " ".join("F" if packed[name].kind == "f" else "I" for name in names)]
    header += [f"COUNT {' '.join('1' for _ in names)}", f"WIDTH {len(points)}", "HEIGHT 1", "VIEWPOINT 0 0 0 1 0 0 0"]
    header += [f"POINTS {len(points)}", "DATA binary", ""]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join(header).encode() + points.astype(packed).tobytes() + tail)


@pytest.fixture(scope="session")
def radar_writer():
    """Write a radar file from a structured array."""
    return write_radar
