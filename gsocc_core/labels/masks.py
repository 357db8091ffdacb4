# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Masks of boxes in pictures: Segment Anything (Kirillov et al. 2023) and SAM 2 (Ravi et al. 2024)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.labels.pictures import IMAGENET_MEAN, IMAGENET_STD, normalise, shrink
from gsocc_core.labels.pretrained import load_model, model_type, preprocessing

#: transformers' model type -> class; published SAM 2 checkpoints hold the video model, whose image part is taken.
SEGMENTERS = {"sam": "SamModel", "sam2": "Sam2Model", "sam2_video": "Sam2Model"}


class Segmenter:
    """Masks from boxes.

    Args:
        model: transformers' SamModel or Sam2Model.
        options: Its preprocessing.
        keep_aspect: SAM scales the long side and pads below and at the right; SAM 2 stretches to a square.
        boxes_at_once: Masks in memory at a time.
    """

    defaults: ClassVar[dict[str, Any]] = {"image_mean": IMAGENET_MEAN, "image_std": IMAGENET_STD}

    def __init__(self, model: Any, options: dict[str, Any], keep_aspect: bool, boxes_at_once: int = 64) -> None:
        self.model, self.options, self.keep_aspect, self.boxes_at_once = model, options, keep_aspect, boxes_at_once
        size = model.config.prompt_encoder_config.image_size
        self.side = int(size if isinstance(size, int) else size[0])

    def inner_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of a picture inside the network's square, pixels."""
        if not self.keep_aspect:
            return self.side, self.side
        scale = self.side / max(height, width)
        return int(height * scale + 0.5), int(width * scale + 0.5)

    def prepare(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 RGB -> the network's input."""
        height, width = self.inner_size(*pictures.shape[-2:])
        inputs = shrink(pictures, height, width, "bilinear")
        inputs = normalise(inputs, self.options["image_mean"], self.options["image_std"])
        return functional.pad(inputs, (0, self.side - width, 0, self.side - height))

    def embed(self, pictures: Tensor) -> list[Any]:
        """What the masks of each picture are made from; (B, 3, H, W) uint8 RGB."""
        features = self.model.get_image_embeddings(self.prepare(pictures))
        if isinstance(features, Tensor):
            return [features[i : i + 1] for i in range(len(pictures))]
        return [[level[i : i + 1] for level in features] for i in range(len(pictures))]

    def masks(self, embedding: Any, corners: Tensor, picture_size: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """The mask of each box, one per box.

        Args:
            embedding: One of :meth:`embed`.
            corners: (N, 4) x0, y0, x1, y1 in 0 ... 1 of the picture's width and height; at most ``boxes_at_once``.
            picture_size: (height, width) of the picture, pixels.
            size: (height, width) of the masks, pixels.

        Returns:
            (N, height, width) bool.
        """
        height, width = self.inner_size(*picture_size)
        boxes = corners * corners.new_tensor([width, height, width, height])
        output = self.model(image_embeddings=embedding, input_boxes=boxes[None], multimask_output=False)
        logits = output.pred_masks.float()[0]  # (N, 1, h, w)
        if self.keep_aspect:
            logits = functional.interpolate(logits, (self.side, self.side), mode="bilinear", align_corners=False)
            logits = logits[..., :height, :width]
        return functional.interpolate(logits, size, mode="bilinear", align_corners=False)[:, 0] > 0


def load_segmenter(source: str, device: torch.device) -> Segmenter:
    """A SAM or SAM 2 from a folder or the hub.

    Args:
        source: Folder or hub id.
        device: Where it runs.

    Returns:
        The segmenter.

    Raises:
        ConfigError: there is no such model, it is of another kind, or this transformers is too old for SAM 2.
    """
    found = model_type(source, "--segmenter", SEGMENTERS)
    model = load_model(source, SEGMENTERS[found], "--segmenter", device)
    return Segmenter(model, preprocessing(source, Segmenter.defaults), keep_aspect=found == "sam")
