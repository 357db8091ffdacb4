# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The occupancy node, with a bag and a viewer on request.

ros2 launch gsocc_ros occupancy.launch.py                        # nuScenes rig, demo bundle, waits for cameras
ros2 launch gsocc_ros occupancy.launch.py rig:=my_rig.yaml bundle:=my_bundle
ros2 launch gsocc_ros occupancy.launch.py bag:=drive evaluate:=true visualization:=rviz
ros2 launch gsocc_ros occupancy.launch.py auto_activate:=false   # where a lifecycle manager starts the nodes
ros2 launch gsocc_ros occupancy.launch.py namespace:=robot1 remap_inputs:=true rig:=my_rig.yaml   # one robot of a team
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.parameter_descriptions import Parameter

from launch import LaunchContext, LaunchDescription

ARGUMENTS = {
    "rig": ("", "rig file, or the name of a shipped rig; empty = params_file's, or nuscenes"),
    "bundle": ("", "bundle folder or Hugging Face hub id; empty = params_file's, or the demo bundle"),
    "device": ("", "auto, cpu, cuda or cuda:N; empty = params_file's, or auto"),
    "auto_activate": ("", "false = a lifecycle manager configures and activates; empty = params_file's, or true"),
    "bag": ("", "recording to play once the node is active; empty = live cameras"),
    "rate": ("1.0", "speed of the recording"),
    "loop": ("false", "play the recording again and again"),
    "evaluate": ("", "score against the recording's ground truth and end with it; empty = params_file's, or false"),
    "visualization": ("none", "rviz, foxglove or none"),
    "rviz_config": ("", "RViz configuration; empty = live.rviz, or evaluation.rviz when evaluating"),
    "use_sim_time": ("", "take the time from /clock; empty = true when a bag is played, else params_file's"),
    "namespace": ("", "namespace of the node and its outputs"),
    "remap_inputs": ("false", "with a namespace: hear the rig's topics, /tf and /tf_static in it, too"),
    "params_file": ("", "YAML file with parameters; arguments that are given win over it"),
    "log_level": ("info", "debug, info, warn, error"),
}
#: Keys of a rig file that name topics.
TOPIC_KEYS = ("topic", "camera_info_topic", "depth_topic")
#: Between the end of a recording and that of the node: the last sets are still being predicted.
DRAIN_S = 3.0


def flag(context: LaunchContext, name: str) -> bool:
    """A launch argument as a truth value; one that is not given is false."""
    value = LaunchConfiguration(name).perform(context).lower() or "false"
    if value not in {"true", "false"}:
        raise ValueError(f"launch argument {name}: expected true or false, received {value!r}")
    return value == "true"


def remapped_inputs(context: LaunchContext) -> list[tuple[str, str]]:
    """From the rig's topics, /tf and /tf_static to those of the same names below the namespace."""
    if not flag(context, "remap_inputs"):
        return []
    namespace, rig = (LaunchConfiguration(name).perform(context) for name in ("namespace", "rig"))
    if not namespace.strip("/"):
        raise ValueError("launch argument remap_inputs: expected a namespace beside it, received none")
    file = Path(rig).expanduser()
    if not file.suffix:
        file = Path(get_package_share_directory("gsocc_ros")) / "config" / "rigs" / f"{rig or 'nuscenes'}.yaml"
    if not file.is_file():
        raise ValueError(f"launch argument rig: expected a rig file beside remap_inputs, received {str(file)!r}")
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    parts = [*content["cameras"].values(), content.get("reference")]
    values = [part.get(key) for part in parts if isinstance(part, Mapping) for key in TOPIC_KEYS]
    return [(topic, f"/{namespace.strip('/')}{topic}") for topic in ("/tf", "/tf_static", *filter(None, values))]


def set_up(context: LaunchContext) -> list:
    """Everything that depends on the arguments' values."""

    def text(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    bag, evaluate = text("bag"), flag(context, "evaluate")
    use_sim_time = bool(bag) if not text("use_sim_time") else flag(context, "use_sim_time")
    viewer = text("visualization")
    if viewer not in {"rviz", "foxglove", "none"}:
        raise ValueError(f"launch argument visualization: expected rviz, foxglove or none, received {viewer!r}")
    if bag and not Path(bag).is_dir():
        raise ValueError(f"launch argument bag: expected a rosbag2 folder, received {bag!r}")
    if text("params_file") and not Path(text("params_file")).is_file():
        raise ValueError(f"launch argument params_file: expected a YAML file, received {text('params_file')!r}")
    # The file first: of two values for a parameter, the node takes the later one.
    parameters: list = [text("params_file")] if text("params_file") else []
    parameters += [Parameter(name, text(name), value_type=str) for name in ("rig", "bundle", "device") if text(name)]
    parameters += [Parameter(name, flag(context, name)) for name in ("auto_activate", "evaluate") if text(name)]
    if bag or text("use_sim_time"):
        parameters.append(Parameter("use_sim_time", use_sim_time))
    node = LifecycleNode(
        package="gsocc_ros", executable="occupancy_node", name="occupancy", namespace=text("namespace"),
        parameters=parameters, remappings=remapped_inputs(context), output="screen",
        arguments=["--ros-args", "--log-level", text("log_level")],
    )  # fmt: skip
    actions: list = [node]
    share = Path(get_package_share_directory("gsocc_ros"))
    if viewer == "rviz":
        config = text("rviz_config") or str(share / "rviz" / ("evaluation.rviz" if evaluate else "live.rviz"))
        actions.append(
            Node(package="rviz2", executable="rviz2", arguments=["-d", config],
                 parameters=[{"use_sim_time": use_sim_time}])
        )  # fmt: skip
    if viewer == "foxglove":
        actions.append(
            Node(package="foxglove_bridge", executable="foxglove_bridge",
                 parameters=[{"use_sim_time": use_sim_time, "max_qos_depth": 5}])
        )  # fmt: skip
    if bag:
        handler = _play_when_active(node, bag, text("rate"), flag(context, "loop"), evaluate)
        actions.append(RegisterEventHandler(handler))
    return actions


def _play_when_active(node: LifecycleNode, bag: str, rate: str, loop: bool, evaluate: bool) -> OnStateTransition:
    """Start the player when the model is loaded and the node subscribed, so that no message is lost."""
    command = ["ros2", "bag", "play", bag, "--clock", "--rate", rate, *(["--loop"] if loop else [])]
    player = ExecuteProcess(cmd=command, output="screen")
    then: list = [player]
    if evaluate and not loop:
        stop = TimerAction(period=DRAIN_S, actions=[EmitEvent(event=Shutdown(reason="the recording is over"))])
        then.append(RegisterEventHandler(OnProcessExit(target_action=player, on_exit=[stop])))
    return OnStateTransition(target_lifecycle_node=node, goal_state="active", entities=then)


def generate_launch_description() -> LaunchDescription:
    """The launch description."""
    declared = [DeclareLaunchArgument(name, default_value=d, description=t) for name, (d, t) in ARGUMENTS.items()]
    return LaunchDescription([*declared, OpaqueFunction(function=set_up)])
