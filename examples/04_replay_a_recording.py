# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Convert a drive to a rosbag2 recording and replay it through a model, without ROS.

You learn the two commands `nuscenes_to_rosbag2` and `replay_occupancy` as functions, and how to read occupancy out of a
recording. The result plays with `ros2 bag play` and opens in Foxglove. Needs the extra `nuscenes`, and no ROS at all.
"""

from pathlib import Path

from jsonargparse import CLI

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.commands import synthesize
from gsocc_ros.bags.bag_files import open_bag, read_messages
from gsocc_ros.bags.bag_replay import replay_occupancy
from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2
from gsocc_ros.messages.occupancy_messages import read_occupancy

BUNDLE = Path(__file__).resolve().parents[1] / "bundles" / "synthetic-gaussianflowocc"


def main(
    out: Path = Path("replayed"),
    bundle: str = str(BUNDLE),
    dataroot: str | None = None,
    version: str = "v1.0-synthetic",
    scene: str = "synthetic-7-0000",
    duration_s: float = 3.0,
    image_scale: float = 0.5,
) -> None:
    """Make a recording, replay it, read it.

    Args:
        out: Folder to make.
        bundle: Bundle folder or Hugging Face hub id.
        dataroot: Tree in nuScenes layout; None = synthesize one.
        version: Name of its tables' folder.
        scene: Scene of the tree.
        duration_s: Length of the synthetic drive.
        image_scale: Factor on 1600x900 of its pictures.
    """
    if dataroot is None:
        dataroot = str(out / "drive")
        synthesize(dataroot, seed=7, image_scale=image_scale, sweeps=False, duration_s=duration_s, pseudo_labels=False)

    recording, occupancy = str(out / "recording"), str(out / "occupancy")
    nuscenes_to_rosbag2(dataroot, recording, scene, version, sweeps=False)
    report = replay_occupancy(recording, occupancy, bundle, only_keyframes=True)
    print(report.table())  # scored where the recording holds ground truth

    with open_bag(occupancy) as bag:
        for _, stamp_ns, message in read_messages(bag, ["/occupancy/grid"]):
            grid = read_occupancy(message, OCC3D_NUSCENES, "/occupancy/grid")
            print(f"{stamp_ns} ns: {int(grid.occupied.sum())} occupied voxels around the car")
    print(f"Play it: ros2 bag play {occupancy}, or open it in Foxglove")


if __name__ == "__main__":
    CLI(main, as_positional=False)
