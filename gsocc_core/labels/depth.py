# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Metric depth of pictures: Depth Anything V2 (metric), ZoeDepth, Depth Pro."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.data.view_label_files import DEPTH_RANGE_M, Kind
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.labels.pictures import IMAGENET_MEAN, IMAGENET_STD, multiple_size, normalise, shrink
from gsocc_core.labels.pretrained import load_model, model_type, preprocessing

#: transformers' model type -> class.
DEPTH_MODELS = {
    "depth_anything": "DepthAnythingForDepthEstimation",
    "zoedepth": "ZoeDepthForDepthEstimation",
    "depth_pro": "DepthProForDepthEstimation",
}
_HALF = (0.5, 0.5, 0.5)


class DepthLabeller:
    """Depth along the optical axis, metres; a subclass per family of models.

    Args:
        model: The network.
        options: Its preprocessing; keys as in transformers' ``preprocessor_config.json``.
        focal_px: Focal length, in pixels of the network's input, of the pictures that the network learned from. Depth
            is multiplied by each picture's own over it (Yin et al. 2023, Metric3D, section 3.1); None = depth as it
            comes.
    """

    kind: Kind = "depth"
    defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, model: Any, options: dict[str, Any], focal_px: float | None = None) -> None:
        self.model, self.options, self.focal_px = model, options, focal_px

    def __call__(self, pictures: Tensor, cameras: Sequence[Camera], size: tuple[int, int]) -> Tensor:
        """Predict.

        Args:
            pictures: (B, 3, H, W) uint8 RGB.
            cameras: The camera of each picture, at its full size.
            size: (height, width) of the result, pixels.

        Returns:
            (B, height, width) float32 metres; 0 = no label.
        """
        inputs = self.prepare(pictures)
        metres = self.metres(inputs, pictures, cameras, size).float()
        if self.focal_px is not None:
            focal = [c.intrinsics[0, 0] * inputs.shape[-1] / c.width / self.focal_px for c in cameras]
            metres = metres * torch.tensor(focal, device=metres.device, dtype=metres.dtype)[:, None, None]
        low, high = DEPTH_RANGE_M
        return torch.where(metres.isfinite(), metres, 0.0).clamp(0.0, high).where(metres > low / 2, 0.0)

    def prepare(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 RGB -> the network's input."""
        raise NotImplementedError

    def metres(self, inputs: Tensor, pictures: Tensor, cameras: Sequence[Camera], size: tuple[int, int]) -> Tensor:
        """(B, height, width) metres from the network's input."""
        raise NotImplementedError


class DepthAnything(DepthLabeller):
    """Depth Anything V2 (Yang et al. 2024), the metric models."""

    defaults: ClassVar[dict[str, Any]] = {
        "size": {"height": 518, "width": 518}, "keep_aspect_ratio": True, "ensure_multiple_of": 14,
        "image_mean": IMAGENET_MEAN, "image_std": IMAGENET_STD,
    }  # fmt: skip

    def prepare(self, pictures: Tensor) -> Tensor:
        """Sides become multiples of the patch; bicubic."""
        options = self.options
        height, width = multiple_size(
            pictures.shape[-2], pictures.shape[-1], options["size"]["height"], options["size"]["width"],
            options["ensure_multiple_of"], options["keep_aspect_ratio"],
        )  # fmt: skip
        return normalise(shrink(pictures, height, width, "bicubic"), options["image_mean"], options["image_std"])

    def metres(self, inputs: Tensor, pictures: Tensor, cameras: Sequence[Camera], size: tuple[int, int]) -> Tensor:  # noqa: ARG002
        """The network's own metres."""
        return _resize(self.model(pixel_values=inputs).predicted_depth.float(), size)


class ZoeDepth(DepthLabeller):
    """ZoeDepth (Bhat et al. 2023): pictures are padded by reflection before they are resized."""

    defaults: ClassVar[dict[str, Any]] = {
        "size": {"height": 384, "width": 512}, "keep_aspect_ratio": True, "ensure_multiple_of": 32,
        "image_mean": _HALF, "image_std": _HALF, "do_pad": True,
    }  # fmt: skip

    def prepare(self, pictures: Tensor) -> Tensor:
        """Pad, then resize without averaging, corners on corners."""
        options, (rows, columns) = self.options, self._padding(pictures)
        padded = functional.pad(pictures.float(), (columns, columns, rows, rows), mode="reflect")
        height, width = multiple_size(
            padded.shape[-2], padded.shape[-1], options["size"]["height"], options["size"]["width"],
            options["ensure_multiple_of"], options["keep_aspect_ratio"],
        )  # fmt: skip
        resized = functional.interpolate(padded, (height, width), mode="bilinear", align_corners=True)
        return normalise(resized, options["image_mean"], options["image_std"])

    def metres(self, inputs: Tensor, pictures: Tensor, cameras: Sequence[Camera], size: tuple[int, int]) -> Tensor:  # noqa: ARG002
        """The network's own metres, without the padding."""
        (rows, columns), (height, width) = self._padding(pictures), pictures.shape[-2:]
        depth = self.model(pixel_values=inputs).predicted_depth.float()
        depth = _resize(depth, (height + 2 * rows, width + 2 * columns))
        return _resize(depth[:, rows : rows + height, columns : columns + width], size)

    def _padding(self, pictures: Tensor) -> tuple[int, int]:
        """Rows and columns added on each side."""
        if not self.options["do_pad"]:
            return 0, 0
        rows, columns = (int(3 * math.sqrt(side / 2)) for side in pictures.shape[-2:])
        return rows, columns


class DepthPro(DepthLabeller):
    """Depth Pro (Bochkovskii et al. 2024): canonical inverse depth C; depth = focal / (width * C), section 3.2.

    The focal length is the camera's own; the network's guess of it is not computed.
    """

    defaults: ClassVar[dict[str, Any]] = {
        "size": {"height": 1536, "width": 1536},
        "image_mean": _HALF,
        "image_std": _HALF,
    }

    def prepare(self, pictures: Tensor) -> Tensor:
        """A square, whatever the picture's shape, without averaging."""
        size = self.options["size"]
        inputs = normalise(pictures, self.options["image_mean"], self.options["image_std"])
        return functional.interpolate(inputs, (size["height"], size["width"]), mode="bilinear", align_corners=False)

    def metres(self, inputs: Tensor, pictures: Tensor, cameras: Sequence[Camera], size: tuple[int, int]) -> Tensor:  # noqa: ARG002
        """Invert after resizing, as its authors do."""
        canonical = _resize(self.model(pixel_values=inputs).predicted_depth.float(), size)
        widths_per_focal = torch.tensor([c.width / c.intrinsics[0, 0] for c in cameras], device=canonical.device)
        return 1.0 / (canonical * widths_per_focal.float()[:, None, None]).clamp(1e-4, 1e4)


def _resize(depth: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, h, w) -> (B, *size), bilinear."""
    return functional.interpolate(depth[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def load_depth(source: str, device: torch.device, focal_px: float | None = None) -> DepthLabeller:
    """A depth model from a folder or the hub.

    Args:
        source: Folder or hub id.
        device: Where it runs.
        focal_px: See :class:`DepthLabeller`.

    Returns:
        What labels pictures.

    Raises:
        ConfigError: there is no such model, it is of another kind, or its depth has no unit.
    """
    found = model_type(source, "--model", DEPTH_MODELS)
    if focal_px is not None and (found == "depth_pro" or not focal_px > 0):
        expected = "a positive number; Depth Pro takes the camera's own focal length and needs none"
        raise ConfigError("command line", "--focal_px", expected, focal_px)
    overrides = {"use_fov_model": False} if found == "depth_pro" else {}
    model = load_model(source, DEPTH_MODELS[found], "--model", device, **overrides)
    if found == "depth_anything" and model.config.depth_estimation_type != "metric":
        received = f"{source}, whose depth_estimation_type is {model.config.depth_estimation_type}"
        raise ConfigError("command line", "--model", "a model of metric depth, such as Metric-Outdoor", received)
    labeller = {"depth_anything": DepthAnything, "zoedepth": ZoeDepth, "depth_pro": DepthPro}[found]
    return labeller(model, preprocessing(source, labeller.defaults), focal_px)
