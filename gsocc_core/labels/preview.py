# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""One picture that shows whether labels are worth anything, before thousands of them are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from gsocc_core.data.images import decode_image
from gsocc_core.data.nuscenes_index import KeyFrame
from gsocc_core.data.view_label_files import Kind
from gsocc_core.geometry.classes import OCC3D_NUSCENES

_WIDTH, _COLUMNS, _NEAR_M, _FAR_M = 480, 3, 2.0, 80.0


def write_preview(path: Path, frame: KeyFrame, labels: Mapping[str, np.ndarray], kind: Kind) -> None:
    """Draw the cameras of a key frame, each with its labels below, three in a row.

    Args:
        path: JPEG to write.
        frame: The key frame.
        labels: (H, W) metres or class ids per camera name.
        kind: Which of both: depth goes from red (2 m) to blue (80 m), classes have the colours of the class table.
    """
    tiles = [_tile(decode_image(shot.path), shot.camera.name, labels[shot.camera.name], kind) for shot in frame.shots]
    rows = math.ceil(len(tiles) / _COLUMNS)
    height = max(tile.height for tile in tiles)
    sheet = Image.new("RGB", (_WIDTH * min(len(tiles), _COLUMNS), height * rows))
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (_WIDTH * (i % _COLUMNS), height * (i // _COLUMNS)))
    part = path.with_name(f".{path.name}.part")
    sheet.save(part, "JPEG", quality=88)
    part.replace(path)


def _tile(picture: np.ndarray, name: str, labels: np.ndarray, kind: Kind) -> Image.Image:
    height = round(_WIDTH * picture.shape[0] / picture.shape[1])
    small = Image.fromarray(picture).resize((_WIDTH, height))
    coloured = _depth_colours(labels) if kind == "depth" else OCC3D_NUSCENES.palette()[labels] * (labels > 0)[..., None]
    below = Image.fromarray(coloured.astype(np.uint8)).resize((_WIDTH, height), Image.Resampling.NEAREST)
    if kind == "classes":
        shown = np.asarray(below).any(-1, keepdims=True) * 0.6
        below = Image.fromarray((np.asarray(small) * (1 - shown) + np.asarray(below) * shown).astype(np.uint8))
    tile = Image.new("RGB", (_WIDTH, 2 * height))
    tile.paste(small, (0, 0))
    tile.paste(below, (0, height))
    ImageDraw.Draw(tile).text((6, 4), name, fill=(255, 255, 255), stroke_width=2, stroke_fill=(0, 0, 0))
    return tile


def _depth_colours(metres: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8; no label is black."""
    known = metres > 0
    share = np.log(np.where(known, metres, _NEAR_M) / _NEAR_M) / math.log(_FAR_M / _NEAR_M)
    hue = (170 * share.clip(0, 1)).astype(np.uint8)
    full = np.full_like(hue, 255)
    return np.asarray(Image.fromarray(np.stack([hue, full, full * known], -1), "HSV").convert("RGB"))
