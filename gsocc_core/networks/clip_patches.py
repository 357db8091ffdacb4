# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""CLIP's picture tower as a backbone: patch features in the space that pictures and text share."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

#: What CLIP's pictures are normalised with, of values 0 ... 1, RGB.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def clip_patch_features(model: Any, pictures: Tensor) -> Tensor:
    """Patch tokens taken where CLIP's class token goes, through layer norm and projection (Radford et al. 2021).

    So they have the length of the text embeddings, though CLIP was trained to make only the class token agree with
    text.

    Args:
        model: transformers' ``CLIPVisionModelWithProjection``.
        pictures: (B, 3, H, W) normalised, H and W multiples of the patch.

    Returns:
        (B, N, D), row by row.
    """
    tower = model.vision_model
    tokens = tower(pixel_values=pictures, interpolate_pos_encoding=True).last_hidden_state[:, 1:]
    projected: Tensor = model.visual_projection(tower.post_layernorm(tokens))
    return projected


class ClipPatches(nn.Module):
    """A backbone of one map, :func:`clip_patch_features`.

    Args:
        hub_id: Hub id or folder of trained weights; None = random ones.
        sizes: Arguments of transformers' ``CLIPVisionConfig``, without ``hub_id``.
    """

    mean, std = (tuple(255 * value for value in values) for values in (CLIP_MEAN, CLIP_STD))

    def __init__(self, hub_id: str | None, sizes: Mapping[str, Any]) -> None:
        super().__init__()
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        if hub_id is not None:
            self.model = CLIPVisionModelWithProjection.from_pretrained(hub_id)
        else:
            self.model = CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes))
        self.channels = [int(self.model.config.projection_dim)]
        self.patch_px = int(self.model.config.patch_size)

    def forward(self, pictures: Tensor) -> SimpleNamespace:
        """Normalised pictures (B, 3, H, W) -> ``feature_maps``, one of (B, D, H / patch, W / patch)."""
        rows, columns = (side // self.patch_px for side in pictures.shape[-2:])
        aligned = clip_patch_features(self.model, pictures)
        return SimpleNamespace(feature_maps=[aligned.mT.unflatten(-1, (rows, columns))])
