# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussTR (Jiang et al., CVPR 2025): Gaussians aligned with foundation models, without any class label in training.

Every picture by itself: a feature map -> simple pyramid. Learned queries look into it, layer after layer, and move
their place in the picture. A head puts each at the depth found there, as a Gaussian with a feature. Training renders
them into the same pictures and compares depth and features with a foundation model's; text embeddings name the classes
afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gsocc_core.data.args import DataArgs
from gsocc_core.data.feature_files import BASIS_FILE, read_basis
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.text_features import TextFeatures
from gsocc_core.geometry.voxels import SemanticGrid, VoxelGrid
from gsocc_core.methods.gausstr_args import (
    WHERE,
    DepthArgs,
    FeatureArgs,
    LossArgs,
    NetworkArgs,
    ShapeArgs,
    SplatArgs,
)
from gsocc_core.methods.gausstr_classes import prompt_scores, voxel_classes, voxel_means
from gsocc_core.methods.gausstr_losses import GaussTRLosses
from gsocc_core.methods.gausstr_network import GaussianHead, PictureDecoder, PictureDepth, even_places
from gsocc_core.methods.method import Method
from gsocc_core.networks.backbones import BackboneArgs, PictureMap
from gsocc_core.networks.depth_head import DepthHead
from gsocc_core.networks.simple_pyramid import SimplePyramid
from gsocc_core.text.class_prompts import ClassPrompts


@dataclass(frozen=True)
class Output:
    """Result of :meth:`GaussTR.forward`.

    Attributes:
        scene: Gaussians (B, V * K) in the reference ego frame; features are scores of the class prompts.
        layers: The Gaussians of each decoder layer, the last one's last, with the features that are aligned; when the
            model is used, the last alone.
        text: The last layer's features, which text embeddings fit to.
        seen: (B, V, D, h, w) what the queries looked into.
        depth_m: (B, V, h, w) what the depth head predicts, metres; None = there is no such head.
        memory: None.
    """

    scene: Gaussians
    layers: tuple[Gaussians, ...]
    text: TextFeatures
    seen: Tensor
    depth_m: Tensor | None = None
    memory: None = None


class GaussTR(Method):
    """GaussTR.

    Args:
        classes: Class table.
        prompts: Words that stand for its classes, free space (the sky) among them, embedded by the encoder that fits to
            the teacher's features.
        grid: Voxel grid.
        image_size: (height, width) of the network's pictures, pixels.
        backbone: Backbone whose map the queries look into; None = the map comes with the pictures
            (``data.input_features_dir``), as in the FeatUp model.
        frozen: The backbone does not learn, as published.
        network: Sizes.
        features: What the Gaussians are aligned with.
        depth: Where depth comes from.
        shape: Sizes and attitudes of Gaussians.
        loss: Loss weights.
        splat: How Gaussians become voxels.
        basis: Feature folder whose ``basis.safetensors`` to use, with ``features.compression: stored``; a bundle
            carries the basis itself.
        pretrained: Load the backbone's hub weights, if it has a hub id, and the basis.

    Raises:
        ConfigError: sizes, prompts or a basis that do not fit each other.
    """

    TRAINING_ONLY = ("loss", "basis", "segmenters")
    RECORDABLE = True

    prompt_embeddings: Tensor
    first_places: Tensor

    def __init__(
        self,
        classes: ClassTable,
        prompts: ClassPrompts,
        grid: VoxelGrid,
        image_size: tuple[int, int] = (504, 896),
        backbone: BackboneArgs | None = None,
        frozen: bool = True,
        network: NetworkArgs | None = None,
        features: FeatureArgs | None = None,
        depth: DepthArgs | None = None,
        shape: ShapeArgs | None = None,
        loss: LossArgs | None = None,
        splat: SplatArgs | None = None,
        basis: str | None = None,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        self.prompts, self.classes = prompts, classes.with_channels(prompts.class_ids(classes))
        self.grid, self.image_size = grid, (image_size[0], image_size[1])
        self.network_args, self.features_args = network or NetworkArgs(), features or FeatureArgs()
        self.depth_args, self.shape_args = depth or DepthArgs(), shape or ShapeArgs()
        self.loss_args, self.splat_args = loss or LossArgs(), splat or SplatArgs()
        self.depth_input = "unused" if self.depth_args.source == "head" else "required"
        self.depth_model = self.depth_args.model
        args, aligned = self.network_args, self._aligned_channels()

        self.backbone = None if backbone is None else PictureMap(backbone, frozen, pretrained)
        patch = None if self.backbone is None else self.backbone.patch_px
        if patch is not None and any(side % patch for side in self.image_size):
            raise ConfigError(WHERE, "image_size", f"multiples of the backbone's patch, {patch}", self.image_size)
        self.features_input = "required" if self.backbone is None else "unused"
        given = self.features_args.input_dim or self.features_args.dim
        channels = given if self.backbone is None else self.backbone.channels
        self.pyramid = SimplePyramid(channels, args.dim, args.levels)
        self.decoder = PictureDecoder(args)
        self.heads = nn.ModuleList(
            GaussianHead(args.dim, args.head_hidden, aligned, self.shape_args) for _ in range(args.layers)
        )
        self.depth_head = None
        if self.depth_args.source == "head":
            source = self.depth_args
            self.depth_head = DepthHead(args.dim, len(args.levels), source.head_range_m, source.head_detail)
        if self.loss_args.teacher == "backbone" and (self.backbone is None or not frozen):
            raise ConfigError(WHERE, "loss.teacher", "labels, unless there is a frozen backbone", "backbone")
        self.segmenters = nn.ModuleList()
        if self.loss_args.segmentation:
            if self.loss_args.segments < len(self.classes.names):
                expected = f"at least {len(self.classes.names)}, one per class"
                raise ConfigError(WHERE, "loss.segments", expected, self.loss_args.segments)
            width = self.features_args.dim
            compressed = width if self.features_args.compression == "none" else self.features_args.channels
            self.segmenters.extend(
                nn.Sequential(nn.Linear(compressed, width), nn.ReLU(), nn.Linear(width, self.loss_args.segments))
                for _ in range(args.layers)
            )
        self.register_buffer("first_places", even_places(args.queries), persistent=False)
        self.register_buffer("prompt_embeddings", self._checked_prompts(), persistent=False)
        self.feature_basis: Tensor | None
        self.register_buffer("feature_basis", self._read_basis(basis, pretrained))
        self._objective = GaussTRLosses(self.classes, self.features_args, self.depth_args, self.loss_args)

    @property
    def embeddings(self) -> Tensor:
        """(P, F) class prompts in the space of the Gaussians' features."""
        return self.prompt_embeddings if self.feature_basis is None else self.prompt_embeddings @ self.feature_basis

    def _aligned_channels(self) -> int:
        args = self.features_args
        return args.channels if args.compression == "stored" else args.dim

    def _checked_prompts(self) -> Tensor:
        assert self.prompts is not None
        embeddings, args = self.prompts.embeddings, self.features_args
        if embeddings.shape[1] != args.dim:
            expected = f"embeddings of {args.dim} channels (features.dim)"
            raise ConfigError(WHERE, "prompts", expected, f"{embeddings.shape[1]}, of {self.prompts.encoder}")
        return embeddings.float().clone()

    def _read_basis(self, folder: str | None, pretrained: bool) -> Tensor | None:
        args, shape = self.features_args, (self.features_args.dim, self.features_args.channels)
        if args.compression != "stored":
            return None
        if not pretrained:
            return torch.zeros(shape)  # trained weights take its place
        found = None if folder is None else read_basis(folder)
        if found is None:
            raise ConfigError(WHERE, "basis", f"a feature folder with {BASIS_FILE}, since it is stored", folder)
        if tuple(found.shape) != shape:
            raise ConfigError(WHERE, "basis", f"{shape} (features.dim, features.channels)", tuple(found.shape))
        return found

    def forward(self, frames: FrameSet, memory: None = None) -> Output:
        """Predict the scene of the present pictures.

        Args:
            frames: Pictures, with depth or features beside them where the model needs them; only moment 0 is read.
            memory: Not used.

        Returns:
            Gaussians in the present ego frame.

        Raises:
            DataError: depth or features are missing, or have another size than the model expects.
        """
        del memory
        seen = self._feature_map(frames)
        levels = self.pyramid(seen)
        cameras = frames.cameras.map(lambda t: t[:, 0])
        depth = self._depth(frames, levels)
        known = depth.detach().clamp(max=self.depth_args.limit_m)
        valid = frames.valid[:, 0]
        if self.backbone is None and frames.features is not None:  # of zeros where a picture has none
            valid = valid & frames.features[:, 0].flatten(2).any(-1)
        scene = PictureDepth(known, cameras, valid)
        heads: list[GaussianHead] = list(self.heads)  # type: ignore[arg-type]
        found = self.decoder(levels, self._places(len(depth), depth.device), heads)
        first = 0 if self.training else len(heads) - 1
        layers = tuple(head(*one, scene) for head, one in list(zip(heads, found))[first:])
        scores = prompt_scores(layers[-1].features, self.embeddings, self.splat_args.scale)
        shape = frames.valid[:, 0].shape
        predicted = None if self.depth_head is None else depth[:, 0].unflatten(0, shape)
        assert self.prompts is not None
        text = TextFeatures(layers[-1].features, self.feature_basis, self.prompts.encoder)
        return Output(layers[-1].replace(features=scores), layers, text, seen.unflatten(0, shape), predicted)

    def losses(self, output: Output, frames: FrameSet) -> dict[str, Tensor]:
        """Losses of all decoder layers; see :class:`gsocc_core.methods.gausstr_args.LossArgs`."""
        return self._objective(
            output.layers,
            self.embeddings,
            self.feature_basis,
            self.segmenters,
            output.seen,
            output.depth_m,
            frames.targets,
        )

    def occupancy(self, output: Output, grid: VoxelGrid | None = None) -> SemanticGrid:
        """Labels (B, X, Y, Z); see :func:`gsocc_core.methods.gausstr_classes.voxel_classes`."""
        return voxel_classes(output.scene, grid or self.grid, self.classes, self.splat_args)

    def spread(self, scene: Gaussians, values: Tensor, grid: VoxelGrid) -> Tensor:
        """Means of Gaussians' values in voxels, weighted as they vote for classes; see :meth:`Method.spread`."""
        return voxel_means(scene, values, grid, self.splat_args)

    def check_data(self, data: DataArgs) -> None:
        """Refuse data that lacks what a loss or the network needs, or whose labels would be left out or would not fit.

        See :meth:`Method.check_data`.
        """
        loss, (height, width), view = self.loss_args, self.image_size, data.view_size
        labels, head = loss.teacher == "labels", self.depth_head is not None
        for key, needs in (
            ("input_depth_dir", {} if head else {"depth.source": self.depth_args.source}),
            ("input_features_dir", {"backbone": None} if self.backbone is None else {}),
            ("depth_dir", {"loss.depth": loss.depth} | ({"loss.depth_head": loss.depth_head} if head else {})),
            ("features_dir", {"loss.cosine": loss.cosine, "loss.segmentation": loss.segmentation} if labels else {}),
            ("semantics_dir", {"loss.segmentation": loss.segmentation, "loss.classes": loss.classes}),
        ):
            why = [f"{name} is {value}" for name, value in needs.items() if value != 0]
            if why and getattr(data, key) is None:
                raise ConfigError(WHERE, f"data.{key}", f"a folder, since {' and '.join(why)}", "null")
        if loss.depth and loss.far == "empty" and data.max_view_depth_m <= self.depth_args.limit_m:
            expected = f"more than depth.limit_m {self.depth_args.limit_m:g}, or loss.far: ignored"
            raise ConfigError(WHERE, "data.max_view_depth_m", expected, data.max_view_depth_m)
        same_pictures = loss.teacher == "backbone" or self.depth_head is not None
        if same_pictures and abs(view[0] * width - view[1] * height) > max(height, width):
            expected = f"the aspect of image_size {height} x {width}, since labels meet what the network makes of it"
            raise ConfigError(WHERE, "data.view_size", expected, f"{view[0]} x {view[1]}")

    def check_frames(self, frames: FrameSet) -> None:
        """Refuse features of another backbone; see :meth:`Method.check_frames`."""
        if self.backbone is None and frames.features is not None:
            self._check_channels(frames.features)
        teacher = None if frames.targets is None else frames.targets.view_features
        if teacher is not None and self.loss_args.teacher == "labels":
            self._objective.check_teacher(teacher.shape[-3])

    def _check_channels(self, features: Tensor) -> None:
        expected = self.features_args.input_dim or self.features_args.dim
        if features.shape[-3] != expected:
            raise DataError(WHERE, "features", f"{expected} channels", f"{features.shape[-3]} channels")

    def _feature_map(self, frames: FrameSet) -> Tensor:
        """(B * V, C, h, w) what the queries look into."""
        if self.backbone is not None:
            return self.backbone(frames.images[:, 0].flatten(0, 1))
        if frames.features is None:
            expected = "feature maps beside the pictures (data.input_features_dir), since there is no backbone"
            raise DataError(WHERE, "features", expected, "none")
        self._check_channels(frames.features)
        return frames.features[:, 0].flatten(0, 1).float()

    def _depth(self, frames: FrameSet, levels: list[Tensor]) -> Tensor:
        """(B * V, 1, h, w) metres."""
        if self.depth_head is not None:
            images = frames.images[:, 0].flatten(0, 1)
            return self.depth_head(levels, frames.cameras.map(lambda t: t[:, 0]), images)
        if frames.depth_m is None:
            expected = "depth beside the pictures (data.input_depth_dir, or depths_m of predict)"
            raise DataError(WHERE, "depth_m", expected, "none")
        return frames.depth_m[:, 0].flatten(0, 1)[:, None]

    def _places(self, pictures: int, device: torch.device) -> Tensor:
        """(M, K, 2) where the queries look first."""
        count = self.network_args.queries
        if self.training or self.network_args.places == "random":
            return torch.rand(pictures, count, 2, device=device)
        return self.first_places.expand(pictures, -1, -1)
