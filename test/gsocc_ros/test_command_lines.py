# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Command lines of the programs, old names included: what the functions behind them receive."""

import functools
import inspect
import shlex
import sys
from typing import get_type_hints

import pytest

from gsocc_core.data.occ3d import OCC3D_FOLDER
from gsocc_core.viewer import open_source
from gsocc_ros import commands
from gsocc_ros.bags import bag_replay, view_bag
from gsocc_ros.convert import convert_scenes, nuscenes_to_rosbag2, rosbag2_to_nuscenes, rosbag2_to_rig
from gsocc_ros.messages.outputs import GRID_TOPIC

#: What the programs call.
FUNCTIONS = (
    nuscenes_to_rosbag2.nuscenes_to_rosbag2, convert_scenes.convert_scenes, rosbag2_to_nuscenes.rosbag2_to_nuscenes,
    rosbag2_to_rig.rosbag2_to_rig, bag_replay.replay_occupancy, open_source.show,
)  # fmt: skip


class Called(Exception):  # noqa: N818 - no error
    """Carries what a function was called with."""


@pytest.fixture
def caught(monkeypatch):
    """Functions that tell their arguments instead of working."""
    monkeypatch.setenv("GSOCC_DEBUG", "1")
    monkeypatch.setattr(view_bag, "BagSource", lambda *given: given)
    for function in FUNCTIONS:

        def tell(*args, function=function, **kwargs):
            given = inspect.signature(function).bind(*args, **kwargs)
            given.apply_defaults()
            raise Called(function.__name__, given.arguments)

        monkeypatch.setattr(sys.modules[function.__module__], function.__name__, functools.wraps(function)(tell))


CASES = [
    (
        "nuscenes_to_rosbag2 /data/nuscenes drive --scene scene-0103 --version v1.0-mini",
        "nuscenes_to_rosbag2",
        {"dataroot": "/data/nuscenes", "out": "drive", "scene": "scene-0103", "version": "v1.0-mini", "sweeps": True,
         "vision_msgs": False, "start_s": 0.0, "duration_s": None, "storage": "mcap", "distro": "jazzy"},
    ),
    (
        "nuscenes_to_rosbag2 --scene 7 --start 1e-1 --duration 2 --no-sweeps --no-can_bus --vision_msgs tree drive",
        "nuscenes_to_rosbag2",
        {"dataroot": "tree", "out": "drive", "scene": "7", "start_s": 0.1, "duration_s": 2.0, "sweeps": False,
         "can_bus": False, "vision_msgs": True, "road_map": True},
    ),
    (
        "nuscenes_to_rosbag2 tree drive --scene=a --occupancy null --surroundocc so --storage sqlite3 --distro humble",
        "nuscenes_to_rosbag2",
        {"occupancy": None, "surroundocc": "so", "storage": "sqlite3", "distro": "humble", "version": "v1.0-trainval"},
    ),
    (
        "nuscenes_to_rosbag2 tree bags --split mini_val --jobs 4 --resume --verify --no-radar --no-lidarseg",
        "convert_scenes",
        {"dataroot": "tree", "out": "bags", "split": "mini_val", "jobs": 4, "resume": True, "verify": True,
         "radar": False, "lidarseg": False, "road_map": True},
    ),
    (
        "nuscenes_to_rosbag2 tree bags --split all --no-road_map",
        "convert_scenes",
        {"split": None, "jobs": None, "resume": False, "verify": False, "road_map": False},
    ),
    (
        "rosbag2_to_nuscenes monday tuesday wednesday --out data/own --rig my_rig.yaml --val_bags 1",
        "rosbag2_to_nuscenes",
        {"bags": ["monday", "tuesday", "wednesday"], "out": "data/own", "rig": "my_rig.yaml", "val_bags": 1,
         "sweeps": True, "keyframe_rate": 2.0, "poses": "transforms", "odometry": None},
    ),
    (
        "rosbag2_to_nuscenes --out own --rig r --no-sweeps --keyframe_rate 1 --poses unknown --odometry /odom monday",
        "rosbag2_to_nuscenes",
        {"bags": ["monday"], "sweeps": False, "keyframe_rate": 1.0, "poses": "unknown", "odometry": "/odom"},
    ),
    (
        "rosbag2_to_rig monday --out my_rig.yaml",
        "rosbag2_to_rig",
        {"bag": "monday", "out": "my_rig.yaml", "base_frame": "base_link", "rig": None, "cameras": None},
    ),
    (
        "rosbag2_to_rig monday --out r.yaml --base_frame chassis --cameras [left,right] --seconds 5",
        "rosbag2_to_rig",
        {"base_frame": "chassis", "cameras": ["left", "right"], "seconds": 5.0},
    ),
    (
        "replay_occupancy drive drive-occupancy --bundle bundles/small",
        "replay_occupancy",
        {"bag": "drive", "out": "drive-occupancy", "bundle": "bundles/small", "rig": "nuscenes", "limit": None,
         "only_keyframes": False, "queries": ""},
    ),
    (
        "replay_occupancy drive out --bundle b --only-keyframes --limit 3 --pass_through false --markers true",
        "replay_occupancy",
        {"only_keyframes": True, "limit": 3, "pass_through": False, "markers": True},
    ),
    (
        "replay_occupancy drive out --bundle b --report r.json --queries 'dog, garden chair' --query_threshold 0.2",
        "replay_occupancy",
        {"report": "r.json", "queries": "dog, garden chair", "query_threshold": 0.2},
    ),
    (
        "view_occupancy_bag drive-occupancy --rig nuscenes --out drive.mp4 --frame -1 --fps 4 --only_seen false",
        "show",
        {"source": ["drive-occupancy", "nuscenes", "/occupancy/grid"], "out": "drive.mp4", "frame": -1, "fps": 4.0,
         "only_seen": False, "width": 1200, "host": "127.0.0.1", "port": 8080},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("line", "called", "expected"), CASES, ids=[line[:60] for line, _, _ in CASES])
def test_words_reach_the_functions(line, called, expected, caught):
    program, *words = shlex.split(line)
    with pytest.raises(Called) as told:
        getattr(commands, f"{program}_program")(words)
    name, given = told.value.args
    assert name == called
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
    assert {key: plain[key] for key in expected} == expected


def defaults(function):
    found = {name: p.default for name, p in inspect.signature(function).parameters.items()}
    return {name.removesuffix("_s"): value for name, value in found.items() if value is not inspect.Parameter.empty}


def test_the_command_and_the_functions_behind_it_have_the_same_defaults():
    command = defaults(commands.convert_to_rosbag2)
    assert command["occupancy"] == OCC3D_FOLDER
    for function in (nuscenes_to_rosbag2.nuscenes_to_rosbag2, convert_scenes.convert_scenes):
        theirs = defaults(function)
        assert len(theirs) > 10
        assert {name: command[name] for name in theirs if name in command} == {
            name: value for name, value in theirs.items() if name in command
        }
        assert set(theirs) - set(command) <= {"scenes"}
    assert defaults(commands.view_bag)["grid_topic"] == GRID_TOPIC


@pytest.mark.parametrize(
    ("command", "function"),
    [
        (commands.convert_to_nuscenes, rosbag2_to_nuscenes.rosbag2_to_nuscenes),
        (commands.rig_from_bag, rosbag2_to_rig.rosbag2_to_rig),
        (commands.replay, bag_replay.replay_occupancy),
    ],
)
def test_a_command_takes_what_the_function_behind_it_takes(command, function):
    """In the same order, since commands hand everything over by position."""
    ours, theirs = ({**get_type_hints(f), "return": None} for f in (command, function))
    assert list(inspect.signature(command).parameters) == list(inspect.signature(function).parameters)
    assert ours == theirs
    assert defaults(command) == defaults(function)
