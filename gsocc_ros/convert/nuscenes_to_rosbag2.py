# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""nuScenes scenes as rosbag2 recordings, without ROS: pictures, points, calibration, motion, ground truth."""

from __future__ import annotations

from pathlib import Path

from gsocc_core.data.nuscenes_index import choose_scenes, open_nuscenes
from gsocc_core.data.occ3d import OCC3D_FOLDER
from gsocc_core.errors import OutputExistsError
from gsocc_ros.choices import Distro, Storage
from gsocc_ros.convert.contents import Contents
from gsocc_ros.convert.write_scene import write_scene


def nuscenes_to_rosbag2(
    dataroot: str,
    out: str,
    scene: str,
    version: str = "v1.0-trainval",
    storage: Storage = "mcap",
    distro: Distro = "jazzy",
    occupancy: str | None = OCC3D_FOLDER,
    sweeps: bool = True,
    radar: bool = True,
    can_bus: bool = True,
    road_map: bool = True,
    lidarseg: bool = True,
    surroundocc: str | None = None,
    vision_msgs: bool = False,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> None:
    """Write one nuScenes scene as a rosbag2 recording that ``ros2 bag`` plays.

    Frames: ``map`` -> ``base_link`` in ``/tf`` at every distinct ego-pose stamp of the scene, radars and sweeps
    included; ``base_link`` -> cameras, LiDAR and radars in the latched ``/tf_static``, from that drive's own
    calibration. nuScenes' camera frames are optical (z forward) and named ``<camera>_optical_frame``, as REP-103 asks.
    Pictures stay the JPEGs they are. ``/odom`` holds the same poses with velocities, ``/annotations`` the key frames'
    boxes as markers. Log time = header stamp, sorted. Scene, data set version and calibration stand in the
    recording's custom data. A scene whose ego poses are unknown has no ``/tf``, ``/odom``, boxes and map. What wheels
    counted (``travelled_m``) becomes ``/wheel_speed``, whose integral is the way again.

    Args:
        dataroot: A tree in nuScenes layout.
        out: Recording folder to make; it appears only when complete.
        scene: Scene name.
        version: Name of the tables' folder.
        storage: mcap or sqlite3.
        distro: Oldest ROS 2 distribution that must read it.
        occupancy: Folder of Occ3D labels inside ``dataroot``, written as ground truth of the voxels that the key
            frame's cameras see; None = without. Key frames without a label file get no ground truth, and a tree
            without the folder ``gts`` (a test split) gets none at all; any other folder has to exist.
        sweeps: Write the readings between key frames too.
        radar: Write the radars.
        can_bus: Write inertial unit, speed, steering and wheels, where the tree holds the CAN bus expansion. What it
            lacks of this scene is noted in the recording and on the terminal.
        road_map: Write the map picture around the drive.
        lidarseg: Write key frames' clouds with the labels of their points, where the tree has nuScenes-lidarseg or
            -panoptic.
        surroundocc: Folder that holds SurroundOcc's ``samples/*.npy``, below ``dataroot`` or anywhere; None = without.
        vision_msgs: Write the boxes as vision_msgs/Detection3DArray too.
        start_s: Leave out what is earlier, seconds after the scene's first ego pose.
        duration_s: Length of what is written, seconds; None = to the end.

    Raises:
        DataError: the tree lacks tables, the scene or a file, or a file is no picture, point cloud or label file.
        OutputExistsError: ``out`` exists.
        ConfigError: nuscenes-devkit is not installed, or the times are outside the scene.

    Example:
        ``nuscenes_to_rosbag2("data/nuscenes", "scene-0103", scene="scene-0103", version="v1.0-mini")``
    """
    contents = Contents(
        occupancy, sweeps, radar, can_bus, road_map, lidarseg, surroundocc, vision_msgs, start_s, duration_s
    )
    if Path(out).exists():  # told at once: the tables of the whole data set take half a minute to read
        raise OutputExistsError(out, "output", "a path that does not exist yet", "something is there")
    nusc = open_nuscenes(dataroot, version)
    choose_scenes(nusc, None, [scene])
    write_scene(nusc, out, scene, storage, distro, contents)
