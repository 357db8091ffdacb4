# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Classes of pictures from words: boxes of GroundingDINO, masks of SAM (Ren et al. 2024, Grounded SAM)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gsocc_core.data.view_label_files import Kind
from gsocc_core.geometry.cameras import Camera
from gsocc_core.labels.boxes import Boxes, GroundingDino
from gsocc_core.labels.masks import Segmenter
from gsocc_core.labels.prompts import Caption


class SemanticsLabeller:
    """Per pixel the class of the mask whose box has the highest score.

    Args:
        detector: Finds boxes.
        segmenter: Makes masks of them.
        captions: What to look for.
    """

    kind: Kind = "classes"

    def __init__(self, detector: GroundingDino, segmenter: Segmenter, captions: Sequence[Caption]) -> None:
        self.detector, self.segmenter, self.captions = detector, segmenter, tuple(captions)

    def __call__(self, pictures: Tensor, cameras: Sequence[Camera], size: tuple[int, int]) -> Tensor:  # noqa: ARG002
        """Label pictures.

        Args:
            pictures: (B, 3, H, W) uint8 RGB.
            cameras: The camera of each picture.
            size: (height, width) of the result, pixels.

        Returns:
            (B, height, width) uint8 class ids; 0 where nothing was found, or what stays unlabelled.
        """
        found = self.detector(pictures, self.captions)
        if not any(len(boxes.scores) for boxes in found):
            return torch.zeros((len(pictures), *size), dtype=torch.uint8, device=pictures.device)
        embeddings = self.segmenter.embed(pictures)
        picture_size = (int(pictures.shape[-2]), int(pictures.shape[-1]))
        return torch.stack([self._paint(e, b, picture_size, size) for e, b in zip(embeddings, found)])

    def _paint(self, embedding: object, boxes: Boxes, picture_size: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """(height, width) ids of one picture: boxes in rising order of their scores, each over the earlier ones."""
        order = torch.argsort(boxes.scores, stable=True)
        ids = torch.zeros(size, dtype=torch.uint8, device=boxes.scores.device)
        for chunk in order.split(self.segmenter.boxes_at_once) if len(order) else ():
            masks = self.segmenter.masks(embedding, boxes.corners[chunk], picture_size, size)
            ranks = torch.arange(1, len(chunk) + 1, device=masks.device, dtype=torch.uint8)
            last = (masks * ranks[:, None, None]).amax(0)
            known = torch.cat([ids.new_zeros(1), boxes.class_ids[chunk].to(torch.uint8)])
            ids = torch.where(last > 0, known[last.long()], ids)
        return ids
