# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Commands around recordings: in ``gsocc_core`` by its entry-point group, and as programs under names of their own."""

from __future__ import annotations

from collections.abc import Sequence

from gsocc_core.commands.cli import run_program
from gsocc_core.errors import ConfigError
from gsocc_ros.choices import Distro, PoseSource, Storage


def convert_to_rosbag2(
    dataroot: str,
    out: str,
    scene: str | None = None,
    split: str | None = None,
    version: str = "v1.0-trainval",
    storage: Storage = "mcap",
    distro: Distro = "jazzy",
    occupancy: str | None = "gts",
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
    from gsocc_ros.convert.convert_scenes import convert_scenes
    from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2

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


def convert_to_nuscenes(
    bags: Sequence[str],
    out: str,
    rig: str,
    lidar: str | None = None,
    keyframe_rate: float = 2.0,
    sweeps: bool = True,
    version: str = "v1.0-own",
    val_bags: int = 0,
    location: str = "unknown",
    poses: PoseSource = "transforms",
    odometry: str | None = None,
) -> None:
    """Write recordings as the scenes of a data set that nuscenes-devkit and ``gsocc_core train`` read.

    Args:
        bags: Recording folders; each becomes a scene of that name.
        out: Folder to make; it appears only when complete. What was interrupted goes on with the recordings that are
            not converted yet.
        rig: Rig file, or the name of a shipped rig; its camera names become channels.
        lidar: Point cloud topic; None = the rig's reference topic if that is one.
        keyframe_rate: Key frames per second.
        sweeps: Write the readings between key frames too.
        version: Name of the tables' folder.
        val_bags: The last so many recordings form the split val, the others train.
        location: Stands in the log table.
        poses: ``transforms``, or ``unknown`` for recordings that do not tell the robot's motion.
        odometry: Topic with the speed of the wheels, a nav_msgs/Odometry, geometry_msgs/TwistStamped or
            geometry_msgs/TwistWithCovarianceStamped; the way driven then stands as ``travelled_m`` in ``ego_pose``.
    """
    from gsocc_ros.convert.rosbag2_to_nuscenes import rosbag2_to_nuscenes

    rosbag2_to_nuscenes(bags, out, rig, lidar, keyframe_rate, sweeps, version, val_bags, location, poses, odometry)


def rig_from_bag(
    bag: str,
    out: str,
    base_frame: str = "base_link",
    rig: str | None = None,
    cameras: list[str] | None = None,
    seconds: float = 20.0,
) -> None:
    """Write the calibration of a recording's cameras as a rig file, for the library and for the node.

    Args:
        bag: The recording.
        out: Rig file to make.
        base_frame: Frame of the output: x forward, y left, z up, on the ground.
        rig: Rig file, or name of a shipped rig, that names topics and frames; None = all cameras are looked for.
        cameras: Names of the cameras wanted; None = all.
        seconds: Length of the recording that is read.
    """
    from gsocc_ros.convert.rosbag2_to_rig import rosbag2_to_rig

    rosbag2_to_rig(bag, out, base_frame, rig, cameras, seconds)
    print(f"{out} written. Look at it with `gsocc_core check-rig {out}`.")


def replay(
    bag: str,
    out: str,
    bundle: str,
    rig: str = "nuscenes",
    storage: Storage = "mcap",
    distro: Distro = "jazzy",
    device: str = "auto",
    limit: int | None = None,
    only_keyframes: bool = False,
    pass_through: bool = True,
    markers: bool = False,
    report: str | None = None,
    queries: str = "",
    query_threshold: float = 0.5,
    text_encoder: str | None = None,
) -> None:
    """Predict occupancy for every set of pictures in a recording and write it into a new recording.

    Args:
        bag: Recording to read: a rosbag2 folder.
        out: Folder to create.
        bundle: Trained model: a bundle folder or a Hugging Face hub id.
        rig: Rig file, or the name of a shipped rig.
        storage: File format of the output.
        distro: ROS 2 distribution that must be able to read the output.
        device: auto, cpu, cuda or cuda:N.
        limit: Stop after this many predictions.
        only_keyframes: Predict only where there is ground truth.
        pass_through: Copy the recording's own messages into the output.
        markers: Write ``/occupancy/markers``, too. They show the same as ``/occupancy/voxels`` in viewers without point
            clouds, and take longer to build than everything else together.
        report: JSON file to write the report to.
        queries: Words that every prediction is asked, with commas between them: ``dog, garden chair``. Then
            ``/occupancy/queries``, ``/occupancy/query_words`` and ``/occupancy/query_markers`` are written, too. They
            need a bundle with text features.
        query_threshold: Score from which on a voxel is in ``/occupancy/queries``.
        text_encoder: What embeds the words: wordllama, clip:MODEL or talk2dino:MODEL:PROJECTION.safetensors; None = the
            encoder that the bundle names, whose files may lie elsewhere on this machine.
    """
    from gsocc_ros.bags.bag_replay import replay_occupancy

    done = replay_occupancy(
        bag, out, bundle, rig, storage, distro, device, limit, only_keyframes, pass_through, markers, report, queries,
        query_threshold, text_encoder,
    )  # fmt: skip
    print(done.table())


def view_bag(
    bag: str,
    rig: str | None = None,
    grid_topic: str = "/occupancy/grid",
    out: str | None = None,
    frame: int = 0,
    fps: float = 2.0,
    only_seen: bool = True,
    width: int = 1200,
    host: str = "127.0.0.1",
    port: int = 8080,
) -> None:
    """Show the predictions of a recording on a web page, or write them as a picture or film.

    Args:
        bag: Recording to read: a rosbag2 folder.
        rig: Rig file, or the name of a shipped rig, whose cameras are shown too; None = no cameras.
        grid_topic: The predictions: SemanticOccupancy messages.
        out: Write a picture (.png, .jpg) or film (.gif, .mp4) instead of opening a page.
        frame: Frame of the picture, or where the page begins; negative numbers count from the end.
        fps: Frames per second of films and of the play button.
        only_seen: Show predictions in pictures only where the cameras see.
        width: Width of pictures, pixels.
        host: Address that the page listens on; 0.0.0.0 = reachable from other machines.
        port: TCP port of the page; the next free one if it is taken.
    """
    from gsocc_core.viewer.open_source import check_view, show
    from gsocc_ros.bags.view_bag import BagSource

    check_view(out)
    show(BagSource(bag, rig, grid_topic), out, frame, host, port, fps, only_seen, width)


def nuscenes_to_rosbag2_program(arguments: Sequence[str] | None = None) -> int:
    """``gsocc_core convert to-rosbag2`` by its older name; see :func:`gsocc_core.commands.cli.run_program`."""
    return run_program("nuscenes_to_rosbag2", convert_to_rosbag2, arguments)


def rosbag2_to_nuscenes_program(arguments: Sequence[str] | None = None) -> int:
    """``gsocc_core convert to-nuscenes`` by its older name; see :func:`gsocc_core.commands.cli.run_program`."""
    return run_program("rosbag2_to_nuscenes", convert_to_nuscenes, arguments)


def rosbag2_to_rig_program(arguments: Sequence[str] | None = None) -> int:
    """``gsocc_core rig from-bag`` by its older name; see :func:`gsocc_core.commands.cli.run_program`."""
    return run_program("rosbag2_to_rig", rig_from_bag, arguments)


def replay_occupancy_program(arguments: Sequence[str] | None = None) -> int:
    """``gsocc_core replay`` by its older name; see :func:`gsocc_core.commands.cli.run_program`."""
    return run_program("replay_occupancy", replay, arguments)


def view_occupancy_bag_program(arguments: Sequence[str] | None = None) -> int:
    """``gsocc_core view RECORDING`` by its older name; see :func:`gsocc_core.commands.cli.run_program`."""
    return run_program("view_occupancy_bag", view_bag, arguments)
