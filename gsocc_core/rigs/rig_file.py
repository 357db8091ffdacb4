# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A rig file: the cameras of a robot with their calibration, in YAML. ROS reads topics from the same file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml

from gsocc_core.errors import ConfigError, GsoccError, OutputExistsError
from gsocc_core.geometry.cameras import COEFFICIENTS, Camera, CameraModel
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_core.rigs.section import Section
from gsocc_core.shipped import by_name
from gsocc_core.whole import whole_file
from gsocc_core.yaml_files import load_yaml

#: Keys that only gsocc_ros reads.
ROS_KEYS = ("fixed_frame", "reference", "policy", "min_cameras", "max_spread_ms", "max_wait_ms", "reset_threshold_ms",
            "transform_wait_ms")  # fmt: skip
ROS_CAMERA_KEYS = ("topic", "camera_info_topic", "frame", "transport", "rectified", "rectified_frame", "mask",
                   "depth_topic", "depth_transport")  # fmt: skip
#: Keys of a camera's calibration.
CALIBRATION_KEYS = ("model", "width", "height", "intrinsics", "distortion", "T_ego_cam", "position_m", "rotation_wxyz",
                    "yaw_pitch_roll_deg")  # fmt: skip
#: Lens models of real cameras.
LENSES: tuple[CameraModel, ...] = ("pinhole", "fisheye")
#: Optical axes (x right, y down, z forward) in a body frame (x forward, y left, z up): REP-103.
R_BODY_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True)
class CameraRig:
    """The calibrated cameras of a robot or car.

    Attributes:
        cameras: All cameras, in the order of the file, at full picture size, without ego motion.
        trigger_offsets_ms: When each one fires within a cycle; only differences count. None = unknown.
        anchor: Camera whose stamp is the time of a set.
        base_frame: Name of the ego frame (x forward, y left, z up, on the ground).
        tolerance_ms: Largest difference of stamps minus offsets inside a set.
        path: The file, for errors.

    Raises:
        ConfigError: names repeat, lengths differ, or the anchor is none of the cameras.
    """

    cameras: tuple[Camera, ...]
    trigger_offsets_ms: tuple[float | None, ...]
    anchor: str
    base_frame: str = "base_link"
    tolerance_ms: float = 10.0
    path: Path = Path("rig")

    def __post_init__(self) -> None:
        names = self.names
        if not names or len(set(names)) != len(names):
            raise ConfigError(self.path, "cameras", "one or more cameras of different names", names)
        if len(self.trigger_offsets_ms) != len(names):
            raise ConfigError(self.path, "trigger_offset_ms", f"{len(names)} numbers", self.trigger_offsets_ms)
        if self.anchor not in names:
            raise ConfigError(self.path, "anchor", f"one of {list(names)}", repr(self.anchor))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the cameras."""
        return tuple(camera.name for camera in self.cameras)

    @classmethod
    def of(cls, cameras: Sequence[Camera], offsets_ms: Mapping[str, float | None] | None = None) -> CameraRig:
        """A rig whose anchor is the camera that looks ahead; offsets that are not given are 0."""
        known = offsets_ms or {}
        offsets = tuple(known.get(camera.name, 0.0) for camera in cameras)
        return cls(tuple(cameras), offsets, looks_ahead(cameras) if cameras else "")

    @classmethod
    def load(cls, path: str | Path) -> CameraRig:
        """Read a rig file whose cameras are calibrated.

        Args:
            path: A YAML file; see ``docs/own_cameras.md`` for its keys. Or the name of a shipped rig.

        Returns:
            The rig. Rotations are taken as they stand; :mod:`gsocc_core.rigs.checks` judges them.

        Raises:
            ConfigError: the file is missing, is not YAML, has an unknown key or a wrong value, or lacks a calibration.

        Example:
            >>> rig = CameraRig.load("config/rigs/example_calibrated.yaml")
            >>> [(camera.name, camera.model, camera.width) for camera in rig.cameras][:2]
            [('front', 'pinhole', 1920), ('left', 'fisheye', 1280)]
        """
        path = by_name(path, "config/rigs", ".yaml")
        section = open_rig(path)
        cameras, offsets = [], []
        for name, (camera, offset) in _read_cameras(section).items():
            if camera is None:
                expected = f"a calibration ({', '.join(CALIBRATION_KEYS[:5])}, T_ego_cam); `gsocc_core rig` and "
                expected += "`rosbag2_to_rig` write them"
                raise ConfigError(path, f"cameras.{name}", expected, "none")
            cameras.append(camera)
            offsets.append(offset)
        names = tuple(camera.name for camera in cameras)
        rig = cls(
            cameras=tuple(cameras),
            trigger_offsets_ms=tuple(offsets),
            anchor=section.choice("anchor", names, names[0]),
            base_frame=section.text("base_frame") or "base_link",
            tolerance_ms=cast("float", section.number("tolerance_ms", cls.tolerance_ms, low=0)),
            path=path,
        )
        section.skip(ROS_KEYS)
        section.finish()
        return rig

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, as they stand in the file; reading them gives the same numbers bit for bit."""
        cameras = {}
        for camera, offset in zip(self.cameras, self.trigger_offsets_ms):
            cameras[camera.name] = {**camera_to_dict(camera), "trigger_offset_ms": offset}
        return {
            "base_frame": self.base_frame,
            "anchor": self.anchor,
            "tolerance_ms": self.tolerance_ms,
            "cameras": cameras,
        }

    def save(self, path: str | Path, comment: str = "") -> None:
        """Write the rig file.

        Args:
            path: File to make.
            comment: Text for the first lines.

        Raises:
            OutputExistsError: the file exists.
        """
        write_rig(path, self.to_dict(), comment)


def uncalibrated_offsets_ms(path: str | Path) -> dict[str, float | None]:
    """Cameras of a rig file that tells nothing but topics and times, and when each one fires within a cycle.

    Args:
        path: A YAML file, or the name of a shipped rig.

    Returns:
        Trigger offset per camera, milliseconds, None = unknown; empty where a camera has a calibration.

    Raises:
        ConfigError: as :meth:`CameraRig.load`.

    Example:
        >>> uncalibrated_offsets_ms("nuscenes")["CAM_FRONT"], uncalibrated_offsets_ms("example_calibrated")
        (7.6, {})
    """
    found = _read_cameras(open_rig(by_name(path, "config/rigs", ".yaml")))
    if any(camera is not None for camera, _ in found.values()):
        return {}
    return {name: offset for name, (_, offset) in found.items()}


def _read_cameras(section: Section) -> dict[str, tuple[Camera | None, float | None]]:
    """What :func:`read_camera` makes of every camera of a file; there is one at least, and no unknown key."""
    found = {}
    for name, part in section.section("cameras").sections():
        found[name] = read_camera(name, part)
        part.skip(ROS_CAMERA_KEYS)
        part.finish()
    if not found:
        raise section.fault("cameras", "one or more cameras", {})
    return found


def looks_ahead(cameras: Sequence[Camera]) -> str:
    """The camera whose optical axis is nearest to the ego's x axis, the natural anchor of a rig.

    Among those that differ by less than two degrees, such as a stereo pair, it is the one in the middle of the car, and
    then the first by name.

    Args:
        cameras: At least one.

    Returns:
        Its name.

    Example:
        >>> looks_ahead(CameraRig.load("config/rigs/example_calibrated.yaml").cameras)
        'front'
    """
    angles = [float(np.degrees(np.arccos(np.clip(camera.T_ego_cam[0, 2], -1, 1)))) for camera in cameras]
    near = [camera for camera, angle in zip(cameras, angles) if angle < min(angles) + 2]
    return min(near, key=lambda camera: (abs(camera.T_ego_cam[1, 3]).round(2), camera.name)).name


def open_rig(path: Path) -> Section:
    """The whole of a rig file, unread.

    Raises:
        ConfigError: the file is missing, is not YAML, or holds no mapping.
    """
    if not path.exists():
        raise ConfigError(path, "file", "a rig file", "no such file")
    return Section(path, "", load_yaml(path, "a YAML rig"))


def write_rig(path: str | Path, content: Mapping[str, Any], comment: str = "") -> None:
    """Write plain values as a rig file, which appears only when complete.

    Args:
        path: File to make.
        content: As :meth:`CameraRig.to_dict` gives it, with ROS keys or without.
        comment: Text for the first lines.

    Raises:
        OutputExistsError: the file exists.
    """
    path = Path(path)
    if path.exists():
        raise OutputExistsError(path, "out", "a file that does not exist", "an existing one")
    text = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    text += yaml.safe_dump(dict(content), sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def camera_to_dict(camera: Camera) -> dict[str, Any]:
    """A camera's calibration as the keys of a rig file."""
    K = camera.intrinsics
    simple = np.array([[K[0, 0], 0, K[0, 2]], [0, K[1, 1], K[1, 2]], [0, 0, 1]])
    short = [float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])]
    result: dict[str, Any] = {"model": camera.model, "width": camera.width, "height": camera.height}
    result["intrinsics"] = short if np.array_equal(K, simple) else K.tolist()
    if camera.distortion:
        result["distortion"] = [float(value) for value in camera.distortion]
    result["T_ego_cam"] = camera.T_ego_cam.tolist()
    return result


def read_camera(name: str, section: Section) -> tuple[Camera | None, float | None]:
    """Take a camera's calibration and trigger offset from its part of a rig file.

    Args:
        name: Its name.
        section: Its part of the file; other keys stay in it.

    Returns:
        The camera, None where the file gives no calibration, and the trigger offset in milliseconds, None = unknown.

    Raises:
        ConfigError: a value is wrong, or a calibration is incomplete.
    """
    offset = section.number("trigger_offset_ms", 0.0, null=True)
    if not any(section.has(key) for key in CALIBRATION_KEYS):
        section.skip(CALIBRATION_KEYS)
        return None, offset
    model = section.choice("model", LENSES, "pinhole")
    width, height = section.whole("width"), section.whole("height")
    intrinsics = _read_intrinsics(section)
    given = section.numbers("distortion", COEFFICIENTS[model]) if section.has("distortion") else ()
    section.skip(("distortion",))
    try:
        camera = Camera(name, intrinsics, _read_pose(section), width, height, model, given or None)
    except ConfigError:
        raise
    except GsoccError as error:
        raise section.fault(error.key, str(error.expected), error.received) from error
    return camera, offset


def _read_intrinsics(section: Section) -> np.ndarray:
    """(3, 3): from fx, fy, cx, cy or from the whole matrix."""
    expected = "[fx, fy, cx, cy] in pixels, or a 3 x 3 matrix with the last row 0 0 1"
    value = section.take("intrinsics", required=True)
    try:
        numbers = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise section.fault("intrinsics", expected, value) from error
    if numbers.shape == (4,):
        fx, fy, cx, cy = numbers
        numbers = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    whole = numbers.shape == (3, 3) and np.isfinite(numbers).all() and numbers[2].tolist() == [0, 0, 1]
    if not whole or numbers[0, 0] <= 0 or numbers[1, 1] <= 0:
        raise section.fault("intrinsics", f"{expected}; focal lengths above 0", value)
    return numbers


def _read_pose(section: Section) -> np.ndarray:
    """(4, 4) T_ego_cam: a matrix, or a position with a quaternion or with three angles."""
    if section.has("T_ego_cam"):
        value = section.take("T_ego_cam")
        for key in ("position_m", "rotation_wxyz", "yaw_pitch_roll_deg"):
            if section.has(key):
                raise section.fault(key, "nothing beside T_ego_cam", section.take(key))
        section.skip(("position_m", "rotation_wxyz", "yaw_pitch_roll_deg"))
        return _matrix(section, value)
    section.skip(("T_ego_cam",))
    if not section.has("position_m"):
        raise ConfigError(section.path, f"{section.prefix}T_ego_cam", "a 4 x 4 matrix, or position_m", "nothing")
    position = section.numbers("position_m", (3,))
    if section.has("rotation_wxyz"):
        quat = section.numbers("rotation_wxyz", (4,))
        if (angles := section.take("yaw_pitch_roll_deg")) is not None:
            raise section.fault("yaw_pitch_roll_deg", "nothing beside rotation_wxyz", angles)
        try:
            return rigid_from_quat(quat, position)
        except GsoccError as error:
            raise section.fault("rotation_wxyz", str(error.expected), error.received) from error
    section.skip(("rotation_wxyz",))
    return looking(position, section.numbers("yaw_pitch_roll_deg", (3,)))


def _matrix(section: Section, value: Any) -> np.ndarray:
    expected = "4 rows of 4 numbers, the last one 0 0 0 1 (metres)"
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise section.fault("T_ego_cam", expected, value) from error
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or matrix[3].tolist() != [0, 0, 0, 1]:
        raise section.fault("T_ego_cam", expected, value)
    return matrix


def looking(position_m: Sequence[float], yaw_pitch_roll_deg: Sequence[float]) -> np.ndarray:
    """Pose of a camera that was measured with a tape and a protractor.

    Args:
        position_m: Its place in the ego frame, metres.
        yaw_pitch_roll_deg: Yaw to the left, then pitch downwards, then roll clockwise as seen from behind the camera,
            degrees; zero looks ahead, level and upright. R = Rz(yaw) Ry(pitch) Rx(roll) of REP-103.

    Returns:
        (4, 4) float64 ``T_ego_cam`` of the optical frame.

    Example:
        >>> looking((0.0, 0.5, 1.5), (90.0, 0.0, 0.0))[:3, 2].round(6).tolist()  # looks to the left
        [0.0, 1.0, 0.0]
    """
    (cz, cy, cx), (sz, sy, sx) = (f(np.deg2rad(np.asarray(yaw_pitch_roll_deg, float))) for f in (np.cos, np.sin))
    Rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    Ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    Rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    T = np.eye(4)
    T[:3, :3] = Rz @ Ry @ Rx @ R_BODY_OPTICAL
    T[:3, 3] = position_m
    return T
