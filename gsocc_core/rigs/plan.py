# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A rig from above and from the side: places, directions and fields of view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gsocc_core.geometry.cameras import Camera
from gsocc_core.rigs.coverage import PixelRays, pixel_rays, project
from gsocc_core.rigs.overlay import camera_color

_PAPER, _INK, _PALE = (250, 250, 248), (40, 40, 44), (205, 205, 205)
_AZIMUTHS = 360


def draw_plan(cameras: Sequence[Camera], width: int, height: int) -> Image.Image:
    """Three panels: fields of view from above, the cameras from above and from the left.

    Args:
        cameras: The rig.
        width: Picture width, pixels.
        height: Picture height, pixels.

    Returns:
        An RGB picture; ahead is up in the views from above, and to the left in the view from the left side.
    """
    picture = Image.new("RGB", (width, height), _PAPER)
    part = width // 3
    picture.paste(_fields_of_view(cameras, part, height), (0, 0))
    places = np.array([camera.T_ego_cam[:3, 3] for camera in cameras])
    reach = float(np.abs(places[:, :2]).max()) + 1.0
    picture.paste(_places(cameras, part, height, reach, "from above", (1, 0), (-1, -1)), (part, 0))
    reach = max(reach, float(places[:, 2].max()) + 1.0)
    panel = _places(cameras, width - 2 * part, height, reach, "from the left", (0, 2), (-1, -1))
    picture.paste(panel, (2 * part, 0))
    return picture


def _fields_of_view(cameras: Sequence[Camera], width: int, height: int) -> Image.Image:
    """Wedges of what each camera sees at 12 m from its lens, between the ground and 3 m above it."""
    scale = min(width, height) / 2 / 16  # pixels per metre, the panel reaches to 16 m
    center = np.array([width / 2, height / 2])

    def pixel(points: np.ndarray) -> np.ndarray:
        return center + scale * np.stack([-points[..., 1], -points[..., 0]], axis=-1)

    picture = Image.new("RGB", (width, height), _PAPER)
    for index, camera in enumerate(cameras):
        layer = Image.new("L", (width, height), 0)
        eye = camera.T_ego_cam[:3, 3]
        for begin, end in _wedges(camera):
            angles = np.linspace(begin, end, max(2, int(np.degrees(end - begin))))
            arc = eye[:2] + 12.0 * np.stack([np.cos(angles), np.sin(angles)], -1)
            outline = pixel(np.concatenate([eye[None, :2], arc]))
            ImageDraw.Draw(layer).polygon([tuple(p) for p in outline.tolist()], fill=85)
        picture.paste(Image.new("RGB", (width, height), camera_color(index)), (0, 0), layer)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(11, height // 36))
    for radius in (5, 10, 15):
        box = (*(center - radius * scale).tolist(), *(center + radius * scale).tolist())
        draw.ellipse(box, outline=_PALE)
        draw.text((center[0] + 3, center[1] - radius * scale), f"{radius} m", fill=_INK, font=font)
    _axes(draw, center, (0, -2 * scale), (-2 * scale, 0), ("x", "y"), font)
    for index, camera in enumerate(cameras):
        u, v = pixel(camera.T_ego_cam[:3, 3])
        draw.ellipse((u - 4, v - 4, u + 4, v + 4), fill=camera_color(index), outline=_INK)
    draw.text((8, 6), "fields of view", fill=_INK, font=font)
    return picture


def _wedges(camera: Camera) -> list[tuple[float, float]]:
    """Azimuths, radians, around the camera's own place in which it sees something."""
    angles = (np.arange(_AZIMUTHS) + 0.5) * 2 * np.pi / _AZIMUTHS
    eye = camera.T_ego_cam[:3, 3]
    seen = np.zeros(_AZIMUTHS, bool)
    for level in (0.0, 1.5, 3.0):
        ring = np.stack([eye[0] + 12 * np.cos(angles), eye[1] + 12 * np.sin(angles), np.full(_AZIMUTHS, level)], -1)
        seen |= project(camera, ring)[2]
    if seen.all():
        return [(0.0, 2 * np.pi)]
    starts = np.flatnonzero(seen & ~np.roll(seen, 1))
    lengths = [int(np.argmin(np.concatenate([seen[s:], seen[:s]]))) for s in starts]
    return [(angles[s], angles[s] + length * 2 * np.pi / _AZIMUTHS) for s, length in zip(starts, lengths)]


def _places(
    cameras: Sequence[Camera],
    width: int,
    height: int,
    reach_m: float,
    title: str,
    axes: tuple[int, int],
    signs: tuple[int, int],
) -> Image.Image:
    """Cameras as small pyramids in a plane of the ego frame: ``axes`` are those that go right and down."""
    scale = min(width, height) / 2 / reach_m
    picture = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(11, height // 36))
    side = axes[1] == 2
    center = np.array([width / 2, height * 0.82 if side else height / 2])

    def pixel(point: np.ndarray) -> tuple[float, float]:
        u, v = center + scale * np.array([signs[0] * point[axes[0]], signs[1] * point[axes[1]]])
        return float(u), float(v)

    if side:
        draw.line((0, center[1], width, center[1]), fill=(150, 140, 90), width=3)
        draw.text((8, center[1] + 4), "ground, z = 0", fill=(150, 140, 90), font=font)
        _axes(draw, center, (-scale * 0.5, 0), (0, -scale * 0.5), ("x", "z"), font)
    else:
        _axes(draw, center, (0, -scale * 0.5), (-scale * 0.5, 0), ("x", "y"), font)
    for index, camera in enumerate(cameras):
        rays = pixel_rays(camera, 16)
        eye, color = rays.origin, camera_color(index)
        corners = _corners(rays)
        size = 0.22 * reach_m
        for corner in corners:
            draw.line((*pixel(eye), *pixel(eye + size * corner)), fill=color, width=2)
        for a, b in zip(corners, corners[1:] + corners[:1]):
            draw.line((*pixel(eye + size * a), *pixel(eye + size * b)), fill=color, width=2)
        draw.line((*pixel(eye), *pixel(eye + 1.3 * size * camera.T_ego_cam[:3, 2])), fill=_INK, width=2)
        u, v = pixel(eye)
        draw.ellipse((u - 4, v - 4, u + 4, v + 4), fill=color, outline=_INK)
    if not side:
        _legend(draw, cameras, height, font)
    draw.text((8, 6), title, fill=_INK, font=font)
    return picture


def _corners(rays: PixelRays) -> list[np.ndarray]:
    """Directions of the picture's corners, or of the last pixels before them that have rays."""
    rows, columns = rays.valid.shape
    found = []
    for down, right in ((0, 0), (0, 1), (1, 1), (1, 0)):
        for inset in np.linspace(0, 0.5, 9):
            r = round((1 - inset if down else inset) * (rows - 1))
            c = round((1 - inset if right else inset) * (columns - 1))
            if rays.valid[r, c]:
                found.append(rays.directions[r, c])
                break
    return found


def _legend(
    draw: ImageDraw.ImageDraw,
    cameras: Sequence[Camera],
    height: int,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    step = max(16, height // 26)
    for index, camera in enumerate(cameras):
        top = height - step * (len(cameras) - index) - 6
        draw.ellipse((10, top + 3, 20, top + 13), fill=camera_color(index), outline=_INK)
        draw.text((28, top), camera.name, fill=_INK, font=font)


def _axes(
    draw: ImageDraw.ImageDraw,
    origin: np.ndarray,
    first: tuple[float, float],
    second: tuple[float, float],
    names: tuple[str, str],
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    for (du, dv), color, name in ((first, (225, 40, 30), names[0]), (second, (30, 150, 50), names[1])):
        end = (origin[0] + du, origin[1] + dv)
        draw.line((*origin.tolist(), *end), fill=color, width=3)
        draw.text((end[0] + 3, end[1] - 4), name, fill=color, font=font)
