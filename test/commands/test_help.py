# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a program says about itself comes at once: nothing that takes long to import is imported for it."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: In a process of its own: words -> which packages were there after them that were not before.
SCRIPT = """
import contextlib, importlib, io, json, sys
from importlib.metadata import EntryPoint

heavy = {
    "torch", "torchvision", "numba", "scipy", "PIL", "cv2", "rosbags", "transformers", "lightning", "pandas",
    "matplotlib", "rclpy", "viser", "imageio",
}
entries, programs = json.loads(sys.argv[1])
told = {}

def ask(name, call, words):
    before = heavy & set(sys.modules)
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        call(words)
    told[name] = len(printed.getvalue()), sorted((heavy & set(sys.modules)) - before)

from gsocc_core.commands import cli

cli.entry_points = lambda group: [EntryPoint(name, target, group) for name, target in entries.items()]
for word in ("--help", "--version", "completion"):
    ask(word, cli.main, [word])
for name in cli.command_names():
    ask(name, cli.main, [*name.split(), "--help"])
for name, target in programs.items():
    module, _, function = target.partition(":")
    ask(name, getattr(importlib.import_module(module), function), ["--help"])
print(json.dumps(told))
"""


def targets(project, section):
    """Name -> module:function of a section of pyproject.toml."""
    lines = re.search(rf"^\[{re.escape(section)}\]\n(.*?)\n\n", project, re.S | re.M).group(1)
    return dict(re.findall(r'^"?([\w -]+)"? = "([\w.]+:\w+)"$', lines, re.M))


def test_help_of_every_command_and_program_imports_nothing_heavy():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    known = [targets(project, 'project.entry-points."gsocc.commands"'), targets(project, "project.scripts")]
    words = [sys.executable, "-c", SCRIPT, json.dumps(known)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {"--help", "completion", "predict", "view", *known[0], *known[1]} <= set(told)
    assert [name for name, (length, _) in told.items() if length < 10] == []
    assert {name: found for name, (_, found) in told.items() if found} == {}
