# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Declares the node's parameters in ROS 2, with types, ranges and descriptions."""

from __future__ import annotations

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from gsocc_ros.node.parameters import NodeSettings, Parameter


def declare(node: Node, parameter: Parameter) -> None:
    """Declare a parameter with its own type; rclpy's own check of a value given at start would end in a traceback.

    Args:
        node: Whose parameter.
        parameter: Type, default and range; a whole number that is given for a double is taken as one.

    Raises:
        ConfigError: the value given at start has another type or lies outside the range.
    """
    default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
    given = node.declare_parameter(parameter.name, default, ParameterDescriptor(dynamic_typing=True))
    node.undeclare_parameter(parameter.name)
    value = getattr(NodeSettings.of({parameter.name: given.value}), parameter.name)
    value = list(value) if isinstance(value, tuple) else value
    node.declare_parameter(parameter.name, value, _descriptor(parameter), ignore_override=True)


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=parameter.description)
    if parameter.choices:
        descriptor.additional_constraints = f"one of {', '.join(parameter.choices)}"
    if parameter.low is not None and parameter.high is not None:
        if isinstance(parameter.default, int):
            limits = IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high), step=0)
            descriptor.integer_range = [limits]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=parameter.low, to_value=parameter.high)]
    return descriptor
