# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""One picture that shows whether labels are worth anything, before thousands of them are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from gsocc_core.data.images import decode_image
from gsocc_core.data.nuscenes_index import KeyFrame
from gsocc_core.data.view_label_files import Kind
from gsocc_core.geometry.classes import OCC3D_NUSCENES, ClassTable
from gsocc_core.networks.pca import pca_basis
from gsocc_core.whole import whole_file

_WIDTH, _COLUMNS, _NEAR_M, _FAR_M = 480, 3, 2.0, 80.0


def write_preview(
    path: Path, frame: KeyFrame, labels: Mapping[str, np.ndarray], kind: Kind, classes: ClassTable = OCC3D_NUSCENES
) -> None:
    """Draw the cameras of a key frame, each with its labels below, three in a row.

    Args:
        path: JPEG to write.
        frame: The key frame.
        labels: (H, W) metres or class ids, or (D, h, w) features, per camera name.
        kind: Which of them: depth goes from red (2 m) to blue (80 m), classes have the colours of the class table,
            features the three directions in which they differ most as red, green and blue.
        classes: Table of the class ids.
    """
    colours = _colours(labels, kind, classes)
    tiles = [_tile(decode_image(s.path), s.camera.name, colours[s.camera.name], kind) for s in frame.shots]
    rows = math.ceil(len(tiles) / _COLUMNS)
    height = max(tile.height for tile in tiles)
    sheet = Image.new("RGB", (_WIDTH * min(len(tiles), _COLUMNS), height * rows))
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (_WIDTH * (i % _COLUMNS), height * (i // _COLUMNS)))
    with whole_file(path) as part:
        sheet.save(part, "JPEG", quality=88)


def _colours(labels: Mapping[str, np.ndarray], kind: Kind, classes: ClassTable) -> dict[str, np.ndarray]:
    """(H, W, 3) uint8 per camera."""
    if kind == "features":
        return _feature_colours(labels)
    if kind == "depth":
        return {name: _depth_colours(metres) for name, metres in labels.items()}
    return {name: (classes.palette()[ids] * (ids > 0)[..., None]).astype(np.uint8) for name, ids in labels.items()}


def _tile(picture: np.ndarray, name: str, coloured: np.ndarray, kind: Kind) -> Image.Image:
    height = round(_WIDTH * picture.shape[0] / picture.shape[1])
    small = Image.fromarray(picture).resize((_WIDTH, height))
    below = Image.fromarray(coloured).resize((_WIDTH, height), Image.Resampling.NEAREST)
    if kind == "classes":
        shown = np.asarray(below).any(-1, keepdims=True) * 0.6
        below = Image.fromarray((np.asarray(small) * (1 - shown) + np.asarray(below) * shown).astype(np.uint8))
    tile = Image.new("RGB", (_WIDTH, 2 * height))
    tile.paste(small, (0, 0))
    tile.paste(below, (0, height))
    ImageDraw.Draw(tile).text((6, 4), name, fill=(255, 255, 255), stroke_width=2, stroke_fill=(0, 0, 0))
    return tile


def _feature_colours(maps: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """(h, w, 3) uint8 per camera, the same colour for the same feature in all of them."""
    vectors = torch.cat([torch.from_numpy(array).flatten(1).T.float() for array in maps.values()])
    shown = vectors @ pca_basis(vectors, min(3, vectors.shape[1]))
    shown = torch.nn.functional.pad(shown, (0, 3 - shown.shape[1]))
    low, high = shown.quantile(torch.tensor([0.02, 0.98]), dim=0)
    shown = (255 * ((shown - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)).to(torch.uint8)
    parts = shown.split([array.shape[1] * array.shape[2] for array in maps.values()])
    return {name: part.view(*maps[name].shape[1:], 3).numpy() for name, part in zip(maps, parts)}


def _depth_colours(metres: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8; no label is black."""
    known = metres > 0
    share = np.log(np.where(known, metres, _NEAR_M) / _NEAR_M) / math.log(_FAR_M / _NEAR_M)
    hue = (170 * share.clip(0, 1)).astype(np.uint8)
    full = np.full_like(hue, 255)
    return np.asarray(Image.fromarray(np.stack([hue, full, full * known], -1), "HSV").convert("RGB"))
