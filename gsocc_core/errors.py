# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Errors that gsocc raises on purpose. Every message names the place, the key, what was expected and what came."""

from __future__ import annotations


class GsoccError(Exception):
    """Base class: catching it catches every error that gsocc raises on purpose."""

    def __init__(self, where: object, key: str, expected: object, received: object) -> None:
        """Build the message.

        Args:
            where: File, folder, topic or function that holds the fault.
            key: Field, argument, table or field inside ``where``.
            expected: What would have been right.
            received: What was found instead.
        """
        self.where, self.key, self.expected, self.received = where, key, expected, received
        super().__init__(f"{where}: {key}: expected {expected}, received {received}")

    def __reduce__(self) -> tuple[type, tuple[object, str, object, object]]:
        """Keep all four parts when the error crosses a process boundary (data loader workers)."""
        return type(self), (self.where, self.key, self.expected, self.received)


class ShapeError(GsoccError, ValueError):
    """A tensor or array has the wrong shape, type or range."""


class ConfigError(GsoccError, ValueError):
    """A configuration, rig or command-line value is wrong."""


class DataError(GsoccError, ValueError):
    """A dataset, label file, image or bag does not hold what it should."""


class BundleError(GsoccError, ValueError):
    """A trained model on disk is incomplete, damaged or unsafe to load."""


class OutputExistsError(GsoccError, FileExistsError):
    """An output is already there; gsocc never overwrites results silently."""


def say_how_to_go_on(error: BaseException, how: str) -> None:
    """Let an error, also Ctrl+C, say what is left of the work that it ends; programs tell it in their last line."""
    error.__dict__["go_on"] = how


def how_to_go_on(error: BaseException) -> str | None:
    """What :func:`say_how_to_go_on` told an error, or None."""
    how: str | None = error.__dict__.get("go_on")
    return how
