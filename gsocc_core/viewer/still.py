# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Frames as pictures, for machines without a browser."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image
from tqdm import tqdm

from gsocc_core.errors import DataError
from gsocc_core.pictures import Panel, draw_panels
from gsocc_core.viewer.comparison import compare, occupied_iou
from gsocc_core.viewer.frames import FrameSource, ViewFrame, seen
from gsocc_core.viewer.shapes import arrows


def draw_frame(frame: ViewFrame, only_seen: bool = True, width: int = 1200) -> Image.Image:
    """Cameras on top; below, side by side, what there is of prediction, ground truth and errors.

    Rendered depth, if there is some, stands behind the cameras: red at 2 m, blue at 60 m, white where nothing is hit.

    Args:
        frame: A frame that is not pending.
        only_seen: Draw predictions only where the cameras see.
        width: Picture width, pixels.

    Returns:
        An RGB picture.

    Raises:
        DataError: the frame has neither a prediction nor ground truth.
    """
    prediction, truth = frame.prediction, frame.truth
    panels = []
    if prediction is not None:
        shown = seen(prediction, truth) if only_seen else prediction
        panels.append(Panel("prediction", shown, None if frame.motion is None else arrows(frame.motion)))
    if truth is not None:
        panels.append(Panel("ground truth", truth, None))
    if prediction is not None and truth is not None:
        errors = compare(prediction, truth)
        panels.append(Panel(f"errors, IoU {100 * occupied_iou(errors):.0f} %", errors))
    if not panels:
        raise DataError(frame.title, "voxels", "a prediction or ground truth to draw", "none")
    depths = {f"{name}, rendered depth": picture for name, picture in frame.depths.items()}
    return draw_panels({**frame.images, **depths}, panels, width)


def draw_frames(source: FrameSource, only_seen: bool = True, width: int = 1200) -> Iterator[Image.Image]:
    """All frames of a source as pictures; predictions are waited for.

    Args:
        source: What to draw.
        only_seen: Draw predictions only where the cameras see.
        width: Picture width, pixels.

    Yields:
        RGB pictures of one size.
    """
    for index in tqdm(range(len(source)), desc="draw", unit="frame"):
        yield draw_frame(source.frame(index), only_seen, width)
