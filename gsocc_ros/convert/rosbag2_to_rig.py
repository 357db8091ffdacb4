# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A rig file from a recording: CameraInfo, transforms and stamps of the pictures."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from gsocc_core import Camera
from gsocc_core.data.stated_poses import check_same_pose
from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.rigs.rig_file import camera_to_dict, looks_ahead, write_rig
from gsocc_ros.bags.bag_files import open_bag, read_messages
from gsocc_ros.bags.recording import Recording
from gsocc_ros.convert.mounting import mounting_pose
from gsocc_ros.pipeline.camera_input import Calibration, read_camera_info, stamp_ns
from gsocc_ros.pipeline.rig import TRANSPORTS, Rig, RigCamera, Transport
from gsocc_ros.pipeline.subscriptions import CAMERA_INFO_TYPE, PICTURE_TYPES
from gsocc_ros.pipeline.transform_buffer import TransformBuffer
from gsocc_ros.pipeline.trigger_offsets import estimate_offset_ns

#: Frames in which a robot's motion is usually known, the smoothest first.
FIXED_FRAMES = ("odom", "map", "world")
#: How sensor_msgs/Image calls distances in millimetres and in metres; compressed ones begin with the same.
DEPTH_ENCODINGS = ("16UC1", "32FC1")
#: Fewer pictures of a camera tell nothing about its trigger.
_ENOUGH = 5
_log = logging.getLogger(__name__)


def rosbag2_to_rig(
    bag: str,
    out: str,
    base_frame: str = "base_link",
    rig: str | None = None,
    cameras: list[str] | None = None,
    seconds: float = 20.0,
) -> None:
    """Write the calibration of a recording's cameras as a rig file, for the library and for the node.

    Cameras are the CameraInfo topics that have pictures beside them (``/front/camera_info`` and ``/front/...``); a
    camera is called like its namespace. Where it sits comes from the transforms, when it fires from the stamps. Depth
    streams are left out.

    Args:
        bag: The recording.
        out: Rig file to make.
        base_frame: Frame of the output: x forward, y left, z up, on the ground.
        rig: Rig file, or name of a shipped rig, that names topics and frames; None = all cameras are looked for.
        cameras: Names of the cameras wanted; None = all.
        seconds: Length of the recording that is read.

    Raises:
        OutputExistsError: ``out`` exists.
        ConfigError: a camera that is wanted does not exist.
        DataError: there is no camera, a calibration or transform is missing, a frame or mounting changes, or a lens
            model is unknown. A calibration that changes is told, and the first one is written.

    Example:
        ``rosbag2_to_rig("monday", "my_rig.yaml")``
    """
    if Path(out).exists():
        raise OutputExistsError(out, "out", "a file that does not exist", "an existing one")
    known = None if rig is None else Rig.load(rig)
    base = base_frame if known is None else known.base_frame
    with open_bag(bag) as recording:
        found = list(known.cameras) if known is not None else find_cameras(recording, Path(bag))
        if cameras is not None:
            found = [_named(bag, found, name) for name in cameras]
        heard = _listen(recording, Path(bag), found, seconds)
    found = _without_depth(bag, found, heard, named=known is not None or cameras is not None)
    content = _content(Path(bag), found, heard, base, known)
    comment = f"Cameras of the recording {Path(bag).name}: CameraInfo, transforms to {base}, stamps of the pictures."
    write_rig(out, content, comment)


@dataclass
class _Heard:
    """What the recording says about each camera."""

    transforms: TransformBuffer = field(default_factory=lambda: TransformBuffer(history_ns=1 << 62))
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    frames: dict[str, str] = field(default_factory=dict)
    stamps_ns: dict[str, list[int]] = field(default_factory=dict)
    depths: dict[str, str] = field(default_factory=dict)  # encodings of pictures that hold distances


def find_cameras(recording: Recording, bag: Path) -> list[RigCamera]:
    """Cameras of a recording: each CameraInfo topic with the pictures beside it.

    Compressed pictures are preferred, and raw sensor pictures to rectified ones, because CameraInfo's K and distortion
    belong to them.

    Args:
        recording: The open recording.
        bag: Its path, for errors.

    Returns:
        At least one camera, in the order of the topics' names.

    Raises:
        DataError: there is none.
    """
    types = {connection.topic: connection.msgtype for connection in recording.connections}
    infos = sorted(topic for topic, kind in types.items() if kind == CAMERA_INFO_TYPE)
    found: list[RigCamera] = []
    for info in infos:
        space = info.rsplit("/", 1)[0]
        choice = _picture_topic(types, space)
        if choice is None:
            _log.warning("%s: no pictures below %s/; the camera is left out", info, space)
            continue
        topic, transport = choice
        name = space.strip("/").split("/")[-1] or "camera"
        if name in {camera.name for camera in found}:
            name = space.strip("/").replace("/", "_")
        found.append(RigCamera(name, topic, info, transport=transport, rectified=_rectified(topic[len(space) :])))
    if not found:
        raise DataError(bag, "cameras", "sensor_msgs/CameraInfo topics with pictures beside them", sorted(types))
    return found


def _picture_topic(types: Mapping[str, str], space: str) -> tuple[str, Transport] | None:
    kinds: dict[str, Transport] = {PICTURE_TYPES[transport]: transport for transport in TRANSPORTS}
    near = [topic for topic, kind in types.items() if kind in kinds and topic.startswith(f"{space}/")]
    near = [topic for topic in near if "depth" not in topic[len(space) :].lower()]
    if not near:
        return None
    best = min(near, key=lambda t: (kinds[types[t]] != "compressed", _rectified(t[len(space) :]), len(t), t))
    return best, kinds[types[best]]


def _rectified(topic: str) -> bool:
    """image_rect, image_rect_color and the like, as image_proc calls them."""
    return any(part.startswith("rect") for part in topic.replace("/", "_").split("_"))


def _named(bag: str, found: Sequence[RigCamera], name: str) -> RigCamera:
    for camera in found:
        if camera.name == name:
            return camera
    raise ConfigError(bag, "cameras", f"names among {', '.join(camera.name for camera in found)}", name)


def _listen(recording: Recording, bag: Path, cameras: Sequence[RigCamera], seconds: float) -> _Heard:
    heard = _Heard()
    pictures = {camera.topic: camera for camera in cameras}
    infos = {camera.camera_info_topic: camera for camera in cameras}
    changed: set[str] = set()
    end = recording.start_time + round(seconds * 1e9)
    messages = read_messages(recording, ["/tf", "/tf_static", *pictures, *infos])
    for topic, log_ns, message in tqdm(messages, desc=f"{bag.name}: read", unit="msg"):
        if log_ns > end and len(heard.calibrations) == len(cameras):
            break
        if topic in {"/tf", "/tf_static"}:
            heard.transforms.feed(message, static=topic == "/tf_static", topic=topic)
        elif topic in infos:
            camera = infos[topic]
            calibration = read_camera_info(message, camera)
            if heard.calibrations.setdefault(camera.name, calibration) != calibration and topic not in changed:
                changed.add(topic)
                _log.warning("%s: the calibration changes within the recording; the first one is written", topic)
        else:
            camera = pictures[topic]
            encoding = str(message.format if camera.transport == "compressed" else message.encoding)
            if encoding.startswith(DEPTH_ENCODINGS):
                heard.depths.setdefault(camera.name, encoding)
            heard.stamps_ns.setdefault(camera.name, []).append(stamp_ns(message.header))
            frame = camera.frame or message.header.frame_id
            known = heard.frames.setdefault(camera.name, frame)
            if known != frame:
                raise DataError(bag, topic, f"one frame_id for all pictures: {known}", frame)
    return heard


def _without_depth(bag: str, cameras: Sequence[RigCamera], heard: _Heard, named: bool) -> list[RigCamera]:
    """Cameras that take pictures; depth streams, which a calibration has as well, only when nobody asked for them."""
    for camera in cameras:
        if encoding := heard.depths.get(camera.name):
            if named:
                raise DataError(camera.topic, "encoding", "pictures, 8 bits per channel", f"depths ({encoding})")
            _log.warning("%s: holds depths (%s), no pictures; the camera is left out", camera.topic, encoding)
    kept = [camera for camera in cameras if camera.name not in heard.depths]
    if not kept:
        raise DataError(bag, "cameras", "cameras with pictures", f"depths only: {', '.join(heard.depths)}")
    return kept


def _content(bag: Path, cameras: Sequence[RigCamera], heard: _Heard, base: str, known: Rig | None) -> dict[str, Any]:
    offsets = _offsets_ms(cameras, heard)
    entries: dict[str, Any] = {}
    placed: list[Camera] = []
    for camera in cameras:
        calibration = heard.calibrations.get(camera.name)
        if calibration is None:
            raise DataError(bag, camera.camera_info_topic, "a sensor_msgs/CameraInfo", "none")
        frame = heard.frames.get(camera.name) or camera.frame or calibration.frame
        try:
            T_ego_frame = mounting_pose(heard.transforms, base, frame, heard.stamps_ns.get(camera.name, ()))
        except DataError as error:
            if heard.transforms.fault(base, frame) is None:
                raise DataError(bag, camera.name, error.expected, error.received) from error
            expected = f"transforms from {base} to the camera's frame {frame} (see --base_frame)"
            received = f"{error.received}; frames: {', '.join(heard.transforms.frames) or 'none'}"
            raise DataError(bag, camera.name, expected, received) from error
        if camera.frame is None:
            _compare_frames(camera, heard, base, (frame, T_ego_frame), calibration.frame)
        placed.append(calibration.camera(camera.name, T_ego_frame, None))
        entries[camera.name] = {
            **camera_to_dict(placed[-1]),
            "trigger_offset_ms": offsets[camera.name],
            "topic": camera.topic,
            "camera_info_topic": camera.camera_info_topic,
            "frame": frame,
            "transport": camera.transport,
            "rectified": camera.rectified,
            **({} if camera.rectified_frame is None else {"rectified_frame": camera.rectified_frame}),
            **(
                {}
                if camera.depth_topic is None
                else {"depth_topic": camera.depth_topic, "depth_transport": camera.depth_transport}
            ),
        }
    fixed_frame = None if known is None else known.fixed_frame
    if fixed_frame is None:
        fixed_frame = next((f for f in FIXED_FRAMES if heard.transforms.fault(f, base) is None), None)
    anchor = known.anchor if known is not None and known.anchor in entries else looks_ahead(placed)
    return {"base_frame": base, "fixed_frame": fixed_frame, "anchor": anchor, "cameras": entries}


def _compare_frames(
    camera: RigCamera, heard: _Heard, base: str, taken: tuple[str, np.ndarray], info_frame: str
) -> None:
    """Tell when pictures and CameraInfo name frames at two places."""
    if heard.transforms.fault(base, info_frame) is not None:
        return
    other = f"frame {info_frame} of CameraInfo", heard.transforms.lookup(base, info_frame)
    try:
        check_same_pose(camera.topic, f"pose in {base}", (f"frame {taken[0]} of the pictures", taken[1]), other)
    except DataError as error:
        _log.warning("%s; the pictures' frame is taken (a rig file, see --rig, may name another `frame`)", error)


def _offsets_ms(cameras: Sequence[RigCamera], heard: _Heard) -> dict[str, float | None]:
    """When each camera fires after the one that fires first; None where the stamps do not tell."""
    reference = heard.stamps_ns.get(cameras[0].name, [])
    found: dict[str, int | None] = {}
    for camera in cameras:
        stamps = heard.stamps_ns.get(camera.name, [])
        enough = min(len(stamps), len(reference)) >= _ENOUGH
        found[camera.name] = estimate_offset_ns(reference, stamps) if enough else None
        if found[camera.name] is None:
            _log.warning("%s: its stamps do not tell when it fires; trigger_offset_ms is left null", camera.name)
    first = min((offset for offset in found.values() if offset is not None), default=0)
    return {name: None if offset is None else (offset - first) / 1e6 for name, offset in found.items()}
