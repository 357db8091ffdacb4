# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A calibration drawn into its pictures: ground grid, horizon, other cameras and LiDAR points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gsocc_core.geometry.cameras import Camera
from gsocc_core.rigs.coverage import heading_deg, pixel_rays, project

Color = tuple[int, int, int]
#: One colour per camera, around the rig.
CAMERA_COLORS: tuple[Color, ...] = (
    (255, 99, 71), (255, 176, 0), (120, 200, 60), (0, 190, 190), (90, 140, 255), (200, 110, 255), (255, 120, 190),
    (170, 140, 90),
)  # fmt: skip
_FORWARD, _LEFT, _GRID, _FINE, _HORIZON = (255, 60, 40), (70, 210, 80), (255, 235, 120), (190, 185, 150), (0, 225, 255)
#: Distances along the ground that carry a label, metres.
LABELS_M = (2, 5, 10, 15, 20, 30, 40)
#: Depth at which the borders of other cameras' pictures are drawn, metres from their lens.
FRUSTUM_M = 10.0
_SAMPLES = 240


def camera_color(index: int) -> Color:
    """The colour of a rig's camera in all pictures."""
    return CAMERA_COLORS[index % len(CAMERA_COLORS)]


def draw_calibration(
    picture: np.ndarray | None,
    cameras: Sequence[Camera],
    index: int,
    width: int = 800,
    points_m: np.ndarray | None = None,
) -> Image.Image:
    """One camera's picture with what the calibration says about it.

    Yellow: the plane z = 0 of the ego frame, lines every 5 m to 40 m and every metre to 10 m, with distances from the
    ego origin. Red: ahead (x), green: left (y). Cyan: the horizon. In their colours: places of the other cameras and
    the borders of their pictures 10 m from their lens. Points: near red, far blue.

    Every line is sampled, so it bends as the lens bends it.

    Args:
        picture: (H, W, 3) uint8 RGB of any size; None = grey.
        cameras: All cameras of the rig.
        index: Which one this is.
        width: Width of the result, pixels; its shape is that of the camera.
        points_m: (N, 3) points in the ego frame, metres, or None.

    Returns:
        An RGB picture.
    """
    camera = cameras[index]
    height = round(width * camera.height / camera.width)
    # Drawn twice as large: shrinking smooths lines that Pillow draws without blending.
    large = camera.resized(2 * width, 2 * height)
    if picture is None:
        canvas = Image.new("RGB", (2 * width, 2 * height), (90, 90, 94))
    else:
        canvas = Image.fromarray(picture).resize((2 * width, 2 * height), Image.Resampling.BILINEAR)
    if points_m is not None:
        canvas = _draw_points(canvas, large, points_m)
    draw = ImageDraw.Draw(canvas)
    brush = _Brush(draw, large)
    _draw_ground(brush)
    for other, stranger in enumerate(cameras):
        if other != index:
            _draw_frustum(brush, stranger, camera_color(other))
    angles = np.linspace(0, 2 * np.pi, 4 * _SAMPLES)
    center = large.T_ego_cam[:3, 3]
    far = center + 1e5 * np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], -1)
    brush.lines(far[None], _HORIZON, 3)
    _draw_labels(brush)
    size = max(22, width // 22)
    x, y, z = camera.T_ego_cam[:3, 3]
    title = f"{camera.name}   {camera.model} {camera.width}x{camera.height}   {heading_deg(camera):+.0f} deg   "
    draw.rectangle((0, 0, 2 * width, size * 3 // 2), fill=(20, 20, 24))
    font = ImageFont.load_default(size=size)
    draw.rectangle((0, 0, size // 2, size * 3 // 2), fill=camera_color(index))
    draw.text((size, size // 5), f"{title}({x:.2f}, {y:.2f}, {z:.2f}) m", fill=(240, 240, 240), font=font)
    return canvas.resize((width, height), Image.Resampling.BOX)


class _Brush:
    """Draws what lies in the ego frame through a camera."""

    def __init__(self, draw: ImageDraw.ImageDraw, camera: Camera) -> None:
        self.draw, self.camera = draw, camera
        # A margin around the picture, so that lines reach its border.
        self.margin = max(camera.width, camera.height) // 3
        self._wide = camera.resized(
            camera.width + 2 * self.margin, camera.height + 2 * self.margin, -self.margin, -self.margin, scale=1.0
        )

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (N, 2) of points (N, 3), and whether they are in the picture or its margin."""
        uv, _, valid = project(self._wide, points)
        return uv - self.margin, valid

    def lines(self, points: np.ndarray, color: Color, width: int) -> None:
        """Draw (L, N, 3) sampled lines, broken where they leave the picture."""
        uv, valid = self.project(points.reshape(-1, 3))
        count = points.shape[1]
        jump = 0.5 * (self.camera.width + self.camera.height)
        for i in range(len(points)):
            part, shown = uv[i * count : (i + 1) * count], valid[i * count : (i + 1) * count]
            joined = shown[1:] & shown[:-1] & (np.abs(np.diff(part, axis=0)).max(-1) < jump)
            edges = np.flatnonzero(np.diff(np.concatenate([[0], joined.astype(int), [0]])))
            for begin, end in edges.reshape(-1, 2):
                run = [(float(u), float(v)) for u, v in part[begin : end + 1]]
                self.draw.line(run, fill=color, width=width, joint="curve" if width > 3 else None)

    def text(self, point: np.ndarray, text: str, color: Color, size: int) -> None:
        """Write beside a point if it is in the picture."""
        uv, _ = self.project(point[None])
        (u, v), camera = uv[0], self.camera
        if project(camera, point[None])[2][0] and 0 <= u < camera.width - size and size < v < camera.height:
            font = ImageFont.load_default(size=size)
            box = self.draw.textbbox((u + 5, v - size), text, font=font)
            self.draw.rectangle((box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2), fill=(20, 20, 24))
            self.draw.text((u + 5, v - size), text, fill=color, font=font)

    def dot(self, point: np.ndarray, radius: int, color: Color) -> None:
        """A disc at a point."""
        (u, v), valid = (value[0] for value in self.project(point[None]))
        if valid:
            self.draw.ellipse((u - radius, v - radius, u + radius, v + radius), fill=color, outline=(20, 20, 24))


def _grid(extent: float, step: float, samples: int) -> np.ndarray:
    """(L, samples, 3) lines of a square grid on the ground."""
    places = np.arange(-extent, extent + step / 2, step)
    along = np.linspace(-extent, extent, samples)
    a, b = np.meshgrid(places, along, indexing="ij")
    lines = np.concatenate([np.stack([a, b], -1), np.stack([b, a], -1)])
    return np.concatenate([lines, np.zeros((*lines.shape[:2], 1))], axis=-1)


def _draw_ground(brush: _Brush) -> None:
    brush.lines(_grid(10, 1, 2 * _SAMPLES), _FINE, 1)
    brush.lines(_grid(40, 5, 4 * _SAMPLES), _GRID, 3)
    along = np.linspace(0, 40, 4 * _SAMPLES)
    zero = np.zeros_like(along)
    brush.lines(np.stack([along, zero, zero], -1)[None], _FORWARD, 9)
    brush.lines(np.stack([zero, along / 8, zero], -1)[None], _LEFT, 9)
    tip = np.array([[[7, 0.7, 0], [8, 0, 0], [7, -0.7, 0]]])
    brush.lines(
        np.concatenate([np.linspace(tip[:, i], tip[:, i + 1], 40, axis=1) for i in (0, 1)], axis=1), _FORWARD, 9
    )
    size = max(20, brush.camera.width // 60)
    brush.text(np.array([9.0, 0.0, 0.0]), "ego x, ahead", _FORWARD, size)
    brush.text(np.array([0.0, 5.0, 0.0]), "ego y, left", _LEFT, size)


def _draw_labels(brush: _Brush) -> None:
    heading = np.radians(heading_deg(brush.camera))
    size = max(20, brush.camera.width // 60)
    before = np.full(2, np.inf)
    for distance in LABELS_M:
        angles = heading + np.linspace(-0.12, 0.12, 24)
        arc = distance * np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], -1)
        brush.lines(arc[None], (255, 255, 255), 5)
        place = brush.project(arc[12:13])[0][0]
        if np.abs(place - before).max() > 1.3 * size:  # far labels would lie on top of each other
            brush.text(arc[12], f"{distance} m", (255, 255, 255), size)
            before = place


def _draw_frustum(brush: _Brush, stranger: Camera, color: Color) -> None:
    rays = pixel_rays(stranger, 96)
    rows, columns = rays.valid.shape
    border = [(0, c) for c in range(columns)] + [(r, columns - 1) for r in range(rows)]
    border += [(rows - 1, c) for c in reversed(range(columns))] + [(r, 0) for r in reversed(range(rows))]
    chosen = np.array(border)
    shown = rays.valid[chosen[:, 0], chosen[:, 1]]
    points = rays.origin + FRUSTUM_M * rays.directions[chosen[:, 0], chosen[:, 1]]
    # Runs of valid pixels only: a fisheye's corners have no rays.
    edges = np.flatnonzero(np.diff(np.concatenate([[0], shown.astype(int), [0]])))
    for begin, end in edges.reshape(-1, 2):
        fine = np.linspace(0, 1, 6, endpoint=False)[None, :, None]
        a, b = points[begin : end - 1, None], points[begin + 1 : end, None]
        if end - begin > 1:
            brush.lines((a + fine * (b - a)).reshape(1, -1, 3), color, 4)
    size = max(20, brush.camera.width // 60)
    brush.dot(rays.origin, 12, color)
    brush.text(rays.origin, stranger.name, color, size)
    if shown.any():
        uv, valid = brush.project(points)
        inside = np.flatnonzero(
            shown & valid & (uv >= 0).all(-1) & (uv < (brush.camera.width, brush.camera.height)).all(-1)
        )
        if len(inside):
            brush.text(points[inside[len(inside) // 2]], stranger.name, color, size)


def _draw_points(canvas: Image.Image, camera: Camera, points_m: np.ndarray) -> Image.Image:
    """Dots of three pixels, far ones first."""
    uv, _, valid = project(camera, points_m)
    distance = np.linalg.norm(points_m - camera.T_ego_cam[:3, 3], axis=-1)
    order = np.argsort(-distance[valid])
    pixels, distance = uv[valid][order].astype(int), distance[valid][order]
    colors = depth_colors(distance)
    array = np.array(canvas)
    radius = max(1, camera.width // 700)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            rows = np.clip(pixels[:, 1] + dy, 0, camera.height - 1)
            array[rows, np.clip(pixels[:, 0] + dx, 0, camera.width - 1)] = colors
    return Image.fromarray(array)


def depth_colors(distance_m: np.ndarray) -> np.ndarray:
    """(N, 3) uint8 colours of distances, metres: red at 2 m over yellow, green and cyan to blue at 60 m.

    Example:
        >>> depth_colors(np.array([2.0, 60.0])).tolist()
        [[255, 0, 0], [0, 0, 255]]
    """
    stops = np.array([[255, 0, 0], [255, 230, 0], [40, 220, 60], [0, 210, 255], [0, 0, 255]], float)
    place = np.log(np.clip(distance_m, 2, 60) / 2) / np.log(30) * (len(stops) - 1)
    columns = [np.interp(place, np.arange(len(stops)), stops[:, i]) for i in range(3)]
    return np.stack(columns, -1).round().astype(np.uint8)
