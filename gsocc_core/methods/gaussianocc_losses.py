# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What GaussianOcc learns from: the present pictures' classes, and their neighbours, warped by the rendered depth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import Targets
from gsocc_core.losses.photometric import reprojection_loss, smoothness_loss
from gsocc_core.losses.rendering import (
    depth_moments,
    ray_spread_loss,
    rendered_depth_loss,
    rendered_semantic_loss,
    second_moments,
)
from gsocc_core.methods.gaussianocc_args import WHERE, LossArgs, RenderArgs
from gsocc_core.methods.gaussianocc_vertices import VertexGaussians, published_heights
from gsocc_core.methods.gaussianocc_volume import render_volume
from gsocc_core.splat import Rendering, splat_to_image

#: Added inside the logarithm of opacities, and of rendered probabilities, which can be exactly 0.
_SMALL = 1e-8
_SMALL_SHARE = 1e-4


@dataclass(frozen=True)
class PresentView:
    """What the present cameras see of the vertices.

    Attributes:
        scores: (B, V, h, w, C) log-probabilities of the classes, or composited logits.
        depth_m: (B, V, h, w) metres, nowhere beyond the limit.
        spread: How far apart what stops a ray stands, see :func:`gsocc_core.losses.rendering.ray_spread_loss`; 0
            where that loss is off.
    """

    scores: Tensor
    depth_m: Tensor
    spread: Tensor


class GaussianOccLosses:
    """All losses of GaussianOcc.

    Args:
        classes: Class table; ``channel_ids`` says which class each logit stands for.
        vertices: What makes Gaussians of logits.
        render: How the present pictures are rendered.
        weights: Weights of the losses.

    Raises:
        ConfigError: not one frequency per channel.
    """

    def __init__(self, classes: ClassTable, vertices: VertexGaussians, render: RenderArgs, weights: LossArgs) -> None:
        self.classes, self.vertices, self.render, self.weights = classes, vertices, render, weights
        self.class_weights = class_weights(weights.class_frequencies, len(classes.channel_ids))

    def __call__(self, logits: Tensor, targets: Targets | None) -> dict[str, Tensor]:
        """Compute the weighted losses.

        Args:
            logits: (B, X, Y, Z, C) at the vertices.
            targets: Views; the first is the present.

        Returns:
            Scalars by name. Where no view has a neighbour ``photometric`` is 0, and where nothing has a label so is
            ``semantics``: the others teach alone.

        Raises:
            DataError: a loss that is on has no pictures or labels.
        """
        weights = self.weights
        if targets is None or targets.view_cameras is None or targets.view_valid is None:
            raise DataError(WHERE, "targets", "views with pictures or labels", "none")
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits if logits.dtype == torch.float64 else logits.float()
            view = self.view(logits, targets.view_cameras.map(lambda t: t[:, 0]))
            losses = self._of_pictures(view, targets)
            if weights.semantics:
                losses["semantics"] = weights.semantics * self._semantics(view.scores, targets)
            if weights.depth:
                labels = _given(targets.view_depth_m, "data.depth_dir")[:, 0] * targets.view_valid[:, 0, :, None, None]
                labels = functional.interpolate(labels, view.depth_m.shape[-2:], mode="nearest-exact")
                losses["depth"] = weights.depth * rendered_depth_loss(view.depth_m, labels, "log_l1")
            if weights.spread:
                losses["spread"] = weights.spread * view.spread
            if weights.entropy:
                opacities = self.vertices.opacities(logits)
                losses["entropy"] = weights.entropy * (-opacities * (opacities + _SMALL).log()).mean()
            if weights.variation:
                losses["variation"] = weights.variation * total_variation(logits)
        return losses

    def view(self, logits: Tensor, cameras: Cameras) -> PresentView:
        """Render classes and depth into the present pictures.

        Args:
            logits: (B, X, Y, Z, C).
            cameras: (B, V) of the present views, of any size.

        Returns:
            At ``render.size``.
        """
        args, probabilities = self.render, self.vertices.args.classes == "probabilities"
        if args.size is not None:
            cameras = cameras.resized(args.size[1], args.size[0])
        cameras = cameras.to(logits)
        if args.renderer == "volume":
            found, squares = render_volume(logits, self.vertices, cameras, args)
        else:
            found, squares = self._splat(logits, cameras)
        spread = ray_spread_loss(found.depth, squares, found.alpha) if self.weights.spread else found.alpha.sum() * 0
        depth = found.depth
        if args.depth == "expected":
            depth = torch.where(found.alpha > 0, depth / torch.where(found.alpha > 0, found.alpha, 1.0), args.limit_m)
        elif args.depth == "closed":
            depth = depth + (1 - found.alpha) * args.limit_m
        scores = found.features
        if probabilities:
            free = torch.arange(scores.shape[-1], device=scores.device) == self.vertices.free_channel
            scores = (scores + (1 - found.alpha)[..., None] * free).clamp(min=_SMALL_SHARE).log()
        return PresentView(scores, depth.clamp(args.near_m, args.limit_m), spread)

    def _splat(self, logits: Tensor, cameras: Cameras) -> tuple[Rendering, Tensor]:
        """Depth is sum w z; also sum w z^2, or 0 where nothing asks for it."""
        args, shape = self.render, cameras.intrinsics.shape[:2]
        gaussians = self.vertices(logits, cameras, (args.near_m, args.far_m))
        channels, seen_by = gaussians.features.shape[-1], cameras
        if self.weights.spread:
            features = torch.cat([gaussians.features, second_moments(gaussians.means)], -1)
            gaussians = gaussians.replace(features=features)
        if args.field_of_view == "published":
            gaussians, seen_by = published_heights(gaussians, cameras)
        found = splat_to_image(gaussians, seen_by, depth="accumulated", near=args.near_m, far=args.far_m)
        if args.field_of_view == "published":
            found = Rendering(*(t[:, 0].unflatten(0, shape) for t in (found.features, found.depth, found.alpha)))
        moments = found.features[..., channels:]
        squares = depth_moments(moments, found.alpha, cameras.viewmats)[1] if self.weights.spread else found.depth * 0
        return Rendering(found.features[..., :channels], found.depth, found.alpha), squares

    def _of_pictures(self, view: PresentView, targets: Targets) -> dict[str, Tensor]:
        weights = self.weights
        losses: dict[str, Tensor] = {}
        if not (weights.photometric or weights.smoothness):
            return losses
        pictures = _given(targets.view_images, "data.view_images")
        assert targets.view_cameras is not None
        assert targets.view_valid is not None
        size = (pictures.shape[-2], pictures.shape[-1])
        depth = functional.interpolate(view.depth_m, size, mode="bilinear", align_corners=False)
        if weights.photometric:
            if pictures.shape[1] < 2:
                expected = "neighbours (data.view_sweeps, or data.views of 2 or more), since loss.photometric is on"
                raise DataError(WHERE, "data.view_sweeps", expected, "the present views alone")
            usable = None if targets.view_usable is None else targets.view_usable[:, 0]
            losses["photometric"] = weights.photometric * reprojection_loss(
                depth, pictures, targets.view_cameras, targets.view_valid, auto_mask=weights.auto_mask,
                outside=weights.outside, ssim=weights.ssim, usable=usable,
            )  # fmt: skip
        if weights.smoothness:
            present = pictures[:, 0].to(depth.dtype) / 255
            losses["smoothness"] = weights.smoothness * smoothness_loss(depth, present)
        return losses

    def _semantics(self, scores: Tensor, targets: Targets) -> Tensor:
        assert targets.view_valid is not None
        ignore = self.classes.ignore_id
        labels = _given(targets.view_semantics, "data.semantics_dir")[:, 0]
        labels = functional.interpolate(labels.float(), scores.shape[2:4], mode="nearest-exact").to(torch.uint8)
        if self.weights.unlabelled == "free":
            labels = torch.where(labels == ignore, self.classes.free_id, labels)
        labels = torch.where(targets.view_valid[:, 0, :, None, None], labels, ignore)
        weights = None
        if self.class_weights is not None:
            weights = scores.new_tensor(self.class_weights)
            for channel, weight in enumerate(self.class_weights):
                if not weight:  # a mean over pixels that weigh nothing is no number
                    labels = torch.where(labels == self.classes.channel_ids[channel], ignore, labels)
        return rendered_semantic_loss(scores, labels.to(torch.uint8), self.classes.channel_ids, ignore, weights)


def class_weights(frequencies: tuple[float, ...] | None, channels: int) -> tuple[float, ...] | None:
    """Weights 1 / sqrt(frequency) divided by their mean; 0 for a class that never occurs.

    Args:
        frequencies: One per channel, or None.
        channels: Number of channels.

    Returns:
        One weight per channel, or None.

    Raises:
        ConfigError: another number, a negative one, or all 0.

    Example:
        >>> class_weights((4.0, 1.0, 0.0), 3)
        (1.0, 2.0, 0.0)
    """
    if frequencies is None:
        return None
    if len(frequencies) != channels or min(frequencies) < 0 or not any(frequencies):
        expected = f"{channels} numbers, one per channel, 0 or more"
        raise ConfigError(WHERE, "loss.class_frequencies", expected, frequencies)
    weights = [f**-0.5 if f else 0.0 for f in frequencies]
    mean = sum(weights) / channels
    return tuple(weight / mean for weight in weights)


def total_variation(values: Tensor) -> Tensor:
    """Mean absolute difference of neighbours (B, X, Y, Z, C) along x, y and z, averaged over the three.

    Example:
        >>> total_variation(torch.arange(8.0).view(1, 2, 2, 2, 1)).item()  # steps of 4, 2 and 1
        2.3333332538604736
    """
    return torch.stack([values.diff(dim=axis).abs().mean() for axis in (1, 2, 3)]).mean()


def _given(value: Tensor | None, key: str) -> Tensor:
    if value is None:
        raise DataError(WHERE, key, "pictures or labels, since a loss needs them", "none")
    return value
