# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A bundle: a trained model as a folder of weights, configuration, classes, class prompts and card; nothing pickled.

Those of methods that predict no occupancy have no classes.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from gsocc_core.arguments import keyword_arguments
from gsocc_core.errors import BundleError, ConfigError, DataError, OutputExistsError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.inference.options import InferenceOptions
from gsocc_core.inference.origin import Origin
from gsocc_core.methods.build import build_trainable, method_class, prompts_use
from gsocc_core.methods.method import Method, PoseMethod, Trainable, ViewMethod
from gsocc_core.shipped import by_name
from gsocc_core.text.class_prompts import ClassPrompts
from gsocc_core.yaml_files import read_yaml

WEIGHTS, CONFIG, CLASSES, CARD = "model.safetensors", "config.yaml", "classes.yaml", "README.md"
PROMPTS = "prompts.safetensors"
#: A method that is no :class:`~gsocc_core.methods.method.Method`.
M = TypeVar("M", bound=Trainable)
PICKLES = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin"}

_Section = TypeVar("_Section", Origin, InferenceOptions)


@dataclass(frozen=True)
class Bundle:
    """A model read from disk.

    Attributes:
        path: Its folder.
        method_name: A key of ``gsocc_core.methods.build.METHODS``.
        arguments: Constructor arguments of the method.
        classes: Class table.
        method: The model with its trained weights, in evaluation mode.
        origin: Whose weights they are, or began as; None = of a training of one's own.
        inference: How the network is run on a GPU, where its user does not say otherwise.
    """

    path: Path
    method_name: str
    arguments: dict[str, Any]
    classes: ClassTable
    method: Method
    origin: Origin | None = None
    inference: InferenceOptions | None = None

    @property
    def id(self) -> str:
        """Short name for messages and reports."""
        return self.path.name


@dataclass(frozen=True)
class OtherBundle(Generic[M]):
    """A model that predicts no occupancy, read from disk.

    Attributes:
        path: Its folder.
        method_name: A key of ``gsocc_core.methods.build.METHODS``.
        arguments: Constructor arguments of the method.
        method: The model with its trained weights, in evaluation mode.
    """

    path: Path
    method_name: str
    arguments: dict[str, Any]
    method: M


def save_bundle(
    path: str | Path,
    method_name: str,
    arguments: Mapping[str, Any],
    method: Trainable,
    card: str,
    *,
    half: bool = True,
    replace: bool = False,
    origin: Origin | None = None,
    beside: Mapping[str, Mapping[str, Tensor]] | None = None,
    inference: InferenceOptions | None = None,
) -> None:
    """Write a bundle; it appears only when complete.

    What a method calls ``TRAINING_ONLY``, submodules and arguments of these names, stays outside.

    Args:
        path: Folder to make.
        method_name: A key of ``METHODS``.
        arguments: Constructor arguments as plain numbers, lists and mappings.
        method: The trained model; its class prompts, if it has any, go with it.
        card: Text of the model card (Markdown): data, scores, limits.
        half: Store float32 tensors as float16 where every value fits.
        replace: Take the place of an older bundle of the same name.
        origin: Whose weights they are, or began as.
        beside: More safetensors files of the folder, by name, which loading passes over.
        inference: How the network is to be run on a GPU; None = as whoever loads it says.

    Raises:
        OutputExistsError: ``path`` exists and is not to be replaced, or is no bundle.
    """
    path = Path(path)
    if path.exists() and not (replace and (path / CONFIG).is_file()):
        raise OutputExistsError(path, "bundle", "a folder that does not exist", "an existing one")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        state = {k: v for k, v in method.state_dict().items() if k.split(".", 1)[0] not in method.TRAINING_ONLY}
        weights = {k: _compact(v) if half else v.detach().cpu().contiguous() for k, v in state.items()}
        for name, tensors in {WEIGHTS: weights, **(beside or {})}.items():
            save_file(dict(tensors), temporary / name)
            (temporary / name).chmod(0o644)  # safetensors writes for the owner alone
        kept = {k: v for k, v in arguments.items() if k not in method.TRAINING_ONLY}
        config: dict[str, Any] = {"method": method_name, "arguments": kept}
        if origin is not None:
            config["origin"] = asdict(origin) | {"notes": list(origin.notes)}
        if inference is not None:
            config["inference"] = {key: value for key, value in asdict(inference).items() if value is not None}
        (temporary / CONFIG).write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        if isinstance(method, Method):
            method.classes.to_yaml(temporary / CLASSES)
            if method.prompts is not None:
                method.prompts.save(temporary / PROMPTS)
        (temporary / CARD).write_text(card, encoding="utf-8")
        temporary.chmod(0o755)
        _put(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _put(temporary: Path, path: Path) -> None:
    """Move a finished folder to its name; an older one steps aside, since a folder cannot replace a full one."""
    old = temporary.with_name(f"{temporary.name}-old")
    if path.exists():
        path.rename(old)
    temporary.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def load_bundle(path_or_hub_id: str | Path) -> Bundle:
    """Read a bundle from a folder or from the Hugging Face hub.

    Args:
        path_or_hub_id: A folder, ``owner/name`` on the hub, or the name of a shipped bundle.

    Returns:
        The bundle with its model in evaluation mode, on the CPU, in float32.

    Raises:
        BundleError: a file is missing (class prompts too, where the method needs them) or damaged, is a pickle, or the
            weights do not fit configuration and classes, are of another type or not finite.
        ConfigError: the configuration or class table is wrong.
    """
    path, config, method = _load(path_or_hub_id)
    if not isinstance(method, Method):
        raise BundleError(path, "method", "one that predicts occupancy", config["method"])
    origin = _section(config, "origin", Origin, path / CONFIG)
    inference = _section(config, "inference", InferenceOptions, path / CONFIG)
    return Bundle(path, config["method"], config["arguments"], method.classes, method, origin, inference)


def load_pose_bundle(path_or_hub_id: str | Path) -> OtherBundle[PoseMethod]:
    """Read a bundle of a method that predicts poses and depth; see :func:`load_bundle`.

    Raises:
        BundleError: as there, or the bundle is of another kind.
        ConfigError: the configuration is wrong.
    """
    expected = "one that predicts poses, such as gaussianocc_pose"
    return _load_kind(path_or_hub_id, PoseMethod, expected)  # type: ignore[type-abstract]


def load_view_bundle(path_or_hub_id: str | Path) -> OtherBundle[ViewMethod]:
    """Read a bundle of a method that reconstructs from unposed views; see :func:`load_bundle`.

    Raises:
        BundleError: as there, or the bundle is of another kind.
        ConfigError: the configuration is wrong.
    """
    expected = "one that reconstructs from unposed views, such as uni3r"
    return _load_kind(path_or_hub_id, ViewMethod, expected)  # type: ignore[type-abstract]


def _load_kind(path_or_hub_id: str | Path, kind: type[M], expected: str) -> OtherBundle[M]:
    path, config, method = _load(path_or_hub_id)
    if not isinstance(method, kind):
        raise BundleError(path, "method", expected, config["method"])
    return OtherBundle(path, config["method"], config["arguments"], method)


def _load(path_or_hub_id: str | Path) -> tuple[Path, dict[str, Any], Trainable]:
    """A bundle's folder, its configuration, and its method in evaluation mode."""
    path = _locate(path_or_hub_id)
    needed = [CONFIG, WEIGHTS]
    if (path / CONFIG).is_file() and issubclass(
        method_class(_read_config(path / CONFIG)["method"], path / CONFIG), Method
    ):
        needed.insert(1, CLASSES)
    for name in needed:
        if not (path / name).is_file():
            pickles = [p.name for p in path.iterdir() if p.suffix in PICKLES]
            received = f"no such file, but {pickles[0]}, which is never unpickled" if pickles else "no such file"
            raise BundleError(path, name, f"a bundle folder with {_listed(needed)}", received)
    config = _read_config(path / CONFIG)
    classes = ClassTable.from_yaml(path / CLASSES) if CLASSES in needed else None
    where = path / CONFIG
    prompts = _read_prompts(path, config["method"])
    method = build_trainable(
        config["method"], config["arguments"], classes, pretrained=False, prompts=prompts, where=where, key="arguments"
    )
    try:
        weights = load_file(path / WEIGHTS)
    except Exception as error:
        raise BundleError(path / WEIGHTS, "content", "a complete safetensors file", error) from error
    _load_weights(method, weights, path, classes)
    return path, config, method.eval()


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def read_origin(path_or_hub_id: str | Path) -> Origin | None:
    """Whose weights a bundle holds, without loading them.

    Args:
        path_or_hub_id: As for :func:`load_bundle`.

    Returns:
        None = of a training of one's own.

    Raises:
        BundleError: there is no such bundle.
        ConfigError: its configuration is wrong.
    """
    path = _locate(path_or_hub_id) / CONFIG
    return _section(_read_config(path), "origin", Origin, path)


def _section(config: Mapping[str, Any], key: str, kind: type[_Section], where: Path) -> _Section | None:
    """A part of the configuration that need not be there, as the dataclass that describes it."""
    if key not in config:
        return None
    if not isinstance(config[key], dict):
        raise ConfigError(where, key, "a mapping", repr(config[key]))
    try:
        return kind(**keyword_arguments(kind, config[key], where))
    except ConfigError as error:
        raise ConfigError(where, f"{key}.{error.key}", error.expected, error.received) from error


def upload_bundle(path: str | Path, hub_id: str, private: bool = False) -> None:
    """Upload a bundle to the Hugging Face hub (needs a login).

    Args:
        path: A bundle folder.
        hub_id: ``owner/name``.
        private: Make the repository private.

    Raises:
        BundleError: the folder is not a bundle.
    """
    from huggingface_hub import HfApi

    _load(path)
    api = HfApi()
    api.create_repo(hub_id, private=private, exist_ok=True)
    api.upload_folder(folder_path=str(path), repo_id=hub_id)


def _locate(path_or_hub_id: str | Path) -> Path:
    path = by_name(path_or_hub_id, "bundles")
    if path.is_dir():
        return path
    if path.exists() or path.suffix in PICKLES:
        raise BundleError(path, "bundle", "a bundle folder; files that run pickled code are never loaded", "a file")
    text = str(path_or_hub_id)
    if text.count("/") != 1 or text.startswith((".", "/", "~")):
        raise BundleError(path, "bundle", "a folder, or owner/name on the Hugging Face hub", "no such folder")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(text, allow_patterns=[CONFIG, CLASSES, CARD, "*.safetensors"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise BundleError(text, "bundle", "a folder, or a repository on the Hugging Face hub", error) from error


def _read_config(path: Path) -> dict[str, Any]:
    config = read_yaml(path, "YAML with the keys method and arguments")
    if set(config) - {"origin", "inference"} != {"method", "arguments"}:
        raise ConfigError(path, "keys", "method and arguments", ", ".join(map(str, config)))
    if not isinstance(config["arguments"], dict):
        raise ConfigError(path, "arguments", "a mapping", repr(config["arguments"]))
    return config


def _read_prompts(path: Path, method_name: str) -> ClassPrompts | None:
    """Class prompts of a bundle; None = it has none, and its method needs none."""
    if not (path / PROMPTS).is_file():
        if prompts_use(method_name, path / CONFIG) == "required":
            raise BundleError(path, PROMPTS, f"the class prompts that {method_name} needs", "no such file")
        return None
    try:
        return ClassPrompts.load(path / PROMPTS)
    except DataError as error:
        raise BundleError(error.where, error.key, error.expected, error.received) from error


def _compact(value: Tensor) -> Tensor:
    value = value.detach().cpu().contiguous()
    if value.dtype != torch.float32 or not value.numel():
        return value
    half = value.half()
    # Tensors beyond float16, such as variances of batch norms, are few and stay as they are; so do integers.
    error = (half.float() - value).abs()
    return half if bool((error <= 1e-3 * value.abs().max()).all()) else value


def _load_weights(method: Trainable, weights: dict[str, Tensor], path: Path, classes: ClassTable | None) -> None:
    expected = method.state_dict()
    for name in expected:
        if name not in weights:
            raise BundleError(path / WEIGHTS, name, "a tensor of the configured model", "no such tensor")
    for name, value in weights.items():
        if name not in expected:
            raise BundleError(path / WEIGHTS, name, "only tensors of the configured model", "an unknown tensor")
        if value.shape != expected[name].shape:
            channels = "" if classes is None else f" and the {len(classes.channel_ids)} channels of {CLASSES}"
            hint = f"{tuple(expected[name].shape)} from {CONFIG}{channels}"
            raise BundleError(path / WEIGHTS, name, hint, tuple(value.shape))
        weights[name] = _of_type(value, expected[name].dtype, path, name)
    method.load_state_dict(weights)


def _of_type(value: Tensor, dtype: torch.dtype, path: Path, name: str) -> Tensor:
    """A tensor in the model's type; only floating-point numbers are stored in several."""
    if value.dtype != dtype and not (value.is_floating_point() and dtype.is_floating_point):
        expected = "floating-point numbers" if dtype.is_floating_point else dtype
        raise BundleError(path / WEIGHTS, name, expected, value.dtype)
    value = value.to(dtype)
    if dtype.is_floating_point and not bool(value.isfinite().all()):
        count = int((~value.isfinite()).sum())
        raise BundleError(path / WEIGHTS, name, "finite numbers", f"{count} NaN or infinite of {value.numel()}")
    return value
