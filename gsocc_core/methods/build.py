# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The fixed list of methods, and how one is built from plain arguments."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser
from torch import nn

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.classes import ClassTable

#: Method name -> where it lives. Configurations name a method, never a class path.
METHODS = {"gaussianflowocc": ("gsocc_core.methods.gaussianflowocc", "GaussianFlowOcc")}

#: Constructor arguments that do not come from a configuration.
GIVEN = {"classes", "pretrained"}


def method_class(name: str, where: object = "config") -> type[nn.Module]:
    """The class of a method.

    Raises:
        ConfigError: no such method.
    """
    if name not in METHODS:
        raise ConfigError(where, "method", f"one of {sorted(METHODS)}", name)
    module, attribute = METHODS[name]
    return getattr(import_module(module), attribute)


def build_method(
    name: str, arguments: Mapping[str, Any], classes: ClassTable, *, pretrained: bool, where: object = "config"
) -> nn.Module:
    """Build a method from plain arguments, checked against its typed constructor.

    Args:
        name: A key of :data:`METHODS`.
        arguments: Constructor arguments as plain numbers, lists and mappings.
        classes: Class table.
        pretrained: Load the backbone's hub weights; False when trained weights are loaded over it.
        where: File that the arguments come from, for errors.

    Returns:
        The method, with random weights but for a pretrained backbone.

    Raises:
        ConfigError: unknown method, unknown argument, or a value of the wrong type.
    """
    cls = method_class(name, where)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, skip=GIVEN)
    known = [p for p in inspect.signature(cls).parameters if p not in GIVEN]
    if unknown := [key for key in arguments if key not in known]:
        raise ConfigError(where, unknown[0], f"one of {known}", "an unknown argument")
    try:
        parsed = parser.instantiate_classes(parser.parse_object(dict(arguments)))
    except (ArgumentError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(where, f"arguments of {name}", "values of the types in its constructor", error) from error
    return cls(classes=classes, pretrained=pretrained, **vars(parsed))
