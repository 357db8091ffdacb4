# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Which of a launch argument, a parameter file and a default the node gets."""

import json
import os
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import gsocc_ros
from gsocc_ros.node.parameters import NodeSettings, parameter_file
from gsocc_ros.pipeline.rig import Rig
from gsocc_ros.pipeline.subscriptions import rig_subscriptions
from gsocc_ros.share_files import find_share_file

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")
NODE_PAGE = Path(gsocc_ros.__file__).parents[1] / "docs" / "node.md"
LAUNCH_FILE = Path(gsocc_ros.__file__).parents[1] / "launch" / "occupancy.launch.py"
#: Prints the node's command line, without starting it.
COMMAND_LINE = """
import json, runpy, sys
from launch import LaunchContext
from launch_ros.actions import LifecycleNode
module, context = runpy.run_path(sys.argv[1]), LaunchContext()
context.launch_configurations.update({name: default for name, (default, _) in module["ARGUMENTS"].items()})
context.launch_configurations.update(json.loads(sys.argv[2]))
node = next(action for action in module["set_up"](context) if isinstance(action, LifecycleNode))
node._perform_substitutions(context)
rules = [f"{a}:={b}" for a, b in node.expanded_remapping_rules or []]
context.extend_locals({"ros_specific_arguments": {"name": "__node:=occupancy", "ns": "__ns:=/", "remaps": rules}})
print(json.dumps(["".join(part.perform(context) for part in word) for word in node.cmd]))
"""


def command_line(**given):
    """Launch has its own Python, that of ros2, which need not be the tests'."""
    python = Path(shutil.which("ros2")).read_text(encoding="utf-8").splitlines()[0].removeprefix("#!").split()
    words = [*python, "-c", COMMAND_LINE, str(LAUNCH_FILE), json.dumps(given)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def parameters_of_node(**given):
    """What a node that is started with the launch file's command line finds in its parameters."""
    done = command_line(**given)
    assert done.returncode == 0, done.stderr
    words, context = json.loads(done.stdout.splitlines()[-1]), rclpy.Context()
    rclpy.init(context=context)
    options = {"use_global_arguments": False, "automatically_declare_parameters_from_overrides": True}
    started = rclpy.create_node("x", context=context, cli_args=words[1:], **options)
    values = {name: one.value for name, one in started.get_parameters_by_prefix("").items()}
    started.destroy_node()
    rclpy.shutdown(context=context)
    return values


def test_without_arguments_the_defaults_of_the_node_hold():
    values = parameters_of_node()
    assert not set(values) & set(vars(NodeSettings()))
    assert values["use_sim_time"] is False


@pytest.mark.parametrize("node_name", ["/**", "/occupancy", "occupancy"])
def test_arguments_that_are_given_win_over_a_parameter_file(tmp_path, node_name):
    file = tmp_path / "copied.yaml"
    text = parameter_file().replace("/**", node_name).replace("stale_s: 1.0", "stale_s: 7.0")
    # A second section, in which the node finds itself, too.
    second = "/**:\n  ros__parameters:\n    bundle: theirs\n    use_sim_time: false\n"
    file.write_text(text if node_name == "/**" else text + second)
    mine = {"rig": "my_rig.yaml", "bundle": "123", "device": "cpu"}
    flags = {"evaluate": "true", "auto_activate": "false"}
    values = parameters_of_node(params_file=str(file), bag=str(tmp_path), **flags, **mine)
    assert values["stale_s"] == 7.0
    assert {name: values[name] for name in mine} == mine
    assert values["evaluate"] is values["use_sim_time"] is True
    assert values["auto_activate"] is False


def test_what_is_not_given_is_the_parameter_files(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("/**:\n  ros__parameters:\n    rig: theirs.yaml\n    evaluate: true\n    use_sim_time: true\n")
    values = parameters_of_node(params_file=str(file), device="cpu")
    assert (values["rig"], values["device"], values["evaluate"]) == ("theirs.yaml", "cpu", True)
    assert values["use_sim_time"] is True
    assert not {"bundle", "auto_activate"} & set(values)


@pytest.mark.parametrize("name", ["params_file", "bag"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    done = command_line(**{name: str(tmp_path / "nothing")})
    assert done.returncode != 0
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ValueError: launch argument {name}: expected a ")
    assert last.endswith(f"{os.sep}nothing'")


def test_one_robot_of_a_team_hears_its_own_topics(tmp_path):
    done = command_line(namespace="robot1", remap_inputs="true", rig="nuscenes")
    assert done.returncode == 0, done.stderr
    words = json.loads(done.stdout.splitlines()[-1])
    rules = dict(word.split(":=") for flag, word in pairwise(words) if flag == "-r" and word.startswith("/"))
    wanted = {subscription.topic for subscription in rig_subscriptions(Rig.load("nuscenes"))}
    assert rules == {topic: f"/robot1{topic}" for topic in wanted}
    alone = command_line(remap_inputs="true")
    assert "ValueError: launch argument remap_inputs: expected a namespace beside it" in alone.stderr
    missing = command_line(remap_inputs="true", namespace="/robot1", rig=str(tmp_path / "none.yaml"))
    assert "ValueError: launch argument rig: expected a rig file beside remap_inputs" in missing.stderr
    own = tmp_path / "own.yaml"
    own.write_text("cameras: {a: {topic: /a/p, camera_info_topic: /a/i, depth_topic: /a/d, mask: m.yaml}}\n")
    words = json.loads(command_line(namespace="/r/two", remap_inputs="true", rig=str(own)).stdout.splitlines()[-1])
    assert {"/a/p:=/r/two/a/p", "/a/i:=/r/two/a/i", "/a/d:=/r/two/a/d", "/tf:=/r/two/tf"} <= set(words)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("name", "nodes"),
    [("managed.launch.py", ["occupancy"]), ("team.launch.yaml", ["robot1.occupancy", "robot2.occupancy"])],
)
def test_launch_files_of_the_docs_bring_their_nodes_up(tmp_path, name, nodes):
    """As they stand on the page of the node: beside a rig file, run by ros2 launch, ended by an interrupt."""
    code = next(block for block in NODE_PAGE.read_text(encoding="utf-8").split("```") if name in block)
    (tmp_path / name).write_text(code.partition("\n")[2], encoding="utf-8")
    shutil.copy(find_share_file("config/rigs/example_four_cameras.yaml"), tmp_path / "my_rig.yaml")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # A domain of their own: managers and nodes of other tests go by the same names.
    environment = {**os.environ, "PATH": path, "ROS_DOMAIN_ID": str(1 + os.getpid() % 39)}
    options = {"cwd": tmp_path, "text": True, "start_new_session": True, "env": environment}
    launched = subprocess.Popen(["ros2", "launch", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    told = []
    try:
        for line in launched.stdout:
            told.append(line)
            if sum("active: waiting for pictures" in one for one in told) == len(nodes):
                break
        launched.send_signal(signal.SIGINT)
        told.append(launched.communicate(timeout=60)[0])
    finally:
        if launched.poll() is None:
            os.killpg(launched.pid, signal.SIGKILL)
    output = "".join(told)
    for node in nodes:
        topic = "/".join(["", *node.split(".")[:-1], "front/image_raw/compressed"])
        assert f"[{node}]: active: waiting for pictures of {topic}" in output, output
    assert "process has died" not in output, output
