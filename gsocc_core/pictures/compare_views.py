# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Predicted against true voxels as the cameras, and one above, would see them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.virtual_cameras import top_down_camera, virtual_rig
from gsocc_core.geometry.voxels import SemanticGrid
from gsocc_core.metrics.image_metrics import render_labels
from gsocc_core.pictures.draw import camera_mosaic, class_colors

#: Colours of the difference: alike, wrong class, missing, invented.
ALIKE, WRONG, MISSING, INVENTED = (208, 208, 212), (230, 140, 20), (30, 90, 220), (220, 40, 40)
#: Depth at which a colour has lost half of its brightness, metres.
_DIM_M = 60.0
#: Steps of the dimming that a film keeps.
_DIMMED = (1.0, 0.87, 0.74, 0.6, 0.47)
_TITLE_PX = 26


@dataclass(frozen=True)
class VoxelViews:
    """Labelled voxels as the cameras and one above see them.

    Attributes:
        names: V camera names.
        labels: (V, H, W) uint8; empty space where nothing is hit.
        depth_m: (V, H, W) metres; 0 where nothing is hit.
        above: (S, S) uint8 labels from above; x up, y to the left.
        above_drop: (S, S) how far below the grid's upper face, 0..1 of its height.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    depth_m: np.ndarray
    above: np.ndarray
    above_drop: np.ndarray


def see_voxels(semantics: SemanticGrid, cameras: Sequence[Camera], tile_width: int = 320) -> VoxelViews:
    """Draw labelled voxels into cameras and from above.

    Args:
        semantics: Labels (X, Y, Z).
        cameras: At least one; lens distortion is left out.
        tile_width: Width of each picture, pixels; the heights follow the first camera, and the picture from above is
            a square of twice that height.

    Returns:
        The pictures.

    Raises:
        ShapeError: there is no camera, or the labels have batch dimensions.
    """
    if semantics.labels.dim() != 3:
        raise ShapeError("see_voxels", "labels", "(X, Y, Z)", tuple(semantics.labels.shape))
    rig = virtual_rig(cameras, tile_width).map(lambda t: t[None])
    labels = semantics.labels[None].cpu()
    seen = render_labels(labels, semantics.grid, semantics.classes, rig, depth="expected")
    top = top_down_camera(semantics.grid, 2 * rig.height, 2 * rig.height, "orthographic").map(lambda t: t[None])
    above = render_labels(labels, semantics.grid, semantics.classes, top, depth="expected")
    lower, upper = semantics.grid.lower, semantics.grid.upper
    drop = (above.depth_m[0, 0] - (upper[0] - lower[0])) / (upper[2] - lower[2])
    return VoxelViews(
        names=tuple(camera.name for camera in cameras),
        labels=seen.labels[0].numpy(),
        depth_m=seen.depth_m[0].numpy(),
        above=above.labels[0, 0].numpy(),
        above_drop=drop.clamp(0, 1).numpy(),
    )


def compare_views(
    prediction: SemanticGrid,
    truth: SemanticGrid,
    cameras: Sequence[Camera],
    images: dict[str, np.ndarray | None] | None = None,
    title: str = "",
    tile_width: int = 320,
) -> Image.Image:
    """One picture: predicted voxels, true voxels and their difference, each per camera and from above.

    In the difference, grey is alike, orange of another class, blue missing, red invented. Voxels without a true label
    are drawn on neither side.

    Args:
        prediction: Labels (X, Y, Z).
        truth: Labels (X, Y, Z) on the same grid.
        cameras: At least one.
        images: (H, W, 3) uint8 pictures per camera name, drawn on top; None = none.
        title: Text over the prediction.
        tile_width: Width of each camera's picture, pixels.

    Returns:
        An RGB picture.

    Raises:
        ShapeError: the grids differ, or there is no camera.

    Example:
        >>> import torch
        >>> from gsocc_core import OCC3D_NUSCENES, VoxelGrid
        >>> grid = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 1.0), 1.0)
        >>> labels = torch.full(grid.shape, 11, dtype=torch.uint8)
        >>> scene = SemanticGrid(labels, grid, OCC3D_NUSCENES)
        >>> T = np.array([[0.0, 0, 1, -6], [-1, 0, 0, 0], [0, -1, 0, 0.5], [0, 0, 0, 1]])
        >>> camera = Camera("front", np.array([[60.0, 0, 40], [0, 60, 20], [0, 0, 1]]), T, 80, 40)
        >>> compare_views(scene, scene, [camera], tile_width=80).size  # a camera and a square of twice its height
        (160, 318)
    """
    predicted, true = _views_of_both(prediction, truth, cameras, tile_width)
    palette = prediction.classes.palette()
    free = prediction.classes.free_id
    rows = [
        _row(f"prediction   {title}".strip(), predicted.names, *_painted(predicted, palette, free)),
        _row("ground truth", true.names, *_painted(true, palette, free)),
        _row(
            "difference: grey alike, orange other class, blue missing, red invented",
            true.names,
            _difference(predicted.labels, true.labels, free),
            _difference(predicted.above, true.above, free),
        ),
    ]
    if images is not None:
        photos = {name: images.get(name) for name in predicted.names}
        rows.insert(0, camera_mosaic(photos, tile_width))
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), (255, 255, 255))
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def blink_views(
    prediction: SemanticGrid,
    truth: SemanticGrid,
    cameras: Sequence[Camera],
    title: str = "",
    tile_width: int = 320,
) -> list[Image.Image]:
    """Two pictures of the same views, predicted and true: shown in turn, what differs jumps to the eye.

    Args:
        prediction: Labels (X, Y, Z).
        truth: Labels (X, Y, Z) on the same grid.
        cameras: At least one.
        title: Text over both.
        tile_width: Width of each camera's picture, pixels.

    Returns:
        Two RGB pictures of one size, for :func:`gsocc_core.pictures.film.write_pictures`.

    Raises:
        ShapeError: the grids differ, or there is no camera.
    """
    both = _views_of_both(prediction, truth, cameras, tile_width)
    palette, free = prediction.classes.palette(), prediction.classes.free_id
    return [
        _row(f"{name}   {title}".strip(), views.names, *_painted(views, palette, free))
        for name, views in zip(("prediction", "ground truth"), both)
    ]


def view_colors(classes: ClassTable) -> np.ndarray:
    """Colours of these pictures, for films that keep them exactly: (N, 3) uint8.

    Classes grow darker step by step here; the steps between are taken to the nearest.
    """
    kinds = np.array([ALIKE, WRONG, MISSING, INVENTED], np.uint8)
    return np.concatenate([kinds, class_colors(classes, shades=_DIMMED)])


def _views_of_both(
    prediction: SemanticGrid, truth: SemanticGrid, cameras: Sequence[Camera], tile_width: int
) -> tuple[VoxelViews, VoxelViews]:
    if prediction.grid != truth.grid:
        raise ShapeError("compare_views", "prediction.grid", truth.grid, prediction.grid)
    unknown = truth.labels == truth.classes.ignore_id
    labels = prediction.labels.masked_fill(unknown, truth.classes.ignore_id)
    shown = SemanticGrid(labels, prediction.grid, prediction.classes)
    return see_voxels(shown, cameras, tile_width), see_voxels(truth, cameras, tile_width)


def _painted(views: VoxelViews, palette: np.ndarray, free: int) -> tuple[np.ndarray, np.ndarray]:
    """Class colours (V, H, W, 3), darker with distance, and from above (S, S, 3), darker with depth below the top."""
    near = np.where(views.labels == free, 1.0, 1 / (1 + views.depth_m / _DIM_M))
    high = np.where(views.above == free, 1.0, 1 - 0.4 * views.above_drop)
    painted = (palette[ids] * light[..., None] for ids, light in ((views.labels, near), (views.above, high)))
    cameras, above = (colors.astype(np.uint8) for colors in painted)
    return cameras, above


def _difference(predicted: np.ndarray, truth: np.ndarray, free: int) -> np.ndarray:
    """Colours (..., 3) of the ways in which labels (...) differ; white where both are empty."""
    picture = np.full((*truth.shape, 3), 255, np.uint8)
    picture[(predicted == truth) & (truth != free)] = ALIKE
    picture[(predicted != truth) & (predicted != free) & (truth != free)] = WRONG
    picture[(predicted == free) & (truth != free)] = MISSING
    picture[(predicted != free) & (truth == free)] = INVENTED
    return picture


def _row(title: str, names: tuple[str, ...], pictures: np.ndarray, above: np.ndarray) -> Image.Image:
    """Cameras side by side, the picture from above to their right, a line of text on top."""
    mosaic = camera_mosaic(dict(zip(names, pictures)), pictures.shape[2])
    square = Image.fromarray(above)
    row = Image.new(
        "RGB", (mosaic.width + square.width, _TITLE_PX + max(mosaic.height, square.height)), (255, 255, 255)
    )
    row.paste(mosaic, (0, _TITLE_PX))
    row.paste(square, (mosaic.width, _TITLE_PX))
    ImageDraw.Draw(row).text((6, 4), title, fill=(30, 30, 34), font=_font())
    return row


@functools.lru_cache(maxsize=1)
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(15)
