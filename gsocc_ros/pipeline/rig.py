# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A rig file: which cameras a robot has, on which topics, in which frames, and when each one fires."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from gsocc_core import Camera
from gsocc_core.errors import ConfigError
from gsocc_core.rigs.rig_file import open_rig, read_camera
from gsocc_core.rigs.section import Section
from gsocc_ros.pipeline.synchronizer import POLICIES, REFERENCE, Policy, SyncSettings
from gsocc_ros.share_files import share_folders

RectifiedFrame = Literal["camera", "rectified", "first"]
RECTIFIED_FRAMES: tuple[RectifiedFrame, ...] = ("camera", "rectified", "first")
Transport = Literal["compressed", "raw"]
TRANSPORTS: tuple[Transport, ...] = ("compressed", "raw")


@dataclass(frozen=True)
class RigCamera:
    """One camera of a rig.

    Attributes:
        name: Name in the rig and in data sets, for instance CAM_FRONT.
        topic: Picture topic.
        camera_info_topic: Topic of its sensor_msgs/CameraInfo.
        frame: Optical frame; None = the ``frame_id`` of the pictures' headers.
        transport: ``compressed`` (sensor_msgs/CompressedImage) or ``raw`` (sensor_msgs/Image).
        trigger_offset_ms: When it fires within a cycle; only differences between cameras count. None = estimated.
        rectified: Pictures are already rectified: use the projection matrix P and no distortion.
        rectified_frame: What ``frame`` is to rectified pictures: that of the physical ``camera``, turned by R of
            CameraInfo; the ``rectified`` camera's own; or the rectified one of the ``first`` camera of a stereo pair,
            shifted by P's fourth column. None = R and that column must say nothing.
        mask: YAML file with one polygon of [u, v] pixels at full size that is painted over (ego hood), or None.
        depth_topic: Topic of depth that is registered to the pictures, or None.
        depth_transport: ``raw`` (sensor_msgs/Image) or ``compressed`` (sensor_msgs/CompressedImage of
            compressed_depth_image_transport).
        calibration: What the file says of its lens and place; a running robot's comes from CameraInfo and TF, which may
            move. None = nothing.
    """

    name: str
    topic: str
    camera_info_topic: str
    frame: str | None = None
    transport: Transport = "compressed"
    trigger_offset_ms: float | None = 0.0
    rectified: bool = False
    rectified_frame: RectifiedFrame | None = None
    mask: Path | None = None
    depth_topic: str | None = None
    depth_transport: Transport = "raw"
    calibration: Camera | None = field(default=None, compare=False)


@dataclass(frozen=True)
class RigReference:
    """A topic whose stamps, not the anchor camera's, are the time of a set.

    Attributes:
        topic: Any topic whose messages begin with a std_msgs/Header.
        message_type: Its type.
        trigger_offset_ms: When it is stamped within a cycle, on the same scale as the cameras' offsets.
    """

    topic: str
    message_type: str
    trigger_offset_ms: float


@dataclass(frozen=True)
class Rig:
    """Cameras, frames and timing of a robot.

    Attributes:
        path: The rig file.
        cameras: All cameras, in the order of the file.
        anchor: Camera whose stamp is the time of a set.
        base_frame: Frame of the output (x forward, y left, z up).
        fixed_frame: Frame in which the base moves smoothly (odom, map), for ego motion inside a set; None = ignore it.
        reference: Topic that gives the time of a set instead of the anchor; None = the anchor does.
        policy: ``all`` or ``anchor``, see :class:`gsocc_ros.pipeline.synchronizer.SyncSettings`.
        min_cameras: Smallest set; None = the policy's default.
        tolerance_ms: Largest difference of stamps minus offsets inside a set.
        max_spread_ms: Largest difference of raw stamps inside a set, or None.
        max_wait_ms: How long, in sensor time, an incomplete set waits.
        reset_threshold_ms: A backward jump of stamps beyond this starts anew.
        transform_wait_ms: How long, in sensor time, a set waits for its transforms.
    """

    path: Path
    cameras: tuple[RigCamera, ...]
    anchor: str
    base_frame: str = "base_link"
    fixed_frame: str | None = None
    reference: RigReference | None = None
    policy: Policy = "all"
    min_cameras: int | None = None
    tolerance_ms: float = 10.0
    max_spread_ms: float | None = None
    max_wait_ms: float = 40.0
    reset_threshold_ms: float = 500.0
    transform_wait_ms: float = 200.0

    def camera(self, name: str) -> RigCamera:
        """The camera of that name.

        Raises:
            ConfigError: there is none.
        """
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise ConfigError(self.path, "cameras", f"one of {[camera.name for camera in self.cameras]}", name)

    def sync_settings(self) -> SyncSettings:
        """The timing part, in nanoseconds."""
        offsets = {c.name: _ns(c.trigger_offset_ms) for c in self.cameras if c.trigger_offset_ms is not None}
        return SyncSettings(
            cameras=tuple(camera.name for camera in self.cameras),
            anchor=self.anchor,
            offsets_ns=offsets,
            policy=self.policy,
            min_cameras=self.min_cameras,
            tolerance_ns=_ns(self.tolerance_ms),
            max_spread_ns=None if self.max_spread_ms is None else _ns(self.max_spread_ms),
            max_wait_ns=_ns(self.max_wait_ms),
            reset_threshold_ns=_ns(self.reset_threshold_ms),
            reference_offset_ns=None if self.reference is None else _ns(self.reference.trigger_offset_ms),
        )

    @classmethod
    def load(cls, rig: str | Path) -> Rig:
        """Read a rig file.

        Args:
            rig: Path of a YAML file, or the name of a shipped rig (``nuscenes``).

        Raises:
            ConfigError: the file is missing, is not YAML, has an unknown key or a wrong value.

        Example:
            >>> Rig.load("nuscenes").anchor
            'CAM_FRONT'
        """
        path = _find(rig)
        return _read_rig(path, open_rig(path))


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1_000_000)


def _find(rig: str | Path) -> Path:
    path = Path(rig).expanduser()
    if path.suffix or path.exists():
        return path
    shipped = [file for root in share_folders() for file in sorted((root / "config/rigs").glob("*.yaml"))]
    for file in shipped:
        if file.stem == str(rig):
            return file
    names = sorted({file.stem for file in shipped})
    raise ConfigError(rig, "rig", f"a YAML file or one of the shipped rigs {names}", "neither")


def _read_rig(path: Path, section: Section) -> Rig:
    cameras = tuple(_read_camera(path, name, part) for name, part in section.section("cameras").sections())
    names = [camera.name for camera in cameras]
    if not cameras or REFERENCE in names:
        raise section.fault("cameras", f"one or more cameras, none called {REFERENCE!r}", names)
    minimum = section.number("min_cameras", None, low=0, null=True)
    if minimum is not None and (minimum > len(cameras) or minimum != int(minimum)):
        raise section.fault("min_cameras", f"a whole number 1...{len(cameras)} or null", minimum)
    rig = Rig(
        path=path,
        cameras=cameras,
        anchor=section.choice("anchor", tuple(names), names[0]),
        base_frame=section.text("base_frame", required=True) or "",
        fixed_frame=section.text("fixed_frame"),
        reference=_read_reference(path, section),
        policy=section.choice("policy", POLICIES, "all"),
        min_cameras=None if minimum is None else int(minimum),
        max_spread_ms=section.number("max_spread_ms", None, low=0, null=True),
        **{key: cast("float", section.number(key, getattr(Rig, key), low=0)) for key in _TIMES},
    )
    section.finish()
    _check_topics(section, rig)
    return rig


_TIMES = ("tolerance_ms", "max_wait_ms", "reset_threshold_ms", "transform_wait_ms")


def _read_camera(path: Path, name: str, section: Section) -> RigCamera:
    mask = section.text("mask")
    calibration, offset = read_camera(name, section)
    camera = RigCamera(
        name=name,
        topic=_topic(section, "topic"),
        camera_info_topic=_topic(section, "camera_info_topic"),
        frame=section.text("frame"),
        transport=section.choice("transport", TRANSPORTS, "compressed"),
        trigger_offset_ms=offset,
        rectified=section.flag("rectified", default=False),
        rectified_frame=cast("RectifiedFrame | None", section.text("rectified_frame")),
        mask=None if mask is None else path.parent / mask,
        depth_topic=_checked_topic(section, "depth_topic", section.text("depth_topic")),
        depth_transport=section.choice("depth_transport", TRANSPORTS, "raw"),
        calibration=calibration,
    )
    if camera.rectified_frame not in (None, *RECTIFIED_FRAMES):
        raise section.fault("rectified_frame", f"one of {list(RECTIFIED_FRAMES)} or null", camera.rectified_frame)
    if camera.rectified_frame is not None and not camera.rectified:
        raise section.fault("rectified_frame", "null without rectified: true", camera.rectified_frame)
    if camera.mask is not None and not camera.mask.is_file():
        raise section.fault("mask", "an existing file, relative to the rig file", str(camera.mask))
    section.finish()
    return camera


def _topic(section: Section, key: str) -> str:
    return _checked_topic(section, key, section.text(key, required=True)) or ""


def _checked_topic(section: Section, key: str, value: str | None) -> str | None:
    if value is not None and (not value.startswith("/") or value.endswith("/") or " " in value):
        raise section.fault(key, "a topic like /cam_front/camera_info", value)
    return value


def _read_reference(path: Path, section: Section) -> RigReference | None:
    value = section.take("reference", default="anchor")
    if value == "anchor":
        return None
    if not isinstance(value, Mapping):
        raise section.fault("reference", "anchor, or a mapping with a topic and its trigger_offset_ms", value)
    part = Section(path, "reference.", value)
    reference = RigReference(
        topic=_topic(part, "topic"),
        message_type=part.text("type", default="sensor_msgs/msg/PointCloud2") or "",
        trigger_offset_ms=cast("float", part.number("trigger_offset_ms", None)),
    )
    part.finish()
    return reference


def _check_topics(section: Section, rig: Rig) -> None:
    seen: dict[str, str] = {}
    for camera in rig.cameras:
        topics = {
            "topic": camera.topic,
            "camera_info_topic": camera.camera_info_topic,
            "depth_topic": camera.depth_topic,
        }
        for key, topic in topics.items():
            if topic is None:
                continue
            if topic in seen:
                raise section.fault(f"cameras.{camera.name}.{key}", f"a topic other than that of {seen[topic]}", topic)
            seen[topic] = f"cameras.{camera.name}.{key}"
