# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What stands behind docs/reconstruct.md: merging, metres, occupancy of drives, cost, and what belongs together.

Without ``--bundle`` the network's place is taken by true depth and true poses in a made-up unit, so that only what
comes behind it is judged; ``--noise 0.1`` disturbs that depth by 10 % per view and by 10 % that vary
smoothly over each picture.

Run: ``python benchmarks/unposed_occupancy.py merging data/rooms128``, ``... scale data/plain/val``,
``... occupancy data/plain/val data/plain/train``, ``... cost bundles/rooms-uni3r examples/rooms_photos``,
``... overlap bundles/rooms-uni3r data/rooms``
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jsonargparse import auto_cli
from torch import Tensor
from torch.nn import functional

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.view_args import ViewArgs
from gsocc_core.data.view_dataset import ViewDataset
from gsocc_core.data.view_schedule import SpanStage, ViewSchedule
from gsocc_core.errors import ConfigError
from gsocc_core.evaluation.label_sources import majority_labels
from gsocc_core.geometry.cameras import Camera, Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.merging import merge_to
from gsocc_core.geometry.spherical_harmonics import SH_C0
from gsocc_core.geometry.view_sets import ViewSet
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.inference.bundle import load_view_bundle
from gsocc_core.methods.method import FoundViews, Reconstruction, ViewMethod
from gsocc_core.metrics.confusion import VoxelConfusion
from gsocc_core.metrics.picture_quality import psnr_db
from gsocc_core.reconstruction.photos import Photo, read_photos
from gsocc_core.reconstruction.reconstructor import ReconstructArgs, Reconstructor
from gsocc_core.reconstruction.scale import ScaleHints
from gsocc_core.splat.to_color import splat_to_color
from gsocc_core.text.class_prompts import ClassPrompts, load_class_prompts

#: Metres in one unit of the stand-in: whatever it is, it has to be found.
_UNIT_M = 0.37


class KnownGeometry(ViewMethod):
    """True depth and poses of a sample as a network's output: one Gaussian per pixel, one class per word."""

    def __init__(self, views: ViewSet, noise: float = 0.0, words: int = 0, seed: int = 0) -> None:
        super().__init__()
        height, width = views.images.shape[-2:]
        self.image_size, self.teacher_dim, self.views, self.words = (height, width), max(words, 1), views, words
        rng = torch.Generator().manual_seed(seed)
        assert views.depth_m is not None
        depth = views.depth_m[0].clone()
        per_view = torch.randn(len(depth), 1, 1, generator=rng)
        coarse = torch.randn(len(depth), 1, 5, 7, generator=rng)  # networks err smoothly
        smooth = functional.interpolate(coarse, depth.shape[1:], mode="bicubic")[:, 0]
        self.depth = depth * (noise * (per_view + smooth)).exp()

    def reconstruct(self, views: ViewSet) -> ViewSet:
        """Nothing is computed."""
        return views

    def found(self, output: ViewSet) -> FoundViews:  # noqa: ARG002 - what it knows is the sample
        """What is true, in its own unit."""
        views = self.views
        T = views.T_first_cam.clone()
        T[..., :3, 3] /= _UNIT_M
        depth = self.depth / _UNIT_M
        height, width = self.image_size
        origins, directions = Cameras(views.intrinsics[0], T[0], width, height).rays()
        there = depth > 0
        means = (origins + torch.where(there, depth, 1.0)[..., None] * directions).flatten(0, 2)
        spacing = depth / views.intrinsics[0, :, 0, 0][:, None, None]
        colors = (views.images[0].float() / 255 - 0.5).movedim(1, -1).flatten(0, 2) / SH_C0
        features = torch.zeros(len(means), self.teacher_dim)
        if self.words and views.semantics is not None:
            ids = views.semantics[0].long().flatten().clamp(max=self.words - 1)
            features = functional.one_hot(ids, self.words).float()
        scene = Gaussians(
            means, (0.5 * spacing).flatten()[:, None].expand(-1, 3).clamp(min=1e-4),
            torch.tensor([1.0, 0, 0, 0]).expand(len(means), 4), 0.95 * there.flatten().float(), features,
            colors_sh=colors[:, None],
        )  # fmt: skip
        background = views.images.float().mean((1, 3, 4)) / 255
        batch = scene.map(lambda t: t[None])
        return FoundViews(batch, T, views.intrinsics, self.image_size, background)

    def word_map(self) -> tuple[Tensor, Tensor]:
        """Features are the words themselves."""
        return torch.eye(self.teacher_dim), torch.zeros(self.teacher_dim)

    def in_metres(self, output: Any, views: ViewSet) -> Reconstruction:
        """Not asked for."""
        raise NotImplementedError

    def expand(self, features: Tensor) -> Tensor:
        """Not asked for."""
        return features

    def losses(self, output: Any, batch: Any) -> dict[str, Tensor]:
        """Not asked for."""
        raise NotImplementedError


def merging(
    dataroot: str, bundle: str | None = None, views: int = 8, span: int = 21, size: int = 128, most: int = 20_000,
    scenes: int = 10,
) -> None:  # fmt: skip
    """Pictures of target views before and after merging, against the truth, and the CPU time of drawing them."""
    schedule = ViewSchedule((views,), (SpanStage(0, (span, span)),), 3, avoid=(views,), stride=0, offsets=(0,))
    method = None if bundle is None else load_view_bundle(bundle).method
    data = ViewDataset(ViewArgs(dataroot, split="val", schedule=schedule), (size, size))
    rows = []
    for index in range(min(scenes, len(data))):
        sample = data[index]
        targets = sample.targets
        assert targets is not None
        network = KnownGeometry(sample) if method is None else method
        with torch.inference_mode():
            found = network.found(network.reconstruct(sample))
        unit = _UNIT_M if method is None else 1.0
        scene = found.scene.map(lambda t: t[0])
        scene = scene.replace(means=scene.means * unit, scales=scene.scales * unit)
        scene = scene.map(lambda t, kept=scene.opacities > 0: t[kept])
        fewer = merge_to(scene, most, sample.T_first_cam[0, :, :3, 3])
        cameras = Cameras(targets.intrinsics, targets.T_first_cam, size, size)
        truth = targets.images[0].float() / 255
        scores = [_drawn(one, cameras, truth, found.background) for one in (scene, fewer)]
        rows.append((len(scene), len(fewer), *scores[0], *scores[1]))
        print(f"{sample.scene_names[0]}: {rows[-1]}")
    table = np.array(rows)
    before, after, db, ms, db_after, ms_after = table.mean(0)
    print(f"Gaussians {before:.0f} -> {after:.0f}; PSNR {db:.2f} -> {db_after:.2f} dB ({db_after - db:+.2f}); "
          f"drawing {ms:.0f} -> {ms_after:.0f} ms of CPU, {np.median(table[:, 3] / table[:, 5]):.1f} times faster",
    )  # fmt: skip


def _drawn(scene: Gaussians, cameras: Cameras, truth: Tensor, background: Tensor | None) -> tuple[float, float]:
    """PSNR, dB, and milliseconds of CPU, the best of three."""
    plain = scene.replace(features=scene.features[..., :0]).map(lambda t: t[None])
    times = []
    for _ in range(3):
        begin = time.process_time()
        seen = splat_to_color(plain, cameras)
        times.append(1e3 * (time.process_time() - begin))
    picture = seen.on(background)[0].movedim(-1, -3)
    return float(psnr_db(picture, truth).mean()), min(times)


def scale(
    dataroot: str, bundle: str | None = None, noise: float = 0.0, limit: int = 100, views: int = 4, span: int = 6
) -> None:
    """Metres from the mounting height of the front camera of drives: relative errors of the unit."""
    errors: list[float] = []
    lost = 0
    drives = _Drives(dataroot, bundle, views, span)
    for number in drives.picks(limit):
        sample, index = drives.sample(number)
        hints = ScaleHints("mounting_height", mounting_height_m=float(drives.camera(index).T_ego_cam[2, 3]))
        reconstructor = Reconstructor(drives.method or KnownGeometry(sample, noise, seed=number))
        try:
            result = reconstructor(_photos(sample), hints, ReconstructArgs(least_confidence=0.0, voxel_m=1.0))
        except ConfigError:  # no ground
            lost += 1
            continue
        unit = _UNIT_M if drives.method is None else _unit_of(drives.method, sample)
        errors.append(abs(result.scale.unit_m / unit - 1))
    found = 100 * np.percentile(errors, [25, 50, 75, 90]) if errors else np.full(4, np.nan)
    print(f"{len(errors)} of {len(errors) + lost} samples; error of the unit: median {found[1]:.1f} %, "
          f"quartiles {found[0]:.1f} ... {found[2]:.1f} %, 90th percentile {found[3]:.1f} %")  # fmt: skip


def _unit_of(method: ViewMethod, sample: ViewSet) -> float:
    """Metres in a network's unit for a sample: those that fit its nearer depth to the true one best."""
    with torch.inference_mode():
        found = method.found(method.reconstruct(sample))
    assert sample.depth_m is not None
    truth = functional.interpolate(sample.depth_m, found.map_size, mode="nearest-exact")[0, 0].flatten()
    mine = found.scene.means[0, : len(truth), 2].clamp(min=1e-3)
    good = (truth > 0) & (truth < 40)
    return float((truth[good] / mine[good]).median())


def occupancy(
    dataroot: str,
    train_dataroot: str,
    bundle: str | None = None,
    prompts: str = "config/prompts/plain.yaml",
    noise: float = 0.0,
    limit: int = 100,
    views: int = 4,
    span: int = 6,
) -> None:
    """Occupancy from unposed pictures of the front camera, against the majority of the training drives.

    Scored where the labels' cameras see and the front camera looks: its field of view, whatever stands in between.
    What the reconstruction has not observed counts as free.
    """
    drives = _Drives(dataroot, bundle, views, span)
    protocol = drives.dataset.protocol
    grid, classes = protocol.grid, protocol.classes
    train = build_dataset(DataArgs(dataroot=train_dataroot, version="v1.0-synthetic", split="train"), (64, 112))
    majority = majority_labels(train, classes)
    words = load_class_prompts(prompts, None, "wordllama") if bundle else _one_word_per_class(classes)
    both: dict[str, dict[str, VoxelConfusion]] = {"pictures": {}, "majority": {}}
    for number in drives.picks(limit):
        sample, index = drives.sample(number)
        camera = drives.camera(index)
        # The reconstruction's ego frame lies below the camera, the labels' where the robot's is.
        place = np.eye(4)
        place[:3, 3] = [-camera.T_ego_cam[0, 3], -camera.T_ego_cam[1, 3], 0.0]
        moved = VoxelGrid(grid.lower, grid.upper, grid.voxel_size, tuple(map(tuple, place.tolist())))
        hints = ScaleHints(mounting_height_m=float(camera.T_ego_cam[2, 3]))
        method = drives.method or KnownGeometry(sample, noise, len(classes.names), number)
        try:
            result = Reconstructor(method, "", words)(
                _photos(sample), hints, ReconstructArgs(least_confidence=0.0, grid=moved)
            )
        except ConfigError as error:  # no ground
            print(error)
            continue
        truth = drives.dataset.voxel_labels(index)
        looked = Cameras.stack([camera]).project(grid.centers.float().flatten(0, 2))[2][0]
        seen = truth.mask_camera.astype(bool) & looked.reshape(grid.shape).numpy()
        ids = np.full(256, classes.free_id, np.uint8)
        for i, name in enumerate(result.grid.classes.names):
            ids[i] = classes.names.index(name)
        for name, answer in (("pictures", ids[result.grid.labels.numpy()]), ("majority", majority)):
            confusion = both[name].setdefault(sample.scene_names[0], VoxelConfusion(classes))
            confusion.update(truth.semantics, answer, seen)
    for name, scenes in both.items():
        total = VoxelConfusion(classes)
        for one in scenes.values():
            total.merge(one)
        scores = total.scores()
        print(f"{name}: IoU {100 * scores.iou:.1f} %, mIoU {100 * scores.miou:.1f} % over {len(scenes)} drives")
    for name in ("iou", "miou"):
        gains = [
            getattr(both["pictures"][s].scores(), name) - getattr(both["majority"][s].scores(), name)
            for s in both["pictures"]
        ]
        draws = np.random.default_rng(0).choice(gains, (10_000, len(gains))).mean(1)  # drives are what is drawn
        low, high = 100 * np.percentile(draws, [2.5, 97.5])
        print(f"gain in {name}: {100 * np.mean(gains):.1f} points per drive, 95 % interval {low:.1f} ... {high:.1f}")


class _Drives:
    """Samples of the front camera, the newest picture first, and the drives that they are of."""

    def __init__(self, dataroot: str, bundle: str | None, views: int, span: int) -> None:
        self.method: ViewMethod | None = None if bundle is None else load_view_bundle(bundle).method
        schedule = ViewSchedule((views,), (SpanStage(0, (span, span)),), 0, stride=span, offsets=(0,))
        args = ViewArgs(dataroot, "nuscenes", "val", schedule=schedule, version="v1.0-synthetic")
        size = (64, 112) if self.method is None else self.method.image_size
        self.views = ViewDataset(args, size)
        self.dataset = build_dataset(DataArgs(dataroot=dataroot, version="v1.0-synthetic", split="val"), size)
        frames = [self.dataset.key_frame(index) for index in range(len(self.dataset))]
        self._index = {frame.token: index for index, frame in enumerate(frames)}

    def picks(self, limit: int) -> list[int]:
        """Some samples, evenly spread."""
        count = len(self.views)
        return [int(i) for i in np.linspace(0, count - 1, min(limit, count)).round()]

    def sample(self, number: int) -> tuple[ViewSet, int]:
        """A sample, and the key frame of its first view."""
        sample = self.views[number]
        order = torch.arange(sample.images.shape[1]).flip(0)
        T = sample.T_first_cam[:, order].double()
        T = (torch.linalg.inv(T[:, :1]) @ T).float()
        parts = {name: getattr(sample, name) for name in ("images", "intrinsics", "valid", "depth_m", "semantics")}
        turned = {name: None if value is None else value[:, order] for name, value in parts.items()}
        names = sample.frame_names[0][::-1]
        sample = replace(sample, T_first_cam=T, frame_names=(names,), overlap=None, name_ids=None, **turned)
        return sample, self._index[names[0]]

    def camera(self, index: int) -> Camera:
        """The front camera of a key frame."""
        return next(shot.camera for shot in self.dataset.key_frame(index).shots if shot.camera.name == "CAM_FRONT")


def _one_word_per_class(classes: ClassTable) -> ClassPrompts:
    """Words of the stand-in, whose features are the class ids themselves."""
    return ClassPrompts(classes.names, classes.names, torch.eye(len(classes.names)), "ids")


def _photos(sample: ViewSet) -> list[Photo]:
    pictures = sample.images[0].permute(0, 2, 3, 1).numpy().astype(np.uint8)
    K = sample.intrinsics[0].double().numpy()
    return [Photo(f"view_{i}", picture, K[i]) for i, picture in enumerate(pictures)]


def cost(bundle: str, photos: str = "examples/rooms_photos", repeats: int = 5) -> None:
    """CPU time of a reconstruction from pictures in memory to occupancy, one thread, the median of some runs."""
    torch.set_num_threads(1)
    reconstructor = Reconstructor.load(bundle)
    pictures = read_photos(photos).photos
    reconstructor(pictures, None, ReconstructArgs(least_confidence=0.0))
    spent = []
    for _ in range(repeats):
        begin = time.process_time()
        reconstructor(pictures, None, ReconstructArgs(least_confidence=0.0))
        spent.append(time.process_time() - begin)
    print(f"{len(pictures)} views, {torch.get_num_threads()} thread: {np.median(spent):.2f} s of CPU")


def overlap(bundle: str, dataroot: str, views: int = 4, span: int = 14) -> None:
    """Confidence of pictures of one room, and of as many pictures of as many rooms, held out; percentiles."""
    schedule = ViewSchedule((views,), (SpanStage(0, (span, span)),), 0, offsets=(0, 3, 6, 9))
    reconstructor = Reconstructor.load(bundle)
    data = ViewDataset(ViewArgs(dataroot, split="val", schedule=schedule), reconstructor.method.image_size)
    args = ReconstructArgs(least_confidence=0.0)
    samples = [_photos(data[index]) for index in range(len(data))]
    step = max(len(samples) // views - 1, 1)  # samples of a room follow each other
    mixed = [[samples[(i + k * step) % len(samples)][k] for k in range(views)] for i in range(len(samples))]
    for name, sets in (("one room", samples), (f"{views} rooms", mixed)):
        found = [value for photos in sets for value in reconstructor(photos, None, args).confidence.values()]
        shown = ", ".join(f"{p} %: {np.percentile(found, p):.3f}" for p in (5, 10, 50, 90, 95, 99))
        print(f"{name}, {len(found)} pictures: {shown}")


if __name__ == "__main__":
    auto_cli([merging, scale, occupancy, cost, overlap])
