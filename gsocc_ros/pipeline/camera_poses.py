# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Where the cameras of a set stood and how the robot moved: calibration and transforms at the pictures' stamps."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from gsocc_core import Camera
from gsocc_core.errors import DataError
from gsocc_ros.pipeline.camera_input import Calibration, read_camera_info
from gsocc_ros.pipeline.rig import Rig, RigCamera
from gsocc_ros.pipeline.synchronizer import SyncedSet
from gsocc_ros.pipeline.transform_buffer import Transforms


class CameraPoses:
    """Places the cameras of a rig.

    Args:
        rig: The cameras and frames.
        transforms: Tree of frames.

    Attributes:
        calibration_changes: Changes of a camera's CameraInfo so far.
        left_out: Camera that sets go on without, with the reason.
    """

    def __init__(self, rig: Rig, transforms: Transforms) -> None:
        self._rig, self._transforms = rig, transforms
        self._calibrations: dict[str, Calibration] = {}
        self._refused: dict[str, DataError] = {}  # what was wrong with a camera's last CameraInfo
        self._least = rig.sync_settings().smallest_set
        self.left_out: dict[str, str] = {}
        self.calibration_changes = 0

    def feed_info(self, camera: RigCamera, message: Any) -> None:
        """File a sensor_msgs/CameraInfo.

        Raises:
            DataError: the camera is not calibrated, or the lens model is unknown.
        """
        try:
            calibration = read_camera_info(message, camera)
        except DataError as error:
            self._refused[camera.name] = error
            raise
        self._refused.pop(camera.name, None)
        known = self._calibrations.get(camera.name)
        if known is not None and known != calibration:
            self.calibration_changes += 1
        self._calibrations[camera.name] = calibration

    def calibration_of(self, name: str) -> Calibration | None:
        """What a camera's CameraInfo says; None = none came."""
        return self._calibrations.get(name)

    def uncalibrated(self) -> dict[str, str]:
        """Cameras without a calibration, with the reason."""
        names = [camera.name for camera in self._rig.cameras if camera.name not in self._calibrations]
        return {name: str(self._missing_info(self._rig.camera(name))) for name in names}

    def _missing_info(self, camera: RigCamera) -> DataError:
        """What is wrong with the calibration of a camera that has none: the cause, where one is known."""
        nothing = DataError(camera.camera_info_topic, "CameraInfo", "a message before the picture", "none")
        return self._refused.get(camera.name, nothing)

    def faults(self) -> dict[str, str]:
        """Frames in use that are not connected at present; see ``OccupancyPipeline.transform_faults``."""
        rig = self._rig
        asked: dict[str, tuple[str, str]] = {}
        for camera in rig.cameras:
            calibration = self._calibrations.get(camera.name)
            if calibration is not None:
                asked[camera.name] = (rig.base_frame, camera.frame or calibration.frame)
        if asked and rig.fixed_frame is not None:
            asked[rig.fixed_frame] = (rig.fixed_frame, rig.base_frame)
        found = {name: self._transforms.fault(*pair) for name, pair in asked.items()}
        return {name: reason for name, reason in found.items() if reason is not None}

    def ego_motion(self, synced: SyncedSet[Any], tolerance_ns: int) -> np.ndarray | None:
        """Pose of the base frame at the reference stamp of a set.

        Args:
            synced: The set.
            tolerance_ns: How long the last known pose may stand in for one that is not there yet.

        Returns:
            (4, 4) float64 T_world_ego; None unless it is known at every picture's stamp, too.

        Raises:
            DataError: it is not known, and without tolerance it may still come.
        """
        rig = self._rig
        if rig.fixed_frame is None:
            return None
        try:
            for frame in synced.frames.values():
                self._transforms.lookup(rig.fixed_frame, rig.base_frame, frame.stamp_ns, tolerance_ns)
            return self._transforms.lookup(rig.fixed_frame, rig.base_frame, synced.reference_stamp_ns, tolerance_ns)
        except DataError:
            if tolerance_ns == 0:
                raise
            return None

    def cameras(self, synced: SyncedSet[Any], T_world_ego: np.ndarray | None, tolerance_ns: int) -> tuple[Camera, ...]:
        """Every camera whose calibration and pose are known, in the order of the rig; missing ones included.

        A camera whose picture cannot be placed is left out where the rig lets sets go on without it, after it was
        waited for once.

        Args:
            synced: The set.
            T_world_ego: What :meth:`ego_motion` found.
            tolerance_ns: See there.

        Returns:
            Cameras at the size that CameraInfo announces.

        Raises:
            DataError: a camera gave a picture but has no CameraInfo, or its frame no way to the base frame.
        """
        cameras, faults = [], {}
        for rig_camera in self._rig.cameras:
            try:
                camera = self._camera(rig_camera, synced, T_world_ego, tolerance_ns)
            except DataError as error:
                if rig_camera.name in synced.frames:
                    faults[rig_camera.name] = error
                continue
            if camera is not None:
                cameras.append(camera)
        if faults and not self._can_do_without(faults.keys(), synced, waited=tolerance_ns > 0):
            raise next(iter(faults.values()))
        for name in synced.frames:
            self.left_out.pop(name, None)
        self.left_out |= {name: str(error) for name, error in faults.items()}
        return tuple(cameras)

    def _can_do_without(self, names: Collection[str], synced: SyncedSet[Any], waited: bool) -> bool:
        if len(synced.frames) - len(names) < self._least:
            return False
        if self._rig.policy == "anchor" and self._rig.anchor in names:
            return False
        return waited or all(name in self.left_out for name in names)

    def _camera(
        self, rig_camera: RigCamera, synced: SyncedSet[Any], T_world_ego: np.ndarray | None, tolerance_ns: int
    ) -> Camera | None:
        """One camera; None = it gave no picture and no CameraInfo. DataError when it cannot be placed."""
        frame = synced.frames.get(rig_camera.name)
        calibration = self._calibrations.get(rig_camera.name)
        if calibration is None:
            if frame is None:
                return None
            raise self._missing_info(rig_camera)
        stamp = synced.reference_stamp_ns if frame is None else frame.stamp_ns
        header_frame = "" if frame is None else frame.payload.header.frame_id
        optical = rig_camera.frame or header_frame or calibration.frame
        try:
            T_ego_frame = self._transforms.lookup(self._rig.base_frame, optical, stamp, tolerance_ns)
        except DataError as error:
            expected = f"a frame connected to {self._rig.base_frame} in /tf_static or /tf"
            raise DataError(rig_camera.topic, "frame_id", expected, f"{optical!r} ({error})") from error
        T_ref_ego = None
        if T_world_ego is not None and self._rig.fixed_frame is not None:
            then = self._transforms.lookup(self._rig.fixed_frame, self._rig.base_frame, stamp, tolerance_ns)
            T_ref_ego = np.linalg.solve(T_world_ego, then)
        return calibration.camera(rig_camera.name, T_ego_frame, T_ref_ego)
