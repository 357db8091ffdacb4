# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Phrases as people type them, and YAML files that say which class each stands for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from gsocc_core.errors import ConfigError
from gsocc_core.yaml_files import read_yaml


@dataclass(frozen=True)
class Phrase:
    """One phrase of a file.

    Attributes:
        text: In lower case, words separated by one space.
        class_name: What it stands for.
    """

    text: str
    class_name: str


def clean_phrase(text: str) -> str:
    """A phrase in lower case, with single spaces between its words.

    Example:
        >>> clean_phrase("  Traffic   cone ")
        'traffic cone'
    """
    return " ".join(text.lower().split())


def clean_phrases(texts: Sequence[str], where: object, key: str = "words") -> list[str]:
    """Phrases for an encoder.

    Args:
        texts: As people type them.
        where: What asks for them, for errors.
        key: What it calls them.

    Returns:
        Each after :func:`clean_phrase`.

    Raises:
        ConfigError: one is empty, or is no text.
    """
    if isinstance(texts, str):
        raise ConfigError(where, key, "a list of phrases", repr(texts))
    cleaned = []
    for number, text in enumerate(texts):
        phrase = clean_phrase(text) if isinstance(text, str) else ""
        if not phrase:
            raise ConfigError(where, f"{key}[{number}]", "a phrase of at least one word", repr(text))
        cleaned.append(phrase)
    return cleaned


def split_phrases(text: str) -> tuple[str, ...]:
    """Phrases of a text with commas between them, as people type them; what is empty is left out.

    Example:
        >>> split_phrases("Dog, garden chair,")
        ('Dog', 'garden chair')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def read_phrases(path: str | Path, names: Collection[str] | None) -> tuple[Phrase, ...]:
    """Read a YAML file: class name -> list of phrases.

    Args:
        path: The file.
        names: Class names that may stand in it; None = any.

    Returns:
        All phrases, in the order of the file.

    Raises:
        ConfigError: the file is missing, a name is unknown, or a phrase is empty or comes twice.
    """
    result: dict[str, Phrase] = {}
    for name, texts in read_yaml(path, "class name: [phrase, ...]").items():
        if not isinstance(name, str) or (names is not None and name not in names):
            expected = "the name of a class" if names is None else f"one of {', '.join(names)}"
            raise ConfigError(path, str(name), expected, "an unknown class name")
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ConfigError(path, name, "a list of phrases", texts)
        for text in texts:
            phrase = clean_phrase(text)
            if not phrase:
                raise ConfigError(path, name, "phrases of words", repr(text))
            if phrase in result:
                raise ConfigError(path, name, "every phrase once", repr(text))
            result[phrase] = Phrase(phrase, name)
    return tuple(result.values())
