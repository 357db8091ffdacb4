# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""nuScenes' CAN bus expansion as standard messages: the inertial unit, the car's motion, its steering and wheels."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gsocc_core.data.stored import reading
from gsocc_core.errors import DataError
from gsocc_ros.messages.message_host import MessageHost

#: Frame of the inertial unit. nuScenes does not tell where it is mounted, so no transform leads there.
IMU_FRAME = "imu"
CAN_FOLDER = "can_bus"
_SCENE_NAME = re.compile(r"scene-\d{4}")
_NOT_MEASURED = math.nan
_WHEELS = ("FL", "FR", "RL", "RR")
_WHEEL_NAMES = ("front_left_wheel", "front_right_wheel", "rear_left_wheel", "rear_right_wheel")


@dataclass(frozen=True)
class CanTopic:
    """How the messages of one CAN file are written.

    Attributes:
        name: The expansion's name for them, for instance ms_imu.
        topic: Where they go.
        message_type: As what.
        frame: Its header's frame; None = the ego frame.
        build: Makes one; arguments: host, header, record.
    """

    name: str
    topic: str
    message_type: str
    frame: str | None
    build: Callable[[MessageHost, Any, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class CanBus:
    """What the expansion holds of a scene.

    Attributes:
        records: Records by CAN file name, in the file's order.
        notes: What is missing, and why, in words for the user.
    """

    records: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_can_bus(dataroot: Path, scene: str) -> CanBus:
    """Read a scene's CAN files through nuscenes-devkit.

    Args:
        dataroot: A tree in nuScenes layout; without a folder ``can_bus`` there is nothing to read, and no note.
        scene: Scene name.

    Returns:
        The records of the files that there are. Scenes without recordings (nuScenes lists 21) and missing files are
        noted, not an error: neither is a fault of the tree.

    Raises:
        DataError: a file is no list of records.
    """
    if not (dataroot / CAN_FOLDER).is_dir():
        return CanBus()
    from nuscenes.can_bus.can_bus_api import NuScenesCanBus

    if not _SCENE_NAME.fullmatch(scene):
        return CanBus(notes=(f"CAN bus: files are named after scenes scene-0000 to scene-9999, not {scene}",))
    api = NuScenesCanBus(dataroot=str(dataroot))
    if int(scene[-4:]) in api.can_blacklist:
        return CanBus(notes=(f"CAN bus: nuScenes has no recordings of {scene}",))
    records, notes = {}, []
    for name in [topic.name for topic in CAN_TOPICS]:
        path = _file(dataroot, scene, name)
        if not path.exists():
            notes.append(f"CAN bus: {path.name} is not there")
            continue
        with reading(path, "JSON: a list of CAN messages"):
            content = api.get_messages(scene, name, print_warnings=False)
        if not isinstance(content, list):
            raise DataError(path, "content", "a list of CAN messages", type(content).__name__)
        records[name] = content
    return CanBus(records, tuple(notes))


def can_stamp_ns(dataroot: Path, scene: str, name: str, record: Any) -> int:
    """A CAN record's time; for zoe_veh_info that of its arrival.

    Raises:
        DataError: it has none.
    """
    try:
        return int(record["utime"]) * 1000
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(_file(dataroot, scene, name), "utime", "microseconds", record) from error


def can_message(
    host: MessageHost, dataroot: Path, scene: str, topic: CanTopic, record: Any, stamp_ns: int, base_frame: str
) -> Any:
    """One CAN record as a message.

    Args:
        host: Whose message.
        dataroot: The tree, for error messages.
        scene: Scene name, likewise.
        topic: What kind of record it is.
        record: The record.
        stamp_ns: Stamp.
        base_frame: Name of the ego frame.

    Raises:
        DataError: the record lacks a value, or it is no number.
    """
    try:
        header = host.header(stamp_ns, base_frame if topic.frame is None else topic.frame)
        return topic.build(host, header, record)
    except (KeyError, TypeError, ValueError) as error:
        where = _file(dataroot, scene, topic.name)
        expected = f"a record of {topic.name}"
        raise DataError(where, f"utime {stamp_ns // 1000}", expected, f"{record} ({error!r})") from error


def _file(dataroot: Path, scene: str, name: str) -> Path:
    return dataroot / CAN_FOLDER / f"{scene}_{name}.json"


def _vector(host: MessageHost, values: Any) -> Any:
    x, y, z = (float(value) for value in values)
    return host.make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)


def _imu(host: MessageHost, header: Any, record: Mapping[str, Any]) -> Any:
    """sensor_msgs/Imu from ms_imu: quaternion w, x, y, z of an arbitrary heading, rad/s, m/s2; zero = not known."""
    w, x, y, z = (float(value) for value in record["q"])
    return host.make(
        "sensor_msgs/msg/Imu",
        header=header,
        orientation=host.make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
        orientation_covariance=np.zeros(9),
        angular_velocity=_vector(host, record["rotation_rate"]),
        angular_velocity_covariance=np.zeros(9),
        linear_acceleration=_vector(host, record["linear_accel"]),
        linear_acceleration_covariance=np.zeros(9),
    )


def _twist(host: MessageHost, header: Any, linear: Any, angular: Any) -> Any:
    twist = host.make("geometry_msgs/msg/Twist", linear=_vector(host, linear), angular=_vector(host, angular))
    return host.make("geometry_msgs/msg/TwistStamped", header=header, twist=twist)


def _motion(host: MessageHost, header: Any, record: Mapping[str, Any]) -> Any:
    """TwistStamped from pose: velocities in the ego frame, m/s and rad/s."""
    return _twist(host, header, record["vel"], record["rotation_rate"])


def _speed(host: MessageHost, header: Any, record: Mapping[str, Any]) -> Any:
    """TwistStamped from vehicle_monitor: the speedometer (km/h there) along x; the rest is not measured (nan)."""
    speed = float(record["vehicle_speed"]) / 3.6
    unknown = (_NOT_MEASURED,) * 3
    return _twist(host, header, (speed, *unknown[:2]), unknown)


def wheel_speed(host: MessageHost, header: Any, speed_mps: float) -> Any:
    """TwistStamped of what wheels tell: metres per second ahead; turns are not measured (nan)."""
    return _twist(host, header, (speed_mps, 0.0, 0.0), (_NOT_MEASURED,) * 3)


def _joints(
    host: MessageHost, header: Any, names: Sequence[str], position: Sequence[float], velocity: Sequence[float]
) -> Any:
    return host.make(
        "sensor_msgs/msg/JointState",
        header=header,
        name=list(names),
        position=np.array(position, np.float64),
        velocity=np.array(velocity, np.float64),
        effort=np.zeros(0),
    )


def _steering(host: MessageHost, header: Any, record: Mapping[str, Any]) -> Any:
    """JointState of the steering wheel from steeranglefeedback: radians, with nuScenes' sign."""
    return _joints(host, header, ["steering_wheel"], [float(record["value"])], [])


def _wheels(host: MessageHost, header: Any, record: Mapping[str, Any]) -> Any:
    """JointState of the wheels from zoe_veh_info: rad/s, from revolutions per minute."""
    turns = [float(record[f"{wheel}_wheel_speed"]) * (2 * math.pi / 60) for wheel in _WHEELS]
    return _joints(host, header, _WHEEL_NAMES, [], turns)


#: What is converted of the expansion.
CAN_TOPICS = (
    CanTopic("ms_imu", "/imu", "sensor_msgs/msg/Imu", IMU_FRAME, _imu),
    CanTopic("pose", "/vehicle/twist", "geometry_msgs/msg/TwistStamped", None, _motion),
    CanTopic("vehicle_monitor", "/vehicle/speed", "geometry_msgs/msg/TwistStamped", None, _speed),
    CanTopic("steeranglefeedback", "/vehicle/steering_wheel", "sensor_msgs/msg/JointState", "", _steering),
    CanTopic("zoe_veh_info", "/vehicle/wheels", "sensor_msgs/msg/JointState", "", _wheels),
)
