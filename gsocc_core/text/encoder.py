# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What turns words into vectors, and the fixed list of what can."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor

from gsocc_core.errors import ConfigError

#: How an encoder is named.
ENCODERS = "wordllama, clip:MODEL or talk2dino:MODEL:PROJECTION.safetensors (MODEL: a folder or hub id of a CLIP)"


class TextEncoder(Protocol):
    """Words to vectors whose cosine says how alike their meanings are.

    Attributes:
        name: What :func:`load_text_encoder` loads it by.
        dim: Length D of its vectors.
    """

    name: str
    dim: int

    def embed(self, words: Sequence[str]) -> Tensor:
        """Embed phrases; case and spaces do not matter.

        Args:
            words: Phrases of one or more words.

        Returns:
            (len(words), D) float32 of unit length, on the CPU.

        Raises:
            ConfigError: a phrase is empty or has signs that the encoder does not know.
        """


def load_text_encoder(name: str) -> TextEncoder:
    """Load an encoder.

    Args:
        name: ``wordllama`` = static word vectors that are installed with this package; ``clip:MODEL`` = the text tower
            of a CLIP, a folder or hub id; ``talk2dino:MODEL:PROJECTION`` = Talk2DINO's projection, a safetensors file,
            on top of it.

    Returns:
        The encoder, on the CPU.

    Raises:
        ConfigError: there is no such encoder, or its files are missing.
        DataError: its files are damaged.

    Example:
        >>> car, van, oak = load_text_encoder("wordllama").embed(["car", "van", "oak"])
        >>> bool(car @ van > car @ oak)
        True
    """
    kind, _, rest = name.partition(":")
    if kind == "wordllama" and name == kind:
        from gsocc_core.text.static_words import StaticWords

        return StaticWords()
    if kind == "clip" and rest:
        from gsocc_core.text.clip import ClipText

        return ClipText(rest)
    model, _, projection = rest.rpartition(":")
    if kind == "talk2dino" and model and projection:
        from gsocc_core.text.talk2dino import Talk2DinoText

        return Talk2DinoText(model, projection)
    raise ConfigError("text encoder", "name", ENCODERS, repr(name))


def missing_file(name: str) -> str | None:
    """The first file or folder in an encoder's name that is not there; None = none is missing.

    A model's name that is no folder counts as a hub id only where it is written as one, ``owner/name`` or ``name``.

    Args:
        name: See :func:`load_text_encoder`.

    Example:
        >>> missing_file("clip:openai/clip-vit-base-patch16")
        >>> missing_file("talk2dino:openai/clip-vit-base-patch16:weights/none.safetensors")
        'weights/none.safetensors'
    """
    kind, _, rest = name.partition(":")
    model, _, projection = rest.rpartition(":") if kind == "talk2dino" else (rest, "", "")
    is_path = model.startswith((".", "/", "~")) or "\\" in model or model.count("/") > 1
    for path, wanted in ((model, is_path), (projection, bool(projection))):
        if wanted and not Path(path).exists():
            return path
    return None
