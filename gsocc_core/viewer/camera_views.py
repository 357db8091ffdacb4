# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``gsocc_core compare-views``: predicted against true voxels in camera views, as pictures and as scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.virtual_cameras import virtual_rig
from gsocc_core.geometry.voxels import SemanticGrid
from gsocc_core.metrics.image_metrics import ImageMetrics
from gsocc_core.pictures.compare_views import blink_views, compare_views, view_colors
from gsocc_core.pictures.film import STILLS, check_output, write_pictures
from gsocc_core.viewer.comparison import check_comparable
from gsocc_core.viewer.drive import DriveSource
from gsocc_core.viewer.frames import FrameSource, ViewFrame, seen


def write_camera_views(
    source: FrameSource,
    out: str | Path,
    frame: int = 0,
    fps: float = 2.0,
    blink: bool = False,
    only_seen: bool = True,
    tile_width: int = 320,
) -> ImageMetrics:
    """Write what the cameras would see of predicted and of true voxels, and score what was drawn.

    Args:
        source: Frames with predictions and ground truth.
        out: ``.png`` or ``.jpg`` = one frame, ``.gif`` or ``.mp4`` = all.
        frame: Frame of the picture; negative numbers count from the end.
        fps: Frames per second of a film.
        blink: Show prediction and truth in turn instead of one above the other; films only, of one frame.
        only_seen: Leave out predictions where the cameras do not see; the score too.
        tile_width: Width of each camera's picture, pixels.

    Returns:
        Scores of the frames drawn.

    Raises:
        ConfigError: there is no such frame, or a picture cannot blink.
        DataError: a frame lacks prediction, ground truth or cameras.
        ShapeError: prediction and ground truth have other grids or classes.
        OutputExistsError: the file is there.
    """
    path = check_output(out)
    if not -len(source) <= frame < len(source):
        raise ConfigError("compare-views", "frame", f"{-len(source)} ... {len(source) - 1}", frame)
    if not 40 <= tile_width <= 1600:
        raise ConfigError("compare-views", "tile_width", "40 ... 1600 px", tile_width)
    still = path.suffix.lower() in STILLS
    if blink and still:
        raise ConfigError("compare-views", "out", "a film (.gif, .mp4) to blink", str(path))
    metric = ImageMetrics(source.classes)
    chosen = [frame % len(source)] if still or blink else list(range(len(source)))

    def draw() -> Iterator[Image.Image]:
        for index in tqdm(chosen, desc="draw", unit="frame", disable=len(chosen) == 1):
            shown = source.frame(index)
            prediction, truth = _both(shown, only_seen)
            cameras = [view.camera for view in shown.views]
            rig = virtual_rig(cameras, tile_width).map(lambda t: t[None])
            labels = truth.labels[None].cpu(), prediction.labels[None].cpu()
            metric.update_voxels(*labels, truth.grid, rig, [camera.name for camera in cameras], render_width=None)
            if blink:
                yield from blink_views(prediction, truth, cameras, shown.title, tile_width)
            else:
                yield compare_views(prediction, truth, cameras, shown.images, shown.title, tile_width)

    try:
        write_pictures(path, draw(), fps, view_colors(source.classes))
    finally:
        if isinstance(source, DriveSource):
            source.close()
    return metric


def _both(frame: ViewFrame, only_seen: bool) -> tuple[SemanticGrid, SemanticGrid]:
    for key, value in (("prediction", frame.prediction), ("ground truth", frame.truth), ("cameras", frame.views)):
        if not value:
            raise DataError(frame.title, key, "to be there, to compare views", "none")
    assert frame.prediction is not None
    assert frame.truth is not None
    check_comparable(frame.prediction, frame.truth)
    return seen(frame.prediction, frame.truth) if only_seen else frame.prediction, frame.truth


def table(metric: ImageMetrics) -> str:
    """Scores per view and over all cameras, as a Markdown table."""
    lines = ["| view | mIoU | IoU | depth L1 (m) |", "|---|---:|---:|---:|"]
    for name, views in [("all cameras", None), *((view, [view]) for view in metric.views)]:
        s = metric.scores(views)
        lines.append(f"| {name} | {100 * s.classes.miou:.2f} | {100 * s.classes.iou:.2f} | {s.depth_l1_m:.2f} |")
    return "\n".join(lines)
