# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``gsocc_core doctor``: what this machine has, what is missing for what, and the command that mends it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gsocc_core.shipped import shipped

State = Literal["ok", "missing", "broken"]
#: Name of the demo model, which comes with the code.
DEMO_BUNDLE = "synthetic-gaussianflowocc"
#: What nuscenes-devkit's reader imports. Importing them all takes longer than the rest of the table; only OpenCV is.
_DEVKIT_IMPORTS = ("nuscenes", "cv2", "matplotlib", "numpy", "PIL", "pyquaternion", "sklearn", "tqdm")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        state: ``ok``; ``missing`` = some feature cannot be used; ``broken`` = nothing works until it is mended.
        found: What is there, or for what it would be needed.
        mend: Command or step that mends it.
    """

    name: str
    state: State
    found: str
    mend: str = ""


def version_of(package: str) -> str | None:
    """Installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_python() -> Finding:
    """The interpreter's version."""
    version = platform.python_version()
    if (3, 10) <= sys.version_info[:2] <= (3, 13):
        return Finding("Python", "ok", f"{version}, {platform.system()} {platform.machine()}")
    return Finding("Python", "broken", version, "python3.11 -m venv .venv, and install there")


def check_torch() -> Finding:
    """PyTorch, and how many threads it takes."""
    try:
        import torch
    except ImportError as error:
        return Finding("PyTorch", "broken", str(error), "pip install torch")
    return Finding("PyTorch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")


def check_gpu() -> Finding:
    """The GPU and its memory."""
    import torch

    if torch.cuda.is_available():
        free, total = (value / 2**30 for value in torch.cuda.mem_get_info())
        return Finding("GPU", "ok", f"{torch.cuda.get_device_name()}, {free:.1f} of {total:.1f} GiB free")
    if shutil.which("nvidia-smi"):
        build = torch.version.cuda or "none: a CPU build"
        mend = "a PyTorch whose CUDA the driver supports, see pytorch.org/get-started"
        return Finding("GPU", "missing", f"a driver is there, PyTorch cannot use it (its CUDA: {build})", mend)
    return Finding("GPU", "ok", "none; everything runs on the CPU")


def check_numba() -> Finding:
    """The CPU kernels: whether numba can be imported, and where what it compiles is kept."""
    from gsocc_core._numba import HIDDEN_COVERAGE

    try:
        folder = kernel_folder()
    except Exception as error:  # noqa: BLE001 - whatever it is, the table has a line for it
        return Finding("CPU kernels (numba)", "broken", f"{type(error).__name__}: {error}", "pip install -U numba")
    hidden = f"; coverage {HIDDEN_COVERAGE}, too old for it, is hidden from it" if HIDDEN_COVERAGE else ""
    if folder is not None:
        return Finding("CPU kernels (numba)", "ok", f"numba {version_of('numba')}, compiled ones in {folder}{hidden}")
    found = f"numba {version_of('numba')}, which compiles anew in every process: no folder to keep them in{hidden}"
    mend = "export NUMBA_CACHE_DIR=FOLDER, one that can be written"
    return Finding("CPU kernels (numba)", "missing", found, mend)


def kernel_folder() -> str | None:
    """Where the next process finds what this one compiled; None = nowhere."""
    from gsocc_core.splat.simd import exp32

    if not hasattr(exp32, "stats"):
        return "no folder, since NUMBA_DISABLE_JIT is set"
    path: str | None = exp32.stats.cache_path
    return path


def check_triton() -> Finding:
    """Voxel splatting on a GPU."""
    import torch

    version = version_of("triton")
    if version:
        return Finding("Triton", "ok", f"{version}; splats to voxels on a GPU")
    state: State = "missing" if torch.cuda.is_available() else "ok"
    return Finding("Triton", state, "not installed; splats to voxels on a GPU", "pip install triton")


def check_gsplat() -> Finding:
    """Rendering on a GPU, which only training needs."""
    import torch

    version, compiler = version_of("gsplat"), shutil.which("nvcc") or os.environ.get("CUDA_HOME")
    if not torch.cuda.is_available():
        return Finding("gsplat", "ok", f"{version or 'not installed'}; only training on a GPU needs it")
    if version is None:
        return Finding("gsplat", "missing", "not installed; training on a GPU needs it", "pip install gsplat")
    if compiler is None:
        mend = "install the CUDA toolkit of PyTorch's version, and set CUDA_HOME"
        return Finding("gsplat", "missing", f"{version}, but no nvcc, with which it builds itself at first use", mend)
    return Finding("gsplat", "ok", f"{version}, builds itself with {compiler}")


def unmet(package: str) -> str | None:
    """What an installed distribution asks for and does not get, read from its metadata; None = nothing.

    Args:
        package: Name of a distribution; one that is not installed asks for nothing.

    Example:
        >>> unmet("numpy")
    """
    from packaging.requirements import Requirement

    try:
        asked = importlib.metadata.requires(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for wanted in map(Requirement, asked):
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        version = version_of(wanted.name)
        if version is None or not wanted.specifier.contains(version, prereleases=True):
            return f"{wanted.name}{wanted.specifier}, {version or 'none'} is installed"
    return None


def check_transformers() -> Finding:
    """Backbones; a torchvision that does not fit PyTorch breaks their import."""
    version, vision = version_of("transformers"), version_of("torchvision")
    if version is None:
        return Finding("transformers", "broken", "not installed", "pip install transformers")
    builds = {(found or "").partition("+")[2] for found in (vision, version_of("torch"))} - {""}
    wrong = unmet("torchvision") or (
        f"a PyTorch of its own build, not {' and '.join(sorted(builds))}" if len(builds) > 1 else None
    )
    if vision and wrong:
        return Finding("transformers", "broken", f"torchvision {vision} wants {wrong}", "pip uninstall torchvision")
    if wrong := unmet("transformers"):
        return Finding("transformers", "broken", f"{version} wants {wrong}", "pip install -U transformers")
    return Finding("transformers", "ok", version)


def check_numpy() -> Finding:
    """NumPy, whose major version decides about nuscenes-devkit and ROS' cv_bridge."""
    version = version_of("numpy") or "not installed"
    if version.startswith("1."):
        return Finding("NumPy", "ok", version)
    return Finding("NumPy", "ok", f"{version}; nuscenes-devkit and ROS' cv_bridge want NumPy 1")


def check_devkit() -> Finding:
    """The reader of nuScenes trees; OpenCV, which it imports, may want libraries of the system."""
    version = version_of("nuscenes-devkit")
    if version:
        mend = "pip install --force-reinstall nuscenes-devkit opencv-python-headless 'numpy<2'"
        try:
            absent = next((name for name in _DEVKIT_IMPORTS if importlib.util.find_spec(name) is None), None)
            if absent is not None:
                return Finding("nuscenes-devkit", "missing", f"{version}, but no {absent}, which it imports", mend)
            importlib.import_module("cv2")
        except Exception as error:  # noqa: BLE001 - compiled modules raise whatever they like
            return Finding("nuscenes-devkit", "missing", f"{version}, but {type(error).__name__}: {error}"[:120], mend)
        return Finding("nuscenes-devkit", "ok", version)
    if sys.version_info >= (3, 13):
        found = "not for this Python; training, evaluation and the converter need it"
        return Finding("nuscenes-devkit", "missing", found, "a virtual environment of Python 3.10 to 3.12")
    found = "not installed; training, evaluation and the converter need it"
    return Finding("nuscenes-devkit", "missing", found, "pip install nuscenes-devkit")


def check_viewer() -> Finding:
    """The web page of ``gsocc_core view`` and films as MP4."""
    found = {package: version_of(package) for package in ("viser", "imageio-ffmpeg")}
    absent = [package for package, version in found.items() if version is None]
    if not absent:
        return Finding("viewer", "ok", ", ".join(f"{package} {version}" for package, version in found.items()))
    uses = {"viser": "`gsocc_core view` as a web page", "imageio-ffmpeg": "films as MP4"}
    needed = " and ".join(uses[package] for package in absent)
    text = f"no {' and no '.join(absent)}, for {needed}; PNG and GIF need neither"
    return Finding("viewer", "missing", text, "pip install viser imageio-ffmpeg")


def check_rosbags() -> Finding:
    """The reader and writer of recordings."""
    version = version_of("rosbags")
    return Finding("rosbags", "ok" if version else "broken", version or "not installed", "pip install rosbags")


def check_ros() -> Finding:
    """ROS 2 around this interpreter: only the node needs it."""
    distro = os.environ.get("ROS_DISTRO")
    if distro is None:
        return Finding("ROS 2", "ok", "not sourced; only the node needs it", "source /opt/ros/DISTRO/setup.bash")
    try:
        importlib.import_module("rclpy")
    except ImportError as error:
        mend = "python3 -m venv --system-site-packages, made with the Python that ROS uses"
        return Finding("ROS 2", "missing", f"{distro} is sourced, but this Python has no rclpy: {error}", mend)
    try:
        importlib.import_module("gsocc_ros.msg")
    except ImportError:
        mend = "colcon build --packages-select gsocc_ros; source install/setup.bash"
        return Finding("ROS 2", "missing", f"{distro}, but gsocc_ros' messages are not built or not sourced", mend)
    return Finding("ROS 2", "ok", f"{distro}, rclpy and gsocc_ros' messages")


def check_bundle(path: str | None) -> Finding:
    """A model loads and predicts; without a name, which one comes with the code and can be tried."""
    if path is None:
        if shipped(f"bundles/{DEMO_BUNDLE}") is None:
            return Finding("model", "ok", "none named; try --bundle FOLDER or a Hugging Face hub id")
        return Finding("model", "ok", f"{DEMO_BUNDLE} is there; --bundle {DEMO_BUNDLE} loads it and predicts")
    from gsocc_core import OccupancyPredictor
    from gsocc_core.errors import GsoccError

    try:
        start = time.perf_counter()
        predictor = OccupancyPredictor.load(path, device="cpu")
        predictor.warm_up(1)
    except GsoccError as error:
        return Finding("model", "broken", str(error), f"name a bundle folder, or {DEMO_BUNDLE}, which is shipped")
    return Finding("model", "ok", f"{path} loads and predicts ({time.perf_counter() - start:.1f} s)")


def examine(bundle: str | None = None) -> list[Finding]:
    """Look at everything.

    Args:
        bundle: Model to load and to predict with; None = none.

    Returns:
        Findings in the order of the table.
    """
    checks: tuple[Callable[[], Finding], ...] = (
        check_python, check_torch, check_gpu, check_numpy, check_numba, check_triton, check_gsplat, check_transformers,
        check_devkit, check_viewer, check_rosbags, check_ros,
    )  # fmt: skip
    findings = []
    for check in checks:
        findings.append(check())
        if findings[-1].name == "PyTorch" and findings[-1].state == "broken":
            return findings
    return [*findings, check_bundle(bundle)]


def table(findings: list[Finding]) -> str:
    """Lines for a terminal; what needs mending has the command below it."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:<8} {finding.name:<{width}}  {finding.found}")
        if finding.state != "ok" and finding.mend:
            lines.append(f"{'':<8} {'':<{width}}  -> {finding.mend}")
    return "\n".join(lines)
