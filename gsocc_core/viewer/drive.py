# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""One drive of a data set: pictures, ground truth, and predictions, live or from files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.ego_poses import camera_at
from gsocc_core.data.images import decode_image
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.protocol import Protocol
from gsocc_core.data.stored import class_ids, read_npz
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import SemanticGrid, VoxelScores
from gsocc_core.inference.predictor import OccupancyPredictor, Prediction
from gsocc_core.rigs.overlay import depth_colors
from gsocc_core.splat import splat_to_image
from gsocc_core.viewer.frames import THUMBNAIL_PX, CameraView, LabelledGaussians, Motion, ViewFrame
from gsocc_core.viewer.in_order import InOrder


@dataclass(frozen=True)
class _Predicted:
    """What is kept of a prediction: confidences and dense velocities would fill the memory on a long drive."""

    grid: SemanticGrid
    gaussians: LabelledGaussians | None
    motion: Motion | None
    depths: dict[str, np.ndarray]
    ask: Callable[[Sequence[str]], VoxelScores] | None


class DriveSource:
    """The key frames of one scene.

    Args:
        data: Where the drive is; the first of its scenes is shown. Without a folder of voxel labels there is no ground
            truth.
        predictor: Predicts every key frame, in order, beside the page; None = nobody does.
        predictions: Folder that ``gsocc_core predict`` wrote; None = none.
        depth: Draw the depth that the predicted Gaussians render, too.

    Raises:
        ConfigError: no such data set, nuscenes-devkit is missing, or there is nobody whose depth could be drawn.
        DataError: the data set is incomplete, or the folder holds no prediction of the scene.
    """

    def __init__(
        self,
        data: DataArgs,
        predictor: OccupancyPredictor | None = None,
        predictions: str | Path | None = None,
        depth: bool = False,
    ) -> None:
        if depth and predictor is None:
            raise ConfigError("view", "depth", "a bundle whose depth is drawn", "none")
        self._depth = depth
        width, height = THUMBNAIL_PX
        dataset = build_dataset(data, predictor.image_size if predictor else (height, width))
        self._dataset = dataset.of_scenes([dataset.scenes[0][0].scene_name])
        self._frames = [self._dataset.key_frame(index) for index in range(len(self._dataset))]
        self.name = self._frames[0].scene_name
        self.classes: ClassTable = predictor.classes if predictor else dataset.protocol.classes
        self._folder = None if predictions is None else Path(predictions)
        if self._folder is not None and not any(self._prediction_file(f).is_file() for f in self._frames):
            raise DataError(self._folder, f"{self.name}/*/labels.npz", f"predictions of {self.name}", "none")
        self._live: InOrder[_Predicted] | None = None
        if predictor is not None:
            predictor.reset()
            self._live = InOrder(lambda index: self._predict(predictor, index), len(self._frames), "predict")

    def __len__(self) -> int:
        """Number of key frames."""
        return len(self._frames)

    def start(self, on_ready: Callable[[int], None] | None = None) -> None:
        """Begin to predict, if there is a model.

        Args:
            on_ready: Called with the number of a key frame when its prediction is there, from another thread.
        """
        if self._live is not None:
            self._live.on_ready = on_ready or self._live.on_ready
            self._live.start()

    def close(self) -> None:
        """Stop predicting."""
        if self._live is not None:
            self._live.close()

    def frame(self, index: int, wait: bool = True) -> ViewFrame:
        """One key frame; see :class:`~gsocc_core.viewer.frames.FrameSource`.

        Raises:
            DataError: a picture, a label file or a prediction is damaged.
        """
        record = self._frames[index]
        frame = ViewFrame(
            title=f"{self.name}, key frame {index + 1} of {len(self)}",
            stamp_ns=record.stamp_ns,
            views=tuple(_view(record, i) for i in range(len(record.shots))),
            truth=self._truth(index),
        )
        if self._live is not None:
            self.start()
            found = self._live.get(index, wait)
            if found is None:
                return replace(frame, pending=True)
            return replace(
                frame, prediction=found.grid, gaussians=found.gaussians, motion=found.motion, depths=found.depths,
                ask=found.ask,
            )  # fmt: skip
        if self._folder is not None and (path := self._prediction_file(record)).is_file():
            return replace(frame, prediction=read_prediction(path, self._dataset.protocol))
        return frame

    def _prediction_file(self, record: KeyFrame) -> Path:
        assert self._folder is not None
        return self._folder / record.scene_name / record.token / "labels.npz"

    def _truth(self, index: int) -> SemanticGrid | None:
        if self._dataset.labels_dir is None:
            return None
        found, protocol = self._dataset.voxel_labels(index), self._dataset.protocol
        labels, observed = torch.from_numpy(found.semantics), torch.from_numpy(found.mask_camera)
        return SemanticGrid(labels, protocol.grid, protocol.classes, observed=observed)

    def _predict(self, predictor: OccupancyPredictor, index: int) -> _Predicted:
        frames = self._dataset[index]
        prediction = predictor.predict_frames(frames)
        grid, scene = prediction.grid, prediction.scene
        gaussians = scene if isinstance(scene, Gaussians) else None
        motion = Motion.of(grid, gaussians)
        labelled = None if gaussians is None else LabelledGaussians.of(gaussians, grid.classes)
        depths: dict[str, np.ndarray] = {}
        if self._depth:
            if gaussians is None:
                raise ConfigError("view", "depth", "a bundle that predicts Gaussians", "voxels")
            depths = _depth_pictures(gaussians, frames)
        kept = SemanticGrid(grid.labels.cpu(), grid.grid, grid.classes)
        return _Predicted(kept, labelled, motion, depths, _asker(predictor, replace(prediction, grid=kept)))


def _asker(predictor: OccupancyPredictor, prediction: Prediction) -> Callable[[Sequence[str]], VoxelScores] | None:
    """Asks a prediction for words; its features are kept at half of their size."""
    if prediction.text is None or not isinstance(prediction.scene, Gaussians):
        return None
    text = prediction.text.map(lambda t: t.to("cpu", torch.float16))
    scene = prediction.scene.map(lambda t: t.cpu())

    def ask(words: Sequence[str]) -> VoxelScores:
        return predictor.query(words, replace(prediction, scene=scene, text=text.map(torch.Tensor.float)))

    prediction = replace(prediction, text=None)
    return ask


def read_prediction(path: str | Path, protocol: Protocol) -> SemanticGrid:
    """Labels from one file of ``gsocc_core predict``, or of any tool that writes Occ3D's submission format.

    Args:
        path: ``<out>/<scene>/<token>/labels.npz``.
        protocol: Of the data set that was predicted.

    Returns:
        Labels (X, Y, Z) on the data set's grid.

    Raises:
        DataError: the file is missing, damaged or holds another array or other ids.
    """
    semantics = read_npz(path, "predicted labels", ("semantics",))["semantics"]
    if semantics.shape != protocol.grid.shape:
        expected = f"{protocol.grid.shape}, the voxels of {protocol.title}"
        raise DataError(path, "semantics", expected, semantics.shape)
    labels = class_ids(semantics, path, "semantics", len(protocol.classes.names), protocol.classes.ignore_id)
    return SemanticGrid(torch.from_numpy(labels), protocol.grid, protocol.classes)


def _depth_pictures(scene: Gaussians, frames: FrameSet) -> dict[str, np.ndarray]:
    """(h, w, 3) coloured depth of every camera, as wide as a thumbnail; white where nothing is hit."""
    cameras = frames.cameras.map(lambda t: t[0, 0].cpu())
    width = min(THUMBNAIL_PX[0], cameras.width)
    cameras = cameras.resized(width, max(1, round(cameras.height * width / cameras.width)))
    bare = scene.replace(features=scene.features[:, :1], velocities=None, colors_sh=None)
    found = splat_to_image(bare.map(lambda t: t.detach().float().cpu()), cameras)
    colours = depth_colors(found.depth.numpy().ravel()).reshape(*found.depth.shape, 3)
    colours[found.alpha.numpy() <= 0] = 255
    return dict(zip(frames.camera_names, colours))


def _view(record: KeyFrame, index: int) -> CameraView:
    shot = record.shots[index]
    image = decode_image(shot.path, min_width=THUMBNAIL_PX[0], min_height=THUMBNAIL_PX[1])
    return CameraView(camera_at(record, shot.camera, shot.T_world_ego), image)
