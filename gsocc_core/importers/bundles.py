# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint of others to a bundle: the configuration built, its tensors filled, everything written at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from torch import Tensor

from gsocc_core.errors import OutputExistsError
from gsocc_core.geometry.classes import OCC3D_NUSCENES, ClassTable
from gsocc_core.importers.checkpoint_files import Weights
from gsocc_core.importers.key_map import Key, carry_over
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.inference.model_card import model_card
from gsocc_core.inference.origin import Origin
from gsocc_core.methods.build import build_method
from gsocc_core.text.class_prompts import ClassPrompts

#: Occ3D-nuScenes' box and voxels, as configurations write them.
OCC3D_GRID = {"lower": [-40.0, -40.0, -1.0], "upper": [40.0, 40.0, 5.4], "voxel_size": 0.4}
#: How cards describe them.
OCC3D_TOLD = (
    "200 x 200 x 16 of 0.4 m, from (-40, -40, -1) m to (40, 40, 5.4) m in the ego frame; classes by id: "
    f"{', '.join(OCC3D_NUSCENES.names)}"
)


def changed(arguments: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with some of its values replaced, section by section."""
    made: dict[str, Any] = deepcopy(dict(arguments))
    for key, value in changes.items():
        inner = made.get(key)
        made[key] = changed(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return made


def check_new(out: str | Path) -> None:
    """Raise OutputExistsError where the bundle would take the place of something: before hours of reading."""
    if Path(out).exists():
        raise OutputExistsError(out, "bundle", "a folder that does not exist", "an existing one")


def write_imported(
    out: str | Path,
    method: str,
    arguments: Mapping[str, Any],
    weights: Sequence[Weights],
    keys: Callable[[Any], Sequence[Key]],
    origin: Origin,
    prompts: ClassPrompts | None = None,
    beside: Mapping[str, Mapping[str, Tensor]] | None = None,
    classes: ClassTable = OCC3D_NUSCENES,
) -> None:
    """Build a method, fill it with others' weights and write the bundle, in full precision.

    Args:
        out: Folder to make.
        method: Name of the method.
        arguments: Its arguments, of the published sizes.
        weights: What the files hold.
        keys: Gives the key map of the built method.
        origin: What users must know of the weights.
        prompts: Class prompts, where the method takes them.
        beside: See :func:`gsocc_core.inference.bundle.save_bundle`.
        classes: What the method's channels stand for.

    Raises:
        BundleError: the tensors are not those of the configuration.
        ConfigError: the configuration cannot be built.
        OutputExistsError: ``out`` exists.
    """
    built = build_method(method, arguments, classes, pretrained=False, prompts=prompts, where=weights[0].path)
    carry_over(weights, keys(built), built, origin.system)
    count, named = sum(p.numel() for p in built.parameters()), len(built.classes.names) - 1
    card = model_card(
        Path(out).name, method, count, built.image_size, named, origin.markdown(), licence=origin.licence_id
    )
    save_bundle(out, method, arguments, built.eval(), card, half=False, origin=origin, beside=beside)
