# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""From one camera's ROS messages to a Camera and a picture. Takes messages of rosbags and of rclpy alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from gsocc_core import Camera
from gsocc_core.data.images import decode_image, decoding_scale, read_header
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import CameraModel
from gsocc_core.rigs.ros_lenses import lens_of
from gsocc_core.yaml_files import load_yaml
from gsocc_ros.pipeline.rectification import rectified_pose
from gsocc_ros.pipeline.rig import RigCamera

#: Bytes per pixel and the channels that make up RGB, per 8-bit encoding of sensor_msgs/Image.
_RAW_ENCODINGS: dict[str, tuple[int, tuple[int, int, int]]] = {
    "rgb8": (3, (0, 1, 2)), "bgr8": (3, (2, 1, 0)), "rgba8": (4, (0, 1, 2)), "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)), "8UC3": (3, (2, 1, 0)), "8UC1": (1, (0, 0, 0)),
}  # fmt: skip
#: Two pixels in four bytes: where brightness of the first and second pixel, blue and red lie, by the names of ROS and
#: of what came before it.
_YUV_ENCODINGS: dict[str, tuple[int, int, int, int]] = {
    "uyvy": (1, 3, 0, 2), "yuv422": (1, 3, 0, 2), "yuyv": (0, 2, 1, 3), "yuv422_yuy2": (0, 2, 1, 3),
}  # fmt: skip
#: RGB of brightness, blue and red in 16 ... 235 and 16 ... 240 (ITU-R BT.601), as OpenCV has them.
_BT601 = np.array([[1.164, 0.0, 1.596], [1.164, -0.391, -0.813], [1.164, 2.018, 0.0]], np.float32)


def stamp_ns(header: Any) -> int:
    """Stamp of a std_msgs/Header in nanoseconds."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


@dataclass(frozen=True)
class Calibration:
    """What CameraInfo says about one camera.

    Attributes:
        intrinsics: (3, 3) float64, pixels of the picture that is published (binning and region of interest applied).
        width: Picture width, pixels.
        height: Picture height, pixels.
        model: Projection.
        distortion: OpenCV coefficients, or None.
        frame: ``frame_id`` of the message.
        T_frame_cam: (4, 4) float64 pose of the camera in the frame that the transform tree knows; other than the
            identity only for rectified pictures.
    """

    intrinsics: np.ndarray
    width: int
    height: int
    model: CameraModel
    distortion: tuple[float, ...] | None
    frame: str
    T_frame_cam: np.ndarray = field(default_factory=lambda: np.eye(4))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Calibration):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        matrices = self.intrinsics.tobytes(), self.T_frame_cam.tobytes()
        return *matrices, self.width, self.height, self.model, self.distortion, self.frame

    def camera(self, name: str, T_ego_frame: np.ndarray, T_ref_ego: np.ndarray | None) -> Camera:
        """The camera of one picture.

        Args:
            name: Name in the rig.
            T_ego_frame: (4, 4) float64 pose in the ego frame of the camera's frame in the transform tree.
            T_ref_ego: (4, 4) float64 ego pose at the picture's stamp in the ego frame at the reference stamp, or None.

        Returns:
            The camera at full picture size.
        """
        T_ego_cam = T_ego_frame @ self.T_frame_cam
        return Camera(name, self.intrinsics, T_ego_cam, self.width, self.height, self.model, self.distortion, T_ref_ego)


def read_camera_info(message: Any, camera: RigCamera) -> Calibration:
    """Read a sensor_msgs/CameraInfo.

    Args:
        message: The message.
        camera: The camera of the rig that it belongs to.

    Returns:
        Its calibration.

    Raises:
        DataError: the camera is not calibrated, a number is not finite, the lens model or the number of coefficients is
            unknown, or the rig does not say how rectified pictures are meant.
    """
    topic = camera.camera_info_topic
    K = np.asarray(message.p if camera.rectified else message.k, np.float64).reshape(3, -1)[:, :3].copy()
    if not (np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0 and K[2, 2] == 1):
        key = "p" if camera.rectified else "k"
        raise DataError(topic, key, "a calibrated camera: positive focal lengths, last row 0 0 1", K.tolist())
    width, height = int(message.width), int(message.height)
    region = message.roi
    if region.width and region.height:
        K[0, 2] -= region.x_offset
        K[1, 2] -= region.y_offset
        width, height = int(region.width), int(region.height)
    binning_x, binning_y = max(1, int(message.binning_x)), max(1, int(message.binning_y))
    K[0] /= binning_x
    K[1] /= binning_y
    width, height = width // binning_x, height // binning_y
    if width < 1 or height < 1:
        raise DataError(topic, "width, height", "positive pixels", (int(message.width), int(message.height)))
    if camera.rectified:
        T_frame_cam = rectified_pose(message, camera)
        return Calibration(K, width, height, "pinhole", None, message.header.frame_id, T_frame_cam)
    model, distortion = lens_of(message.distortion_model, message.d, topic, "d")
    return Calibration(K, width, height, model, distortion, message.header.frame_id)


def read_mask(camera: RigCamera) -> tuple[tuple[float, float], ...] | None:
    """The polygon of a camera's mask file, full-size pixels; None without a mask.

    Raises:
        ConfigError: the file does not hold at least three [u, v] pairs.
    """
    if camera.mask is None:
        return None
    content = load_yaml(camera.mask, "a list of [u, v] pixels")
    try:
        polygon = tuple((float(u), float(v)) for u, v in content)
    except (TypeError, ValueError) as error:
        raise ConfigError(camera.mask, "polygon", "a list of [u, v] pixels", error) from error
    if len(polygon) < 3 or not np.isfinite(polygon).all():
        raise ConfigError(camera.mask, "polygon", "three or more [u, v] pixels", len(polygon))
    return polygon


def read_picture(
    message: Any,
    camera: RigCamera,
    full_size: tuple[int, int],
    min_size: tuple[int, int] | None = None,
    mask: tuple[tuple[float, float], ...] | None = None,
) -> np.ndarray:
    """Decode one picture message.

    Args:
        message: sensor_msgs/CompressedImage or sensor_msgs/Image, as the rig says.
        camera: Its camera.
        full_size: (height, width) in pixels that CameraInfo announces.
        min_size: (height, width) in pixels that suffice: a JPEG is then decoded at a reduced scale. None = full size.
        mask: Polygon in full-size pixels to paint black.

    Returns:
        (H, W, 3) uint8 RGB, at full size or decoded at 1/2, 1/4 or 1/8 of it.

    Raises:
        DataError: it does not decode, has an unknown encoding, or not the size that CameraInfo announces.
    """
    where = f"{camera.topic} at {stamp_ns(message.header)} ns"
    if camera.transport == "compressed":
        data = bytes(message.data)
        header = read_header(data, where)
        size = (header.height, header.width)
        height, width = min_size or (None, None)
        picture = decode_image(data, min_width=width, min_height=height, where=where)
    else:
        picture = _from_raw(message, where)
        size = (picture.shape[0], picture.shape[1])
    if size != tuple(full_size):
        expected = f"{full_size[1]} x {full_size[0]} pixels as in {camera.camera_info_topic}"
        raise DataError(where, "picture size", expected, f"{size[1]} x {size[0]}")
    return picture if mask is None else _paint(picture, mask, decoding_scale(picture.shape[:2], full_size, where))


def _from_raw(message: Any, where: str) -> np.ndarray:
    if message.encoding in _YUV_ENCODINGS:
        return _from_yuv(message, where)
    if message.encoding not in _RAW_ENCODINGS:
        return _through_cv_bridge(message, where)
    channels, order = _RAW_ENCODINGS[message.encoding]
    rows = _rows(message, channels, where)
    return np.ascontiguousarray(rows.reshape(len(rows), -1, channels)[..., list(order)])


def _from_yuv(message: Any, where: str) -> np.ndarray:
    """RGB of YUV 4:2:2, in which two neighbours share their colour."""
    if int(message.width) % 2:
        raise DataError(where, "width", f"an even number of pixels with {message.encoding}", int(message.width))
    pairs = _rows(message, 2, where).reshape(int(message.height), -1, 4)
    first, second, blue, red = _YUV_ENCODINGS[message.encoding]
    yuv = np.empty((len(pairs), pairs.shape[1], 2, 3), np.float32)
    yuv[..., 0], yuv[..., 1], yuv[..., 2] = pairs[..., [first, second]], pairs[..., [blue]], pairs[..., [red]]
    yuv -= (16.0, 128.0, 128.0)
    rgb = np.clip(np.rint(yuv @ _BT601.T), 0, 255).astype(np.uint8)
    return rgb.reshape(len(pairs), -1, 3)


def _rows(message: Any, bytes_per_pixel: int, where: str) -> np.ndarray:
    """(H, W * bytes) of a message, without what its rows are filled up with."""
    width, height, step = int(message.width), int(message.height), int(message.step)
    data = np.frombuffer(message.data, np.uint8)
    if step < width * bytes_per_pixel or data.size < step * height:
        expected = f"{height} rows of {step} bytes, at least {bytes_per_pixel} a pixel for {width} pixels"
        raise DataError(where, "data", expected, f"{data.size} bytes")
    return data[: step * height].reshape(height, step)[:, : width * bytes_per_pixel]


def _through_cv_bridge(message: Any, where: str) -> np.ndarray:
    """Bayer, 16 bit and whatever else cv_bridge knows; it comes with ROS and not with pip."""
    expected = f"one of {sorted({*_RAW_ENCODINGS, *_YUV_ENCODINGS})}"
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError as error:
        other = f"{expected}, or any that cv_bridge knows, which is not installed ({error})"
        raise DataError(where, "encoding", other, message.encoding) from error
    try:
        return np.ascontiguousarray(CvBridge().imgmsg_to_cv2(message, "rgb8"))
    except (CvBridgeError, RuntimeError, TypeError, KeyError) as error:
        raise DataError(
            where, "encoding", f"{expected}, or one of cv_bridge's", f"{message.encoding} ({error})"
        ) from error


def _paint(picture: np.ndarray, polygon: tuple[tuple[float, float], ...], scale: float) -> np.ndarray:
    image = Image.fromarray(picture)
    ImageDraw.Draw(image).polygon([(u * scale, v * scale) for u, v in polygon], fill=(0, 0, 0))
    return np.array(image)
