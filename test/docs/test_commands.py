# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Command lines of the documentation fit the signatures of the commands; nothing is run."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from gsocc_core.arguments import keyword_arguments, put, read_words
from gsocc_core.commands.cli import function_of, split_words
from gsocc_core.commands.reading import first_words, train_of
from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import with_default_cameras
from gsocc_core.errors import ConfigError
from gsocc_core.methods.build import method_class, parse_arguments

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def command_lines(path):
    """Command lines in the fenced blocks of a page, without prompts, comments and continuation."""
    blocks = re.findall(r"^ *```(?:bash|console|sh)\n(.*?)^ *```", path.read_text(encoding="utf-8"), re.M | re.S)
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|;", line.strip().removeprefix("$ ")):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            # whatever starts gsocc_core: torchrun ... -m gsocc_core, python -m gsocc_core, srun gsocc_core
            if "gsocc_core" in words[1:] and words[0] in {"torchrun", "python", "srun", ".venv/bin/python"}:
                words = words[words.index("gsocc_core") :]
            if words and words[0].startswith(".venv/bin/"):
                words[0] = words[0].rpartition("/")[2]
            if words and words[-1] == "...":
                words = words[:-1]
            if words:
                yield words


def found(*programs):
    lines = [(path, words) for path in PAGES for words in command_lines(path) if words[0] in programs]
    return [pytest.param(words, id=f"{path.name}: {' '.join(words)[:100]}") for path, words in lines]


def check_core(words):
    """Raises ConfigError where gsocc_core would, but for values that are missing."""
    if words[0] == "completion":
        return
    name, rest = split_words(words)
    function = train_of(rest) if name == "train" else function_of(name)
    content = {}
    for key, value in read_words(rest, function, first_words(name, function), ["config"]):
        if key != "config":
            put(content, key, value)
            continue
        if "/" in value:  # else it is the reader's own file
            assert (ROOT / value).is_file(), f"{value}: no such file"
            content = yaml.safe_load((ROOT / value).read_text())
    made = keyword_arguments(function, content, "documentation", partial=True)
    if name == "train" and "method" in made:
        model = made.get("model", {})
        if method_class(made["method"]).DATA is DataArgs:
            model = with_default_cameras(method_class(made["method"]), model, DataArgs("").cameras)
        parse_arguments(made["method"], model, "documentation", key="model")


@pytest.mark.parametrize("words", found("gsocc_core"))
def test_gsocc_core(words):
    if words[1] not in {"COMMAND", "--help", "--version"}:
        check_core(words[1:])


@pytest.mark.parametrize("words", found("make"))
def test_make(words):
    verbs = re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(), re.M)
    assert set(words[1:]) <= set(verbs)


@pytest.mark.parametrize("words", found("python", "pytest"))
def test_python_scripts(words):
    script = next((word for word in words[1:] if word.endswith(".py")), None)
    module = words[words.index("-m") + 1] if "-m" in words else None
    if module is not None and module.startswith("gsocc"):
        import_module(module)
    if script is not None and "/" in script:
        assert (ROOT / script).is_file()


@pytest.mark.parametrize("words", found("ros2"))
def test_ros2(words):
    """Launch arguments that the launch file declares, programs that are installed."""
    if words[1:3] == ["launch", "gsocc_ros"]:
        text = (ROOT / "launch" / words[3]).read_text()
        for word in words[4:]:
            assert f'"{word.partition(":=")[0]}"' in text, word
    if words[1:3] == ["run", "gsocc_ros"]:
        assert (ROOT / "scripts" / words[3]).is_file()


def test_the_check_finds_wrong_words():
    with pytest.raises(ConfigError, match="did you mean"):
        check_core(["evaluate", "bundle", "--datarot", "x"])
    with pytest.raises(ConfigError, match="num_gausians"):
        check_core(["train", "config/train/synthetic_labels.yaml", "--model.network.num_gausians", "3"])
    assert len(found("gsocc_core")) > 20
