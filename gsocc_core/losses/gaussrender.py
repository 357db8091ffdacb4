# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussRenderLoss: compare predicted with true voxels in pictures of both (Chambon et al., GaussRender, ICCV 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.virtual_cameras import TopDownModel, ideal_pinholes, top_down_camera
from gsocc_core.geometry.voxel_gaussians import (
    RELATIVE_SCALE,
    chosen_voxels,
    gaussians_at_voxels,
    gaussians_of_labels,
)
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.losses.camera_strategies import CameraStrategy, choose_views, join_views, move_cameras
from gsocc_core.losses.rendered_classes import ClassDistance, rendered_class_loss, rendered_depth_l1
from gsocc_core.splat import Rendering, splat_to_image
from gsocc_core.splat.images.rules import MIN_ALPHA
from gsocc_core.splat.options import Backend, DepthMode, check_choice

OpacityRule = Literal["sharpened", "linear", "learned"]
ClassRule = Literal["all", "occupied"]

_WHERE = "GaussRenderLoss"
#: Depth beyond which nothing is drawn, metres; more where the camera above the grid needs it.
_FAR_M = 100.0
#: Feature vectors that pass the opacity head at once while voxels are chosen.
_CHUNK = 65_536


@dataclass(frozen=True)
class GaussRenderWeights:
    """Weights of the four terms; the defaults are the paper's 10 (L_sem + L_depth / range), range 50 or 100 m.

    Attributes:
        camera_semantics: Class probabilities seen from the virtual cameras.
        camera_depth: Depth seen from the virtual cameras, per metre.
        top_semantics: Class probabilities seen from above.
        top_depth: Depth seen from above, per metre.
    """

    camera_semantics: float = 10.0
    camera_depth: float = 0.2
    top_semantics: float = 10.0
    top_depth: float = 0.1


@dataclass(frozen=True)
class RenderedPair:
    """The same views of predicted and of true voxels.

    Attributes:
        predicted: (B, V, H, W) pictures; their features are class probabilities, empty space included.
        truth: Likewise, without gradient.
    """

    predicted: Rendering
    truth: Rendering

    def split(self, views: int) -> tuple[RenderedPair, RenderedPair]:
        """The first ``views`` views, and the others."""

        def part(r: Rendering, which: slice) -> Rendering:
            return Rendering(r.features[:, which], r.depth[:, which], r.alpha[:, which])

        first, others = slice(None, views), slice(views, None)
        return (
            RenderedPair(part(self.predicted, first), part(self.truth, first)),
            RenderedPair(part(self.predicted, others), part(self.truth, others)),
        )


class OpacityHead(nn.Sequential):
    """(..., D) voxel features to opacities (...): three layers, sigmoid(x - 1) (GaussRender)."""

    def __init__(self, feature_dim: int) -> None:
        layers = [nn.Linear(feature_dim, feature_dim), nn.Linear(feature_dim, feature_dim), nn.Linear(feature_dim, 1)]
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        super().__init__(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        self.feature_dim = feature_dim

    def forward(self, features: Tensor) -> Tensor:
        """Opacities (...) of features (..., D)."""
        features = features.to(next(self.parameters()).dtype)
        return torch.sigmoid(super().forward(features)[..., 0] - 1.0)


class GaussRenderLoss(nn.Module):
    """Renders predicted and true voxels from the same virtual cameras and compares classes and depth.

    It works beside any network that gives class logits per voxel, and owns nothing but its opacity head. Every labelled
    voxel becomes a Gaussian in its middle whose features are the class probabilities; voxels that are truly empty or
    unknown give none on the side of the truth, and unknown ones none on either side. Behind everything is empty space.
    One rendering draws all views of all samples (an orthographic view from above needs a second one).

    A Gaussian fainter than 1/255 draws nothing and so gets no gradient: what is confidently predicted empty but is not
    empty is left to the voxel loss. ``min_opacity`` raises this limit for voxels that are truly empty, which saves
    time; floaters fainter than it stay unpunished. ``max_gaussians`` keeps truly occupied voxels first, then the most
    opaque ones: where a network predicts fog, the fog that is dropped stays unpunished while occupied voxels are all
    pushed up, so that predictions fill up. It bounds the memory of a first try; results want None.

    Random cameras are drawn with torch's CPU generator.

    Args:
        feature_dim: D, channels of the voxel features from which opacity is learned; needed for ``learned`` only.
        opacity_rule: ``linear`` o = q, with q the predicted probability that the voxel is occupied; ``sharpened``
            o = q^2 below 1/2 and 1 - (1 - q)^2 above (the original's choice without features); ``learned`` from the
            features (the original's choice with features). The first two tie pictures to logits; a learned opacity can
            satisfy the pictures while the logits stay wrong.
        class_rule: ``all`` = the softmax over all classes (the original's), so that a voxel can look empty and still
            hide others; ``occupied`` = the softmax over the classes but empty, so that only opacity says empty.
        relative_scale: Standard deviation in voxel edges.
        strategy: Where the cameras stand, see :func:`gsocc_core.losses.camera_strategies.move_cameras`.
        cameras_per_step: Cameras drawn per sample; None = all.
        view_weights: Weights of the cameras in that draw; None = all alike.
        top_down: View from above: ``perspective``, ``orthographic`` or None.
        render_width: Picture width, pixels; the height follows from the cameras. None = the size of the cameras.
        distance: ``l1`` or ``kl`` between class probabilities.
        balanced: Let every class in the true pictures count alike.
        depth: ``accumulated`` = sum w z (the original's), ``expected`` = sum w z / sum w.
        weights: Weights of the terms.
        min_opacity: Fainter truly empty voxels are left out; 1/255 changes nothing.
        max_gaussians: Largest number of predicted Gaussians per sample; None = no limit.
        backend: Of the renderer.

    Raises:
        ConfigError: arguments that do not fit together.

    Example:
        >>> grid = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 1.0), 1.0)
        >>> logits = torch.zeros(1, 8, 8, 2, 3, requires_grad=True)  # classes: car, road, empty
        >>> labels = torch.full((1, 8, 8, 2), 2, dtype=torch.uint8)
        >>> labels[..., 0] = 1
        >>> T_ego_cam = torch.tensor([[0.0, 0, 1, -5], [-1, 0, 0, 0], [0, -1, 0, 0.5], [0, 0, 0, 1]])
        >>> K = torch.tensor([[20.0, 0, 16], [0, 20, 9], [0, 0, 1]])
        >>> cameras = Cameras(K[None, None], T_ego_cam[None, None], width=32, height=18)
        >>> losses = GaussRenderLoss(render_width=None)(logits, None, labels, grid, cameras, empty_id=2)
        >>> sorted(losses)
        ['camera_depth', 'camera_semantics', 'top_depth', 'top_semantics']
        >>> sum(losses.values()).backward()
    """

    def __init__(
        self,
        feature_dim: int | None = None,
        *,
        opacity_rule: OpacityRule = "sharpened",
        class_rule: ClassRule = "all",
        relative_scale: float = RELATIVE_SCALE,
        strategy: CameraStrategy = "sensor",
        cameras_per_step: int | None = 1,
        view_weights: Sequence[float] | None = None,
        top_down: TopDownModel | None = "perspective",
        render_width: int | None = 400,
        distance: ClassDistance = "l1",
        balanced: bool = False,
        depth: DepthMode = "accumulated",
        weights: GaussRenderWeights | None = None,
        min_opacity: float = MIN_ALPHA,
        max_gaussians: int | None = None,
        backend: Backend = "auto",
    ) -> None:
        super().__init__()
        if (opacity_rule == "learned") != (feature_dim is not None):
            raise ConfigError(_WHERE, "feature_dim", "a number for opacity_rule 'learned', else None", feature_dim)
        check_choice(_WHERE, "opacity_rule", opacity_rule, OpacityRule)
        check_choice(_WHERE, "class_rule", class_rule, ClassRule)
        check_choice(_WHERE, "strategy", strategy, CameraStrategy)
        check_choice(_WHERE, "distance", distance, ClassDistance)
        check_choice(_WHERE, "depth", depth, DepthMode)
        if top_down is not None:
            check_choice(_WHERE, "top_down", top_down, TopDownModel)
        if max_gaussians is not None and max_gaussians < 1:
            raise ConfigError(_WHERE, "max_gaussians", "at least 1, or None", max_gaussians)
        if render_width is not None and render_width < 1:
            raise ConfigError(_WHERE, "render_width", "positive pixels, or None", render_width)
        if not 0 <= min_opacity < 1:
            raise ConfigError(_WHERE, "min_opacity", "0 <= min_opacity < 1", min_opacity)
        self.opacity_rule, self.class_rule, self.relative_scale = opacity_rule, class_rule, relative_scale
        self.strategy, self.cameras_per_step, self.view_weights = strategy, cameras_per_step, view_weights
        self.top_down, self.render_width, self.depth, self.backend = top_down, render_width, depth, backend
        self.distance, self.balanced = distance, balanced
        self.weights = weights or GaussRenderWeights()
        self.min_opacity, self.max_gaussians = max(min_opacity, MIN_ALPHA), max_gaussians
        self.opacity_head = OpacityHead(feature_dim) if feature_dim is not None else None

    def forward(
        self,
        logits: Tensor,
        features: Tensor | None,
        labels: Tensor,
        grid: VoxelGrid,
        cameras: Cameras,
        empty_id: int,
        ignore_id: int = 255,
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch.

        Args:
            logits: (B, X, Y, Z, C) class logits, empty space included; channel c stands for class id c.
            features: (B, X, Y, Z, D) voxel features for a learned opacity, else None.
            labels: (B, X, Y, Z) uint8 true class ids.
            grid: Where the voxels are.
            cameras: (B, V) cameras of the sample; lens distortion is left out of the virtual ones.
            empty_id: Class id of empty space.
            ignore_id: Label of voxels without a label.

        Returns:
            Weighted scalars; their sum is the objective. ``camera_semantics`` and ``camera_depth``, and with a view
            from above ``top_semantics`` and ``top_depth``.

        Raises:
            ShapeError: shapes do not fit each other, or a value is not finite.
            ConfigError: unknown options, or features missing for a learned opacity.
        """
        seen, above = self.render(logits, features, labels, grid, cameras, empty_id, ignore_id)
        losses = {}
        for name, pair in (("camera", seen), ("top", above)):
            if pair is not None:
                semantics = rendered_class_loss(
                    pair.predicted.features, pair.truth.features, self.distance, self.balanced
                )
                depth = rendered_depth_l1(pair.predicted.depth, pair.truth.depth)
                losses[f"{name}_semantics"] = getattr(self.weights, f"{name}_semantics") * semantics
                losses[f"{name}_depth"] = getattr(self.weights, f"{name}_depth") * depth
        return losses

    def render(
        self,
        logits: Tensor,
        features: Tensor | None,
        labels: Tensor,
        grid: VoxelGrid,
        cameras: Cameras,
        empty_id: int,
        ignore_id: int = 255,
    ) -> tuple[RenderedPair, RenderedPair | None]:
        """The pictures that :meth:`forward` compares; arguments as there.

        Returns:
            Those from the virtual cameras (B, V), and the one from above (B, 1) or None.
        """
        self._check(logits, features, labels, grid, cameras, empty_id)
        # Rendering needs the range of float32, whatever the host computes in.
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits if logits.dtype == torch.float64 else logits.float()
            predicted = self._predicted_gaussians(logits, features, labels, grid, empty_id, ignore_id)
            with torch.no_grad():
                views, above = self._virtual_cameras(cameras, grid)
                views, above = views.to(logits), above if above is None else above.to(logits)
                truth = gaussians_of_labels(
                    labels, grid, logits.shape[-1], empty_id, ignore_id, self.relative_scale, logits.dtype
                )
            count = views.intrinsics.shape[1]
            if above is None:
                return self._pair(predicted, truth, views, grid, empty_id), None
            if above.model == views.model:
                return self._pair(predicted, truth, join_views(views, above), grid, empty_id).split(count)
            sets = [self._pair(predicted, truth, rig, grid, empty_id) for rig in (views, above)]
            return sets[0], sets[1]

    def _check(
        self, logits: Tensor, features: Tensor | None, labels: Tensor, grid: VoxelGrid, cameras: Cameras, empty_id: int
    ) -> None:
        batch = len(labels)
        if tuple(labels.shape) != (batch, *grid.shape):
            raise ShapeError(_WHERE, "labels", ("B", *grid.shape), tuple(labels.shape))
        if logits.dim() != 5 or tuple(logits.shape[:-1]) != tuple(labels.shape):
            raise ShapeError(_WHERE, "logits", (*labels.shape, "C"), tuple(logits.shape))
        if not 0 <= empty_id < logits.shape[-1]:
            raise ShapeError(_WHERE, "empty_id", f"a channel of the logits, 0...{logits.shape[-1] - 1}", empty_id)
        if tuple(cameras.intrinsics.shape[:-3]) != (batch,):
            raise ShapeError(
                _WHERE, "cameras", f"leading dimensions ({batch}, V)", tuple(cameras.intrinsics.shape[:-2])
            )
        if self.opacity_head is None:
            return
        if features is None:
            raise ConfigError(_WHERE, "features", "voxel features for a learned opacity", None)
        expected = (*labels.shape, self.opacity_head.feature_dim)
        if tuple(features.shape) != expected:
            raise ShapeError(_WHERE, "features", expected, tuple(features.shape))

    def _predicted_gaussians(
        self, logits: Tensor, features: Tensor | None, labels: Tensor, grid: VoxelGrid, empty_id: int, ignore_id: int
    ) -> Gaussians:
        """Choose voxels without gradient first: most are empty, and only the chosen ones need to be kept for it."""
        flat = logits.flatten(1, -2)
        flat_features = None if features is None or self.opacity_head is None else features.flatten(1, -2)
        with torch.no_grad():
            if flat_features is None:
                opacities = self._tied(1 - flat.detach().softmax(-1)[..., empty_id])
            else:
                opacities = torch.stack(
                    [torch.cat([self._learned(part) for part in sample.split(_CHUNK)]) for sample in flat_features]
                )
            if not bool(torch.isfinite(opacities).all()):  # a comparison would silently leave such voxels out
                count = int((~torch.isfinite(opacities)).sum())
                key = "logits" if flat_features is None else "features"
                raise ShapeError(_WHERE, key, "finite numbers", f"no finite opacity in {count} voxels")
            opacities = opacities.view(labels.shape)
            occupied = (labels != empty_id) & (labels != ignore_id)
            limit = torch.where(occupied, MIN_ALPHA, self.min_opacity).to(opacities)
            keep = (labels != ignore_id) & (opacities >= limit)
            index, real = chosen_voxels(keep)
            if self.max_gaussians is not None and index.shape[1] > self.max_gaussians:
                rank = (opacities + occupied).masked_fill(~keep, -1.0).flatten(1)
                index = rank.topk(self.max_gaussians, dim=1).indices.sort(dim=1).values
                real = keep.flatten(1).gather(1, index)
        chosen = _rows(flat, index)
        probabilities = chosen.softmax(-1)
        if flat_features is None:
            opacity = self._tied(1 - probabilities[..., empty_id])
        else:
            opacity = self._learned(_rows(flat_features, index))
        if self.class_rule == "occupied":
            empty = torch.arange(chosen.shape[-1], device=chosen.device) == empty_id
            probabilities = chosen.masked_fill(empty, float("-inf")).softmax(-1)
        opacity = torch.where(real, opacity.to(chosen), 0.0)
        return gaussians_at_voxels(index, opacity, probabilities, grid, self.relative_scale)

    def _tied(self, occupied: Tensor) -> Tensor:
        """Opacities of the predicted probabilities that voxels are occupied."""
        if self.opacity_rule == "linear":
            return occupied
        return torch.where(occupied <= 0.5, occupied.square(), 1 - (1 - occupied).square())

    def _learned(self, features: Tensor) -> Tensor:
        """(..., N) opacities of features (..., N, D)."""
        assert self.opacity_head is not None
        opacities: Tensor = self.opacity_head(features)
        return opacities

    def _virtual_cameras(self, cameras: Cameras, grid: VoxelGrid) -> tuple[Cameras, Cameras | None]:
        cameras = ideal_pinholes(cameras)
        if self.render_width is not None:
            cameras = cameras.resized(
                self.render_width, max(1, round(cameras.height * self.render_width / cameras.width))
            )
        if self.cameras_per_step is not None:
            cameras = choose_views(cameras, self.cameras_per_step, self.view_weights)
        cameras = move_cameras(cameras, self.strategy, grid)
        if self.top_down is None:
            return cameras, None
        above = top_down_camera(grid, cameras.width, cameras.height, self.top_down, cameras.intrinsics)
        return cameras, above.map(lambda t: t.expand(len(cameras.intrinsics), *t.shape))

    def _pair(
        self, predicted: Gaussians, truth: Gaussians, cameras: Cameras, grid: VoxelGrid, empty_id: int
    ) -> RenderedPair:
        background = predicted.features.new_zeros(predicted.features.shape[-1])
        background[empty_id] = 1.0
        reach = grid.upper[0] - grid.lower[0] + grid.upper[2] - grid.lower[2] + 1.0
        far = max(_FAR_M, reach)

        def draw(gaussians: Gaussians) -> Rendering:
            return splat_to_image(
                gaussians, cameras, background=background, depth=self.depth, far=far, backend=self.backend
            )

        with torch.no_grad():
            true_pictures = draw(truth)
        return RenderedPair(draw(predicted), true_pictures)


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """(B, K, D) rows of (B, N, D); whole rows copy several times faster than ``gather``'s single numbers."""
    return torch.stack([sample.index_select(0, chosen) for sample, chosen in zip(values, index)])
