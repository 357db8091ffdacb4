# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The fixed list of methods, and how one is built from plain arguments."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from gsocc_core.arguments import keyword_arguments
from gsocc_core.errors import ConfigError, GsoccError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.methods.method import InputUse, Method, Trainable
from gsocc_core.text.class_prompts import ClassPrompts

#: Method name -> where it lives. Configurations name a method, never a class path.
METHODS = {
    "gaussianflowocc": ("gsocc_core.methods.gaussianflowocc", "GaussianFlowOcc"),
    "gaussianocc": ("gsocc_core.methods.gaussianocc", "GaussianOcc"),
    "gaussianocc_pose": ("gsocc_core.methods.gaussianocc_pose", "GaussianOccPose"),
    "gausstr": ("gsocc_core.methods.gausstr", "GaussTR"),
    "surroundocc": ("gsocc_core.methods.surroundocc", "SurroundOcc"),
    "symphonies": ("gsocc_core.methods.symphonies", "Symphonies"),
    "tpvformer": ("gsocc_core.methods.tpvformer", "TPVFormer"),
    "uni3r": ("gsocc_core.methods.uni3r", "Uni3R"),
}

#: Constructor arguments that do not come from a configuration.
GIVEN = ("classes", "pretrained", "prompts")


def method_class(name: str, where: object = "config") -> type[Trainable]:
    """The class of a method.

    Raises:
        ConfigError: no such method.
    """
    if not isinstance(name, str) or name not in METHODS:
        raise ConfigError(where, "method", f"one of {', '.join(sorted(METHODS))}", repr(name))
    module, attribute = METHODS[name]
    return getattr(import_module(module), attribute)


def prompts_use(name: str, where: object = "config") -> InputUse:
    """What a method does with class prompts: its constructor has a parameter ``prompts``, with or without a default.

    Raises:
        ConfigError: no such method.
    """
    parameter = inspect.signature(method_class(name, where)).parameters.get("prompts")
    if parameter is None:
        return "unused"
    return "required" if parameter.default is inspect.Parameter.empty else "optional"


def parse_arguments(name: str, arguments: Mapping[str, Any], where: object = "config", key: str = "") -> dict[str, Any]:
    """Check plain arguments against a method's typed constructor, without building it.

    Args:
        name: A key of :data:`METHODS`.
        arguments: Constructor arguments as plain numbers, lists and mappings.
        where: File that the arguments come from, for errors.
        key: Their key in that file, for errors.

    Returns:
        The arguments with their value types made.

    Raises:
        ConfigError: unknown method or argument, or a value of the wrong type.
    """
    cls = method_class(name, where)
    try:
        return keyword_arguments(cls, arguments, where, skip=GIVEN)
    except ConfigError as error:
        if not key:
            raise
        raise ConfigError(where, f"{key}.{error.key}", error.expected, error.received) from error


def build_method(
    name: str,
    arguments: Mapping[str, Any],
    classes: ClassTable,
    *,
    pretrained: bool,
    prompts: ClassPrompts | None = None,
    where: object = "config",
    key: str = "",
) -> Method:
    """Build a method that predicts occupancy; see :func:`build_trainable`.

    Raises:
        ConfigError: as there, or the method predicts none.
    """
    made = build_trainable(name, arguments, classes, pretrained=pretrained, prompts=prompts, where=where, key=key)
    if not isinstance(made, Method):
        raise ConfigError(where, "method", "one that predicts occupancy", name)
    return made


def build_trainable(
    name: str,
    arguments: Mapping[str, Any],
    classes: ClassTable | None,
    *,
    pretrained: bool,
    prompts: ClassPrompts | None = None,
    where: object = "config",
    key: str = "",
) -> Trainable:
    """Build a method from plain arguments, checked against its typed constructor.

    Args:
        name: A key of :data:`METHODS`.
        arguments: Constructor arguments as plain numbers, lists and mappings.
        classes: Class table; None = there is none, and the method takes none.
        pretrained: Load the backbone's hub weights; False when trained weights are loaded over it.
        prompts: Class prompts, for methods that are told their classes in words.
        where: File that the arguments come from, for errors.
        key: Their key in that file, for errors.

    Returns:
        The method, with random weights but for a pretrained backbone.

    Raises:
        ConfigError: unknown method, unknown argument, a value of the wrong type, values that do not fit together, class
            prompts that the method needs and does not get or gets and does not take, or that name an unknown class; a
            class table that it needs and does not get.
    """
    parsed = parse_arguments(name, arguments, where, key)
    use = prompts_use(name, where)
    if prompts is None and use == "required":
        raise ConfigError(where, "prompts", f"class prompts, since {name} is told its classes in words", "none")
    if prompts is not None and use == "unused":
        raise ConfigError(where, "prompts", f"none, since {name} takes no words", f"{len(prompts.words)} class prompts")
    given: dict[str, Any] = {"pretrained": pretrained}
    if "classes" in inspect.signature(method_class(name, where)).parameters:
        if classes is None:
            raise ConfigError(where, "classes", f"a class table, which {name} needs", "none")
        given["classes"] = classes
        if prompts is not None:
            prompts.class_ids(classes)
    given |= {} if use == "unused" else {"prompts": prompts}
    prefix = f"{key}." if key else ""
    try:
        return method_class(name, where)(**given, **parsed)
    except GsoccError as error:
        raise ConfigError(where, f"{prefix}{error.key}", error.expected, error.received) from error
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError) as error:
        # Layers that cannot be made: negative widths, strides that leave no pixel, ...
        raise ConfigError(where, key or "arguments", f"sizes that {name} can be built with", error) from error
