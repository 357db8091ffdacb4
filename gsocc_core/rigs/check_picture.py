# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``gsocc_core check-rig``: a rig judged, and drawn into its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gsocc_core.data.images import decode_image
from gsocc_core.errors import DataError, OutputExistsError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.rigs.checks import Finding, check_rig
from gsocc_core.rigs.coverage import heading_deg
from gsocc_core.rigs.overlay import draw_calibration
from gsocc_core.rigs.picture_sets import PictureSet, find_picture_sets
from gsocc_core.rigs.plan import draw_plan
from gsocc_core.rigs.point_files import read_points
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_core.whole import whole_file


def check_and_draw(
    rig: CameraRig,
    images: str | Path | None,
    out: str | Path | None,
    points: str | Path | None = None,
    T_ego_lidar: np.ndarray | None = None,
    set_name: str | None = None,
    tile_width: int = 800,
) -> list[Finding]:
    """Check a rig and draw it.

    Args:
        rig: The cameras.
        images: Folder of pictures, see :func:`gsocc_core.rigs.picture_sets.find_picture_sets`; None = grey pictures.
        out: PNG to make; None = only check.
        points: Point cloud file, or None.
        T_ego_lidar: (4, 4) pose of the cloud's frame in the ego frame; None = the cloud is in the ego frame.
        set_name: Which set of the folder; None = the first one with the most pictures.
        tile_width: Width of one camera's picture in the result, pixels.

    Returns:
        What the checks found.

    Raises:
        DataError: pictures or points cannot be read, or there is no such set.
        OutputExistsError: ``out`` exists.
    """
    if out is not None and Path(out).exists():
        raise OutputExistsError(out, "out", "a file that does not exist", "an existing one")
    pictures: dict[str, np.ndarray | None] = dict.fromkeys(rig.names)
    sizes: dict[str, tuple[int, int] | None] | None = None
    if images is not None:
        chosen = _choose(Path(images), find_picture_sets(images, rig), set_name)
        pictures = {n: None if f is None else decode_image(f) for n, f in zip(rig.names, chosen.files)}
        sizes = {n: None if p is None else (p.shape[1], p.shape[0]) for n, p in pictures.items()}
    cloud = None if points is None else read_points(points)
    if cloud is not None and T_ego_lidar is not None:
        cloud = cloud @ T_ego_lidar[:3, :3].T + T_ego_lidar[:3, 3]
    with _one_thread():
        findings = check_rig(rig, sizes, cloud)
        if out is not None:
            save_png(_compose(rig, pictures, cloud, tile_width), Path(out))
    return findings


@contextmanager
def _one_thread() -> Iterator[None]:
    """Hundreds of small projections: waiting for other threads would cost more than they save."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _choose(folder: Path, sets: list[PictureSet], name: str | None) -> PictureSet:
    if name is None:
        return max(sets, key=lambda found: sum(file is not None for file in found.files))
    for found in sets:
        if found.name == name:
            return found
    names = [found.name for found in sets[:5]]
    raise DataError(folder, "set", f"one of {names}{'...' if len(sets) > 5 else ''}", name)


def _compose(
    rig: CameraRig, pictures: dict[str, np.ndarray | None], cloud: np.ndarray | None, tile_width: int
) -> Image.Image:
    tiles = {
        camera.name: draw_calibration(pictures[camera.name], rig.cameras, index, tile_width, cloud)
        for index, camera in enumerate(rig.cameras)
    }
    rows = arrangement(rig.cameras)
    heights = [max(tiles[name].height for name in row) for row in rows]
    width = tile_width * max(len(row) for row in rows)
    plan_width = max(width, 3 * 420)
    plan = draw_plan(rig.cameras, plan_width, round(plan_width / 3 * 0.8))
    picture = Image.new("RGB", (max(width, plan_width), sum(heights) + plan.height), (250, 250, 248))
    top = 0
    for row, height in zip(rows, heights):
        for column, name in enumerate(row):
            picture.paste(tiles[name], (column * tile_width, top))
        top += height
    picture.paste(plan, (0, top))
    return picture


def arrangement(cameras: tuple[Camera, ...]) -> list[list[str]]:
    """Names in rows as a driver sees them: cameras that look ahead from left to right, below them those that look back.

    Example:
        >>> rig = CameraRig.load("config/rigs/example_calibrated.yaml")
        >>> arrangement(rig.cameras)
        [['left', 'front', 'right'], ['rear']]
    """
    front = sorted((c for c in cameras if abs(heading_deg(c)) <= 91), key=lambda c: -heading_deg(c))
    back = sorted((c for c in cameras if abs(heading_deg(c)) > 91), key=lambda c: heading_deg(c) % 360)
    rows = []
    for group in (front, back):
        count = -(-len(group) // 4) if group else 0  # at most four to a row
        for i in range(count):
            step = -(-len(group) // count)
            rows.append([camera.name for camera in group[i * step : (i + 1) * step]])
    return rows


def save_png(picture: Image.Image, out: Path) -> None:
    """Write a picture that appears only when complete."""
    with whole_file(out) as temporary:
        picture.save(temporary, "PNG", compress_level=3)
