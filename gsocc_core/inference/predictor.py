# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""From a bundle and plain arrays to occupancy: the one door that command line, evaluation, bag replay and node use."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gsocc_core.errors import ConfigError, DataError, ShapeError
from gsocc_core.geometry.cameras import Camera, CameraModel, Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.text_features import TextFeatures
from gsocc_core.geometry.voxels import SemanticGrid, VoxelField, VoxelGrid, VoxelScores
from gsocc_core.inference.bundle import Bundle, load_bundle
from gsocc_core.inference.depth_model import MissingDepth
from gsocc_core.inference.found import warm_up_clusters
from gsocc_core.inference.options import InferenceOptions, chosen_options
from gsocc_core.inference.own_pictures import OwnPictures, Picture, as_arrays
from gsocc_core.inference.prediction_text import told
from gsocc_core.inference.query import WordQueries
from gsocc_core.inference.running import NetworkRunner, to_device, to_host
from gsocc_core.inference.stages import stage_clock
from gsocc_core.methods.method import InputUse, check_scene, scene_is_finite
from gsocc_core.rigs.virtual_views import FISHEYE_OVERSIZE
from gsocc_core.splat import warm_up


@dataclass(frozen=True, repr=False)
class Prediction:
    """What one set of pictures gives.

    Attributes:
        grid: Labels (X, Y, Z) and confidence, on the CPU.
        scene: The Gaussians (N) or the voxel field behind them.
        cameras: (V) cameras of the pictures that the network got. Where a rig mixes lenses, V counts the pinhole views
            cut out of its fisheyes.
        reference_stamp_ns: Time that everything refers to.
        latency_ms: Milliseconds per stage: preprocess, network, splat, total; depth too where the bundle's depth model
            ran. On a GPU its own clock tells stages apart, and the host waits for it once, at the end of all.
        valid: (V) bool, on the CPU: the picture was there; None = all were.
        text: Text-aligned features of the scene, for :meth:`OccupancyPredictor.query`; None = the method has none.
    """

    grid: SemanticGrid
    scene: Gaussians | VoxelField
    cameras: Cameras
    reference_stamp_ns: int
    latency_ms: dict[str, float]
    valid: Tensor | None = None
    text: TextFeatures | None = None

    def __repr__(self) -> str:
        """Three lines: when and how much is occupied, by what, and what it took."""
        shown = self.cameras.T_ref_cam.shape[0] if self.valid is None else int(self.valid.sum())
        return told(self.grid, self.scene, self.reference_stamp_ns, shown, self.latency_ms)


class OccupancyPredictor:
    """A loaded model that turns pictures into occupancy, one time step per call.

    Example:
        Load, give one picture and camera per view, read the labels::

            predictor = OccupancyPredictor.load("bundles/synthetic")
            prediction = predictor.predict(images, cameras)
            prediction.grid.labels        # (200, 200, 16) uint8
    """

    def __init__(
        self,
        bundle: Bundle,
        device: str = "auto",
        text_encoder: str | None = None,
        options: InferenceOptions | None = None,
    ) -> None:
        """Put a bundle's model on a device; see :meth:`load`."""
        self.bundle, self.device = bundle, _device(device)
        self.options = chosen_options(options, bundle.inference, bundle.method, self.device)
        self.method = bundle.method.to(self.device).eval()
        self._network = NetworkRunner(self.method, self.options)
        self._own_pictures = OwnPictures(self.method)
        self._missing_depth = MissingDepth(self.method, bundle.path, self.device)
        self._memory: Any = None
        self._last: tuple[int, tuple[str, ...]] | None = None  # reference stamp and scene of the memory
        self._queries = WordQueries(self.method, bundle.path, text_encoder)
        self._prediction: Prediction | None = None

    @classmethod
    def load(
        cls,
        path_or_hub_id: str | Path,
        device: str = "auto",
        text_encoder: str | None = None,
        options: InferenceOptions | None = None,
    ) -> OccupancyPredictor:
        """Load a bundle.

        Args:
            path_or_hub_id: A bundle folder, or ``owner/name`` on the Hugging Face hub.
            device: ``cpu``, ``cuda``, ``cuda:1``, or ``auto`` = CUDA if there is one.
            text_encoder: What :meth:`query` embeds words with, see :func:`gsocc_core.text.encoder.load_text_encoder`;
                None = the encoder that the training named, whose files may lie elsewhere on this machine. It is loaded
                by the first query, and must give the bundle's class prompts again.
            options: How the network is run. What they leave open, and None, is on a GPU as the bundle says; else the
                network runs in float32, neither compiled nor recorded.

        Returns:
            A predictor without memory.

        Raises:
            BundleError: the bundle is damaged or unsafe.
            ConfigError: its configuration is wrong, this machine has no such device, or the options do not fit it.
        """
        return cls(load_bundle(path_or_hub_id), device, text_encoder, options)

    @property
    def classes(self) -> ClassTable:
        """What the labels mean."""
        return self.bundle.classes

    @property
    def grid(self) -> VoxelGrid:
        """Where the labels lie."""
        return self.method.grid

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the network's pictures; larger ones are reduced. See :meth:`least_size`."""
        return self.method.image_size

    @property
    def depth_input(self) -> InputUse:
        """What is done with depth: required = some must be given; with a depth model in the bundle it is optional."""
        use = self.method.depth_input
        return "optional" if use == "required" and self.method.depth_model is not None else use

    @property
    def features_input(self) -> InputUse:
        """What is done with feature maps: required = they must be given."""
        return self.method.features_input

    @property
    def last_prediction(self) -> Prediction | None:
        """What :meth:`query` asks where nothing else is given; None = nothing was predicted since :meth:`reset`."""
        return self._prediction

    def least_size(self, model: CameraModel) -> tuple[int, int]:
        """(height, width) in pixels that a decoded picture must keep.

        Args:
            model: Lens of its camera. Pinhole views are cut out of a fisheye's picture, which must be larger for it.
        """
        height, width = self.image_size
        return (height * FISHEYE_OVERSIZE, width * FISHEYE_OVERSIZE) if model == "fisheye" else (height, width)

    @property
    def remembers(self) -> bool:
        """Whether the last prediction left a memory for the next one."""
        return self._memory is not None

    def reset(self) -> None:
        """Forget the streaming memory and the last prediction, as at the start of a drive."""
        self._memory, self._last, self._prediction = None, None, None

    def warm_up(self, cameras: int = 6) -> None:
        """Compile kernels and run the network, so that the first real picture is not the slow one.

        What :attr:`options` compile and record is made for ``cameras`` pinholes without distortion, at rest and in
        motion, with the memory of a method that has one; other lenses are compiled or recorded when they first come.
        """
        warm_up()
        if self.method.prompts is not None:
            warm_up_clusters()
        height, width = self.image_size
        camera = Camera(
            "warm_up", np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]]), np.eye(4), width, height
        )
        if self.method.features_input == "required":
            return  # of a size that only the caller knows
        images = [np.zeros((height, width, 3), np.uint8)] * cameras
        depths_m = None if self.method.depth_model else [np.ones((height, width), np.float32)] * cameras
        poses = (None, np.eye(4)) if self.options.compile or self.options.cuda_graph else (None,)
        for pose in poses:
            self.reset()
            # The second set finds the memory of the first, and the third one that has its final size.
            for stamp_ns in range(3 if len(poses) > 1 else 1):
                self.predict(
                    images, [camera] * cameras, depths_m=depths_m, reference_stamp_ns=stamp_ns, T_world_ego=pose
                )
        self.reset()

    def predict(
        self,
        images: Sequence[Picture | None] | Mapping[str, Picture | None],
        cameras: Sequence[Camera],
        *,
        depths_m: Sequence[np.ndarray | None] | None = None,
        features: Sequence[np.ndarray | None] | None = None,
        camera_stamps_ns: Sequence[int] | None = None,
        reference_stamp_ns: int | None = None,
        T_world_ego: np.ndarray | None = None,
    ) -> Prediction:
        """Predict occupancy from one set of pictures.

        Args:
            images: One (H_i, W_i, 3) uint8 RGB picture per camera, of the camera's size or decoded at 1/2, 1/4 or 1/8;
                None = missing. Pillow's pictures and files do as well, upright as their EXIF orientation says. A
                mapping has them by the cameras' names, and those that it lacks are missing.
            cameras: Calibration and, in ``T_ref_ego``, the ego's motion between each picture and the reference time.
                Any number of cameras of any sizes. Where pinhole and fisheye lenses are mixed, pinhole views are cut
                out of the fisheyes, and out of their depth.
            depths_m: One (h, w) depth map per camera, floating-point metres along its optical axis at the picture's
                time, at any size with the picture's aspect; 0, NaN and infinite = unknown, None = no map. It is fitted
                as its picture is, by the nearest pixel. A method whose ``depth_input`` is unused passes over it; where
                pictures have none, the bundle's depth model fills it in if there is one.
            features: One (D, h, w) feature map per camera of the picture as the network gets it, all of one size; None
                = no features. A method whose ``features_input`` is unused passes over them.
            camera_stamps_ns: Trigger times; None = the reference time.
            reference_stamp_ns: Time that the result refers to; None = the newest picture's. A time that does not
                ascend resets the memory.
            T_world_ego: (4, 4) ego pose at the reference time in a frame that stays the same along a drive, so that
                streaming methods can move their memory along; None = unknown.

        Returns:
            Labels in the ego frame at the reference time.

        Raises:
            ShapeError: lengths differ, cameras do not fit each other, a depth map has not the aspect of its picture,
                features differ in shape, or the network's numbers are not finite.
            DataError: a picture cannot be read or does not fit its camera, or there is none at all; a depth map holds
                no metres; the method requires depth or features, and there are none.
            ConfigError: the bundle's depth model is not there.
        """
        started = time.perf_counter()
        arrays = as_arrays(images, cameras, self.least_size)
        stamps = list(camera_stamps_ns) if camera_stamps_ns is not None else [reference_stamp_ns or 0] * len(cameras)
        if not cameras or len(arrays) != len(cameras) or len(stamps) != len(cameras):
            received = (len(arrays), len(cameras), len(stamps))
            raise ShapeError("predict", "images, cameras, camera_stamps_ns", "equal lengths of at least one", received)
        for key, given in (("depths_m", depths_m), ("features", features)):
            if given is not None and len(given) != len(cameras):
                raise ShapeError("predict", key, f"one per camera, {len(cameras)}", len(given))
        if not all(-(1 << 63) <= stamp < 1 << 63 for stamp in (*stamps, reference_stamp_ns or 0)):
            raise ShapeError("predict", "stamps", "nanoseconds within 64 bits", (*stamps, reference_stamp_ns))
        reference = reference_stamp_ns if reference_stamp_ns is not None else max(stamps)
        frames = self._own_pictures(arrays, cameras, stamps, reference, T_world_ego, depths_m, features)
        return self.predict_frames(frames, started=started)

    @torch.inference_mode()
    def predict_frames(self, frames: FrameSet, *, started: float | None = None) -> Prediction:
        """Predict occupancy from a frame set, as data sets give it.

        Args:
            frames: One sample (B = 1) with pictures of :attr:`image_size`; a reference time that does not ascend or
                another scene name resets the memory.
            started: ``time.perf_counter()`` at the begin of the preprocessing, for the latency; None = now.

        Returns:
            Labels in the ego frame at the reference time.

        Raises:
            ShapeError: the frame set holds several samples or pictures of another size, or the network's numbers are
                not finite.
            DataError: no camera has a picture, or the method requires depth or features that the frame set lacks.
            ConfigError: the bundle's depth model is not there.
        """
        started = time.perf_counter() if started is None else started
        if frames.images.shape[0] != 1 or tuple(frames.images.shape[-2:]) != self.image_size:
            expected = f"(1, T, V, 3, {self.image_size[0]}, {self.image_size[1]})"
            raise ShapeError("predict_frames", "images", expected, tuple(frames.images.shape))
        if not bool(frames.valid[:, 0].any()):
            raise DataError("predict", "images", "a picture of at least one camera", "none: nothing would be seen")
        if self.method.features_input == "required" and frames.features is None:
            received = f"none for {', '.join(frames.camera_names)}"
            expected = (
                "features of the pictures, which the method requires: --input_features_dir of a data set, "
                "or features of predict"
            )
            raise DataError(self.bundle.path, "features", expected, received)
        lacking = self._missing_depth.of(frames)
        now = (int(frames.reference_stamp_ns[0, 0]), frames.scene_names)
        if self._last is not None and (now[0] <= self._last[0] or now[1] != self._last[1]):
            self.reset()
        clock = stage_clock(started, self.device)
        valid = frames.valid[0, 0].cpu()
        frames = to_device(replace(frames, targets=None), self.device)
        clock.mark("preprocess")
        if bool(lacking.any()):
            frames = self._missing_depth.fill(frames, lacking)
            clock.mark("depth")
        output = self._network(frames, self._memory)
        finite = scene_is_finite(output.scene)
        if not finite.is_cuda:  # where looking at it costs no wait, nothing is made of what is not finite
            self._check(output.scene, finite)
        clock.mark("network")
        grid = self.method.occupancy(output, self.grid)
        grid, finite = _first(grid), to_host(finite)
        clock.mark("splat")
        latency = clock.finish()
        self._check(output.scene, finite)
        self._memory, self._last = output.memory, now
        cameras = frames.cameras.map(lambda t: t[0, 0])
        text: TextFeatures | None = getattr(output, "text", None)
        text = None if text is None else text.map(lambda t: t[0])
        scene = _first_scene(output.scene)
        prediction = Prediction(grid, scene, cameras, now[0], latency, valid, text)
        self._prediction = None if text is None else prediction  # a scene that nothing can be asked of is not held
        return prediction

    @torch.inference_mode()
    def query(
        self, words: Sequence[str], prediction: Prediction | None = None, negatives: Sequence[str] = ()
    ) -> VoxelScores:
        """Ask a prediction for any words.

        A Gaussian's score is that of :func:`gsocc_core.inference.query.contrast`: a softmax over the word and the words
        that compete with it, of their cosines with the Gaussian's feature. The class prompts of the bundle compete,
        but for those of the class whose prompt is nearest to the word, so that "van" need not win against "vehicle";
        ``negatives`` take their place. A voxel has the mean of its Gaussians' scores, and 0 where it is free.

        Args:
            words: 1 ... 64 phrases.
            prediction: Of this predictor; None = its last one.
            negatives: At most 64 phrases that compete with every word but themselves; () = the class prompts do.

        Returns:
            Scores on the CPU, on the prediction's grid.

        Raises:
            ConfigError: there is no prediction yet, or its scene has no text features; there are no words, too many or
                some that the encoder does not know; nothing competes with a word; or the encoder cannot be loaded or
                does not give the bundle's class prompts again.
            ShapeError: the method's text features do not fit its scene or its encoder.
        """
        chosen = self._prediction if prediction is None else prediction
        if chosen is None:
            if self._last is None:
                raise ConfigError("query", "prediction", "one, or a call of predict before", "none")
            received = f"the last one of {type(self.method).__name__}, which has none"
            raise ConfigError("query", "prediction", "a scene with text features", received)
        return self._queries.scores(words, negatives, chosen.scene, chosen.text, chosen.grid)

    def prepare_query(self, words: Sequence[str], negatives: Sequence[str] = ()) -> tuple[str, ...]:
        """Check words and load the text encoder before there is a prediction, so that the first answer is quick.

        Args:
            words: As :meth:`query` will get them.
            negatives: Likewise.

        Returns:
            The words as answers name them: in lower case, with single spaces.

        Raises:
            ConfigError: the bundle has no class prompts, and so its scenes no text features; or :meth:`query` would
                refuse the words.
        """
        return self._queries.prepare(words, negatives)

    def _check(self, scene: Gaussians | VoxelField, finite: Tensor) -> None:
        check_scene(f"{self.bundle.method_name} of {self.bundle.id}", scene, finite)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        received = f"{name!r} ({str(error).splitlines()[0]})"
        raise ConfigError("predictor", "device", "auto, cpu, or cuda with a GPU present", received) from error
    return device


def _first(grid: SemanticGrid) -> SemanticGrid:
    """The only sample of a batch, on its way to the CPU."""

    def first(value: Tensor | None) -> Tensor | None:
        return None if value is None else to_host(value[0])

    return SemanticGrid(
        to_host(grid.labels[0]),
        grid.grid,
        grid.classes,
        first(grid.confidence),
        first(grid.observed),
        first(grid.velocity),
    )


def _first_scene(scene: Gaussians | VoxelField) -> Gaussians | VoxelField:
    if isinstance(scene, Gaussians):
        return scene.map(lambda t: t[0])
    velocity = None if scene.velocity is None else scene.velocity[0]
    return VoxelField(scene.density[0], scene.features[0], scene.grid, velocity)
