# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The table of rooms in docs/architecture.md is complete and true: imports go down, and gsocc_core knows no ROS."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "gsocc_core"
MODULES = sorted(path for path in CORE.rglob("*.py"))


def floors():
    table = re.findall(r"^\| (\d) \| (.+?) \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    return {room: int(floor) for floor, rooms in table for room in re.findall(r"`([^`]+)`", rooms)}


def room(path):
    first = path.relative_to(CORE).parts[0]
    return f"{first}/" if (CORE / first).is_dir() else first


def imported(path):
    """Modules that a file names in imports, as dotted names; those for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_table_names_every_room_and_nothing_else():
    assert {room(path) for path in MODULES} == set(floors())


@pytest.mark.parametrize("name", sorted(floors()))
def test_imports_go_down(name):
    level, wrong = floors(), []
    for path in (path for path in MODULES if room(path) == name):
        for module in imported(path):
            parts = module.split(".")
            if parts[0] != "gsocc_core" or len(parts) < 2:
                continue
            target = CORE / parts[1]
            other = f"{parts[1]}/" if target.is_dir() else f"{parts[1]}.py"
            if other in level and level[other] > level[name]:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong


def test_core_imports_neither_ros_nor_gsocc_ros():
    forbidden = {"gsocc_ros", "rclpy", "rosbags", "tf2_ros", "launch"}
    wrong = [f"{p.relative_to(ROOT)}: {m}" for p in MODULES for m in imported(p) if m.split(".")[0] in forbidden]
    assert not wrong
