# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Features of pictures from frozen backbones: DINOv2, DINOv2 with registers, CLIP."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.view_label_files import Kind
from gsocc_core.geometry.cameras import Camera
from gsocc_core.labels.pictures import IMAGENET_MEAN, IMAGENET_STD, normalise, shrink
from gsocc_core.labels.pretrained import load_model, model_type, preprocessing
from gsocc_core.labels.stream import StreamOptions, label_key_frames
from gsocc_core.networks.clip_patches import CLIP_MEAN, CLIP_STD, clip_patch_features
from gsocc_core.networks.pca import pca_basis

#: transformers' model type -> class; the vision tower of a whole CLIP is taken.
FEATURE_MODELS = {
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "clip": "CLIPVisionModelWithProjection",
    "clip_vision_model": "CLIPVisionModelWithProjection",
}
#: Key frames, spread evenly, and vectors of each picture of theirs, from which a basis is computed.
BASIS_FRAMES, BASIS_VECTORS = 16, 256


class FeatureLabeller:
    """One vector per patch of the picture; a subclass per family of models.

    Args:
        model: The network.
        options: Its preprocessing; keys as in transformers' ``preprocessor_config.json``.
        basis: (D, K); features are multiplied by it, the mean stays in. None = features as they come.

    Attributes:
        patch: Side of a patch, pixels of the network's input.
    """

    kind: Kind = "features"
    defaults: ClassVar[dict[str, Any]] = {"image_mean": IMAGENET_MEAN, "image_std": IMAGENET_STD}

    def __init__(self, model: Any, options: dict[str, Any], basis: Tensor | None = None) -> None:
        self.model, self.options, self.basis = model, options, basis
        self.patch = int(model.config.patch_size)

    @property
    def channels(self) -> int:
        """D, length of the model's own features."""
        return int(self.model.config.hidden_size)

    def __call__(self, pictures: Tensor, cameras: Sequence[Camera], size: tuple[int, int]) -> Tensor:  # noqa: ARG002
        """Compute features.

        Args:
            pictures: (B, 3, H, W) uint8 RGB.
            cameras: The camera of each picture.
            size: (height, width) of the network's input, pixels; it becomes the nearest multiple of the patch.

        Returns:
            (B, D, h, w) float32, or (B, K, h, w) with a basis.
        """
        rows, columns = (max(round(side / self.patch), 1) for side in size)
        inputs = shrink(pictures, rows * self.patch, columns * self.patch, "bicubic")
        tokens = self.tokens(normalise(inputs, self.options["image_mean"], self.options["image_std"])).float()
        if self.basis is not None:
            tokens = tokens @ self.basis.to(tokens)
        return tokens[:, -rows * columns :].mT.unflatten(-1, (rows, columns)).contiguous()

    def tokens(self, inputs: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, N, D), those of the patches last, row by row."""
        raise NotImplementedError


class Dinov2Features(FeatureLabeller):
    """DINOv2 (Oquab et al. 2023), also with registers (Darcet et al. 2024): patch tokens behind the last layer norm."""

    def tokens(self, inputs: Tensor) -> Tensor:
        """The model's own, which ends with a layer norm."""
        tokens: Tensor = self.model(pixel_values=inputs).last_hidden_state
        return tokens


class ClipFeatures(FeatureLabeller):
    """CLIP: see :func:`gsocc_core.networks.clip_patches.clip_patch_features`."""

    defaults: ClassVar[dict[str, Any]] = {"image_mean": CLIP_MEAN, "image_std": CLIP_STD}

    @property
    def channels(self) -> int:
        """Width of the space that pictures and text share."""
        return int(self.model.config.projection_dim)

    def tokens(self, inputs: Tensor) -> Tensor:
        """Normalised and projected."""
        return clip_patch_features(self.model, inputs)


def load_features(source: str, device: torch.device) -> FeatureLabeller:
    """A backbone from a folder or the hub.

    Args:
        source: Folder or hub id.
        device: Where it runs.

    Returns:
        What computes features of pictures.

    Raises:
        ConfigError: there is no such model, or it is of another kind.
    """
    found = model_type(source, "--model", FEATURE_MODELS)
    model = load_model(source, FEATURE_MODELS[found], "--model", device)
    labeller = ClipFeatures if found.startswith("clip") else Dinov2Features
    return labeller(model, preprocessing(source, labeller.defaults))


def basis_of(labeller: FeatureLabeller, frames: Sequence[KeyFrame], k: int, options: StreamOptions) -> Tensor:
    """A basis of features, computed on some of the pictures.

    Args:
        labeller: Without a basis.
        frames: Key frames; at most 16 of them are looked at, spread evenly.
        k: Length of the reduced features, 1 ... D.
        options: How pictures go through the model.

    Returns:
        (D, k) float32; see :func:`gsocc_core.networks.pca.pca_basis`.

    Raises:
        DataError: a picture is wrong.
    """
    picks = np.unique(np.linspace(0, len(frames) - 1, min(BASIS_FRAMES, len(frames))).round().astype(int))
    chosen = [frames[i] for i in picks]
    seen: dict[str, Tensor] = {}
    lock = threading.Lock()

    def keep(frame: KeyFrame, maps: dict[str, np.ndarray]) -> None:
        parts = [torch.from_numpy(array).flatten(1).T for array in maps.values()]
        some = torch.cat([part[:: -(-len(part) // BASIS_VECTORS)] for part in parts])
        with lock:
            seen[frame.scene_name + frame.token] = some

    label_key_frames(labeller, chosen, keep, options)
    # In the order of the key frames, not of the threads: the same pictures give the same basis.
    return pca_basis(torch.cat([seen[frame.scene_name + frame.token] for frame in chosen]), k)
