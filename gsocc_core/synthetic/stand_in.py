# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for foundation models on synthetic drives and rooms: features and depth out of what the generator knows.

No model looks at a picture. Per pixel the feature is the text embedding of the fine-grained name of what the generator
drew there, and the depth is the generator's own, both with noise. It serves to test what learns from such labels, and
says nothing about a foundation model.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from gsocc_core.data.feature_files import read_basis, write_basis
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.view_labels import PictureFolder, open_picture_folder
from gsocc_core.errors import ConfigError
from gsocc_core.labels.folder import LabelFolder
from gsocc_core.labels.preview import write_preview
from gsocc_core.labels.run import LabelArgs, chosen_key_frames, own_part
from gsocc_core.labels.shards import choose_shard
from gsocc_core.networks.pca import pca_basis
from gsocc_core.synthetic.shown import DriveNames, VideoDepth, VideoNames

STAND_IN_FEATURES, STAND_IN_DEPTH = "stand_in_features", "stand_in_depth"
_Names = DriveNames | VideoNames
#: Side of the squares over which features are averaged, pixels.
BLOCK_PX = 8
#: Key frames that a basis is computed from.
_BASIS_FRAMES = 16
#: How far away the sky seems, metres: models of metric depth call it far, not unknown.
SKY_DEPTH_M = 200.0


@dataclass(frozen=True)
class StandInArgs:
    """What the stand-in says.

    Attributes:
        encoder: Text encoder, see :mod:`gsocc_core.text`.
        feature_noise: Root mean square length of the Gaussian noise on a feature, whose own length is 1.
        depth_noise: Standard deviation of the logarithm of each pixel's depth; 0.05 = about 5 %.
        depth_dir: Folder of the generator's depth, below ``dataroot`` or absolute; rooms have it beside the pictures.
        seed: Of the noise, which also depends on the key frame.
        basis: Reduce features to so many numbers by a basis that is computed from some of them and stored; None = whole
            features.
        shuffled: A control that nothing can be learned from: every picture gets the features of one of another key
            frame.

    Raises:
        ConfigError: noise is negative or no number.
    """

    encoder: str = "wordllama"
    feature_noise: float = 0.5
    depth_noise: float = 0.05
    depth_dir: str = "metric_3d_nusc"
    seed: int = 0
    basis: int | None = None
    shuffled: bool = False

    def __post_init__(self) -> None:
        for key in ("feature_noise", "depth_noise"):
            if not 0 <= getattr(self, key) < np.inf:
                raise ConfigError("command line", f"--{key}", "0 or more", getattr(self, key))
        if self.basis is not None and self.basis < 1:
            raise ConfigError("command line", "--basis", "1 or more", self.basis)


def label_stand_in(args: LabelArgs, stand_in: StandInArgs = StandInArgs()) -> tuple[Path, Path]:
    """Write features and depth of pictures of synthetic drives or rooms as if foundation models had seen them.

    Args:
        args: What to label; ``out`` is the folder that holds both folders, None = ``dataroot``.
        stand_in: What the labels are.

    Returns:
        The folders of features and of depth.

    Raises:
        ConfigError: the text encoder is missing, a basis is longer than its vectors, or there are no two key frames to
            shuffle.
        DataError: the tree has no names or no depth, or a file is wrong, or the disk is full; finished key frames stay.
        OutputExistsError: a folder holds something else.
    """
    shard = choose_shard(args.shard, os.environ)
    frames = chosen_key_frames(args)
    root = Path(args.dataroot)
    names: _Names = VideoNames.open(root) if args.of_videos else DriveNames.open(root, args.cameras)
    depth: PictureFolder | VideoDepth = VideoDepth()
    if not args.of_videos:
        depth = open_picture_folder(root / stand_in.depth_dir, frames[0].shots)
    embeddings = _embeddings(stand_in.encoder, names)
    _check(stand_in, embeddings.shape[1], len(frames))
    features, depths = _folders(args, stand_in, embeddings.shape[1])
    reduce = None if stand_in.basis is None else _basis(features.path, names, frames, embeddings, stand_in)
    mine = own_part(shard, frames[: args.limit])
    lacking = {_name(frame) for folder in (features, depths) for frame in folder.remaining(mine)}
    todo = [frame for frame in mine if _name(frame) in lacking]
    places = {_name(frame): i for i, frame in enumerate(frames)}
    for frame in tqdm(
        todo, desc="label stand-in", unit="key frame", total=len(mine), initial=len(mine) - len(todo),
        position=shard.local_index,
    ):  # fmt: skip
        draw = np.random.default_rng(_seed(stand_in.seed, frame))
        shown = names.pictures(frame)
        said = _shuffled(names, frames, places[_name(frame)], draw) if stand_in.shuffled else shown
        maps = {name: seen_features(ids, embeddings, stand_in.feature_noise, draw) for name, ids in said.items()}
        if reduce is not None:
            maps = {name: np.einsum("dhw,dk->khw", one, reduce) for name, one in maps.items()}
        sky = {name: (ids == len(names.names)) & (names.beyond is not None) for name, ids in shown.items()}
        metres = _noisy_depth(depth, frame, sky, stand_in.depth_noise, draw)
        features.write(frame, maps)
        depths.write(frame, metres)
        if frame is frames[0]:
            write_preview(features.path / "preview.jpg", frame, maps, "features")
            write_preview(depths.path / "preview.jpg", frame, metres, "depth")
    return features.path, depths.path


def seen_features(ids: np.ndarray, embeddings: np.ndarray, noise: float, draw: np.random.Generator) -> np.ndarray:
    """Features of one picture, averaged over squares of about 8 pixels, of length 1 but for the noise.

    Args:
        ids: (H, W) rows of ``embeddings``.
        embeddings: (N, D) float32 of length 1.
        noise: Root mean square length of the noise.
        draw: Where it comes from.

    Returns:
        (D, h, w) float32 with h and w the nearest whole number of squares.
    """
    height, width = (max(round(side / BLOCK_PX), 1) for side in ids.shape)
    rows, columns = (np.arange(side) * count // side for side, count in zip(ids.shape, (height, width)))
    count, dims = embeddings.shape
    cell = (rows[:, None] * width + columns) * count + ids
    shares = np.bincount(cell.ravel(), minlength=height * width * count).reshape(-1, count).astype(np.float32)
    features = shares @ embeddings
    features /= np.linalg.norm(features, axis=1, keepdims=True).clip(1e-6)
    features += draw.standard_normal(features.shape, np.float32) * np.float32(noise / dims**0.5)
    return features.T.reshape(dims, height, width)


def _embeddings(encoder: str, names: _Names) -> np.ndarray:
    """(N + 1, D) of all names and of what is behind them; zeros where that has no name."""
    from gsocc_core.text.encoder import load_text_encoder

    words = list(names.names) if names.beyond is None else [*names.names, names.beyond]
    embeddings = load_text_encoder(encoder).embed(words).numpy()
    return np.concatenate([embeddings, np.zeros_like(embeddings[: len(names.names) + 1 - len(words)])])


def _check(stand_in: StandInArgs, channels: int, frames: int) -> None:
    """What the encoder and the tree do not allow."""
    if stand_in.basis is not None and stand_in.basis > channels:
        expected = f"1 ... {channels}, the length of the encoder's vectors"
        raise ConfigError("command line", "--basis", expected, stand_in.basis)
    if stand_in.shuffled and frames < 2:
        raise ConfigError("command line", "--shuffled", "two key frames or more, to take features of another", frames)


def _folders(args: LabelArgs, stand_in: StandInArgs, channels: int) -> tuple[LabelFolder, LabelFolder]:
    """The folders of features and of depth, both begun, or none if one holds something else."""
    out = Path(args.dataroot if args.out is None else args.out)
    common: dict[str, Any] = {"model": "none: a stand-in out of what the generator knows", "seed": stand_in.seed}
    features = LabelFolder(
        out / STAND_IN_FEATURES, "features", args.cameras,
        {**common, "encoder": stand_in.encoder, "feature_noise": stand_in.feature_noise, "block_px": BLOCK_PX,
         "channels": channels, "basis": stand_in.basis, "shuffled": stand_in.shuffled},
        begin=False,
    )  # fmt: skip
    depths = LabelFolder(
        out / STAND_IN_DEPTH, "depth", args.cameras,
        {**common, "depth_noise": stand_in.depth_noise, "depth_dir": stand_in.depth_dir},
        begin=False,
    )  # fmt: skip
    for folder in (features, depths):
        folder.begin()
    return features, depths


def _name(frame: KeyFrame) -> tuple[str, str]:
    return frame.scene_name, frame.token


def _shuffled(names: _Names, frames: Sequence[KeyFrame], own: int, draw: np.random.Generator) -> dict[str, np.ndarray]:
    """Ids of another key frame's pictures, never the own, under each camera's name."""
    other = names.pictures(frames[(own + 1 + int(draw.integers(len(frames) - 1))) % len(frames)])
    return dict(zip(other, [other[name] for name in draw.permutation(list(other))]))


def _basis(
    folder: Path, names: _Names, frames: Sequence[KeyFrame], embeddings: np.ndarray, stand_in: StandInArgs
) -> np.ndarray:
    """(D, K) the folder's basis; whoever comes first computes it from pictures spread over all key frames."""
    stored = read_basis(folder)
    if stored is None:
        draw = np.random.default_rng(stand_in.seed)
        chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, min(_BASIS_FRAMES, len(frames))).astype(int)]
        maps = [
            seen_features(ids, embeddings, stand_in.feature_noise, draw).reshape(embeddings.shape[1], -1)
            for frame in chosen for ids in names.pictures(frame).values()
        ]  # fmt: skip
        vectors = torch.from_numpy(np.concatenate(maps, axis=1).T.copy())
        stored = write_basis(folder, pca_basis(vectors, int(stand_in.basis or 1)))
    return stored.numpy()


def _noisy_depth(
    folder: PictureFolder | VideoDepth,
    frame: KeyFrame,
    sky: Mapping[str, np.ndarray],
    noise: float,
    draw: np.random.Generator,
) -> dict[str, np.ndarray]:
    """(H, W) metres per camera name, each pixel's times exp(noise * N(0, 1))."""
    result = {}
    for shot in frame.shots:
        one, camera = replace(frame, shots=(shot,)), shot.camera
        height, width = sky[camera.name].shape
        metres = folder.labels(one, width, height, "depth")[0].astype(np.float32)
        metres[sky[camera.name]] = SKY_DEPTH_M
        result[camera.name] = metres * np.exp(draw.standard_normal(metres.shape, np.float32) * np.float32(noise))
    return result


def _seed(seed: int, frame: KeyFrame) -> int:
    text = f"{seed}/{frame.scene_name}/{frame.token}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
