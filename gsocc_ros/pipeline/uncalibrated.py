# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of cameras that nobody calibrated in, occupancy and a suggested rig out. Plain Python, no rclpy."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gsocc_core import Cameras, Prediction
from gsocc_core.data.images import read_header
from gsocc_core.errors import DataError
from gsocc_core.reconstruction.photos import Photo
from gsocc_core.reconstruction.reconstructor import ReconstructArgs, Reconstructed, Reconstructor
from gsocc_core.reconstruction.scale import ScaleHints
from gsocc_core.rigs.rig_file import camera_to_dict
from gsocc_ros.pipeline.camera_input import read_mask, read_picture, stamp_ns
from gsocc_ros.pipeline.camera_poses import CameraPoses
from gsocc_ros.pipeline.rig import Rig, RigCamera
from gsocc_ros.pipeline.subscriptions import Subscription, rig_subscriptions
from gsocc_ros.pipeline.transform_buffer import TransformBuffer, Transforms

#: Between the name of a camera and how many moments ago its picture was taken.
_AGO = "@"
#: A camera whose newest picture is older than this beside the anchor's gives none, nanoseconds.
_STALE_NS = 1_000_000_000
#: Size of the cameras that a prediction names, pixels; nothing is decoded at it.
_SMALL = (160, 120)


@dataclass(frozen=True)
class ViewChoice:
    """Which pictures make a set.

    Attributes:
        moments: Pictures per camera: the newest, and earlier ones of the same static surroundings.
        spacing_ns: Time between them, at least.
        most: Pictures of a set at most; the earliest moments are left out first.
    """

    moments: int = 4
    spacing_ns: int = 500_000_000
    most: int = 16


@dataclass(frozen=True)
class TakenPicture:
    """A picture message of a set.

    Attributes:
        camera: Name in the rig.
        ago: 0 = the newest of its camera, 1 = the one kept before, ...
        stamp_ns: Its stamp.
        message: sensor_msgs/CompressedImage or sensor_msgs/Image.
    """

    camera: str
    ago: int
    stamp_ns: int
    message: Any

    @property
    def name(self) -> str:
        """Name of the view: the camera's for its newest picture."""
        return f"{self.camera}{_AGO}{self.ago}" if self.ago else self.camera


class PictureShelf:
    """Keeps the newest picture of every camera and some earlier ones.

    A recording that loops within ``jump_ns`` gives nothing from its second lap on.

    Args:
        names: Cameras of the rig.
        anchor: Camera whose stamp is the time of a set and whose newest picture is its first view.
        choice: Which pictures make a set.
        jump_ns: A step back of stamps by more starts anew (bag loop).
    """

    def __init__(self, names: Sequence[str], anchor: str, choice: ViewChoice, jump_ns: int = 500_000_000) -> None:
        self._order = [anchor, *(name for name in names if name != anchor)]
        self._choice, self._jump_ns = choice, jump_ns
        self._kept: dict[str, list[TakenPicture]] = {name: [] for name in self._order}
        self._newest: dict[str, TakenPicture] = {}
        self._taken_ns: int | None = None

    def put(self, camera: str, stamp: int, message: Any) -> None:
        """File a picture."""
        newest = self._newest.get(camera)
        if newest is not None and stamp < newest.stamp_ns - self._jump_ns:
            self.clear()
        elif newest is not None and stamp <= newest.stamp_ns:
            return
        picture = TakenPicture(camera, 0, stamp, message)
        self._newest[camera] = picture
        kept = self._kept[camera]
        if not kept or stamp - kept[-1].stamp_ns >= self._choice.spacing_ns:
            kept.append(picture)
            del kept[: -self._choice.moments]

    def clear(self) -> None:
        """Forget everything."""
        self._newest.clear()
        for kept in self._kept.values():
            kept.clear()
        self._taken_ns = None

    def take(self) -> list[TakenPicture] | None:
        """The newest set, the anchor's newest picture first; None = the anchor gave nothing new."""
        anchor = self._newest.get(self._order[0])
        if anchor is None or anchor.stamp_ns == self._taken_ns:
            return None
        self._taken_ns = anchor.stamp_ns
        views: list[TakenPicture] = []
        for name in self._order:
            newest = self._newest.get(name)
            if newest is None or abs(newest.stamp_ns - anchor.stamp_ns) > _STALE_NS:
                continue
            limit = newest.stamp_ns - self._choice.spacing_ns
            earlier = [p for p in reversed(self._kept[name]) if p.stamp_ns <= limit and p is not newest]
            chosen = [newest, *earlier[: self._choice.moments - 1]]
            views += [TakenPicture(name, ago, p.stamp_ns, p.message) for ago, p in enumerate(chosen)]
        order = {name: place for place, name in enumerate(self._order)}
        return sorted(views, key=lambda view: (view.ago, order[view.camera]))[: self._choice.most]


@dataclass(frozen=True)
class UncalibratedOccupancy:
    """What a set of pictures gave.

    Attributes:
        result: The reconstruction; its ego frame lies on the ground below the anchor camera.
        prediction: The same as the messages about predictions want it.
        rig: Suggested rig as the keys of a rig file, topics included; cameras without a pose are missing.
    """

    result: Reconstructed
    prediction: Prediction
    rig: Mapping[str, Any]


class UncalibratedPipeline:
    """Feed it messages, take sets, reconstruct. ``feed`` and ``take`` may be called from any thread.

    Args:
        rig: Names and topics of the cameras; what it says of calibration is not used.
        reconstructor: The model.
        hints: What tells metres.
        args: What is made of the network's output.
        choice: Which pictures make a set.
        transforms: Tree of frames; None = a :class:`TransformBuffer`.
    """

    def __init__(
        self,
        rig: Rig,
        reconstructor: Reconstructor,
        hints: ScaleHints | None = None,
        args: ReconstructArgs | None = None,
        choice: ViewChoice | None = None,
        transforms: Transforms | None = None,
    ) -> None:
        self.rig, self._reconstructor = rig, reconstructor
        self._hints, self._args = hints or ScaleHints(), args or ReconstructArgs()
        self._transforms = transforms or TransformBuffer()
        self._poses = CameraPoses(rig, self._transforms)
        names = [camera.name for camera in rig.cameras]
        self._shelf = PictureShelf(names, rig.anchor, choice or ViewChoice(), rig.sync_settings().reset_threshold_ns)
        self._pictures = {camera.topic: camera for camera in rig.cameras}
        self._infos = {camera.camera_info_topic: camera for camera in rig.cameras}
        self._masks = {camera.name: read_mask(camera) for camera in rig.cameras}
        self._lock = threading.Lock()

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Topics that are wanted."""
        return rig_subscriptions(self.rig, reference=False)

    def feed(self, topic: str, message: Any) -> None:
        """File a message; what has nothing to do with the rig is passed over.

        A CameraInfo that is refused, as one of a driver that nobody calibrated, is no fault here: :meth:`lacking` says
        what is wrong with it.
        """
        with self._lock:
            if topic in self._pictures:
                self._shelf.put(self._pictures[topic].name, stamp_ns(message.header), message)
            elif topic in self._infos:
                with suppress(DataError):
                    self._poses.feed_info(self._infos[topic], message)
            elif topic in {"/tf", "/tf_static"}:
                self._transforms.feed(message, topic == "/tf_static", topic)

    def reset(self) -> None:
        """Forget pictures."""
        with self._lock:
            self._shelf.clear()

    def take(self) -> list[TakenPicture] | None:
        """The newest set; None = there is nothing new."""
        with self._lock:
            return self._shelf.take()

    def lacking(self) -> dict[str, str]:
        """By camera what a calibrated node would lack; empty = CameraInfo and transforms of all cameras are there."""
        with self._lock:
            return self._poses.faults() | self._poses.uncalibrated()

    def reconstruct(self, taken: Sequence[TakenPicture]) -> UncalibratedOccupancy:
        """Reconstruct a set.

        Intrinsics of a CameraInfo are used where its lens has no distortion and its size is the picture's.

        Args:
            taken: Of :meth:`take`.

        Returns:
            Occupancy and the suggested rig.

        Raises:
            DataError: a picture does not decode.
            ConfigError: the scale that is asked for is not at hand, for instance because no ground is seen.
        """
        photos = [self._photo(picture) for picture in taken]
        result = self._reconstructor(photos, self._hints, self._args)
        stamp = taken[0].stamp_ns
        small = [camera.resized(*_SMALL) for camera in result.cameras]
        scene = result.scene.replace(features=result.class_scores, colors_sh=None)
        prediction = Prediction(result.grid, scene, Cameras.stack(small), stamp, result.latency_ms)
        return UncalibratedOccupancy(result, prediction, self._suggested(result))

    def _photo(self, taken: TakenPicture) -> Photo:
        camera = self.rig.camera(taken.camera)
        picture = read_picture(taken.message, camera, _size(taken.message, camera), None, self._masks[camera.name])
        with self._lock:
            known = self._poses.calibration_of(camera.name)
        good = known is not None and known.model == "pinhole" and not known.distortion
        fits = known is not None and (known.height, known.width) == picture.shape[:2]
        return Photo(taken.name, picture, known.intrinsics if known is not None and good and fits else None)

    def _suggested(self, result: Reconstructed) -> dict[str, Any]:
        newest = [camera for camera in result.cameras if _AGO not in camera.name]
        if not newest:  # the anchor's newest picture agreed with no other one
            return {}
        anchor = self.rig.anchor if self.rig.anchor in {c.name for c in newest} else newest[0].name
        cameras = {}
        for camera in newest:
            ours = self.rig.camera(camera.name)
            topics = {"topic": ours.topic, "camera_info_topic": ours.camera_info_topic, "transport": ours.transport}
            frame = {} if ours.frame is None else {"frame": ours.frame}
            offset = {"trigger_offset_ms": ours.trigger_offset_ms}
            cameras[camera.name] = {**topics, **frame, **camera_to_dict(camera), **offset}
        return {
            "base_frame": self.rig.base_frame,
            "anchor": anchor,
            "tolerance_ms": self.rig.tolerance_ms,
            "cameras": cameras,
        }


def rig_comment(result: Reconstructed) -> str:
    """First lines of a suggested rig file."""
    return (
        "Estimated from pictures alone: a suggestion, no calibration.\n"
        f"Metres: {result.scale.source}. The origin lies on the ground below the anchor camera, x is where it looks."
    )


def _size(message: Any, camera: RigCamera) -> tuple[int, int]:
    """(height, width) that a picture message announces itself."""
    if camera.transport == "compressed":
        header = read_header(bytes(message.data), camera.topic)
        return header.height, header.width
    size = int(message.height), int(message.width)
    if min(size) < 1:
        raise DataError(camera.topic, "width, height", "positive pixels", size[::-1])
    return size
