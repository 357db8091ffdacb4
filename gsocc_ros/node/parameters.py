# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one list that the node declares, the documentation prints and the tests compare."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from gsocc_core.errors import ConfigError
from gsocc_core.inference.options import InferenceOptions, Precision

#: The bundle that ships with the package, relative to its share folder.
DEMO_BUNDLE = "bundles/synthetic-gaussianflowocc"

_ROS_TYPES = {bool: "bool", int: "integer", float: "double", str: "string", tuple: "string_array"}


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        name: Its name, also that of a field of :class:`NodeSettings`.
        default: Default; its type is the parameter's type.
        description: What it does, with unit.
        fixed: Read when the node is configured; may only change while it is unconfigured.
        low: Smallest value of a number.
        high: Largest value of a number.
        choices: Allowed texts; empty = any.
    """

    name: str
    default: bool | int | float | str | tuple[str, ...]
    description: str
    fixed: bool = True
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def ros_type(self) -> str:
        """Its type as ROS 2 calls it."""
        return _ROS_TYPES[type(self.default)]

    def read(self, value: Any) -> Any:
        """A value as the parameter's type: YAML and command lines write 2 where 2.0 is meant, and lists for tuples."""
        if isinstance(self.default, tuple) and isinstance(value, list):
            return tuple(value)
        return float(value) if isinstance(self.default, float) and type(value) is int else value

    def check(self, value: Any) -> str | None:
        """What is wrong with a value; None = nothing."""
        value = self.read(value)
        if type(value) is not type(self.default) or (type(value) is tuple and not all(map(_is_text, value))):
            return f"a value of type {self.ros_type}, not {value!r}"
        if self.choices and value not in self.choices:
            return f"one of {list(self.choices)}, not {value!r}"
        low, high = self.low, self.high
        if low is not None and high is not None and isinstance(value, int | float) and not low <= float(value) <= high:
            return f"{low:g} ... {high:g}, not {value!r}"
        return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("rig", "nuscenes", "Rig file, or the name of a shipped rig."),
    Parameter("bundle", "", "Bundle folder or Hugging Face hub id; empty = the demo bundle of the package."),
    Parameter("device", "auto", "auto, cpu, cuda or cuda:N."),
    Parameter(
        "precision",
        "auto",
        "What the network of the pictures computes in; auto = as the bundle says on a GPU, float32 on a CPU.",
        choices=("auto", "float32", "bfloat16", "float16"),
    ),
    Parameter(
        "compile",
        False,
        "Compile the network at start, in a minute or so; false = only if the bundle asks for it, on a GPU.",
    ),
    Parameter(
        "cuda_graph",
        False,
        "Record the network as a CUDA graph and replay it; false = only if the bundle asks for it, on a GPU.",
    ),
    Parameter("threads", 0, "CPU threads of the network and the splatting; 0 = one per core.", low=0, high=256),
    Parameter("auto_activate", True, "Configure and activate at start; false = wait for a lifecycle manager."),
    Parameter(
        "lazy",
        False,
        "Predict only while somebody hears an output, or while evaluating; ~/save_snapshot and ~/query then know the "
        "last set that somebody heard.",
        fixed=False,
    ),
    Parameter(
        "image_reliability",
        "best_effort",
        "QoS of the picture and CameraInfo subscriptions; best_effort also receives from reliable cameras.",
        choices=("best_effort", "reliable"),
    ),
    Parameter("image_depth", 5, "QoS depth of the picture subscriptions, messages.", low=1, high=100),
    Parameter(
        "memory_gap_s", 2.0, "A longer gap between sets resets the streaming memory, seconds.", low=0.05, high=3600.0
    ),
    Parameter(
        "latency_budget_ms",
        500.0,
        "Budget of a set's processing time, 95th percentile, milliseconds: diagnostics warn above it and report an "
        "error above twice as much.",
        fixed=False,
        low=1.0,
        high=60000.0,
    ),
    Parameter(
        "stale_s",
        1.0,
        "Diagnostics report an error when a camera, or the output, is silent for longer, seconds.",
        fixed=False,
        low=0.05,
        high=3600.0,
    ),
    Parameter("diagnostics_period_s", 1.0, "Time between diagnostics, seconds.", low=0.1, high=60.0),
    Parameter(
        "ground_classes",
        "driveable_surface,other_flat,sidewalk,terrain",
        "Classes that are no obstacles for occupancy/obstacles and occupancy/cost_map, separated by commas.",
    ),
    Parameter(
        "obstacle_low_m", 0.2, "Lower voxels are no obstacles, metres in the base frame.", low=-100.0, high=100.0
    ),
    Parameter(
        "obstacle_high_m", 2.2, "Higher voxels are no obstacles, metres in the base frame.", low=-100.0, high=100.0
    ),
    Parameter(
        "queries",
        ("",),
        "Words that every prediction is asked, for occupancy/queries; empty texts count as none. They need a bundle "
        "with text features.",
        fixed=False,
    ),
    Parameter(
        "query_threshold", 0.5, "Score from which on a voxel is in occupancy/queries.", fixed=False, low=0.01, high=1.0
    ),
    Parameter(
        "text_encoder",
        "",
        "What embeds words: wordllama, clip:MODEL or talk2dino:MODEL:PROJECTION.safetensors; empty = the encoder that "
        "the bundle names.",
    ),
    Parameter("fuse", False, "Fuse predictions over time into occupancy/fused; needs the rig's fixed_frame."),
    Parameter(
        "fuse_half_life_s",
        3.0,
        "What is not seen again fades by half in this time, seconds; road users in a sixth of it.",
        low=0.05,
        high=3600.0,
    ),
    Parameter("evaluate", False, "Score the predictions against /occupancy/ground_truth and log the result."),
    Parameter(
        "evaluate_idle_s",
        5.0,
        "The evaluation is logged after so long without ground truth, seconds.",
        fixed=False,
        low=0.5,
        high=3600.0,
    ),
    Parameter("snapshot_dir", "snapshots", "Where ~/save_snapshot writes when it is given no folder."),
)


@dataclass(frozen=True)
class NodeSettings:
    """Values of all parameters; see :data:`PARAMETERS` for their meaning."""

    rig: str = "nuscenes"
    bundle: str = ""
    device: str = "auto"
    precision: Precision | Literal["auto"] = "auto"
    compile: bool = False
    cuda_graph: bool = False
    threads: int = 0
    auto_activate: bool = True
    lazy: bool = False
    image_reliability: str = "best_effort"
    image_depth: int = 5
    memory_gap_s: float = 2.0
    latency_budget_ms: float = 500.0
    stale_s: float = 1.0
    diagnostics_period_s: float = 1.0
    ground_classes: str = "driveable_surface,other_flat,sidewalk,terrain"
    obstacle_low_m: float = 0.2
    obstacle_high_m: float = 2.2
    queries: tuple[str, ...] = ("",)
    query_threshold: float = 0.5
    text_encoder: str = ""
    fuse: bool = False
    fuse_half_life_s: float = 3.0
    evaluate: bool = False
    evaluate_idle_s: float = 5.0
    snapshot_dir: str = "snapshots"

    @property
    def inference(self) -> InferenceOptions:
        """How the network is run, as far as the parameters say so."""
        precision = None if self.precision == "auto" else self.precision
        return InferenceOptions(precision, self.compile or None, self.cuda_graph or None)

    @property
    def standing_queries(self) -> tuple[str, ...]:
        """``queries`` without empty texts."""
        return tuple(text for text in self.queries if text.strip())

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> NodeSettings:
        """Checked settings.

        Args:
            values: Value per parameter name; others keep their defaults.

        Raises:
            ConfigError: a value is wrong or its name unknown.

        Example:
            >>> NodeSettings.of({"stale_s": 0.5}).stale_s
            0.5
        """
        return cls(**checked_values(PARAMETERS, values, "occupancy node"))


def checked_values(parameters: Sequence[Parameter], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Values of parameters as settings hold them.

    Args:
        parameters: Those that there are.
        values: Value per name.
        where: Whose they are, for errors.

    Raises:
        ConfigError: a value is wrong or its name unknown.
    """
    known = {parameter.name: parameter for parameter in parameters}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(where, f"parameter {name}", f"one of {sorted(known)}", "an unknown name")
        if (fault := known[name].check(value)) is not None:
            expected, received = fault.rsplit(", not ", 1)
            raise ConfigError(where, f"parameter {name}", expected, received)
    return {name: known[name].read(value) for name, value in values.items()}


def is_demo_bundle(bundle_id: str) -> bool:
    """Whether a bundle is the one that ships with the package, or a copy of its folder.

    Args:
        bundle_id: Its id.
    """
    return bundle_id == Path(DEMO_BUNDLE).name


def parameter_table(parameters: Sequence[Parameter] = PARAMETERS) -> str:
    """Parameters as a Markdown table, for the documentation.

    Example:
        >>> parameter_table().splitlines()[0]
        '| parameter | type | default | range | changes while running | meaning |'
    """
    rows = ["| parameter | type | default | range | changes while running | meaning |", "|---|---|---|---|---|---|"]
    for p in parameters:
        limits = ", ".join(p.choices) if p.choices else "" if p.low is None else f"{p.low:g} ... {p.high:g}"
        plain = list(p.default) if isinstance(p.default, tuple) else p.default
        default = str(plain).lower() if isinstance(plain, bool) else repr(plain)
        changes = "no" if p.fixed else "yes"
        rows.append(f"| `{p.name}` | {p.ros_type} | `{default}` | {limits} | {changes} | {p.description} |")
    return "\n".join(rows) + "\n"


def parameter_file() -> str:
    """A parameter file with every parameter at its default, for ``params_file:=`` and ``--params-file``.

    Example:
        >>> parameter_file().splitlines()[-1]
        '    snapshot_dir: "snapshots"'
    """
    lines = [
        "# SPDX-FileCopyrightText: 2026 The gsocc authors",
        "# SPDX-License-Identifier: Apache-2.0",
        "# Every parameter of the occupancy node with its default. Copy it, keep what you change, and hand it on with",
        "# params_file:=FILE (ros2 launch) or --ros-args --params-file FILE (ros2 run).",
        "/**:",
        "  ros__parameters:",
    ]
    for p in PARAMETERS:
        lines += [f"    # {line}" for line in textwrap.wrap(p.description, 110)]
        lines.append(f"    {p.name}: {json.dumps(p.default)}")
    return "\n".join(lines) + "\n"


assert {p.name for p in PARAMETERS} == {f.name for f in fields(NodeSettings)}


if __name__ == "__main__":
    sys.stdout.write(parameter_file() if "--yaml" in sys.argv[1:] else parameter_table())
