# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The pages that the site makes from the code."""

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from gsocc_core import commands
from gsocc_core.commands.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site():
    pytest.importorskip("docstring_parser")
    spec = importlib.util.spec_from_file_location("docs_pages", ROOT / "scripts" / "docs_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_option_of_every_command_is_told(site):
    sections = "".join(site.commands()).split("\n## ")
    told = {section.partition("\n")[0]: section for section in sections[1:]}
    assert set(told) == set(COMMANDS)
    for name in COMMANDS:
        function = getattr(commands, name.replace(" ", "_").replace("-", "_"))
        for option in inspect.signature(function).parameters:
            row = next(line for line in told[name].splitlines() if f"`--{option}" in line)
            assert row.split(" | ")[-1].strip(" |"), f"{name}: --{option} has no description"
    assert "`--data.dataroot` | str | needed |" in told["train"]
    assert "| `--run.max_steps` | int | `10000` | Optimiser steps. |" in told["train"]


def test_pages_of_the_navigation_are_made_or_written(site):
    nav = (ROOT / "mkdocs.yml").read_text().partition("nav:")[2].partition("validation:")[0]
    made = {*site.pages(), *(path.name for path in (ROOT / "docs").glob("*.md"))}
    assert {line.rpartition(": ")[2] for line in nav.splitlines() if line.endswith(".md")} == made


def test_links_lead_to_pages_or_to_the_repository(site):
    text = "[a](docs/node.md#viewers) ![b](docs/images/drive.png) [c](LICENSE) [d](https://x.org/a.md) [e](#here)"
    assert site.relink(text, "README.md", "index.md") == (
        f"[a](node.md#viewers) ![b](images/drive.png) [c]({site.REPOSITORY}LICENSE) [d](https://x.org/a.md) [e](#here)"
    )
    assert (
        site.relink("[a](../benchmarks/convert.py)", "docs/x.md", "x.md")
        == f"[a]({site.REPOSITORY}benchmarks/convert.py)"
    )
    example = "[a](examples/01_splat_to_voxels.py)"
    assert site.relink(example, "CONTRIBUTING.md", "contributing.md") == "[a](tutorials/01_splat_to_voxels.md)"
    assert site.relink("[a](../../docs/node.md)", "bundles/m/README.md", "model_cards/m.md") == "[a](../node.md)"


def test_tutorials_show_the_whole_example(site):
    for path in sorted((ROOT / "examples").glob("*.py")):
        page, code = site.tutorial(path), path.read_text()
        assert page.startswith("# ")
        assert code[code.index("\nfrom ") :].strip() in page


@pytest.mark.slow
def test_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    page = (tmp_path / "site" / "reference" / "python" / "index.html").read_text()
    assert all(f'id="gsocc_core.{name}"' in page for name in __import__("gsocc_core").__all__ if name != "__version__")
