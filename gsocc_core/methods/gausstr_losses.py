# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What GaussTR learns from: the pictures' depth and a foundation model's features, rendered from each layer's scene."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsocc_core.errors import DataError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import Targets
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.losses.aligned_features import cosine_loss, silog_depth_loss
from gsocc_core.losses.rendering import rendered_depth_loss, rendered_semantic_loss
from gsocc_core.methods.gausstr_args import WHERE, DepthArgs, FeatureArgs, LossArgs
from gsocc_core.networks.pca import pca_basis
from gsocc_core.networks.precision import full_precision
from gsocc_core.splat import Rendering, splat_to_image

#: Gaussians nearer or farther than this are not rendered, metres.
_NEAR_M, _FAR_M = 0.1, 100.0


class GaussTRLosses:
    """All losses of GaussTR, each a sum over the decoder's layers.

    Args:
        classes: Class table; ``channel_ids`` says which class each prompt stands for.
        features: What the Gaussians are aligned with.
        depth: Where depth ends.
        weights: Weights of the losses.
    """

    def __init__(self, classes: ClassTable, features: FeatureArgs, depth: DepthArgs, weights: LossArgs) -> None:
        self.classes, self.features, self.depth, self.weights = classes, features, depth, weights

    def __call__(
        self,
        layers: Sequence[Gaussians],
        embeddings: Tensor,
        basis: Tensor | None,
        segmenters: nn.ModuleList,
        seen: Tensor,
        head_depth_m: Tensor | None,
        targets: Targets | None,
    ) -> dict[str, Tensor]:
        """Compute the weighted losses.

        Args:
            layers: Per decoder layer (B, N) Gaussians with aligned features.
            embeddings: (P, F) class prompts in the space of those features.
            basis: (D, K) the stored basis, with ``compression: stored``.
            segmenters: Per layer the small network of the segmentation loss.
            seen: (B, V, D, h, w) the feature map of the present pictures, which may be the teacher's.
            head_depth_m: (B, V, h, w) what the depth head predicts for the present pictures; None = no such head.
            targets: Labels of the views.

        Returns:
            Scalars by name.

        Raises:
            DataError: a loss that is on has no labels, or features have other channels than the model expects.
        """
        if targets is None or targets.view_cameras is None or targets.view_valid is None:
            raise DataError(WHERE, "targets", "views with labels", "none")
        # Rendering, covariances and principal components need the range of float32, whatever the network computes in.
        with full_precision(seen.device):
            layers = [layer.map(Tensor.float) for layer in layers]
            return self._losses(layers, embeddings, basis, segmenters, seen, head_depth_m, targets)

    def _losses(
        self,
        layers: Sequence[Gaussians],
        embeddings: Tensor,
        basis: Tensor | None,
        segmenters: nn.ModuleList,
        seen: Tensor,
        head_depth_m: Tensor | None,
        targets: Targets,
    ) -> dict[str, Tensor]:
        assert targets.view_cameras is not None
        assert targets.view_valid is not None
        cameras = targets.view_cameras.map(lambda t: t.flatten(1, 2))
        valid = targets.view_valid.flatten()
        weights, ignore = self.weights, self.classes.ignore_id
        depth = classes = teacher = projection = None
        if weights.depth:
            depth = _labels(targets.view_depth_m, "data.depth_dir").flatten(0, 2) * valid[:, None, None]
        if weights.segmentation or weights.classes:
            labels = _labels(targets.view_semantics, "data.semantics_dir").flatten(0, 2)
            classes = torch.where(valid[:, None, None], labels, ignore)
        if weights.cosine or weights.segmentation:
            values = targets.view_features
            if weights.teacher == "backbone":
                values = seen.detach()[:, None]
            teacher, projection = self._teacher(_labels(values, "data.features_dir"), valid, basis)

        losses: dict[str, list[Tensor]] = {}
        rendered = [part for part in (depth, classes, teacher) if part is not None]
        for number, layer in enumerate(layers if rendered else ()):
            view, scores = self._render(layer, projection, embeddings, cameras)
            if depth is not None:
                error = silog_depth_loss(view.depth.flatten(0, 1), depth, self.depth.limit_m, weights.far)
                losses.setdefault("depth", []).append(weights.depth * error)
            if weights.cosine and teacher is not None:
                error = cosine_loss(view.features.flatten(0, 1), teacher)
                losses.setdefault("cosine", []).append(weights.cosine * error)
            if classes is not None and weights.segmentation:
                error = _cross_entropy(segmenters[number - len(layers)](view.features.flatten(0, 1)), classes, ignore)
                losses.setdefault("segmentation", []).append(weights.segmentation * error)
            if classes is not None and weights.classes:
                error = rendered_semantic_loss(scores.flatten(0, 1), classes, self.classes.channel_ids, ignore)
                losses.setdefault("classes", []).append(weights.classes * error)
        total = {name: torch.stack(values).sum() for name, values in losses.items()}
        if head_depth_m is not None and weights.depth_head:
            total["depth_head"] = weights.depth_head * self._distil(head_depth_m.float(), targets)
        return total

    def check_teacher(self, channels: int) -> None:
        """Raise DataError unless features of pictures have the channels that the model expects."""
        args = self.features
        if channels == args.dim or (args.compression == "stored" and channels == args.channels):
            return
        expected = f"{args.dim} channels (model.features.dim)"
        if args.compression == "stored":
            expected += f", or the {args.channels} of the stored basis"
        raise DataError(WHERE, "features of pictures (data.features_dir)", expected, f"{channels} channels")

    def _teacher(self, values: Tensor, valid: Tensor, basis: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(M, K, h, w) features that renderings should have, zeros without label, and the basis of Gaussians (D, K)."""
        values = values.flatten(0, 2).float()
        if len(values) != len(valid):
            expected = "the present views alone (data.views: 1), since the backbone is the teacher"
            raise DataError(WHERE, "views", expected, f"{len(valid)} views of {len(values)} pictures")
        values = values * valid[:, None, None, None]
        self.check_teacher(values.shape[1])
        args = self.features
        if args.compression == "none" or (args.compression == "stored" and values.shape[1] == args.channels):
            return values, None
        if args.compression == "stored":
            return torch.einsum("mdhw,dk->mkhw", values, _labels(basis, "basis")), None
        vectors = values.movedim(1, -1).flatten(0, 2)
        vectors = vectors[vectors.abs().sum(-1) > 0]
        if len(vectors) < 2:  # nothing to learn from, and nothing to compress
            return values[:, : args.channels], torch.eye(args.dim, args.channels, device=values.device)
        step = pca_basis(vectors, args.channels)
        return torch.einsum("mdhw,dk->mkhw", values, step), step

    def _render(
        self, layer: Gaussians, projection: Tensor | None, embeddings: Tensor, cameras: Cameras
    ) -> tuple[Rendering, Tensor]:
        """Views of one layer's scene: compressed features with depth, and, if they are asked for, class scores."""
        features = layer.features if projection is None else layer.features @ projection
        if not (self.weights.cosine or self.weights.segmentation):
            features = features[..., :0]
        count = features.shape[-1]
        if self.weights.classes:
            features = torch.cat([features, layer.features @ embeddings.T], -1)
        view = splat_to_image(layer.replace(features=features), cameras, depth="accumulated", near=_NEAR_M, far=_FAR_M)
        aligned, scores = view.features[..., :count], view.features[..., count:]
        return Rendering(aligned, view.depth, view.alpha), scores

    def _distil(self, head_depth_m: Tensor, targets: Targets) -> Tensor:
        """Error of the depth head in the present pictures, at its own size."""
        labels = _labels(targets.view_depth_m, "data.depth_dir")[:, 0]
        labels = labels * _labels(targets.view_valid, "views")[:, 0, :, None, None]
        # The nearest label: a mean over an edge is the depth of nothing.
        fitted = functional.interpolate(labels, head_depth_m.shape[-2:], mode="nearest-exact")
        low, high = self.depth.head_range_m
        fitted = torch.where(fitted > 0, fitted.clamp(low, min(high, self.depth.limit_m)), 0.0)
        return rendered_depth_loss(head_depth_m, fitted, "log_l1")


def _labels(value: Tensor | None, key: str) -> Tensor:
    if value is None:
        raise DataError(WHERE, key, "labels, since a loss needs them", "none")
    return value


def _cross_entropy(logits: Tensor, classes: Tensor, ignore_id: int) -> Tensor:
    """Mean over the labelled pixels of (M, H, W, S) logits and (M, H, W) ids; 0 when there is none."""
    ids = torch.where(classes == ignore_id, -1, classes.long())
    error = functional.cross_entropy(logits.movedim(-1, 1), ids, ignore_index=-1, reduction="sum")
    return error / (ids >= 0).sum().clamp(min=1)
