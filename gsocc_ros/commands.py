# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Commands around recordings: in ``gsocc_core`` by its entry-point group, and as programs under names of their own."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from gsocc_core.commands.cli import run_program
from gsocc_core.data.occ3d import OCC3D_FOLDER
from gsocc_core.errors import ConfigError
from gsocc_ros.bags.bag_files import Storage
from gsocc_ros.bags.bag_replay import replay_occupancy
from gsocc_ros.bags.view_bag import view_occupancy_bag
from gsocc_ros.convert.convert_scenes import convert_scenes
from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2
from gsocc_ros.convert.rosbag2_to_nuscenes import rosbag2_to_nuscenes
from gsocc_ros.convert.rosbag2_to_rig import rosbag2_to_rig
from gsocc_ros.messages.message_host import Distro


def convert_to_rosbag2(
    dataroot: str,
    out: str,
    scene: str | None = None,
    split: str | None = None,
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
    start: float = 0.0,
    duration: float | None = None,
    jobs: int | None = None,
    resume: bool = False,
    verify: bool = False,
) -> None:
    """Write nuScenes scenes as rosbag2 recordings that ``ros2 bag`` plays.

    Args:
        dataroot: A tree in nuScenes layout.
        out: Recording folder to make; with --split a folder of recordings.
        scene: Write this scene.
        split: Write all scenes of a split, or of the version (all).
        version: Name of the tables' folder.
        storage: mcap or sqlite3.
        distro: Oldest ROS 2 distribution that must read it.
        occupancy: Folder of Occ3D labels inside the tree, written as ground truth; None = without.
        sweeps: Write the readings between key frames too.
        radar: Write the radars.
        can_bus: Write the CAN bus expansion, where it is there.
        road_map: Write the map around the drive.
        lidarseg: Write key frames' clouds with the labels of their points, where there are some.
        surroundocc: Folder that holds SurroundOcc's labels, in the tree or anywhere; None = without.
        vision_msgs: Write the boxes as vision_msgs/Detection3DArray too.
        start: Leave out what is earlier, seconds after the scene's begin.
        duration: Length of what is written, seconds; None = to the end.
        jobs: With --split: scenes at the same time; None = one per core.
        resume: With --split: go on in an existing folder.
        verify: With --resume: compare checksums too.

    Raises:
        ConfigError: neither a scene nor a split is given, or both are.
    """
    if (scene is None) == (split is None):
        received = "neither" if scene is None else "both"
        raise ConfigError("command line", "scene", "either --scene NAME or --split NAME", received)
    same = {
        "dataroot": dataroot, "out": out, "version": version, "storage": storage, "distro": distro,
        "occupancy": occupancy, "sweeps": sweeps, "radar": radar, "can_bus": can_bus, "road_map": road_map,
        "lidarseg": lidarseg, "surroundocc": surroundocc, "vision_msgs": vision_msgs, "start_s": start,
        "duration_s": duration,
    }  # fmt: skip
    if scene is not None:
        nuscenes_to_rosbag2(scene=scene, **same)  # type: ignore[arg-type]
    else:
        name = None if split == "all" else split
        convert_scenes(split=name, jobs=jobs, resume=resume, verify=verify, **same)  # type: ignore[arg-type]


@functools.wraps(rosbag2_to_rig)
def rig_from_bag(**arguments: object) -> None:
    """Make a rig file from what a recording says of its cameras."""
    rosbag2_to_rig(**arguments)  # type: ignore[arg-type]
    print(f"{arguments['out']} written. Look at it with `gsocc_core check-rig {arguments['out']}`.")


@functools.wraps(replay_occupancy)
def replay(**arguments: object) -> None:
    """Replay a recording through a model, write a recording with occupancy, and print a report."""
    print(replay_occupancy(**arguments).table())  # type: ignore[arg-type]


def nuscenes_to_rosbag2_program(arguments: Sequence[str] | None = None) -> int:
    """``gsocc_core convert to-rosbag2`` by its older name; see :func:`gsocc_core.commands.cli.run_program`."""
    return run_program("nuscenes_to_rosbag2", convert_to_rosbag2, arguments)


def rosbag2_to_nuscenes_program(arguments: Sequence[str] | None = None) -> int:
    """``gsocc_core convert to-nuscenes`` by its older name; see :func:`gsocc_core.commands.cli.run_program`."""
    return run_program("rosbag2_to_nuscenes", rosbag2_to_nuscenes, arguments)


def rosbag2_to_rig_program(arguments: Sequence[str] | None = None) -> int:
    """``gsocc_core rig from-bag`` by its older name; see :func:`gsocc_core.commands.cli.run_program`."""
    return run_program("rosbag2_to_rig", rig_from_bag, arguments)


def replay_occupancy_program(arguments: Sequence[str] | None = None) -> int:
    """``gsocc_core replay`` by its older name; see :func:`gsocc_core.commands.cli.run_program`."""
    return run_program("replay_occupancy", replay, arguments)


def view_occupancy_bag_program(arguments: Sequence[str] | None = None) -> int:
    """``gsocc_core view RECORDING`` by its older name; see :func:`gsocc_core.commands.cli.run_program`."""
    return run_program("view_occupancy_bag", view_occupancy_bag, arguments)
