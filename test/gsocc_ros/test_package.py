# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The ROS package installs every command that pip installs, and names what its launch file starts."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib import import_module
from pathlib import Path

import gsocc_ros

ROOT = Path(gsocc_ros.__file__).parents[1]


def test_colcon_installs_every_command_that_pip_installs():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = re.search(r"\[project\.scripts\]\n(.*?)\n\n", project, re.S).group(1)
    commands = dict(re.findall(r'^(\w+) = "([\w.]+:\w+)"$', section, re.M))
    assert {"gsocc_core", "rosbag2_to_nuscenes"} <= set(commands)
    installed = set(re.findall(r"^  scripts/(\w+)$", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"), re.M))
    assert installed == {*commands, "occupancy_node", "uncalibrated_node"}
    for name, target in commands.items():
        module, _, function = target.partition(":")
        assert f"from {module} import {function}" in (ROOT / "scripts" / name).read_text(encoding="utf-8")
    assert all(os.access(ROOT / "scripts" / name, os.X_OK) for name in installed)


def test_commands_of_the_entry_points_are_functions():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = re.search(r'\[project.entry-points."gsocc.commands"\]\n(.*?)\n\n', project, re.S).group(1)
    entries = dict(re.findall(r'^"?([\w -]+)"? = "([\w.]+:\w+)"$', section, re.M))
    assert set(entries) == {"convert to-rosbag2", "convert to-nuscenes", "replay", "rig from-bag", "view-bag"}
    for target in entries.values():
        module, _, function = target.partition(":")
        assert getattr(import_module(module), function).__doc__


def test_colcon_generates_every_interface_and_finds_the_packages_that_they_name():
    build = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    files = [*(ROOT / "msg").glob("*.msg"), *(ROOT / "srv").glob("*.srv")]
    assert {"Query.srv", "QueryWords.msg"} <= {path.name for path in files}
    listed, others = re.search(
        r"rosidl_generate_interfaces\(\$\{PROJECT_NAME\}\n(.*?)DEPENDENCIES (.*?)\n", build, re.S
    ).groups()
    assert sorted(listed.split()) == sorted(f"{path.parent.name}/{path.name}" for path in files)
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    named = set(re.findall(r"^(\w+)/\w+(?:\[\])? \w+$", text, re.M))
    assert {"geometry_msgs", "sensor_msgs", "std_msgs"} == named == set(others.split())
    package = ET.parse(ROOT / "package.xml").getroot()
    assert named == {item.text for item in package.iter("depend")}
    assert all(f"find_package({name} REQUIRED)" in build for name in named)


def test_colcon_installs_every_room():
    build = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    code = ROOT / "gsocc_ros"
    rooms = {f"gsocc_ros/{path.parent.name}" for path in code.glob("*/__init__.py")}
    assert {"gsocc_ros/node", "gsocc_ros/pipeline"} <= rooms
    assert set(re.search(r"install\(DIRECTORY (gsocc_ros/[^\n]+)", build).group(1).split()) == rooms
    loose = {f"gsocc_ros/{path.name}" for path in code.glob("*.py")} - {"gsocc_ros/__init__.py"}
    assert set(re.search(r"install\(FILES (gsocc_ros/[^\n]+)", build).group(1).split()) == loose


def test_a_wheel_holds_what_the_checkout_has(tmp_path):
    """Bundles, rigs, launch and RViz files are found beside the installed packages, wherever the program runs."""
    words = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(words, cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    share = tmp_path / "gsocc_ros" / "share"
    for folder in ("bundles", "config", "launch", "msg", "rviz", "srv"):
        assert {p.relative_to(share) for p in (share / folder).rglob("*") if p.is_file()} == {
            p.relative_to(ROOT) for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts
        }
    script = (
        "import gsocc_core.shipped as s; from gsocc_core.rigs.rig_file import CameraRig;"
        "print(s.by_name('plain-gausstr', 'bundles'), CameraRig.load('example_calibrated').names[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path.parent, env=os.environ | {"PYTHONPATH": str(tmp_path)},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == [str(share / "bundles" / "plain-gausstr"), "front"]


def test_the_package_names_what_the_launch_file_starts_and_imports():
    package = ET.parse(ROOT / "package.xml").getroot()
    named = {item.text for tag in ("depend", "exec_depend") for item in package.iter(tag)}
    launch = (ROOT / "launch" / "occupancy.launch.py").read_text(encoding="utf-8")
    started = set(re.findall(r'package="(\w+)"', launch)) - {"gsocc_ros"}
    imported = set(re.findall(r"^from (\w+)", launch, re.M)) - sys.stdlib_module_names
    assert {"rviz2", "foxglove_bridge"} <= started
    assert started | imported | {"ros2bag", "rosbag2_storage_mcap"} <= named
    assert {url.get("type") for url in package.iter("url")} == {"website", "repository", "bugtracker"}


def test_tests_that_need_ros_stand_where_ci_looks_for_them():
    assert "pytest test/gsocc_ros -m" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    needing = {path for path in (ROOT / "test").rglob("*.py") if "mark.ros" in path.read_text(encoding="utf-8")}
    elsewhere = {path for path in needing if not path.is_relative_to(ROOT / "test" / "gsocc_ros")}
    assert len(needing) > 5
    assert not elsewhere


def test_the_check_finds_the_python_that_has_the_generators_packages(tmp_path):
    """The first one on the PATH lacks them; another one, or that of colcon alone, has them."""
    words = {"lacking": "exit 1", "having": f"echo {tmp_path}/having/python3"}
    for name, line in words.items():
        (tmp_path / name).mkdir()
        script = tmp_path / name / "python3"
        script.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        script.chmod(0o755)
    colcon = tmp_path / "lacking" / "colcon"
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "sed", "env", "sh"):
        (tools / tool).symlink_to(f"/bin/{tool}" if Path(f"/bin/{tool}").exists() else f"/usr/bin/{tool}")

    def found(*folders):
        path = ":".join([*(str(tmp_path / folder) for folder in folders), str(tools)])
        program = str(ROOT / ".ci" / "find_ros_python")
        done = subprocess.run([program], env={"PATH": path}, capture_output=True, text=True, timeout=20, check=False)
        return done.returncode, done.stdout.strip()

    right = (0, f"{tmp_path}/having/python3")
    assert found("lacking", "having") == right
    assert found("having", "lacking") == right
    assert found("lacking") == (1, "")
    colcon.write_text(f"#! {tmp_path}/having/python3 -E\n", encoding="utf-8")
    colcon.chmod(0o755)
    assert found("lacking") == right
