# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Training configurations with random weights and random data of their sizes, to measure without a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gsocc_core.arguments import keyword_arguments
from gsocc_core.bench.scenes import surround_cameras
from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import protocol_of, with_default_cameras, with_default_grid
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import FrameSet, Targets
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.methods.build import build_trainable, method_class
from gsocc_core.methods.method import Trainable
from gsocc_core.text.class_prompts import ClassPrompts, embed_class_prompts, read_class_prompts
from gsocc_core.yaml_files import read_yaml


@dataclass(frozen=True)
class Configuration:
    """What ``gsocc_core train`` would run.

    Attributes:
        name: Of its file.
        method: Name of the method.
        model: Arguments of its constructor.
        classes: Class table with its feature channels.
        prompts: Class prompts with random embeddings; None = the method takes none.
        data: What a sample consists of.
        batch: Samples per process and step.
        precision: Lightning's name of it, for instance 32-true or 16-mixed.
    """

    name: str
    method: str
    model: Mapping[str, Any]
    classes: ClassTable
    prompts: ClassPrompts | None
    data: DataArgs
    batch: int
    precision: str

    @classmethod
    def read(cls, path: str | Path) -> Configuration:
        """Read a file of ``config/train``.

        Raises:
            ConfigError: it is no such file.
        """
        path = Path(path)
        content = read_yaml(path, "a training configuration")
        data = DataArgs(**keyword_arguments(DataArgs, content["data"], path))
        protocol, method = protocol_of(data), method_class(content["method"], path)
        model = with_default_cameras(method, with_default_grid(method, content["model"], protocol), data.cameras)
        channels, prompts = content.get("channels"), None
        classes = protocol.classes if channels is None else protocol.classes.with_channels(tuple(channels))
        if "prompts" in content:
            words = read_class_prompts(path.parents[2] / content["prompts"], classes)
            prompts = embed_class_prompts(words, _RandomEncoder(model["features"]["dim"]))
        run = content.get("run", {})
        batch, precision = run.get("batch_size", 1), run.get("precision", "32-true")
        return cls(path.stem, content["method"], model, classes, prompts, data, batch, precision)

    def build(self) -> Trainable:
        """The method with random weights, in training mode."""
        torch.manual_seed(0)
        made = build_trainable(self.method, self.model, self.classes, pretrained=False, prompts=self.prompts)
        return made.train()

    def frames(self, batch: int | None = None, views: int | None = None, history: int | None = None) -> FrameSet:
        """Random samples as its data would give them.

        Args:
            batch: Samples; None = as configured.
            views: Supervised key frames; None = as configured.
            history: Earlier key frames; None = as configured.
        """
        data, b = self.data, self.batch if batch is None else batch
        moments = 1 + (data.history if history is None else history)
        key_frames = data.views if views is None else views
        count, names = key_frames + len(data.view_sweeps), data.cameras
        height, width = self.model["image_size"]
        return FrameSet(
            images=torch.randint(0, 256, (b, moments, len(names), 3, height, width), dtype=torch.uint8),
            cameras=_rig(b, moments, len(names), height, width),
            camera_names=tuple(names),
            camera_stamps_ns=torch.zeros(b, moments, len(names), dtype=torch.int64),
            reference_stamp_ns=(-500_000_000 * torch.arange(moments)).expand(b, moments),
            T_ref_ego=torch.eye(4).expand(b, moments, 4, 4),
            valid=torch.ones(b, moments, len(names), dtype=torch.bool),
            pose_valid=torch.ones(b, moments, dtype=torch.bool),
            T_world_ego=torch.eye(4, dtype=torch.float64).expand(b, 4, 4),
            depth_m=None if data.input_depth_dir is None else _depth(b, moments, len(names), height, width),
            features=None if data.input_features_dir is None else self._features(b, moments, height, width),
            targets=self._targets(b, key_frames, count),
        )

    def _features(self, b: int, count: int, height: int, width: int) -> Tensor:
        """Maps (b, count, V, D, h, w) of a stride of 16, as of a vision transformer."""
        args = self.model["features"]
        channels = args.get("input_dim") or args["dim"]
        return torch.randn(b, count, len(self.data.cameras), channels, height // 16, width // 16)

    def _targets(self, b: int, key_frames: int, count: int) -> Targets:
        data, v, (height, width) = self.data, len(self.data.cameras), self.data.view_size
        cameras = _rig(b, count, v, height, width)
        motion = torch.eye(4).repeat(b, count, v, 1, 1)
        motion[..., 0, 3] = 0.4 * torch.arange(count)[:, None]  # neighbours see the scene from other places
        ids = torch.tensor(self.classes.channel_ids, dtype=torch.uint8)
        size = (b, count, v, height, width)
        labelled = data.occ3d_dir is not None or data.dataset in {"surroundocc", "kitti360"}
        grid = VoxelGrid(**self.model["grid"]) if labelled else None
        labels = None if grid is None else ids[torch.randint(len(ids), (b, *grid.shape))]
        return Targets(
            labels=labels,
            mask_camera=None if labels is None else torch.ones_like(labels, dtype=torch.bool),
            view_cameras=Cameras(cameras.intrinsics, cameras.T_ego_cam, width, height, T_ref_ego=motion),
            view_semantics=None if data.semantics_dir is None else ids[torch.randint(len(ids), size)],
            view_depth_m=None if data.depth_dir is None else _depth(*size),
            view_valid=torch.ones(b, count, v, dtype=torch.bool),
            view_time_s=torch.cat([0.5 * torch.arange(key_frames), torch.full((count - key_frames,), 0.08)]).expand(
                b, -1
            ),
            view_features=None if data.features_dir is None else self._features(b, count, height, width),
            view_images=torch.randint(0, 256, (b, count, v, 3, height, width), dtype=torch.uint8)
            if data.view_images
            else None,
        )


class _RandomEncoder:
    """Stands in for a text encoder: a vector per phrase that means nothing."""

    name = "random"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def embed(self, phrases: Any) -> Tensor:
        """(P, dim) of unit length."""
        made = torch.randn(len(phrases), self.dim, generator=torch.Generator().manual_seed(0))
        return torch.nn.functional.normalize(made, dim=-1)


def _rig(b: int, count: int, v: int, height: int, width: int) -> Cameras:
    six = surround_cameras(width, height)
    chosen = torch.arange(v) % len(six.intrinsics)
    return Cameras(
        six.intrinsics[chosen].expand(b, count, v, 3, 3), six.T_ego_cam[chosen].expand(b, count, v, 4, 4), width, height
    )


def _depth(*size: int) -> Tensor:
    return 1 + 39 * torch.rand(size)
