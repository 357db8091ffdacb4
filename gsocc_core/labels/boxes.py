# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes of phrases in pictures: GroundingDINO (Liu et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gsocc_core.labels.pictures import IMAGENET_MEAN, IMAGENET_STD, edge_size, normalise, shrink
from gsocc_core.labels.pretrained import load_model, model_type, preprocessing
from gsocc_core.labels.prompts import Caption

DETECTORS = {"grounding-dino": "GroundingDinoForObjectDetection"}


@dataclass(frozen=True)
class Boxes:
    """What was found in one picture.

    Attributes:
        corners: (N, 4) x0, y0, x1, y1 in 0 ... 1 of the picture's width and height.
        scores: (N,) 0 ... 1.
        class_ids: (N,) int64; 0 = no label.
    """

    corners: Tensor
    scores: Tensor
    class_ids: Tensor

    @classmethod
    def join(cls, parts: Sequence[Boxes]) -> Boxes:
        """All boxes of one picture."""
        fields = ("corners", "scores", "class_ids")
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in fields))


class GroundingDino:
    """The detector.

    The picture's features do not depend on the words: they are computed once per picture, whatever the number of
    captions.

    Args:
        model: transformers' GroundingDinoForObjectDetection.
        tokenizer: Its tokenizer.
        options: Its preprocessing.
        box_threshold: Lowest score of a box.
        text_threshold: Lowest score of the phrase that names a box.
    """

    defaults: ClassVar[dict[str, Any]] = {
        "size": {"shortest_edge": 800, "longest_edge": 1333}, "image_mean": IMAGENET_MEAN, "image_std": IMAGENET_STD,
    }  # fmt: skip

    def __init__(
        self, model: Any, tokenizer: Any, options: dict[str, Any], box_threshold: float, text_threshold: float
    ) -> None:
        self.model, self.tokenizer, self.options = model, tokenizer, options
        self.box_threshold, self.text_threshold = box_threshold, text_threshold
        self._features = _OncePerPicture(model.model.backbone.conv_encoder)
        model.model.backbone.conv_encoder = self._features

    @property
    def max_tokens(self) -> int:
        """Longest caption."""
        return int(self.model.config.max_text_len)

    def prepare(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 RGB -> the network's input."""
        options, size = self.options, self.options["size"]
        if "height" in size:
            height, width = size["height"], size["width"]
        else:
            height, width = edge_size(
                pictures.shape[-2], pictures.shape[-1], size["shortest_edge"], size["longest_edge"]
            )
        return normalise(shrink(pictures, height, width, "bilinear"), options["image_mean"], options["image_std"])

    def __call__(self, pictures: Tensor, captions: Sequence[Caption]) -> list[Boxes]:
        """Look for the phrases of all captions.

        Args:
            pictures: (B, 3, H, W) uint8 RGB.
            captions: One pass each.

        Returns:
            One per picture; it may hold no box.
        """
        inputs = self.prepare(pictures)
        found: list[list[Boxes]] = [[] for _ in range(len(pictures))]
        try:
            for caption in captions:
                ids = torch.tensor([caption.token_ids] * len(pictures), device=inputs.device)
                output = self.model(pixel_values=inputs, input_ids=ids, attention_mask=torch.ones_like(ids))
                probabilities = output.logits.float().sigmoid()
                for i in range(len(pictures)):
                    found[i].append(self._named(probabilities[i], output.pred_boxes[i].float(), caption))
        finally:
            self._features.forget()
        return [Boxes.join(parts) for parts in found]

    def _named(self, probabilities: Tensor, boxes: Tensor, caption: Caption) -> Boxes:
        """Boxes above the thresholds; a box means the phrase with the most probable token."""
        of_phrase = torch.stack([probabilities[:, a:b].amax(1) for a, b in caption.spans], 1)
        scores, phrase = of_phrase.max(1)
        keep = (scores > self.box_threshold) & (scores > self.text_threshold)
        ids = torch.tensor([prompt.class_id for prompt in caption.prompts], device=boxes.device)
        centre, half = boxes[keep, :2], boxes[keep, 2:] / 2
        corners = torch.cat([centre - half, centre + half], 1).clamp(0, 1)
        return Boxes(corners, scores[keep], ids[phrase[keep]])


class _OncePerPicture(nn.Module):
    """A picture encoder that answers the same pictures from memory."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.pixels: Tensor | None = None
        self.maps: list[Any] = []

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> list[Any]:
        if self.pixels is not pixel_values:
            self.pixels, self.maps = pixel_values, list(self.encoder(pixel_values, pixel_mask))
        return list(self.maps)

    def forget(self) -> None:
        """Let go of the pictures."""
        self.pixels, self.maps = None, []


def load_detector(source: str, device: torch.device, box_threshold: float, text_threshold: float) -> GroundingDino:
    """A GroundingDINO from a folder or the hub.

    Args:
        source: Folder or hub id.
        device: Where it runs.
        box_threshold: Lowest score of a box.
        text_threshold: Lowest score of the phrase that names a box.

    Returns:
        The detector.

    Raises:
        ConfigError: there is no such model or no tokenizer beside it, or it is of another kind.
    """
    from transformers import AutoTokenizer

    from gsocc_core.errors import ConfigError

    found = model_type(source, "--detector", DETECTORS)
    # Its own kernels want a compiler, and gain little beside the text transformer.
    model = load_model(source, DETECTORS[found], "--detector", device, disable_custom_kernels=True)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError, TypeError) as error:
        received = f"{source}: {str(error).strip().splitlines()[0]}"
        raise ConfigError("command line", "--detector", "a model with its tokenizer", received) from error
    return GroundingDino(model, tokenizer, preprocessing(source, GroundingDino.defaults), box_threshold, text_threshold)
