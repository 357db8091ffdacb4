# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxels that fit to words, lit up among pale ones: over the cameras' pictures, from behind and from above."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.cameras import Camera, Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import NO_WORD, SemanticGrid, VoxelScores
from gsocc_core.metrics.ray_kernels import march
from gsocc_core.pictures.draw import Viewpoint, camera_mosaic, draw_legend, draw_voxels
from gsocc_core.splat.threads import PARALLEL_KERNELS

_FIRST_COLORS = (
    (230, 25, 45), (0, 110, 255), (255, 150, 0), (170, 0, 220), (0, 165, 90), (255, 70, 190), (0, 190, 210),
    (140, 90, 20),
)  # fmt: skip
#: How much of a class colour stays in what no word lights up, and how bright the rest is.
_KEPT, _PALE = 0.3, 205.0
_LEGEND_PX = 58


def word_colors(count: int) -> tuple[tuple[int, int, int], ...]:
    """Colours of the words of a query, the same everywhere.

    Example:
        >>> len(set(word_colors(64)))
        64
    """
    wheel = (colorsys.hsv_to_rgb(0.618 * i % 1, 0.9, 0.65 + 0.3 * (i % 2)) for i in range(len(_FIRST_COLORS), count))
    later = ((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in wheel)
    return (*_FIRST_COLORS[:count], *later)


def light_up(semantics: SemanticGrid, scores: VoxelScores, threshold: float) -> SemanticGrid:
    """Labels in which voxels that fit to a word have a class of the word's own.

    Args:
        semantics: Labels (X, Y, Z).
        scores: Answer of a query on the same grid.
        threshold: Least score; of several words, the best counts.

    Returns:
        Labels whose table holds the classes of ``semantics``, in pale colours, and behind them the words in quotes.

    Raises:
        ShapeError: the grids differ.
        ConfigError: there are more classes and words than label values.
    """
    classes, count = semantics.classes, len(semantics.classes.names)
    if not semantics.grid.same_as(scores.grid):
        raise ShapeError("light_up", "scores.grid", semantics.grid, scores.grid)
    if count + len(scores.words) > 255:
        raise ConfigError("query", "words", f"at most {255 - count} beside {count} classes", len(scores.words))
    pale = (_KEPT * classes.palette()[:count] + (1 - _KEPT) * _PALE).astype(int)
    table = ClassTable(
        names=(*classes.names, *(f'"{word}"' for word in scores.words)),
        colors=(*((r, g, b) for r, g, b in pale.tolist()), *word_colors(len(scores.words))),
        free_id=classes.free_id,
        ignore_id=255,
    )
    labels = semantics.labels.cpu()
    labels = torch.where(labels == classes.ignore_id, 255, labels)
    best = scores.best_words(threshold)
    return SemanticGrid(torch.where(best == NO_WORD, labels, best + count).to(torch.uint8), semantics.grid, table)


def draw_query(
    images: Mapping[str, np.ndarray | None],
    cameras: Sequence[Camera],
    semantics: SemanticGrid,
    scores: VoxelScores,
    threshold: float,
    captions: Sequence[str] | None = None,
    width: int = 1200,
) -> Image.Image:
    """One picture: cameras on top, all voxels from behind and from above below, what fits to each word in its colour.

    In the cameras, voxels of words hide each other and are hidden by others, as the voxels have it. From above, what
    hangs over a lit voxel is left out.

    Args:
        images: (H, W, 3) uint8 per camera name, of any size; None = missing.
        cameras: Their calibration, any lens, with the ego's motion to the time of the voxels.
        semantics: Labels (X, Y, Z).
        scores: Answer of a query about them.
        threshold: Least score of a voxel that is lit.
        captions: Text in the legend per word; None = the words.
        width: Picture width, pixels.

    Returns:
        An RGB picture.

    Raises:
        ShapeError: the grids differ.
        ConfigError: there are more classes and words than label values.
    """
    lit, first = light_up(semantics, scores, threshold), len(semantics.classes.names)
    tile = width // max(2, min(3, len(cameras)))
    shown = {camera.name: light_picture(images.get(camera.name), camera, lit, first, tile) for camera in cameras}
    mosaic = camera_mosaic(dict(shown), tile)
    side = min(width // 2, round(width * 0.4))
    panels = _behind(lit, width - side, side), _above(lit, first, side)
    picture = Image.new("RGB", (width, mosaic.height + side + _LEGEND_PX), (255, 255, 255))
    picture.paste(mosaic, (0, 0))
    picture.paste(panels[0], (0, mosaic.height))
    picture.paste(panels[1], (width - side, mosaic.height))
    colors = word_colors(len(scores.words))
    entries = dict(zip(captions or scores.words, colors))
    font = ImageFont.load_default(size=15)
    draw_legend(ImageDraw.Draw(picture), entries, picture.height - _LEGEND_PX, width, font)
    return picture


def light_picture(
    image: np.ndarray | None, camera: Camera, lit: SemanticGrid, first: int, width: int
) -> np.ndarray | None:
    """A camera's picture in which voxels of words shine through.

    Args:
        image: (H, W, 3) uint8, of any size; None = missing.
        camera: Its calibration, any lens.
        lit: Labels (X, Y, Z).
        first: Labels from this one on are lit.
        width: Width of the result, pixels.

    Returns:
        (height, width, 3) uint8 with the proportions of the camera, or None where the picture is missing.
    """
    if image is None:
        return None
    height = max(1, round(width * camera.height / camera.width))
    small = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX), np.float32)
    hits = _seen_labels(lit, camera.resized(width, height))
    grey = small.mean(-1, keepdims=True)
    result = 0.45 * small + 0.55 * (0.7 * grey + 60.0)
    shines = (hits >= first) & (hits != lit.classes.ignore_id)
    color = lit.classes.palette().astype(np.float32)[hits]
    border = np.zeros_like(shines)
    border[:, 1:] |= hits[:, 1:] != hits[:, :-1]
    border[1:] |= hits[1:] != hits[:-1]
    result = np.where(shines[..., None], 0.4 * small + 0.6 * color, result)
    return np.where((shines & border)[..., None], color, result).astype(np.uint8)


def _seen_labels(lit: SemanticGrid, camera: Camera) -> np.ndarray:
    """(H, W) uint8 label of the first voxel along each pixel's ray; the voxel around the camera is left out."""
    origins, directions = Cameras.stack([camera]).rays()
    T = np.linalg.inv(lit.grid.T_ego_corner)
    size = np.asarray(lit.grid.size_m)
    eye = (T[:3, :3] @ origins[0, 0, 0].double().numpy() + T[:3, 3]) / size
    rays = directions[0].reshape(-1, 3).double().numpy() @ T[:3, :3].T / size
    labels = lit.labels.numpy().copy()
    labels[labels == lit.classes.ignore_id] = lit.classes.free_id
    cell = np.floor(eye).astype(int)
    if ((cell >= 0) & (cell < labels.shape)).all():
        labels[tuple(cell)] = lit.classes.free_id
    distances, hits = np.empty(len(rays)), np.empty(len(rays), np.uint8)
    with PARALLEL_KERNELS:
        march(np.ascontiguousarray(labels), lit.classes.free_id, eye[None], rays, distances, hits)
    return hits.reshape(camera.height, camera.width)


def _middle(lit: SemanticGrid) -> tuple[np.ndarray, float]:
    """Middle of the grid in the ego frame, metres, and half of its longer side on the ground."""
    edges = np.asarray(lit.grid.shape) * np.asarray(lit.grid.size_m)
    T = lit.grid.T_ego_corner
    return T[:3, :3] @ (edges / 2) + T[:3, 3], float(max(edges[:2]) / 2)


def _behind(lit: SemanticGrid, width: int, height: int) -> Image.Image:
    usual = Viewpoint()
    middle, half = _middle(lit)
    eye, target = (tuple((half / 40.0 * np.asarray(p) + [*middle[:2], 0.0]).tolist()) for p in
                   (usual.eye_m, usual.target_m))  # fmt: skip
    return Image.fromarray(draw_voxels(lit.labels.numpy(), lit, width, height, Viewpoint(eye, target, usual.fov_deg)))


def _above(lit: SemanticGrid, first: int, side: int) -> Image.Image:
    labels, free = lit.labels.numpy().copy(), lit.classes.free_id
    shines = (labels >= first) & (labels != lit.classes.ignore_id)
    lit_above = np.flip(np.cumsum(np.flip(shines, 2), axis=2), 2) > 0  # here, or higher in the column
    labels[shines.any(2)[..., None] & ~lit_above] = free
    middle, half = _middle(lit)
    x, y, z = middle.tolist()
    high = 20.0 * half  # so far away that upright things stand upright
    view = Viewpoint((x, y, z + high), (x, y, z), 2 * math.degrees(math.atan(1.02 * half / high)))
    return Image.fromarray(draw_voxels(labels, lit, side, side, view))
