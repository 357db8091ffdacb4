# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""From a bundle of unposed views and pictures to Gaussians, cameras and occupancy in metres."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gsocc_core.errors import ConfigError, DataError, ShapeError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.gaussian_motion import move_gaussians
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.ground_plane import GroundPlane, find_ground
from gsocc_core.geometry.merging import merge_to
from gsocc_core.geometry.text_features import TextFeatures
from gsocc_core.geometry.view_sets import ViewSet
from gsocc_core.geometry.voxels import SemanticGrid, VoxelGrid
from gsocc_core.inference.bundle import load_view_bundle
from gsocc_core.inference.lseg import read_lseg, with_lseg_features
from gsocc_core.inference.stages import HostClock
from gsocc_core.methods.method import FoundViews, ViewMethod, check_scene
from gsocc_core.networks.lseg import LSegPictures
from gsocc_core.reconstruction.agreement import view_agreement
from gsocc_core.reconstruction.frame import T_ego_scene, upward
from gsocc_core.reconstruction.occupancy import Sight, grid_around, occupancy_of
from gsocc_core.reconstruction.photos import Photo, fit_centred, fit_intrinsics, unfit_intrinsics
from gsocc_core.reconstruction.placed import SURE, PlacedViews, posed_views
from gsocc_core.reconstruction.scale import MetricScale, ScaleHints, metric_scale
from gsocc_core.reconstruction.words import class_scores, class_table, text_features
from gsocc_core.text.class_prompts import ClassPrompts

#: Class prompts that may lie beside a bundle's weights.
WORDS = "words.safetensors"
_WHERE = "reconstruct"


@dataclass(frozen=True)
class ReconstructArgs:
    """What is made of a network's output.

    Attributes:
        most_gaussians: Merge to at most so many.
        least_confidence: A view that agrees with no other one to this degree has no pose and is left out, 0..1.
        voxel_m: Edge of a voxel of the grid that is laid around the scene; None = by its size.
        grid: Grid instead of one around the scene.

    Raises:
        ConfigError: a value that makes no sense.
    """

    most_gaussians: int = 20_000
    least_confidence: float = 0.06
    voxel_m: float | None = None
    grid: VoxelGrid | None = None

    def __post_init__(self) -> None:
        if self.most_gaussians < 1:
            raise ConfigError(_WHERE, "most_gaussians", "1 or more", self.most_gaussians)
        if not 0 <= self.least_confidence <= 1:
            raise ConfigError(_WHERE, "least_confidence", "0 ... 1", self.least_confidence)
        if self.voxel_m is not None and not 0 < self.voxel_m < 1e3:
            raise ConfigError(_WHERE, "voxel_m", "above 0", self.voxel_m)


@dataclass(frozen=True)
class Reconstructed:
    """What pictures gave, in metres, in an ego frame on the ground below the first used camera (x where it looks).

    Attributes:
        scene: (N) merged Gaussians with colours and the network's features.
        text: Their text-aligned features.
        class_scores: (N, C) share of each class of ``grid.classes`` in each Gaussian.
        grid: Labels (X, Y, Z): classes, free, and ``ignore_id`` where nobody looked.
        cameras: Of the used pictures, at their full size; poses and, where they were unknown, intrinsics are estimated.
        photos: The used pictures, in the same order.
        scale: What told metres.
        ground: The plane z = 0, in the network's units; None = none was found, see ``notes``.
        confidence: How well each given picture agrees with the others, 0..1, by name; 1 for a single picture.
        known_poses: The cameras' poses were given.
        unmerged: Gaussians before they were merged.
        background: (3) colour behind the scene, 0..1; None = black.
        notes: What is to be known about the result, a line each.
        latency_ms: Milliseconds per stage: preprocess, network, geometry, merge, occupancy, total.
    """

    scene: Gaussians
    text: TextFeatures
    class_scores: Tensor
    grid: SemanticGrid
    cameras: tuple[Camera, ...]
    photos: tuple[Photo, ...]
    scale: MetricScale
    ground: GroundPlane | None
    confidence: dict[str, float]
    known_poses: bool
    unmerged: int
    background: Tensor | None
    notes: tuple[str, ...]
    latency_ms: dict[str, float]

    def summary(self) -> str:
        """What to know about the result, for people."""
        unit = "" if self.scale.source == "unknown" else f", {self.scale.unit_m:.4g} m per unit of the network"
        poses = "known" if self.known_poses else "estimated"
        labels = self.grid.labels
        free = int((labels == self.grid.classes.free_id).sum())
        unseen = int((labels == self.grid.classes.ignore_id).sum())
        x, y, z = self.grid.grid.shape
        lines = [
            f"pictures: {len(self.photos)} of {len(self.confidence)} used, poses {poses}, confidence "
            + ", ".join(f"{name} {value:.2f}" for name, value in self.confidence.items()),
            f"metres: {self.scale.source}{unit}",
            f"Gaussians: {len(self.scene)}" + (f" of {self.unmerged}" if self.unmerged != len(self.scene) else ""),
            f"voxels: {x} x {y} x {z} of {min(self.grid.grid.size_m):g} m",
            f"of these: occupied {labels.numel() - free - unseen}, free {free}, unobserved {unseen}",
            f"time: {self.latency_ms['network'] / 1e3:.2f} s network, {self.latency_ms['total'] / 1e3:.2f} s in all",
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


class Reconstructor:
    """A loaded model of unposed views.

    Example:
        Load, give pictures, read what came out::

            reconstructor = Reconstructor.load("bundles/rooms")
            result = reconstructor(read_photos("photos").photos, ScaleHints(mounting_height_m=1.2))
            result.scale.source, result.grid.labels
    """

    def __init__(
        self,
        method: ViewMethod,
        bundle_id: str = "",
        prompts: ClassPrompts | None = None,
        encoder: str = "wordllama",
        device: str = "cpu",
        lseg: LSegPictures | None = None,
    ) -> None:
        """Take a model.

        Args:
            method: With trained weights.
            bundle_id: Its name, for files.
            prompts: Words of the classes; None = everything is one class.
            encoder: Text encoder in whose space the teacher's features are; the prompts' own wins.
            device: cpu or cuda.
            lseg: Makes the features that the method takes as an input, where it does.

        Raises:
            ConfigError: the method takes features, and nothing makes them.
        """
        if method.features_input == "required" and lseg is None:
            expected = "a bundle with what makes the features that the model takes (import uni3r --lseg)"
            raise ConfigError(_WHERE, "bundle", expected, "none")
        self._lseg = None if lseg is None else lseg.to(device).eval()
        self.method = method.to(device).eval()
        self.bundle_id, self.prompts, self.device = bundle_id, prompts, device
        self.encoder = encoder if prompts is None else prompts.encoder
        self.classes = class_table(prompts)

    @classmethod
    def load(
        cls,
        path_or_hub_id: str | Path,
        prompts: ClassPrompts | None = None,
        encoder: str = "wordllama",
        device: str = "cpu",
    ) -> Reconstructor:
        """Load a bundle.

        Args:
            path_or_hub_id: Folder or hub id of a method of unposed views, such as uni3r.
            prompts: Words of the classes; None = those of ``words.safetensors`` in the bundle, if it is there.
            encoder: Text encoder of words.
            device: cpu, cuda or auto.

        Raises:
            BundleError: the bundle is damaged or of another kind.
            ConfigError: its configuration is wrong, or it takes features and has no LSeg.
            DataError: its words are damaged.
        """
        bundle = load_view_bundle(path_or_hub_id)
        if prompts is None and (bundle.path / WORDS).is_file():
            prompts = ClassPrompts.load(bundle.path / WORDS)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        lseg = read_lseg(bundle.path) if bundle.method.features_input == "required" else None
        return cls(bundle.method, bundle.path.name, prompts, encoder, device, lseg)

    @torch.inference_mode()
    def __call__(
        self,
        photos: Sequence[Photo],
        hints: ScaleHints | None = None,
        args: ReconstructArgs | None = None,
        on_stage: Callable[[str], object] | None = None,
    ) -> Reconstructed:
        """Reconstruct.

        Args:
            photos: One or more pictures of one static scene, of any sizes. The first one is the reference. Where the
                poses of all used ones are known they are taken as they are, and tell metres.
            hints: What tells metres.
            args: See :class:`ReconstructArgs`.
            on_stage: Called with the name of each stage when it is done.

        Returns:
            Everything in metres.

        Raises:
            DataError: there is no picture.
            ConfigError: the scale that is asked for is not at hand.
            ShapeError: the network's numbers are not finite.
        """
        hints, args = hints or ScaleHints(), args or ReconstructArgs()
        if not photos:
            raise DataError(_WHERE, "photos", "at least one picture", "none")
        clock = _TellingClock(on_stage)
        views = self._views(photos).to(self.device)
        if self._lseg is not None:
            views = with_lseg_features(views, self._lseg)
        clock.mark("preprocess")
        output = self.method.reconstruct(views)
        found = self.method.found(output)
        check_scene(f"{self.bundle_id or 'the model'}", found.scene)
        clock.mark("network")
        found, views = _to_cpu(found), views.to("cpu")
        K = torch.where(views.intrinsics_known[..., None, None], views.intrinsics, found.intrinsics)[0]
        agreement = view_agreement(found, views.images, K)
        kept, notes = posed_views(photos, agreement, args.least_confidence)
        placed = PlacedViews.of(found, kept, [photos[i] for i in kept])
        ground = find_ground(placed.points(), placed.T[:, :3, 3], upward(placed.T))
        known = placed.known_centers()
        scale, unused = metric_scale(
            hints, placed.T[:, :3, 3], known, ground, metric=found.metric,
            has_first=kept[0] == 0, has_last=kept[-1] == len(photos) - 1,
        )  # fmt: skip
        known_poses = scale.source == "poses" and placed.T_known is not None
        if known_poses:
            placed, ground = placed.on_known_poses(scale.unit_m)
        height_m = hints.mounting_height_m if kept[0] == 0 else None
        T = T_ego_scene(placed.T, placed.points(), ground, scale.unit_m, height_m)
        clock.mark("geometry")
        notes += [*unused, *_notes(scale, ground, height_m)]
        whole = move_gaussians(placed.scene, torch.from_numpy(T), scale.unit_m)
        poses = placed.in_ego(T, scale.unit_m)
        cameras = self._cameras([photos[i] for i in kept], K[kept].double().numpy(), poses)
        scene = merge_to(whole, args.most_gaussians, torch.from_numpy(poses[:, :3, 3]))
        clock.mark("merge")
        text = text_features(self.method, scene.features, self.encoder)
        scores = class_scores(text, self.prompts, self.classes, len(scene))
        grid = self._occupancy(scene, scores, whole, poses, args, on_ground=ground is not None)
        clock.mark("occupancy")
        confidence = agreement.confidence.tolist() if len(photos) > 1 else [1.0]
        return Reconstructed(
            scene=scene,
            text=text,
            class_scores=scores,
            grid=grid,
            cameras=cameras,
            photos=tuple(photos[i] for i in kept),
            scale=scale,
            ground=ground,
            confidence={photo.name: value for photo, value in zip(photos, confidence)},
            known_poses=known_poses,
            unmerged=len(whole),
            background=None if found.background is None else found.background[0],
            notes=tuple(notes),
            latency_ms=clock.finish(),
        )

    def _views(self, photos: Sequence[Photo]) -> ViewSet:
        height, width = self.method.image_size
        pictures, intrinsics = [], []
        for photo in photos:
            if photo.picture.ndim != 3 or photo.picture.shape[2] != 3 or photo.picture.dtype != np.uint8:
                received = f"{photo.picture.shape} {photo.picture.dtype}"
                raise ShapeError(photo.name, "picture", "(H, W, 3) uint8 RGB", received)
            pictures.append(fit_centred(photo.picture, width, height)[0])
            size = (photo.picture.shape[0], photo.picture.shape[1])
            known = photo.intrinsics
            unknown = np.full((3, 3), np.nan)
            intrinsics.append(unknown if known is None else fit_intrinsics(known, size, (height, width)))
        count = len(photos)
        return ViewSet(
            torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)[None],
            torch.from_numpy(np.stack(intrinsics)).float()[None],
            torch.full((1, count, 4, 4), torch.nan),
            torch.ones(1, count, dtype=torch.bool),
        )

    def _cameras(self, photos: Sequence[Photo], intrinsics: np.ndarray, poses: np.ndarray) -> tuple[Camera, ...]:
        cameras = []
        for photo, K, pose in zip(photos, intrinsics, poses):
            h, w = photo.picture.shape[:2]
            whole = (
                unfit_intrinsics(K, (h, w), self.method.image_size) if photo.intrinsics is None else photo.intrinsics
            )
            cameras.append(Camera(photo.name, whole, pose, w, h))
        return tuple(cameras)

    def _occupancy(
        self,
        scene: Gaussians,
        scores: Tensor,
        whole: Gaussians,
        poses: np.ndarray,
        args: ReconstructArgs,
        *,
        on_ground: bool,
    ) -> SemanticGrid:
        sure = whole.opacities >= SURE
        each = len(whole) // len(poses)
        origins = np.repeat(poses[:, :3, 3], each, axis=0)[sure.numpy()]
        ends = whole.means[sure].double().numpy()
        grid = args.grid or grid_around(ends if len(ends) else poses[:, :3, 3], poses[:, :3, 3], args.voxel_m)
        return occupancy_of(scene, scores, Sight(origins, ends), grid, self.classes, on_ground=on_ground)


def _notes(scale: MetricScale, ground: GroundPlane | None, height_m: float | None) -> list[str]:
    notes = []
    if scale.source == "unknown":
        notes.append("nothing told metres: lengths are in units of the network (give a baseline or a mounting height)")
    if ground is None:
        where = "the mounting height below the first camera" if height_m else "the lowest of what is seen"
        notes.append(f"no ground plane was found: z = 0 is {where}")
    return notes


def _to_cpu(found: FoundViews) -> FoundViews:
    return replace(
        found,
        scene=found.scene.map(lambda t: t.float().cpu()),
        T_first_cam=found.T_first_cam.float().cpu(),
        intrinsics=found.intrinsics.float().cpu(),
        background=None if found.background is None else found.background.cpu(),
    )


class _TellingClock(HostClock):
    def __init__(self, tell: Callable[[str], object] | None) -> None:
        super().__init__(time.perf_counter())
        self._tell = tell

    def mark(self, stage: str) -> None:
        super().mark(stage)
        if self._tell is not None:
            self._tell(stage)
