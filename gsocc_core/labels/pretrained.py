# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Foundation models from a folder or the Hugging Face hub, through transformers, without torchvision."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gsocc_core.data.stored import read_json, reading
from gsocc_core.errors import ConfigError

_PREPROCESSING = ("preprocessor_config.json", "processor_config.json")


def model_type(source: str, key: str, allowed: Mapping[str, str]) -> str:
    """The kind of a model.

    Args:
        source: Folder or hub id.
        key: The command-line argument that named it, for errors.
        allowed: transformers' model types that fit -> class name.

    Returns:
        One of the allowed types.

    Raises:
        ConfigError: there is no such model, or it is of another kind.
    """
    from transformers import AutoConfig

    expected = f"a folder or hub id of a model of type {', '.join(allowed)}"
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        raise ConfigError("command line", key, expected, f"the folder {source}, which holds no config.json")
    if not Path(source).is_dir() and Path(source).is_absolute():
        raise ConfigError("command line", key, expected, f"{source}: no such folder")
    try:
        found = str(AutoConfig.from_pretrained(source).model_type)
    except (OSError, ValueError, KeyError, TypeError) as error:
        received = f"{source}: {str(error).strip().splitlines()[0]}"
        raise ConfigError("command line", key, expected, received) from error
    if found not in allowed:
        raise ConfigError("command line", key, expected, f"{source}, of type {found}")
    return found


def load_model(source: str, class_name: str, key: str, device: torch.device, **overrides: Any) -> Any:
    """A model ready to infer, in float32.

    Args:
        source: Folder or hub id.
        class_name: A class of transformers.
        key: The command-line argument that named it, for errors.
        device: Where it goes.
        overrides: Values that replace those of its configuration.

    Returns:
        The model, in evaluation mode, without gradients.

    Raises:
        ConfigError: this transformers lacks the class, or the weights do not load or are not all there.
    """
    import transformers
    from safetensors import SafetensorError

    model_class = getattr(transformers, class_name, None)
    if model_class is None:
        received = f"{transformers.__version__}, which has no {class_name}; pip install -U transformers"
        raise ConfigError("transformers", "version", f"one with {class_name}", received)
    with _Quiet():
        try:
            model, info = model_class.from_pretrained(source, output_loading_info=True, **overrides)
        except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
            received = f"{source}: {str(error).strip().splitlines()[0]}"
            raise ConfigError("command line", key, f"weights of a {class_name}", received) from error
    missing = sorted(set(info["missing_keys"]) & {name for name, _ in model.named_parameters()})
    if missing:
        received = f"{source}, which lacks {len(missing)} of them, for instance {missing[0]}"
        raise ConfigError("command line", key, f"all weights of a {class_name}", received)
    return model.float().eval().requires_grad_(False).to(device)


def preprocessing(source: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """How a model wants its pictures: its own file where it says so, the published values elsewhere.

    Args:
        source: Folder or hub id.
        defaults: Key -> value of what the caller uses.

    Returns:
        The same keys.

    Raises:
        DataError: its file is damaged.
    """
    from transformers.utils import cached_file

    result = dict(defaults)
    for name in _PREPROCESSING:
        try:
            path = cached_file(source, name)
        except (OSError, ValueError):
            continue  # a model without the file is used with the published values
        if path is None:
            continue
        with reading(path, "how pictures are prepared, as JSON"):
            content = read_json(path, "how pictures are prepared, as JSON")
            content = content.get("image_processor", content)
            result.update({key: content[key] for key in defaults if content.get(key) is not None})
        return result
    return result


class _Quiet:
    """Keeps transformers' report of weights without use off the screen; missing ones become an error."""

    def __enter__(self) -> _Quiet:
        self._logger = logging.getLogger("transformers")
        self._level = self._logger.level
        self._logger.setLevel(logging.ERROR)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.setLevel(self._level)


def choose_device(name: str, local_index: int) -> torch.device:
    """The device of this process.

    Args:
        name: cpu, cuda, cuda:1 or auto = CUDA if there is one.
        local_index: Number of the process on this machine; ``auto`` and ``cuda`` take the GPU of that number.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and torch.cuda.is_available():
        name = f"cuda:{local_index % torch.cuda.device_count()}"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        received = f"{name!r} ({str(error).splitlines()[0]})"
        raise ConfigError("command line", "--device", "auto, cpu, or cuda with a GPU present", received) from error
    return device
