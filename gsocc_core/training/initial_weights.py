# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A training that starts from a bundle's weights: on other classes, another rig, another grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from gsocc_core.errors import BundleError, ConfigError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.grid_points import to_grid
from gsocc_core.inference.bundle import Bundle, load_bundle, load_pose_bundle, load_view_bundle
from gsocc_core.methods.method import Method, Trainable, ViewMethod
from gsocc_core.methods.voxel_host import OPACITY_HEAD, VoxelHost
from gsocc_core.networks.attention import PositionCode
from gsocc_core.networks.backbones import ImageEncoder


@dataclass(frozen=True)
class StartReport:
    """What a training took over.

    Attributes:
        source: The bundle.
        taken: Names of tensors that came over, whole or in part.
        shared: Classes whose rows of the class head came over.
        new: Classes that the source does not know; their rows stay random.
        unused: Classes of the source that the training does not have.
        left: Names of tensors that did not fit or that the source lacks, with the reason.
        notes: What was adapted.
    """

    source: Path
    taken: tuple[str, ...]
    shared: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]
    left: dict[str, str]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"init: {len(self.taken)} tensors from {self.source}; {len(self.left)} stay as they began"]
        lines += [f"init: {name}: {reason}" for name, reason in self.left.items()]
        rows = (("shared", self.shared), ("new, random", self.new), ("not used any more", self.unused))
        lines += [f"init: classes {what}: {', '.join(names)}" for what, names in rows if names]
        return "\n".join([*lines, *(f"init: {note}" for note in self.notes)])


@torch.no_grad()
def start_from(network: Trainable, method: str, bundle: str | Path) -> StartReport:
    """Overwrite a network's weights with those of a bundle, as far as they fit.

    Tensors of the same name and shape are taken. Rows of class heads go by class name, wherever a class stands in
    either list. With fewer learned Gaussians an even selection is taken; with more, the additional ones stay as they
    began. On another grid the learned means keep their place in metres and the position code is rewritten for the new
    box, so that it gives the same code for the same place. Hosts that predict every voxel have a query per voxel of
    their working grid: on a grid of as many voxels they come over, voxel by voxel, else they stay as they began.

    Args:
        network: The new model, already begun.
        method: Its method.
        bundle: Bundle folder or hub id of the same method; of one of another method only the image encoder is taken.

    Returns:
        What was taken and what was not.

    Raises:
        BundleError: the bundle is damaged.
        ConfigError: nothing of it fits, or its classes differ and the method's class head is
            not known.
    """
    if not isinstance(network, Method):
        return _start_alike(network, bundle)
    source = load_bundle(bundle)
    if source.method_name != method:
        return _start_pictures(source, network, method)
    old_names, new_names = channel_names(source.classes), channel_names(network.classes)
    if old_names != new_names and not network.CLASS_HEADS and network.prompts is None:
        raise ConfigError(source.path, "init", f"the classes {', '.join(new_names)}", ", ".join(old_names))
    needless = tuple(f"{name}." for name in network.TRAINING_ONLY)  # a bundle holds none of it
    state = {name: value for name, value in network.state_dict().items() if not name.startswith(needless)}
    given = _adapted(source, network)
    head = _class_layers(network)
    notes = _notes(source, network)
    taken, left = [], {}
    for name, target in state.items():
        value = given.get(name)
        if value is None:
            left[name] = "the source has no such tensor"
        elif name in head and value.shape[1:] == target.shape[1:]:
            for row, class_name in enumerate(new_names):
                if class_name in old_names:
                    target[row] = value[old_names.index(class_name)]
            taken.append(name)
        elif name in network.PER_GAUSSIAN and value.shape[1:] == target.shape[1:] and value.shape != target.shape:
            _rows(target, value)
            taken.append(name)
            notes.append(f"{name}: {len(value)} learned Gaussians in the source, {len(target)} here")
        elif value.shape == target.shape:
            target.copy_(value)
            taken.append(name)
        else:
            left[name] = f"{tuple(target.shape)} here, {tuple(value.shape)} in the source"
    if not taken:
        raise ConfigError(source.path, "init", "tensors that fit the model", "none")
    notes += _start_opacity(network, source.path / OPACITY_HEAD)
    return StartReport(
        source.path,
        tuple(taken),
        tuple(name for name in dict.fromkeys(new_names) if name in old_names),
        tuple(name for name in dict.fromkeys(new_names) if name not in old_names),
        tuple(name for name in dict.fromkeys(old_names) if name not in new_names),
        left,
        tuple(notes),
    )


def _start_opacity(network: Method, path: Path) -> list[str]:
    """Take over the opacity head that lies beside imported weights, if both have one of the same size."""
    render = network.render if isinstance(network, VoxelHost) else None
    if render is None or render.opacity_head is None or not path.is_file():
        return []
    try:
        given = load_file(path)
    except Exception as error:
        raise BundleError(path, "content", "a complete safetensors file", error) from error
    own = render.opacity_head.state_dict()
    if {name: value.shape for name, value in given.items()} != {name: value.shape for name, value in own.items()}:
        return []
    render.opacity_head.load_state_dict(given)
    return ["the opacity head of the loss in pictures came over"]


def _start_alike(network: Trainable, bundle: str | Path) -> StartReport:
    """Take over what has the same name and shape; there are no classes and no grid."""
    source = load_view_bundle(bundle) if isinstance(network, ViewMethod) else load_pose_bundle(bundle)
    given, taken, left = source.method.state_dict(), [], {}
    for name, target in network.state_dict().items():
        value = given.get(name)
        if value is None or value.shape != target.shape:
            left[name] = "the source has no tensor of this name and shape"
        else:
            target.copy_(value)
            taken.append(name)
    if not taken:
        raise ConfigError(source.path, "init", "tensors that fit the model", "none")
    return StartReport(source.path, tuple(taken), (), (), (), left, ())


def _start_pictures(source: Bundle, network: Method, method: str) -> StartReport:
    """Take over the image encoder only: all that methods have in common."""
    (_, given), (name, state) = _encoder(source.method), _encoder(network)
    taken, left = [], {}
    for key, target in state.items():
        value = given.get(key)
        if value is None or value.shape != target.shape:
            left[f"{name}.{key}"] = "the source's image encoder has no tensor of this name and shape"
        else:
            target.copy_(value)
            taken.append(f"{name}.{key}")
    if not set(taken) & {name for name, _ in network.named_parameters()}:
        expected = f"a bundle of the method {method}, or one with the same image backbone"
        raise ConfigError(source.path, "init", expected, source.method_name)
    note = f"a bundle of the method {source.method_name}: its image encoder came over, everything else is random"
    return StartReport(source.path, tuple(taken), (), (), (), left, (note,))


def _encoder(network: nn.Module) -> tuple[str, dict[str, Tensor]]:
    """Name and tensors of a network's image encoder."""
    found = [(name, module) for name, module in network.named_modules() if isinstance(module, ImageEncoder)]
    return (found[0][0], found[0][1].state_dict()) if found else ("", {})


def channel_names(classes: ClassTable) -> list[str]:
    """Class name of every feature channel."""
    return [classes.names[i] for i in classes.channel_ids]


def _class_layers(network: Method) -> set[str]:
    """Names of the tensors with one row per class: of a head's last linear layer, or of a head without one, all."""
    found = set()
    for head in network.CLASS_HEADS:
        module = network.get_submodule(head)
        parts = [f"{head}.{i}" for i in range(len(module))] if isinstance(module, nn.ModuleList) else [head]
        for part in parts:
            modules = network.get_submodule(part).named_modules(prefix=part)
            layers = [name for name, layer in modules if isinstance(layer, nn.Linear)]
            if layers:
                found |= {f"{layers[-1]}.weight", f"{layers[-1]}.bias"}
            else:  # a convolution and its norm
                found |= {
                    f"{part}.{name}" for name, value in network.get_submodule(part).state_dict().items() if value.ndim
                }
    return found


def _rows(target: Tensor, value: Tensor) -> None:
    """Fewer rows: an even selection; more: the first ones, the rest stays."""
    if len(target) < len(value):
        target.copy_(value[torch.linspace(0, len(value) - 1, len(target)).round().long()])
    else:
        target[: len(value)] = value


def _adapted(source: Bundle, network: Method) -> dict[str, Tensor]:
    """The source's tensors, position codes rewritten for the network's box.

    The code reads u = 2 (x - lower) / extent - 1. For the box of the network u' the same place has u = a u' + b, which
    the first linear layer takes in: W u + c = (W a) u' + (c + W b).
    """
    given = dict(source.method.state_dict())
    old = {n: m for n, m in source.method.named_modules() if isinstance(m, PositionCode)}
    for name, module in network.named_modules():
        before = old.get(name)
        if not isinstance(module, PositionCode) or before is None:
            continue
        a = module.extent / before.extent
        b = 2 * (module.lower - before.lower) / before.extent + a - 1
        if torch.equal(a, torch.ones_like(a)) and torch.equal(b, torch.zeros_like(b)):
            continue
        first = next(n for n, m in module.named_modules() if isinstance(m, nn.Linear))
        weight, bias = given[f"{name}.{first}.weight"], given[f"{name}.{first}.bias"]
        given[f"{name}.{first}.weight"], given[f"{name}.{first}.bias"] = weight * a, bias + weight @ b
    return given


def _notes(source: Bundle, network: Method) -> list[str]:
    notes = []
    if source.method.grid != network.grid:
        text = "the grid differs: queries keep their voxels, not their places"
        means = source.method.state_dict().get("means")
        if means is not None:
            text = "the grid differs: learned means keep their metres, the position code is rewritten for the new box"
            _, inside = network.grid.index(to_grid(means, network.grid))
            outside = int((~inside).sum())
            text += f"; {outside} of {len(means)} lie outside it"
        notes.append(text)
    encoders = [p.encoder if p is not None else None for p in (source.method.prompts, network.prompts)]
    if encoders[0] != encoders[1]:
        notes.append(f"text encoder {encoders[0]} in the source, {encoders[1]} here: its features mean something else")
    if source.method.image_size != network.image_size:
        notes.append(f"picture size {source.method.image_size} in the source, {network.image_size} here")
    return notes
