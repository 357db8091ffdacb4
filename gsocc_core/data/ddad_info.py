# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``info_<split>.json``: what the info pickles of GaussianOcc's authors say of DDAD.

``scripts/ddad_info_to_json.py`` exports them; nothing pickled is read here. Per time stamp, which is the name of the
sample's pictures: the scene, the stamps before and after, and of each camera the intrinsics, its pose in the vehicle's
frame and its pose in the world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gsocc_core.data.key_frames import CameraShot, KeyFrame
from gsocc_core.data.stored import read_json, reading
from gsocc_core.errors import DataError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.rigid import rigid_from_quat

EXPORTER = "scripts/ddad_info_to_json.py"
_EXPECTED = f"JSON that {EXPORTER} made of the info pickle"


@dataclass(frozen=True)
class InfoCamera:
    """One camera at one time.

    Attributes:
        intrinsics: (3, 3) float64 pixels.
        T_ego_cam: (4, 4) float64 pose in the vehicle's frame.
        T_world_cam: (4, 4) float64 pose in the world.
    """

    intrinsics: np.ndarray
    T_ego_cam: np.ndarray
    T_world_cam: np.ndarray


@dataclass(frozen=True)
class DdadInfo:
    """Samples of one or several splits.

    Attributes:
        path: The file, or the folder of several.
        scenes: Time stamps by scene.
        cameras: By time stamp and camera name.
        listed: The stamps that are samples of their own, the others being only neighbours; None = all.
    """

    path: Path
    scenes: Mapping[str, tuple[str, ...]]
    cameras: Mapping[str, Mapping[str, InfoCamera]]
    listed: frozenset[str] | None

    def applied(self, frames: list[KeyFrame]) -> list[KeyFrame]:
        """The key frames of a scene that it has, with its calibration and poses.

        The motion from a camera's time to the LiDAR's, which it does not tell, is that of the tree.

        Args:
            frames: Of one scene, from the tree.

        Returns:
            In the order of time.

        Raises:
            DataError: it has a stamp that is no picture of the scene, or lacks a camera.
        """
        scene = frames[0].scene_name
        by_token = {frame.token: frame for frame in frames}
        wanted = self.scenes.get(scene, ())
        if missing := [stamp for stamp in wanted if stamp not in by_token]:
            raise DataError(self.path, missing[0], f"a time stamp of scene {scene} of the tree", "no such picture")
        kept = [frame for frame in frames if frame.token in set(wanted)]
        return [replace(self._replaced(frame), index=index) for index, frame in enumerate(kept)]

    def _replaced(self, frame: KeyFrame) -> KeyFrame:
        shots = tuple(self._shot(frame.token, shot) for shot in frame.shots)
        use = "the motion from a camera's time to the LiDAR's"
        moved = shots[0].known_pose(use) @ np.linalg.inv(frame.shots[0].known_pose(use))
        return replace(frame, shots=shots, T_world_ego=moved @ frame.known_pose(use))

    def _shot(self, stamp: str, shot: CameraShot) -> CameraShot:
        of_stamp = self.cameras[stamp]
        if (name := shot.camera.name) not in of_stamp:
            raise DataError(self.path, stamp, f"a camera {name}", f"only {sorted(of_stamp)}")
        found = of_stamp[name]
        camera = Camera(name, found.intrinsics, found.T_ego_cam, shot.camera.width, shot.camera.height)
        return replace(shot, camera=camera, T_world_ego=found.T_world_cam @ np.linalg.inv(found.T_ego_cam))


def read_ddad_info(folder: Path, split: str | None) -> DdadInfo:
    """Read ``info_<split>.json``, and ``<split>.txt`` if it is there: the stamps that are samples, one a line.

    Args:
        folder: Where they lie.
        split: train or val; None = all that are there.

    Raises:
        DataError: there is none, or it is a pickle or damaged.
    """
    paths = sorted(folder.glob("info_*.json")) if split is None else [folder / f"info_{split}.json"]
    if not paths or not paths[0].is_file():
        pickles = [path.name for path in (*folder.glob("info_*.pkl"), folder) if path.suffix == ".pkl"]
        received = f"{pickles[0]}, a pickle, which is not read: it could run any code" if pickles else "no such file"
        raise DataError(folder / f"info_{split or '*'}.json", "file", _EXPECTED, received)
    scenes: dict[str, list[str]] = {}
    cameras: dict[str, dict[str, InfoCamera]] = {}
    listed: set[str] = set()
    for path in paths:
        for stamp, (scene, found) in _read(path).items():
            scenes.setdefault(scene, []).append(stamp)
            cameras[stamp] = found
        lines = path.with_name(f"{path.stem.removeprefix('info_')}.txt")
        listed |= _lines(lines, cameras) if lines.is_file() else set(cameras)
    found_scenes = {scene: tuple(stamps) for scene, stamps in scenes.items()}
    where = paths[0] if len(paths) == 1 else folder
    return DdadInfo(where, found_scenes, cameras, frozenset(listed) if len(listed) < len(cameras) else None)


def _read(path: Path) -> dict[str, tuple[str, dict[str, InfoCamera]]]:
    """Scene and cameras by time stamp."""
    content = read_json(path, _EXPECTED)
    with reading(path, "{time stamp: {scene_name, CAMERA_01: {intrinsics, extrinsics, pose}, ...}}"):
        result = {}
        for stamp, sample in content.items():
            named = {name: value for name, value in sample.items() if isinstance(value, dict)}
            with reading(f"{path}: {stamp}", "intrinsics, extrinsics and pose of every camera"):
                found = {name: _camera(value) for name, value in named.items()}
            result[str(stamp)] = (str(sample["scene_name"]), found)
    return result


def _camera(content: Mapping[str, Any]) -> InfoCamera:
    ego, world = (
        rigid_from_quat(content[key]["quat"], np.ravel(content[key]["tvec"])) for key in ("extrinsics", "pose")
    )
    return InfoCamera(np.array(content["intrinsics"], np.float64).reshape(3, 3), ego, world)


def _lines(path: Path, known: Mapping[str, object]) -> set[str]:
    with reading(path, "a time stamp a line"):
        stamps = set(path.read_text(encoding="utf-8").split())
    if unknown := sorted(stamps - set(known)):
        raise DataError(path, unknown[0], "time stamps of the info file", "no such stamp")
    return stamps
