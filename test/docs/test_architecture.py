# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of rooms in docs/architecture.md are complete and true: imports go down and never in a circle."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("gsocc_core", "gsocc_ros")
    for path in sorted((ROOT / package).rglob("*.py"))
}
#: What only a ROS installation brings.
ROS = {"launch", "lifecycle_msgs", "message_filters", "rcl_interfaces", "rclpy", "std_srvs", "tf2_ros"}


def floors():
    """Room, as a path from the repository's root -> its floor."""
    table = re.findall(r"^\| (\d) \| (.+?) \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    names = [(name, int(floor)) for floor, rooms in table for name in re.findall(r"`([^`]+)`", rooms)]
    return {name if name.startswith("gsocc_ros") else f"gsocc_core/{name}": floor for name, floor in names}


FLOORS = floors()


def room(path):
    """The innermost room of the tables that holds a file; None = no room does."""
    name = path.relative_to(ROOT).as_posix()
    return max((r for r in FLOORS if name == r or (r.endswith("/") and name.startswith(r))), key=len, default=None)


def imported(path):
    """Modules of ours and packages of others that a file imports anywhere, for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


IMPORTS = {name: {module for module in imported(path) if module != name} for name, path in MODULES.items()}


def test_tables_name_every_room_and_nothing_else():
    # What stands loose in gsocc_ros/ is named like a room; its __init__.py holds nothing that could be imported.
    homeless = [name for name, path in MODULES.items() if room(path) is None]
    assert homeless == ["gsocc_ros"]
    assert {room(path) for path in MODULES.values()} - {None} == set(FLOORS)


@pytest.mark.parametrize("name", sorted(FLOORS))
def test_imports_go_down(name):
    wrong = [
        f"{module} imports {other}"
        for module, path in MODULES.items()
        if room(path) == name
        for other in IMPORTS[module] & MODULES.keys()
        if other.split(".")[0] == module.split(".")[0] and FLOORS[room(MODULES[other])] > FLOORS[name]
    ]
    assert not wrong


def test_no_module_imports_itself_by_way_of_others():
    try:
        TopologicalSorter({name: others & MODULES.keys() for name, others in IMPORTS.items()}).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_no_room_imports_itself_by_way_of_others():
    graph = {name: set() for name in FLOORS}
    for module, others in IMPORTS.items():
        own = room(MODULES[module])
        if own is not None:
            graph[own] |= {room(MODULES[other]) for other in others & MODULES.keys()} - {own}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_core_imports_neither_ros_nor_gsocc_ros():
    forbidden = {"gsocc_ros", "rosbags", *ROS}
    wrong = {f"{name} imports {m}" for name in MODULES for m in IMPORTS[name] if m.split(".")[0] in forbidden}
    assert not {line for line in wrong if line.startswith("gsocc_core")}


def test_only_the_node_imports_ros():
    users = {name for name, others in IMPORTS.items() if ROS & {other.split(".")[0] for other in others}}
    assert users
    assert all(name.startswith("gsocc_ros.node.") for name in users), users
