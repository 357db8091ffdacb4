# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""CLIP's picture tower as a backbone: patch features in the space that pictures and text share."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

#: What CLIP's pictures are normalised with, on 0..255.
CLIP_MEAN = (122.7709383, 116.7460125, 104.09373615)
CLIP_STD = (68.5005327, 66.6321579, 70.32316305)


class ClipPatches(nn.Module):
    """Patch tokens taken where CLIP's class token goes, through layer norm and projection (Radford et al. 2021).

    CLIP was trained to make only the class token agree with text.

    Args:
        hub_id: Hub id or folder of trained weights; None = random ones.
        sizes: Arguments of transformers' ``CLIPVisionConfig``, without ``hub_id``.
    """

    mean, std = CLIP_MEAN, CLIP_STD

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
        tower = self.model.vision_model
        tokens = tower(pixel_values=pictures, interpolate_pos_encoding=True).last_hidden_state
        aligned = self.model.visual_projection(tower.post_layernorm(tokens[:, 1:]))
        return SimpleNamespace(feature_maps=[aligned.mT.unflatten(-1, (rows, columns))])
