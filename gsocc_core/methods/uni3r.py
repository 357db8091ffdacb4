# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Uni3R (Sun et al., CVPR 2026): pictures of one scene without poses -> semantic Gaussians in one pass.

Patches of every view -> attention within views and across them in turn (VGGT). A camera head reads one token per view;
three dense heads read the patches: points, which are the Gaussians' means, depth, and the Gaussians' other attributes.
Training renders the Gaussians into views with known poses and compares colours and a teacher's features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.rigid import invert_rigid
from gsocc_core.geometry.view_sets import ViewSet
from gsocc_core.methods.method import FoundViews, Reconstruction, ViewMethod
from gsocc_core.methods.uni3r_args import (
    PAPER_ENCODER,
    WHERE,
    GaussianArgs,
    LossArgs,
    NetworkArgs,
    RenderArgs,
    SemanticArgs,
)
from gsocc_core.methods.uni3r_gaussians import GaussianHead
from gsocc_core.methods.uni3r_losses import (
    Predicted,
    camera_loss,
    check_labels,
    in_metres,
    rendered_losses,
    scene_unit_m,
    surface_losses,
)
from gsocc_core.networks.backbones import BackboneArgs, PictureMap
from gsocc_core.networks.camera_head import CameraHead, decode_cameras
from gsocc_core.networks.dense_head import DenseHead, depth_and_confidence, points_and_confidence
from gsocc_core.networks.patch_matching import PatchMatching
from gsocc_core.networks.precision import full_precision
from gsocc_core.networks.semantic_head import SemanticHead
from gsocc_core.networks.view_attention import AlternatingAttention, AttendedViews

#: AdamW's, of the authors' trainings.
_BETAS = (0.9, 0.95)


@dataclass(frozen=True)
class Geometry:
    """Where things and cameras are, in the network's unit; see :class:`Output`, of which they are parts."""

    points: Tensor
    points_confidence: Tensor
    depth: Tensor | None
    depth_confidence: Tensor | None
    codes: tuple[Tensor, ...]


@dataclass(frozen=True)
class Output:
    """Result of :meth:`Uni3R.forward`; lengths are in the network's unit, h and w are the picture's by the stride.

    Attributes:
        scene: Gaussians (B, V * h * w), view after view, in the first camera's optical frame (x right, y down, z
            ahead), with features of ``semantics.dim`` channels and colours; those of views that are not there are
            transparent.
        points: (B, V, h, w, 3) their means.
        points_confidence: (B, V, h, w), above 1.
        depth: (B, V, h, w) of the depth head, along each camera's own optical axis.
        depth_confidence: (B, V, h, w), above 1.
        codes: One (B, V, 9) per step of the camera head.
        image_size: (height, width) of the pictures, pixels.
        background: (B, 3) colour behind the scene, 0..1.
        memory: None.
    """

    scene: Gaussians
    points: Tensor
    points_confidence: Tensor
    depth: Tensor
    depth_confidence: Tensor
    codes: tuple[Tensor, ...]
    image_size: tuple[int, int]
    background: Tensor
    memory: None = None

    @property
    def T_first_cam(self) -> Tensor:
        """(B, V, 4, 4) predicted poses in the first camera's frame, where the first one's is the identity."""
        poses, _ = decode_cameras(self.codes[-1], self.image_size)
        return invert_rigid(poses[:, :1]) @ poses

    @property
    def intrinsics(self) -> Tensor:
        """(B, V, 3, 3) predicted intrinsics, pixels of the pictures, centred."""
        return decode_cameras(self.codes[-1], self.image_size)[1]


class Uni3R(ViewMethod):
    """Uni3R.

    Args:
        image_size: (height, width) that pictures are fitted to in training; the network takes any.
        encoder: Patch encoder: a backbone with one map, whose width is that of the attention; None = the paper's.
        network: Sizes behind it.
        gaussians: Shapes and colours of Gaussians.
        semantics: Their features.
        render: How training looks at them.
        loss: Loss weights.
        pretrained: Load the encoder's hub weights, if it has a hub id.

    Raises:
        ConfigError: sizes that do not fit each other.
    """

    TRAINING_ONLY = ("loss", "render")

    def __init__(
        self,
        image_size: tuple[int, int] = (256, 256),
        encoder: BackboneArgs | None = None,
        network: NetworkArgs | None = None,
        gaussians: GaussianArgs | None = None,
        semantics: SemanticArgs | None = None,
        render: RenderArgs | None = None,
        loss: LossArgs | None = None,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        args = network or NetworkArgs()
        self.image_size, self.network_args = (image_size[0], image_size[1]), args
        self.gaussian_args, self.semantic_args = gaussians or GaussianArgs(), semantics or SemanticArgs()
        self.teacher_dim = self.semantic_args.teacher_dim
        self.features_input = "required" if self.semantic_args.residual else "unused"
        self.render_args, self.loss_args = render or RenderArgs(), loss or LossArgs()
        self.encoder = PictureMap(encoder or PAPER_ENCODER, frozen=False, pretrained=pretrained)
        dim = self.encoder.channels
        if dim % (4 * args.heads) or (2 * dim) % args.camera_heads:
            expected = f"a width that 4 x {args.heads} heads divide, and twice it {args.camera_heads} camera heads"
            raise ConfigError(WHERE, "encoder", expected, dim)
        self._check_size(self.image_size, "image_size")
        self.matching = PatchMatching(dim, args.matching) if args.matching else None
        self.attention = AlternatingAttention(
            dim, args.depth, args.heads, args.registers, args.taps, layer_scale=args.layer_scale,
            checkpointing=args.checkpointing,
        )  # fmt: skip
        self.camera_head = CameraHead(
            2 * dim, args.camera_depth, args.camera_heads, args.iterations, layer_scale=args.layer_scale
        )
        sizes = (args.head_width, args.head_levels)
        self.point_head, self.depth_head = (
            DenseHead(2 * dim, *sizes, out, args.head_hidden, args.head_fine) for out in (4, 2)
        )
        assert self.point_head.last is not None
        bias = self.point_head.last[-1].bias
        assert isinstance(bias, Tensor)
        with torch.no_grad():  # the head's numbers are sign(x) log(1 + |x|) of coordinates
            bias[2] = math.log1p(self.gaussian_args.first_depth)
        self.gaussian_head = GaussianHead(2 * dim, args, self.gaussian_args, self.semantic_args.dim)
        self.semantic_head = SemanticHead(self.semantic_args.teacher_dim, self.semantic_args.dim)
        self._freeze_idle()

    def forward(
        self,
        images: Tensor,
        intrinsics: Tensor | None = None,
        features: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Output:
        """Reconstruct the scene.

        Args:
            images: (B, V, 3, H, W) RGB 0..255, any dtype; V and the size may differ from call to call. The first view
                of a sample is its reference; the order of the others changes nothing.
            intrinsics: (B, V, 3, 3) pixels; NaN = that view's are unknown. None = all are.
            features: (B, V, D, h, w) of the teacher, where ``semantics.residual`` wants them.
            valid: (B, V) bool: views that are there, the first among them; None = all.

        Returns:
            Gaussians, cameras and depth.

        Raises:
            ShapeError: no view, sizes that the patches do not divide, or shapes that do not fit each other.
        """
        intrinsics = self._checked(images, intrinsics, features, valid)
        seen = self._see(images, intrinsics, valid)
        with full_precision(images.device):
            found = self._geometry(seen, images, valid)
            assert found.depth is not None
            assert found.depth_confidence is not None
            scene = self._scene(seen, images, features, valid, found.points)
            background = self._background(images, valid).to(found.points)
        size = (images.shape[-2], images.shape[-1])
        return Output(
            scene, found.points, found.points_confidence, found.depth, found.depth_confidence, found.codes, size,
            background,
        )  # fmt: skip

    def _see(self, images: Tensor, intrinsics: Tensor | None, valid: Tensor | None) -> AttendedViews:
        """Attended tokens of pictures (B, V, 3, H, W)."""
        patches = self.encoder(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        if self.matching is None:
            return self.attention(patches, intrinsics, valid)
        to_patches, to_cameras = self.matching(patches)
        return self.attention(patches + to_patches, intrinsics, valid, to_cameras)

    def _small(self, images: Tensor) -> tuple[int, int]:
        """(h, w) of the maps of the heads."""
        return images.shape[-2] // self.gaussian_args.stride, images.shape[-1] // self.gaussian_args.stride

    def _geometry(self, seen: AttendedViews, images: Tensor, valid: Tensor | None, depth: bool = True) -> Geometry:
        """Points, depth where it is asked for, and cameras out of attended tokens."""
        size, layers, views = self._small(images), _layers(seen), images.shape[:2]
        points, sure = (t.unflatten(0, views) for t in points_and_confidence(self.point_head(layers, seen.grid, size)))
        along: tuple[Tensor, ...] | None = None
        if depth:
            found = depth_and_confidence(self.depth_head(layers, seen.grid, size))
            along = tuple(t.unflatten(0, views) for t in found)
        codes = self.camera_head(seen.camera.float(), valid)
        return Geometry(points, sure, None if along is None else along[0], None if along is None else along[1], codes)

    def _scene(
        self, seen: AttendedViews, images: Tensor, features: Tensor | None, valid: Tensor | None, points: Tensor
    ) -> Gaussians:
        """Gaussians around points out of attended tokens."""
        views, size = images.shape[:2], self._small(images)
        pictures = images.flatten(0, 1).to(points) / 127.5 - 1
        raw = self.gaussian_head(_layers(seen), seen.grid, pictures, size).unflatten(0, views)
        base: Tensor | None = None
        colors: Tensor | None = None
        if self.semantic_args.residual and features is not None:
            base = self.semantic_head.reduce(features.flatten(0, 1).to(points), size).unflatten(0, views)
        if self.gaussian_args.pixel_color:
            colors = functional.adaptive_avg_pool2d(pictures, size).unflatten(0, views)
        return self.gaussian_head.decode(raw, points, base, colors, valid)

    def _background(self, images: Tensor, valid: Tensor | None) -> Tensor:
        """(B, 3) colour behind the scene."""
        if self.gaussian_args.background == "black":
            return images.new_zeros(len(images), 3, dtype=torch.float32)
        there = torch.ones_like(images[:, :, 0, 0, 0], dtype=torch.float32) if valid is None else valid.float()
        colors = images.float().mean((-2, -1)) / 255
        return (colors * there[..., None]).sum(1) / there.sum(1, keepdim=True)

    def reconstruct(self, views: ViewSet) -> Output:
        """:meth:`forward` on a set of views; what the poses and depth in it say is not read."""
        valid = None if bool(views.valid.all()) else views.valid
        features = views.features if self.semantic_args.residual else None
        return self(views.images, views.intrinsics, features, valid)

    def in_metres(self, output: Output, views: ViewSet) -> Reconstruction:
        """An output in metres; where ``network.unit`` is the baseline, the true poses of the views say its length."""
        unit_m = scene_unit_m(views, self.network_args.unit).to(output.points)
        poses = output.T_first_cam
        moved = torch.cat([poses[..., :3, 3] * unit_m[:, None, None], poses[..., 3:, 3]], dim=-1)
        poses = torch.cat([poses[..., :3], moved[..., None]], dim=-1)
        return Reconstruction(in_metres(output.scene, unit_m), poses, output.background)

    def found(self, output: Output) -> FoundViews:
        """See :meth:`ViewMethod.found`."""
        size = (output.points.shape[2], output.points.shape[3])
        metric = self.network_args.unit == "metre"
        return FoundViews(output.scene, output.T_first_cam, output.intrinsics, size, output.background, metric)

    def word_map(self) -> tuple[Tensor, Tensor]:
        """See :meth:`ViewMethod.word_map`."""
        expansion = self.semantic_head.expansion
        assert expansion.bias is not None
        return expansion.weight.flatten(1), expansion.bias

    def expand(self, features: Tensor) -> Tensor:
        """Rendered features (..., H, W, C) in the teacher's space, at half the size."""
        return self.semantic_head.expand(features)

    def check_frames(self, views: ViewSet) -> None:
        """Raise ConfigError where a loss has nothing to learn from in a sample, or features are not the teacher's."""
        check_labels(views, self.loss_args, self.semantic_args, self.render_args)

    def losses(self, output: Output, views: ViewSet) -> dict[str, Tensor]:
        """Weighted scalar losses; their sum is the training objective.

        Args:
            output: Of the context views.
            views: Context views; their ``targets`` are rendered beside them.

        Returns:
            By name, those whose weight is not 0 and whose labels are there. The geometry loss looks at every context
            view, however many there are.
        """
        return self._losses(output, output.scene, output.background, views)

    def training_losses(self, views: ViewSet) -> dict[str, Tensor]:
        """:meth:`losses` of what :meth:`reconstruct` makes of the views, of which only that is computed."""
        images, loss = views.images, self.loss_args
        valid = None if bool(views.valid.all()) else views.valid
        features = views.features if self.semantic_args.residual else None
        intrinsics = self._checked(images, views.intrinsics, features, valid)
        seen = self._see(images, intrinsics, valid)
        scene: Gaussians | None = None
        with full_precision(images.device):
            found = self._geometry(seen, images, valid, depth=loss.depth > 0)
            if loss.renders:
                scene = self._scene(seen, images, features, valid, found.points)
            return self._losses(found, scene, self._background(images, valid).to(found.points), views)

    def _losses(
        self, found: Predicted, scene: Gaussians | None, background: Tensor, views: ViewSet
    ) -> dict[str, Tensor]:
        """:meth:`losses` of parts of an output; without a scene nothing is rendered."""
        unit_m = scene_unit_m(views, self.network_args.unit).to(found.points)
        losses: dict[str, Tensor] = {}
        if scene is not None:
            sets = [] if views.targets is None else [views.targets]
            sets += [views] if self.render_args.context or not sets else []
            parts = (self.semantic_head.expand, self.loss_args, self.render_args)
            losses |= rendered_losses(in_metres(scene, unit_m), sets, *parts, background=background)
        losses |= surface_losses(found, views, unit_m, self.loss_args)
        if self.loss_args.camera:
            losses["camera"] = self.loss_args.camera * camera_loss(found.codes, views, unit_m)
        return losses

    def parameter_groups(
        self, learning_rate: float = 1e-4, weight_decay: float = 0.05, backbone_factor: float = 0.1
    ) -> list[dict[str, Any]]:
        """Groups of parameters for AdamW, as the authors' code has them.

        Args:
            learning_rate: Of what starts from random weights.
            weight_decay: Of its weights; biases and other vectors are spared.
            backbone_factor: Learning rate of what comes from VGGT (encoder, attention, camera, point and depth heads),
                as a factor; nothing there decays. The encoder of intrinsics, which is new, learns at the full rate.

        Returns:
            ``params``, ``lr``, ``weight_decay`` and ``betas`` of each group; all parameters that learn, each once.
        """
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        from_vggt = ("encoder", "attention", "camera_head", "point_head", "depth_head")
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            if name.startswith("attention.intrinsics_encoder"):
                key = (learning_rate, 0.0)
            elif name.split(".")[0] in from_vggt:
                key = (learning_rate * backbone_factor, 0.0)
            else:
                key = (learning_rate, weight_decay if parameter.ndim > 1 else 0.0)
            groups.setdefault(key, []).append(parameter)
        return [
            {"params": params, "lr": lr, "weight_decay": decay, "betas": _BETAS}
            for (lr, decay), params in groups.items()
        ]

    def _freeze_idle(self) -> None:
        """What no loss reaches never learns; distributed training insists on knowing which."""
        learns = (
            (self.camera_head, self.loss_args.camera > 0),
            (self.point_head, self.loss_args.renders or self.loss_args.geometry + self.loss_args.points > 0),
            (self.gaussian_head, self.loss_args.renders),
            (self.depth_head, self.loss_args.depth > 0),
            (self.attention.intrinsics_encoder, self.network_args.intrinsics == "token"),
            (self.semantic_head.reduction, self.semantic_args.residual and self.loss_args.semantic > 0),
            (self.semantic_head.expansion, self.loss_args.semantic > 0),
        )
        for part, does in learns:
            part.requires_grad_(does)

    def _check_size(self, size: tuple[int, int], key: str) -> None:
        patch, stride = self.encoder.patch_px or 1, self.gaussian_args.stride
        if any(side < 1 or side % patch or side % stride for side in size):
            expected = f"height and width that are multiples of the patch, {patch}, and of the stride, {stride}"
            raise ShapeError(WHERE, key, expected, size)

    def _checked(
        self, images: Tensor, intrinsics: Tensor | None, features: Tensor | None, valid: Tensor | None
    ) -> Tensor | None:
        """Raise unless shapes fit; the intrinsics as the network wants them."""
        if images.ndim != 5 or images.shape[2] != 3 or 0 in images.shape[:2]:
            raise ShapeError(WHERE, "images", "(B, V, 3, H, W) with at least one view", tuple(images.shape))
        b, v = images.shape[:2]
        self._check_size((images.shape[-2], images.shape[-1]), "images")
        if valid is not None and (tuple(valid.shape) != (b, v) or not bool(valid[:, 0].all())):
            received = tuple(valid.shape) if tuple(valid.shape) != (b, v) else "a sample without its first view"
            raise ShapeError(WHERE, "valid", f"{(b, v)}, with the first view of every sample", received)
        if self.semantic_args.residual:
            wanted = (b, v, self.semantic_args.teacher_dim)
            if features is None:
                raise ShapeError(WHERE, "features", f"{(*wanted, 'h', 'w')}, since semantics.residual is set", None)
            if features.ndim != 5 or tuple(features.shape[:3]) != wanted:
                raise ShapeError(WHERE, "features", (*wanted, "h", "w"), tuple(features.shape))
        if intrinsics is None or self.network_args.intrinsics == "none":
            return None
        if tuple(intrinsics.shape) != (b, v, 3, 3):
            raise ShapeError(WHERE, "intrinsics", (b, v, 3, 3), tuple(intrinsics.shape))
        share = self.network_args.intrinsics_dropout
        if self.training and share and float(torch.rand(())) < share:
            # Unknown, not absent: distributed training insists that every parameter takes part.
            intrinsics = torch.full_like(intrinsics, torch.nan)
        height = images.shape[-2]
        return intrinsics / intrinsics.new_tensor([height, height, 1.0])[:, None]


def _layers(seen: AttendedViews) -> list[Tensor]:
    """The heads' input: one (B * V, h * w, 2 dim) float32 per tap."""
    return [layer.flatten(0, 1).float() for layer in seen.patches]


def stack_views(pictures: Sequence[Tensor]) -> Tensor:
    """Pictures of one sample as the network takes them.

    Args:
        pictures: At least one (3, H, W), RGB 0..255, all of one size.

    Returns:
        (1, V, 3, H, W).

    Raises:
        ShapeError: no picture, another shape, or pictures of different sizes: fit them to one size first.
    """
    sizes = sorted({tuple(picture.shape) for picture in pictures})
    if len(sizes) != 1 or len(sizes[0]) != 3 or sizes[0][0] != 3:
        expected = "at least one picture (3, H, W), all of one size"
        raise ShapeError(WHERE, "pictures", expected, ", ".join(map(str, sizes)) or "none")
    return torch.stack(list(pictures))[None]
