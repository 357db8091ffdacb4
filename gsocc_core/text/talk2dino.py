# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Talk2DINO (Barsellotti et al., ICCV 2025): CLIP's text embedding, projected into the space of DINOv2's patches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.data.stored import reading
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.text.clip import ClipText

#: Names of the projection's tensors in the file.
LAYERS = ("linear_layer", "linear_layer2")


class Talk2DinoText:
    """Words in the space of a DINOv2 with registers: linear, tanh, linear, on CLIP's embedding, at unit length.

    The published projection leads from ViT-B/16 of CLIP (512 numbers) to ViT-B/14 of DINOv2 (768). As in its code, it
    reads CLIP's embedding after CLIP's own projection, before that gets unit length. Assumed, since no weights were at
    hand to compare: its tensors are named as :data:`LAYERS` says, and no sentence stands around a word (its authors
    average over sentences for their scores, GaussTR's leave them out).

    Args:
        clip: Folder or hub id of the CLIP.
        projection: Safetensors file with the weight and bias of both layers; a published pickle is converted first.

    Attributes:
        name: ``talk2dino:CLIP:PROJECTION``.
        dim: Width of DINOv2's space.

    Raises:
        ConfigError: the CLIP cannot be loaded, or is not as wide as the projection expects.
        DataError: the projection's file is missing, damaged or holds other tensors.
    """

    def __init__(self, clip: str, projection: str | Path) -> None:
        self.name = f"talk2dino:{clip}:{projection}"
        self._layers = _read_layers(projection)
        self._clip = ClipText(clip)
        if self._clip.dim != (expected := self._layers[0][0].shape[1]):
            raise ConfigError("text encoder", "clip", f"a CLIP of {expected} numbers", f"{clip}: {self._clip.dim}")
        self.dim = int(self._layers[1][0].shape[0])

    @torch.no_grad()
    def embed(self, words: Sequence[str]) -> Tensor:
        """See :class:`gsocc_core.text.encoder.TextEncoder`."""
        first, second = self._layers
        hidden = torch.tanh(functional.linear(self._clip.project(words), *first))
        return functional.normalize(functional.linear(hidden, *second), dim=-1)


def _read_layers(path: str | Path) -> list[tuple[Tensor, Tensor]]:
    from safetensors.torch import load_file

    expected = f"weight and bias of {' and '.join(LAYERS)} in a safetensors file"
    with reading(path, expected):
        tensors = load_file(path)
        names = [(f"{layer}.weight", f"{layer}.bias") for layer in LAYERS]
        if set(tensors) != {name for pair in names for name in pair}:
            raise DataError(path, "content", expected, ", ".join(sorted(tensors)) or "no tensors")
        layers = [(tensors[weight].float(), tensors[bias].float()) for weight, bias in names]
        width = 0
        for (weight, bias), (name, _) in zip(layers, names):
            fits = weight.ndim == 2 and bias.shape == weight.shape[:1] and (not width or weight.shape[1] == width)
            if not fits or not bool(weight.isfinite().all() & bias.isfinite().all()):
                raise DataError(path, name, "finite layers that follow each other", f"{tuple(weight.shape)}")
            width = weight.shape[0]
    return layers
