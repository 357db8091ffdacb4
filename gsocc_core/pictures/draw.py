# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of voxels and cameras, made in software: no display, no GPU, no 3D library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import SemanticGrid
from gsocc_core.metrics.ray_kernels import FREE, OCCUPIED, OUTSIDE
from gsocc_core.pictures.kernels import SHADES, cast_voxels

#: Rows of the camera mosaic as a driver would see them.
SURROUND_LAYOUT = (
    ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT"),
    ("CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"),
)


@dataclass(frozen=True)
class Viewpoint:
    """Where a picture of a voxel grid is taken from, in the ego frame.

    Attributes:
        eye_m: Position of the eye, metres.
        target_m: Point in the middle of the picture, metres.
        fov_deg: Horizontal field of view, degrees.
    """

    eye_m: tuple[float, float, float] = (-44.0, 0.0, 34.0)
    target_m: tuple[float, float, float] = (6.0, 0.0, -4.0)
    fov_deg: float = 58.0


def draw_voxels(
    labels: np.ndarray, semantics: SemanticGrid, width: int, height: int, viewpoint: Viewpoint | None = None
) -> np.ndarray:
    """Ray-cast a labelled grid; voxels without a label are as transparent as free ones.

    Args:
        labels: (X, Y, Z) uint8 labels to draw, on the grid of ``semantics``.
        semantics: Gives grid and class table.
        width: Picture width, pixels.
        height: Picture height, pixels.
        viewpoint: Where from; None = behind and above the car.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        ShapeError: the labels do not lie on the grid.

    Example:
        >>> import torch
        >>> from gsocc_core import OCC3D_NUSCENES, VoxelGrid
        >>> grid = VoxelGrid((-2.0, -2.0, -1.0), (2.0, 2.0, 1.0), 1.0)
        >>> semantics = SemanticGrid(torch.full(grid.shape, 17, dtype=torch.uint8), grid, OCC3D_NUSCENES)
        >>> draw_voxels(semantics.labels.numpy(), semantics, 40, 30).shape
        (30, 40, 3)
    """
    grid, view = semantics.grid, viewpoint or Viewpoint()
    if labels.shape != grid.shape:
        raise ShapeError("draw_voxels", "labels", grid.shape, labels.shape)
    T_grid_ego = np.linalg.inv(grid.T_ego_grid_matrix)
    eye = T_grid_ego[:3, :3] @ np.asarray(view.eye_m) + T_grid_ego[:3, 3]
    right, down, forward = (T_grid_ego[:3, :3] @ axis for axis in _axes(view))
    labels = np.where(labels == semantics.classes.ignore_id, np.uint8(semantics.classes.free_id), labels)
    # Rays need not march through the empty layers above everything.
    layers = np.flatnonzero((labels != semantics.classes.free_id).any((0, 1)))
    labels = labels[:, :, : 1 + (layers[-1] if len(layers) else 0)]
    # Two samples across and down per pixel: voxel borders are finer than pixels at a distance.
    focal = width / math.tan(math.radians(view.fov_deg) / 2)
    size = np.asarray(grid.size_m)
    picture = np.empty((2 * height, 2 * width, 3), np.uint8)
    cells = np.where(labels == semantics.classes.free_id, np.uint8(FREE), np.uint8(OCCUPIED))
    cast_voxels(
        np.pad(cells, 1, constant_values=OUTSIDE), labels, (eye - np.asarray(grid.lower)) / size,
        forward / size, right / size, down / size, focal, semantics.classes.palette().astype(np.float32),
        semantics.classes.free_id, picture,
    )  # fmt: skip
    rows = picture[::2].astype(np.uint16) + picture[1::2]
    return ((rows[:, ::2] + rows[:, 1::2]) // 4).astype(np.uint8)


def class_colors(*tables: ClassTable, shades: Sequence[float] = SHADES) -> np.ndarray:
    """Colours in which classes are drawn, for films that keep them exactly.

    Args:
        tables: Class tables whose classes are drawn; free space has no colour.
        shades: Factors with which they are drawn; by default those of the faces of :func:`draw_voxels`.

    Returns:
        (N, 3) uint8, first the colours of the tables, as legends show them, then the others.

    Example:
        >>> from gsocc_core import OCC3D_NUSCENES
        >>> class_colors(OCC3D_NUSCENES)[3].tolist(), len(class_colors(OCC3D_NUSCENES))
        ([255, 220, 0], 51)
    """
    plain = np.array(
        [color for table in tables for k, color in enumerate(table.colors) if k != table.free_id], np.float64
    ).reshape(-1, 3)
    factors = [1.0, *(shade for shade in shades if shade != 1.0)]
    return np.concatenate([(plain * factor).astype(np.uint8) for factor in factors])


def camera_mosaic(
    images: dict[str, np.ndarray | None], tile_width: int, layout: Sequence[Sequence[str]] | None = None
) -> Image.Image:
    """Camera pictures side by side.

    Args:
        images: (H, W, 3) uint8 per camera name; None = missing, drawn grey.
        tile_width: Width of one picture, pixels.
        layout: Rows of names; None = the surround layout if all its names are there, else three to a row.

    Returns:
        An RGB picture.
    """
    if layout is None:
        surround = {name for row in SURROUND_LAYOUT for name in row}
        names = list(images)
        layout = SURROUND_LAYOUT if surround == set(names) else [names[i : i + 3] for i in range(0, len(names), 3)]
    shapes = [image.shape[:2] for image in images.values() if image is not None]
    ratio = shapes[0][0] / shapes[0][1] if shapes else 9 / 16
    tile_height = round(tile_width * ratio)
    mosaic = Image.new("RGB", (tile_width * max(map(len, layout)), tile_height * len(layout)), (225, 225, 228))
    for r, row in enumerate(layout):
        for c, name in enumerate(row):
            image = images.get(name)
            if image is not None:
                tile = Image.fromarray(image)
                tile.thumbnail((tile_width, tile_height), Image.Resampling.BILINEAR)
                mosaic.paste(tile, (c * tile_width, r * tile_height))
    return mosaic


@dataclass(frozen=True)
class Panel:
    """One picture of voxels beside others.

    Attributes:
        title: Written into it.
        grid: Labels (X, Y, Z).
        arrows_m: (M, 2, 3) begin and end of arrows to draw over the voxels, metres, ego frame; None = none.
    """

    title: str
    grid: SemanticGrid
    arrows_m: np.ndarray | None = None


def draw_comparison(
    images: dict[str, np.ndarray | None],
    prediction: SemanticGrid,
    truth: SemanticGrid | None = None,
    title: str = "",
    width: int = 1200,
) -> Image.Image:
    """One picture: cameras on top, predicted and true voxels below, and a legend of the classes present.

    Args:
        images: (H, W, 3) uint8 per camera name.
        prediction: Labels (X, Y, Z).
        truth: Labels (X, Y, Z), or None.
        title: Text over the voxels.
        width: Picture width, pixels.

    Returns:
        An RGB picture.
    """
    panels = [Panel(f"prediction   {title}", prediction)]
    return draw_panels(images, panels + ([Panel("ground truth", truth)] if truth is not None else []), width)


def draw_panels(images: dict[str, np.ndarray | None], panels: Sequence[Panel], width: int = 1200) -> Image.Image:
    """One picture: cameras on top, voxels side by side below, and a legend of the classes present.

    Args:
        images: (H, W, 3) uint8 per camera name; without any there is no room for them.
        panels: At least one.
        width: Picture width, pixels.

    Returns:
        An RGB picture.

    Example:
        >>> import torch
        >>> from gsocc_core import OCC3D_NUSCENES, VoxelGrid
        >>> grid = VoxelGrid((-2.0, -2.0, -1.0), (2.0, 2.0, 1.0), 1.0)
        >>> empty = SemanticGrid(torch.full(grid.shape, 17, dtype=torch.uint8), grid, OCC3D_NUSCENES)
        >>> draw_panels({}, [Panel("left", empty), Panel("right", empty)], width=200).size
        (200, 118)
    """
    mosaic = camera_mosaic(images, width // max(2, min(3, len(images)))) if images else None
    top = mosaic.height if mosaic is not None else 0
    panel_width = width // len(panels)
    panel_height = round(panel_width * 0.6)
    legend_height = 58
    picture = Image.new("RGB", (width, top + panel_height + legend_height), (255, 255, 255))
    if mosaic is not None:
        picture.paste(mosaic, (0, 0))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=15)
    legend: dict[str, tuple[int, int, int]] = {}
    for i, panel in enumerate(panels):
        classes = panel.grid.classes
        labels = panel.grid.labels.detach().cpu().numpy()
        present = set(np.unique(labels).tolist()) - {classes.free_id, classes.ignore_id}
        legend |= {classes.names[k]: classes.colors[k] for k in sorted(present)}
        tile = Image.fromarray(draw_voxels(labels, panel.grid, panel_width, panel_height))
        if panel.arrows_m is not None:
            draw_arrows(tile, panel.arrows_m)
        picture.paste(tile, (i * panel_width, top))
        draw.text((i * panel_width + 10, top + 8), panel.title, fill=(30, 30, 34), font=font)
    draw_legend(draw, legend, picture.height - legend_height, width, font)
    return picture


def draw_arrows(
    picture: Image.Image,
    arrows_m: np.ndarray,
    viewpoint: Viewpoint | None = None,
    color: tuple[int, int, int] = (200, 30, 160),
) -> None:
    """Draw arrows into a picture of :func:`draw_voxels`, over whatever is there.

    Args:
        picture: Changed in place.
        arrows_m: (M, 2, 3) begin and end, metres, ego frame; those behind the eye are left out.
        viewpoint: Where the picture was taken from; None = behind and above the car.
        color: RGB.
    """
    view, draw = viewpoint or Viewpoint(), ImageDraw.Draw(picture)
    axes = _axes(view)
    relative = (np.asarray(arrows_m, np.float64).reshape(-1, 3) - np.asarray(view.eye_m)) @ np.stack(axes, axis=1)
    depth = relative[:, 2:]
    focal = picture.width / 2 / math.tan(math.radians(view.fov_deg) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = relative[:, :2] / depth * focal + np.array([picture.width, picture.height]) / 2
    ahead = (depth > 0.1).reshape(-1, 2).all(1)
    for begin, end in pixels.reshape(-1, 2, 2)[ahead]:
        way = end - begin
        length = float(np.hypot(*way))
        if length < 1.0:
            continue
        along, across = way / length, np.array([-way[1], way[0]]) / length
        size = min(7.0, 2 + length / 4)
        head = [end, end - size * along + size / 2 * across, end - size * along - size / 2 * across]
        draw.line([tuple(begin), tuple(end - size / 2 * along)], fill=color, width=2)
        draw.polygon([tuple(point) for point in head], fill=color)


def _axes(view: Viewpoint) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors of a viewpoint: right, down, forward."""
    eye, target = np.asarray(view.eye_m), np.asarray(view.target_m)
    forward = (target - eye) / np.linalg.norm(target - eye)
    up = np.array([1.0, 0.0, 0.0]) if abs(forward[2]) > 0.999 else np.array([0.0, 0.0, 1.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    return right, np.cross(forward, right), forward


def draw_legend(
    draw: ImageDraw.ImageDraw,
    entries: Mapping[str, tuple[int, int, int]],
    top: int,
    width: int,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    """Draw coloured squares with names, in as many rows as they take.

    Args:
        draw: Of the picture.
        entries: Colour per name.
        top: Row where the legend begins, pixels.
        width: Of the picture, pixels.
        font: Of the names.
    """
    x, y = 10, top + 8
    for name, color in entries.items():
        text = name.replace("_", " ")
        length = int(draw.textlength(text, font=font)) + 34
        if x + length > width:
            x, y = 10, y + 24
        draw.rectangle((x, y + 3, x + 14, y + 17), fill=color, outline=(120, 120, 120))
        draw.text((x + 20, y), text, fill=(30, 30, 34), font=font)
        x += length
