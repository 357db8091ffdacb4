# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of predicted voxels in pictures, as GaussRender has them: what cameras, and one above, see of the voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.virtual_cameras import TopDownModel, ideal_pinholes, top_down_camera
from gsocc_core.geometry.voxel_gaussians import RELATIVE_SCALE, gaussians_of_labels
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.metrics.confusion import AbsentRule, IoUScores, scores_of
from gsocc_core.splat.options import Backend, DepthMode
from gsocc_core.splat.to_image import splat_to_image

#: Name of the view from above among the views of :class:`ImageMetrics`.
TOP_DOWN = "top_down"
#: True depth from which on a pixel shows something, metres.
_SEEN_FROM_M = 0.1
_FAR_M = 100.0


@dataclass(frozen=True)
class ImageScores:
    """Scores of some views.

    Attributes:
        classes: IoU of the classes seen in the pixels; ``miou`` leaves out empty space, ``iou`` is something against
            nothing.
        depth_l1_m: Mean absolute depth error where the truth shows something, metres; nan when it never does. Where
            nothing is predicted the depth is 0, so what is missing from above costs the whole height of the camera.
        pixels: Number of pixels with a label.
        depth_pixels: Number of pixels with a true depth.
    """

    classes: IoUScores
    depth_l1_m: float
    pixels: int
    depth_pixels: int


@dataclass(frozen=True)
class LabelPictures:
    """What cameras see of labelled voxels.

    Attributes:
        labels: (B, V, H, W) uint8 class with the largest share of the pixel; empty space where nothing is hit.
        depth_m: (B, V, H, W) metres; 0 where nothing is hit.
    """

    labels: Tensor
    depth_m: Tensor


@torch.no_grad()
def render_labels(
    labels: Tensor,
    grid: VoxelGrid,
    classes: ClassTable,
    cameras: Cameras,
    relative_scale: float = RELATIVE_SCALE,
    depth: DepthMode = "accumulated",
    backend: Backend = "auto",
) -> LabelPictures:
    """Draw every occupied voxel as an opaque Gaussian and read class and depth of every pixel.

    This is how GaussRender evaluates: opacity 1 or 0 by label, largest channel per pixel, depth sum w z. Its balls are
    larger on Occ3D (``relative_scale`` 0.675), which widens thin things.

    Args:
        labels: (B, X, Y, Z) uint8 ids; empty and unlabelled voxels are not drawn.
        grid: The grid.
        classes: Class table.
        cameras: (B, V) undistorted pinhole or orthographic cameras.
        relative_scale: Standard deviation in voxel edges.
        depth: ``accumulated`` = sum w z, too small where thin surfaces let something through; ``expected`` = divided
            by sum w.
        backend: Of the renderer.

    Returns:
        The pictures.

    Example:
        >>> from gsocc_core import OCC3D_NUSCENES
        >>> grid = VoxelGrid((-1.0, -1.0, 0.0), (1.0, 1.0, 1.0), 1.0)
        >>> labels = torch.tensor([4, 11, 17, 13], dtype=torch.uint8).view(1, 2, 2, 1)
        >>> above = top_down_camera(grid, 2, 2, "orthographic").map(lambda t: t[None])
        >>> render_labels(labels, grid, OCC3D_NUSCENES, above, relative_scale=0.3).labels[0, 0]  # x up, y to the left
        tensor([[13, 17],
                [11,  4]], dtype=torch.uint8)
    """
    count = len(classes.names)
    gaussians = gaussians_of_labels(labels, grid, count, classes.free_id, classes.ignore_id, relative_scale)
    background = torch.zeros(count, device=labels.device)
    background[classes.free_id] = 1.0
    reach = grid.upper[0] - grid.lower[0] + grid.upper[2] - grid.lower[2] + 1.0
    picture = splat_to_image(
        gaussians,
        cameras.to(labels.device),
        background=background,
        depth=depth,
        far=max(_FAR_M, reach),
        backend=backend,
    )
    return LabelPictures(picture.features.argmax(-1).to(torch.uint8), picture.depth)


class ImageMetrics:
    """Sums confusion matrices and depth errors of pictures, one set of counts per view.

    Args:
        classes: Class table.

    Example:
        >>> from gsocc_core import OCC3D_NUSCENES
        >>> metric = ImageMetrics(OCC3D_NUSCENES)
        >>> truth, predicted = np.array([[4, 4, 17]], np.uint8), np.array([[4, 17, 17]], np.uint8)
        >>> metric.update("CAM_FRONT", truth, predicted, np.array([[5.0, 6.0, 0.0]]), np.array([[5.5, 0.0, 0.0]]))
        >>> metric.scores().classes.iou, metric.scores().depth_l1_m
        (0.5, 3.25)
    """

    def __init__(self, classes: ClassTable) -> None:
        self.classes = classes
        #: Confusion matrix (K, K) of each view, truth x prediction.
        self.matrices: dict[str, np.ndarray] = {}
        #: Summed absolute depth error (m) and number of pixels of each view.
        self.depth_sums: dict[str, np.ndarray] = {}

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the views seen so far."""
        return tuple(self.matrices)

    def update(
        self,
        view: str,
        truth: np.ndarray,
        predicted: np.ndarray,
        truth_depth_m: np.ndarray,
        predicted_depth_m: np.ndarray,
    ) -> None:
        """Add pictures of one view.

        Args:
            view: Name of the camera, or ``TOP_DOWN``.
            truth: (...) uint8 ids; ``ignore_id`` does not count.
            predicted: (...) uint8 ids.
            truth_depth_m: (...) metres; 0 = nothing is hit.
            predicted_depth_m: (...) metres.

        Raises:
            ShapeError: shapes differ, an id is not in the table, or a depth is not finite.
        """
        count = len(self.classes.names)
        for key, value in (
            ("predicted", predicted), ("truth_depth_m", truth_depth_m), ("predicted_depth_m", predicted_depth_m),
        ):  # fmt: skip
            if value.shape != truth.shape:
                raise ShapeError("ImageMetrics", key, truth.shape, value.shape)
        used = truth != self.classes.ignore_id
        t, p = truth[used].astype(np.int64), predicted[used].astype(np.int64)
        if t.size and max(t.max(), p.max()) >= count:
            raise ShapeError("ImageMetrics", "labels", f"ids below {count}", int(max(t.max(), p.max())))
        seen = truth_depth_m > _SEEN_FROM_M
        error = np.abs(predicted_depth_m[seen].astype(np.float64) - truth_depth_m[seen])
        if not np.isfinite(error).all():
            raise ShapeError("ImageMetrics", "depth", "finite metres", f"{int((~np.isfinite(error)).sum())} others")
        matrix = np.bincount(t * count + p, minlength=count * count).reshape(count, count)
        self._add(view, matrix, np.array([error.sum(), error.size]))

    def update_voxels(
        self,
        truth: Tensor,
        predicted: Tensor,
        grid: VoxelGrid,
        cameras: Cameras,
        names: Sequence[str],
        *,
        render_width: int | None = 400,
        top_down: TopDownModel | None = "perspective",
        top_down_px: int = 400,
        relative_scale: float = RELATIVE_SCALE,
    ) -> None:
        """Render true and predicted labels into every camera and from above, and add the pictures.

        Voxels whose truth is ``ignore_id`` are drawn on neither side.

        Args:
            truth: (B, X, Y, Z) uint8 ids.
            predicted: (B, X, Y, Z) uint8 ids.
            grid: The grid.
            cameras: (B, V) cameras; lens distortion is left out.
            names: V names.
            render_width: Width of the pictures, pixels; None = that of the cameras.
            top_down: Model of the view from above; None = no such view.
            top_down_px: Width and height of the picture from above, pixels.
            relative_scale: Standard deviation in voxel edges.

        Raises:
            ShapeError: shapes do not fit each other.
        """
        if truth.shape != predicted.shape:
            raise ShapeError("ImageMetrics", "predicted", tuple(truth.shape), tuple(predicted.shape))
        if len(names) != cameras.intrinsics.shape[-3]:
            raise ShapeError("ImageMetrics", "names", f"{cameras.intrinsics.shape[-3]} names", tuple(names))
        predicted = predicted.masked_fill(truth == self.classes.ignore_id, self.classes.ignore_id)
        views = ideal_pinholes(cameras)
        if render_width is not None:
            views = views.resized(render_width, max(1, round(views.height * render_width / views.width)))
        sets = [(tuple(names), views)]
        if top_down is not None:
            above = top_down_camera(grid, top_down_px, top_down_px, top_down, views.intrinsics)
            sets.append(((TOP_DOWN,), above.map(lambda t: t.expand(len(truth), *t.shape))))
        for view_names, rig in sets:
            t, p = (render_labels(labels, grid, self.classes, rig, relative_scale) for labels in (truth, predicted))
            for v, name in enumerate(view_names):
                pictures = (x[:, v].cpu().numpy() for x in (t.labels, p.labels, t.depth_m, p.depth_m))
                self.update(name, *pictures)

    def merge(self, other: ImageMetrics) -> None:
        """Add the counts of another part of the data set."""
        for view, matrix in other.matrices.items():
            self._add(view, matrix, other.depth_sums[view])

    def scores(self, views: Sequence[str] | None = None, absent: AbsentRule = "left_out") -> ImageScores:
        """Scores of some views, their counts added up.

        Args:
            views: Names; None = all cameras, without the view from above.
            absent: What becomes of classes that are absent, see :func:`gsocc_core.metrics.confusion.scores_of`.

        Raises:
            ShapeError: a view was never added.
        """
        names = [view for view in self.matrices if view != TOP_DOWN] if views is None else list(views)
        if unknown := [view for view in names if view not in self.matrices]:
            raise ShapeError("ImageMetrics", "views", f"names among {self.views}", unknown)
        count = len(self.classes.names)
        matrix = sum((self.matrices[view] for view in names), start=np.zeros((count, count), np.int64))
        error, pixels = sum((self.depth_sums[view] for view in names), start=np.zeros(2))
        return ImageScores(
            classes=scores_of(matrix, self.classes, absent),
            depth_l1_m=float(error / pixels) if pixels else float("nan"),
            pixels=int(matrix.sum()),
            depth_pixels=int(pixels),
        )

    def _add(self, view: str, matrix: np.ndarray, depth: np.ndarray) -> None:
        self.matrices[view] = self.matrices.get(view, 0) + matrix
        self.depth_sums[view] = self.depth_sums.get(view, 0.0) + depth
