# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a model of unposed views makes of a sample, drawn: what it got, what it shows of a target, and the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gsocc_core.geometry.classes import ClassTable
from gsocc_core.pictures.draw import draw_legend

#: Side of a drawn picture, height of the line of words above it, and of the legend, pixels.
_TILE_PX, _TITLE_PX, _LEGEND_PX = 160, 20, 58
_MOST_CONTEXT = 4


def color_picture(colors: np.ndarray) -> np.ndarray:
    """(3, H, W) values 0..1 -> (H, W, 3) uint8."""
    return (colors.transpose(1, 2, 0).clip(0, 1) * 255).round().astype(np.uint8)


def depth_picture(metres: np.ndarray, max_m: float) -> np.ndarray:
    """(H, W) metres -> (H, W, 3) uint8, near bright and far dark by their inverse; black = unknown."""
    near = 0.5
    share = (1 / metres.clip(near, max_m) - 1 / max_m) / (1 / near - 1 / max_m)
    # The root keeps what is far from being all alike.
    grey = np.where(metres > 0, 40 + 215 * np.sqrt(share), 0.0)
    return np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=-1)


def draw_view_sample(
    context: Sequence[np.ndarray],
    target: Mapping[str, np.ndarray],
    classes: ClassTable | None = None,
    present: Sequence[int] = (),
) -> Image.Image:
    """Two rows: the context pictures, and what is known and shown of one target view, each under its name.

    Args:
        context: (H, W, 3) uint8 each; at most four are drawn, the first and the last among them.
        target: (H, W, 3) uint8 by name.
        classes: Whose colours are explained below; None = there are no classes.
        present: Ids of the classes to explain.

    Returns:
        An RGB picture, whose tiles are at least 160 pixels wide.

    Example:
        >>> grey = np.full((8, 12, 3), 90, np.uint8)
        >>> draw_view_sample([grey, grey], {"true": grey, "rendered": grey, "depth": grey}).size
        (480, 254)
    """
    picks = np.linspace(0, len(context) - 1, min(len(context), _MOST_CONTEXT)).round().astype(int)
    rows = [{f"view {i + 1}": context[i] for i in picks}, dict(target)]
    height, width = context[0].shape[:2]
    size = (_TILE_PX, round(_TILE_PX * height / width))
    legend = _LEGEND_PX if classes is not None else 0
    canvas = (size[0] * max(map(len, rows)), (size[1] + _TITLE_PX) * len(rows) + legend)
    picture = Image.new("RGB", canvas, (255, 255, 255))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=13)
    for r, row in enumerate(rows):
        for c, (name, tile) in enumerate(row.items()):
            at = (c * size[0], r * (size[1] + _TITLE_PX))
            draw.text((at[0] + 4, at[1] + 2), name, fill=(30, 30, 34), font=font)
            picture.paste(Image.fromarray(tile).resize(size, Image.Resampling.NEAREST), (at[0], at[1] + _TITLE_PX))
    if classes is not None:
        colors = {classes.names[i]: classes.colors[i] for i in present}
        draw_legend(draw, colors, canvas[1] - legend, canvas[0], ImageFont.load_default(size=15))
    return picture
