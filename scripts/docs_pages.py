# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pages of the documentation that are made from the code: mkdocs calls the functions named ``on_...``.

``index.md`` is the README; tutorials are the examples; the reference comes from signatures and docstrings. Nothing
is written into ``docs/``.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import os
import posixpath
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from docstring_parser import parse

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a checkout documents itself, whatever is installed
REPOSITORY = "https://github.com/gsocc/gsocc/blob/main/"
#: Files of the repository that are pages.
COPIED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
PROGRAMS = {
    "nuscenes_to_rosbag2": "convert to-rosbag2",
    "rosbag2_to_nuscenes": "convert to-nuscenes",
    "rosbag2_to_rig": "rig from-bag",
    "replay_occupancy": "replay",
    "view_occupancy_bag": "view RECORDING",
}
COMMANDS_INTRO = """# The commands of gsocc_core

Every option is written `--name value`; the first argument of a command and the needed ones behind it may stand without
their names. Truth values may be written `--name` and `--no-name`, lists `a,b`; `null` is None, and names may hold - for
_. `--config FILE` reads arguments from a YAML file; words overrule it, and `--print_config` prints all arguments as
such a file. `gsocc_core COMMAND --help` shows the same in a terminal, and `eval "$(gsocc_core completion)"` lets bash
and zsh complete it. A wrong input ends with one line and status 2; with `--debug` there is a traceback. Commands around
recordings stand with the [programs](programs.md).
"""
PROGRAMS_INTRO = """# Programs for recordings

They need no ROS installation, and are commands of `gsocc_core` as well. With ROS, `ros2 run gsocc_ros PROGRAM` starts
them too. An error is one line on the terminal and status 2.
"""
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages (an event of mkdocs)."""
    from mkdocs.structure.files import File

    for name, content in pages().items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to files of the repository into links to pages, or to the repository (an event of mkdocs)."""
    name = page.file.src_uri
    origins = {made: source for source, made in sources().items()}
    return relink(markdown, origins.get(name, f"docs/{name}"), name)


def sources() -> dict[str, str]:
    """File of the repository -> page that shows it."""
    examples = {f"examples/{p.name}": f"tutorials/{p.stem}.md" for p in sorted((ROOT / "examples").glob("*.py"))}
    models = sorted(p.parent.name for p in ROOT.glob("bundles/*/README.md"))
    cards = {f"bundles/{name}/README.md": f"model_cards/{name}.md" for name in models}
    guides = {f"docs/{p.name}": p.name for p in sorted((ROOT / "docs").glob("*.md"))}
    return {**COPIED, **examples, **cards, **guides}


def relink(markdown: str, origin: str, page: str) -> str:
    """Links as they must read on a page.

    Args:
        markdown: Text of a file of the repository.
        origin: That file, relative to the repository.
        page: The page that shows it, relative to the site.

    Returns:
        The text with links to pages, to files below ``docs/``, and for all else to the repository on the web.
    """
    known = sources()

    def change(match: re.Match[str]) -> str:
        target = match[2]
        if re.match(r"[a-z]+:", target) or target.startswith("/"):
            return match[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        if not (ROOT / file).exists():
            return match[0]  # a page that only the site has; mkdocs checks it
        shown = known.get(file, file[5:] if file.startswith("docs/") else None)
        if shown is None:
            return f"{match[1]}{REPOSITORY}{file}{match[3]}"
        return f"{match[1]}{posixpath.relpath(shown, posixpath.dirname(page) or '.')}{match[3]}"

    return _LINK.sub(change, markdown)


def pages() -> dict[str, str]:
    """Name of every generated page -> Markdown."""
    made = {page: (ROOT / source).read_text(encoding="utf-8") for source, page in sources().items()
            if source.endswith(".md") and not source.startswith("docs/")}  # fmt: skip
    for source, page in sources().items():
        if source.endswith(".py"):
            made[page] = tutorial(ROOT / source)
    made["reference/commands.md"] = "".join(commands())
    made["reference/programs.md"] = programs()
    made["reference/node_parameters.md"] = node_parameters()
    made["reference/python.md"] = python()
    return made


def tutorial(path: Path) -> str:
    """An example as a page: its docstring, how to run it, its code."""
    text = path.read_text(encoding="utf-8")
    doc = ast.get_docstring(ast.parse(text)) or ""
    title, _, intro = doc.partition("\n")
    code = text.split('"""', 2)[2].strip("\n")
    run = f"```bash\npython examples/{path.name}\n```"
    shown = f'```python title="examples/{path.name}"\n{code}\n```'
    return f"# {title.rstrip('.')}\n\n{intro.strip()}\n\n{run}\n\n{shown}\n"


def commands() -> Iterator[str]:
    """Reference of ``gsocc_core``."""
    from gsocc_core import commands as functions
    from gsocc_core.commands.cli import COMMANDS

    yield COMMANDS_INTRO
    for name in COMMANDS:
        function = getattr(functions, name.replace(" ", "_").replace("-", "_"))
        yield f"\n## {name}\n\n{command(function)}"


def command(function: Callable[..., Any]) -> str:
    """Text and table of options of one command."""
    parsed = parse(inspect.getdoc(function) or "")
    text = "\n\n".join(t for t in (parsed.short_description, parsed.long_description) if t)
    lines = [text, "", "| option | type | default | |", "|---|---|---|---|", *options(function)]
    return "\n".join(lines) + "\n"


def options(owner: Any, prefix: str = "") -> Iterator[str]:
    """Rows of a table: the parameters of a function, or the fields of a dataclass below them."""
    told = {p.arg_name: " ".join((p.description or "").split()) for p in parse(inspect.getdoc(owner) or "").params}
    hints = get_type_hints(owner.__init__ if inspect.isclass(owner) else owner)
    for name, parameter in inspect.signature(owner).parameters.items():
        kind = next((m for m in (hints[name], *get_args(hints[name])) if is_dataclass(m)), None)
        if kind is not None:
            yield f"| **`--{prefix}{name}.*`** | | | {_cell(told.get(name, ''))} |"
            yield from options(kind, f"{prefix}{name}.")
            continue
        needed = parameter.default is inspect.Parameter.empty
        default = "needed" if needed else f"`{_default(parameter.default)}`"
        yield f"| `--{prefix}{name}` | {_type(parameter.annotation)} | {default} | {_cell(told.get(name, ''))} |"


def _default(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return {None: "null"}.get(value, str(value)) if not isinstance(value, bool) else str(value).lower()


def _type(annotation: Any) -> str:
    """An annotation in words; code spans cannot hold the bar that separates columns."""
    written = re.sub(r"Literal\[([^\]]*)\]", lambda m: m[1].replace("'", "").replace('"', ""), str(annotation))
    return written.replace(" | None", " or null").replace(" | ", " or ")


def _cell(text: str) -> str:
    parts = text.replace("|", "\\|").split("`")  # every other one is code, where < stays what it is
    return "`".join(part if i % 2 else part.replace("<", "&lt;") for i, part in enumerate(parts))


def programs() -> str:
    """What the programs of gsocc_ros print with ``--help``."""
    parts = [PROGRAMS_INTRO]
    for name, command_name in PROGRAMS.items():
        same = f"The same: `gsocc_core {command_name}`."
        parts.append(f"\n## {name}\n\n{same}\n\n```text\n{help_of(name).strip()}\n```\n")
    return "".join(parts)


def help_of(program: str) -> str:
    """Output of a program's ``--help``."""
    from gsocc_ros import commands

    main = getattr(commands, f"{program}_program")
    printed, before = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "110"
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main(["--help"])
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
    return printed.getvalue()


def node_parameters() -> str:
    """Parameters of the ROS 2 node."""
    from gsocc_ros.node.parameters import parameter_file, parameter_table

    return (
        f"# Parameters of the node\n\n{parameter_table()}\n"
        f"As a file for `params_file:=` of the launch file:\n\n```yaml\n{parameter_file()}```\n\n"
        "What they do in context: [the ROS 2 node](../node.md).\n"
    )


def python() -> str:
    """Public names of gsocc_core, for mkdocstrings."""
    import gsocc_core

    groups = {
        "Operators": ("splat_to_voxels", "splat_to_labels", "classify_voxels", "splat_to_image", "Rendering"),
        "Prediction": ("OccupancyPredictor", "Prediction"),
        "Value types": ("Camera", "Cameras", "Gaussians", "VoxelGrid", "VoxelField", "SemanticGrid", "ClassTable",
                        "OCC3D_NUSCENES", "FrameSet", "Targets", "TextFeatures", "VoxelScores"),
    }  # fmt: skip
    listed = {name for names in groups.values() for name in names}
    if missing := set(gsocc_core.__all__) - listed - {"__version__"}:
        raise RuntimeError(f"scripts/docs_pages.py: python(): no group for {sorted(missing)}")
    groups["Errors"] = ("errors",)
    groups["Training loss"] = ("losses.gaussrender.GaussRenderLoss",)
    groups["Bundles"] = ("inference.bundle",)
    groups["Score"] = ("metrics.confusion.VoxelConfusion", "metrics.rayiou", "metrics.image_metrics.ImageMetrics")
    text = "# Python\n\nThe public names of `gsocc_core`. [Conventions](../conventions.md) holds for all of them.\n"
    for title, names in groups.items():
        text += f"\n## {title}\n"
        text += "".join(f"\n::: gsocc_core.{name}\n    options: {{heading_level: 3}}\n" for name in names)
    return text


if __name__ == "__main__":
    for title, content in pages().items():
        sys.stdout.write(f"{title}: {len(content)} characters\n")
