# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of a model of poses and depth: depth at LiDAR points as it is in metres, and motions against given poses."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from gsocc_core.data.args import DataArgs, check_limit
from gsocc_core.data.build import build_dataset, protocol_of
from gsocc_core.data.drives import DriveDataset
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.evaluation.lidar_depth import lidar_pixels
from gsocc_core.geometry.frames import FrameSet, Targets
from gsocc_core.geometry.rigid import invert_rigid
from gsocc_core.inference.bundle import load_pose_bundle
from gsocc_core.methods.method import PoseMethod
from gsocc_core.metrics.depth import DepthErrors, DepthScores
from gsocc_core.metrics.trajectory import PoseScores, pose_scores
from gsocc_core.whole import whole_file


@dataclass(frozen=True)
class PoseReport:
    """Scores of one model.

    Attributes:
        name: What was scored.
        frames: Key frames.
        scenes: Scenes.
        depth: Errors of the predicted depth at LiDAR points, of all cameras together; no scaling of any kind.
        depth_of_cameras: The same of each camera by name.
        depth_scale: Median ratio of predicted to true depth at these points; 1 = right.
        poses: Errors of motions between sweeps; None where none were asked for.
    """

    name: str
    frames: int
    scenes: int
    depth: DepthScores
    depth_of_cameras: dict[str, DepthScores] = field(default_factory=dict)
    depth_scale: float = math.nan
    poses: PoseScores | None = None


@torch.no_grad()
def score_pose_bundle(
    name: str,
    bundle: str | Path,
    data: DataArgs,
    sweeps: tuple[int, ...] = (1,),
    limit: int | None = None,
    device: str = "cpu",
) -> PoseReport:
    """Score a bundle of the first stage.

    Motions are predicted between the pictures of following moments: the key frame and the sweeps named. Where the last
    sweep is the next key frame, those of a scene make one trajectory; else each key frame begins one of its own.

    Args:
        name: Shown in reports.
        bundle: Folder or hub id.
        data: What to score on.
        sweeps: Ascending offsets in camera cycles, for instance (1, 2, 3); () = depth alone.
        limit: Score only so many key frames, from the first on, so that trajectories stay whole; None = all.
        device: Where the model runs.

    Returns:
        The scores.

    Raises:
        BundleError: the bundle is damaged or of another kind.
        ConfigError: the data's rig is not the bundle's, it comes without point clouds, ``sweeps`` do not ascend, or
            the data's poses are unknown and motions shall be scored.
        DataError: the data set is incomplete, its neighbours are farther apart than the model was trained for, or there
            is nothing to score: no LiDAR points, and no motions asked for.
    """
    check_limit("evaluate-poses", limit)
    if any(a >= b for a, b in zip((0, *sweeps), sweeps)):
        raise ConfigError("evaluate-poses", "sweeps", "ascending numbers above 0", sweeps)
    if not protocol_of(data).lidar_clouds:
        raise ConfigError("evaluate-poses", "dataset", "one with point clouds", data.dataset)
    method = load_pose_bundle(bundle).method.to(device).eval()
    args = replace(
        data, cameras=method.cameras, views=1, view_images=True, view_sweeps=sweeps, view_size=method.image_size
    )
    dataset = build_dataset(args, method.image_size)
    if sweeps and not dataset.poses_known:
        expected = "[], which scores depth alone, since the data set's poses are unknown"
        raise ConfigError("evaluate-poses", "sweeps", expected, sweeps)
    method.learned.check_rig(dataset[0], bundle)
    count = len(dataset) if limit is None else min(limit, len(dataset))
    depths: dict[str, DepthErrors] = {}
    ratios: list[np.ndarray] = []
    chains = _Chains()
    for index in tqdm(range(count), desc=name, unit="frame"):
        frames = dataset[index]
        _add_depth(method, dataset, index, frames, device, depths, ratios)
        if sweeps:
            chains.add(frames, *_motions(method, frames, device))
    every = DepthErrors()
    for errors in depths.values():
        every.merge(errors)
    depth = every.scores()
    if not depth.pixels and not sweeps:
        raise DataError(dataset.root, "depth", "LiDAR points that the cameras see, or sweeps to score motions", "none")
    return PoseReport(
        name=name,
        frames=count,
        scenes=len({dataset.key_frame(i).scene_name for i in range(count)}),
        depth=depth,
        depth_of_cameras={camera: errors.scores() for camera, errors in depths.items()},
        depth_scale=float(np.median(np.concatenate(ratios))) if any(map(len, ratios)) else math.nan,
        poses=pose_scores(chains.trajectories()) if sweeps else None,
    )


def _add_depth(
    method: PoseMethod,
    dataset: DriveDataset,
    index: int,
    frames: FrameSet,
    device: str,
    depths: dict[str, DepthErrors],
    ratios: list[np.ndarray],
) -> None:
    alone = replace(frames, targets=None).to(device)
    found = 1 / method(alone).depth_m
    size = (frames.cameras.height, frames.cameras.width)
    depth = (1 / functional.interpolate(found, size, mode="bilinear", align_corners=False))[0].cpu().numpy()
    for view, points in enumerate(lidar_pixels(frames, dataset.key_frame(index))):
        predicted = depth[view, points.rows, points.columns]
        sums = depths.setdefault(points.camera, DepthErrors())
        sums.update(points.depth_m, predicted)
        used = (points.depth_m >= sums.min_m) & (points.depth_m <= sums.max_m)
        ratios.append(predicted[used] / points.depth_m[used])


def _motions(method: PoseMethod, frames: FrameSet, device: str) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted poses (K, 4, 4) of a key frame's moments in its ego frame, as far as pictures go."""
    targets = frames.targets
    assert targets is not None
    assert targets.view_valid is not None
    assert targets.view_cameras is not None
    assert targets.view_cameras.T_ref_ego is not None
    known = int(targets.view_valid[0].all(-1).int().cumprod(0).sum())
    # One camera's own ego poses: others' pictures are of other moments.
    true = targets.view_cameras.T_ref_ego[0, :known, 0].double()
    poses = [torch.eye(4, dtype=torch.float64)]
    for first in range(known - 1):
        pair = _pair(frames, targets, first).to(device)
        poses.append(poses[-1] @ method.learned(pair).T_ref_ego[0, 1].double().cpu())
    return (invert_rigid(true[:1]) @ true).numpy(), torch.stack(poses).numpy()


def _pair(frames: FrameSet, targets: Targets, first: int) -> FrameSet:
    """Two following moments, the earlier one as the present."""

    def two(values: torch.Tensor) -> torch.Tensor:
        return values[:, first : first + 2]

    assert targets.view_time_s is not None
    assert targets.view_images is not None
    assert targets.view_valid is not None
    time_s = two(targets.view_time_s)
    part = Targets(
        view_images=two(targets.view_images), view_valid=two(targets.view_valid), view_time_s=time_s - time_s[:, :1]
    )
    return replace(frames, targets=part)


class _Chains:
    """Trajectories of scenes, as far as motions reach from key frame to key frame."""

    def __init__(self) -> None:
        self._done: list[tuple[list[np.ndarray], list[np.ndarray]]] = []
        self._scene, self._end_ns = "", 0

    def add(self, frames: FrameSet, true: np.ndarray, predicted: np.ndarray) -> None:
        """Poses of a key frame's moments; they go on where the ones before ended, or begin anew."""
        targets = frames.targets
        assert targets is not None
        assert targets.view_time_s is not None
        start_ns = int(frames.camera_stamps_ns[0, 0, 0])
        goes_on = frames.scene_names[0] == self._scene and abs(start_ns - self._end_ns) < 10_000_000
        if not goes_on:
            self._done.append(([np.eye(4)], [np.eye(4)]))
        for chain, poses in zip(self._done[-1], (true, predicted)):
            start = chain[-1]
            chain.extend(start @ pose for pose in poses[1:])
        last = len(true) - 1
        self._scene = frames.scene_names[0]
        self._end_ns = start_ns + round(float(targets.view_time_s[0, last]) * 1e9)

    def trajectories(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(np.stack(true), np.stack(found)) for true, found in self._done if len(true) > 1]


def pose_markdown(report: PoseReport) -> str:
    """Two tables, depth and poses, and a row of depth per camera."""

    def row(name: str, s: DepthScores) -> str:
        delta = " | ".join(f"{100 * d:.1f}" for d in s.delta)
        return f"| {name} | {s.abs_rel:.3f} | {s.sq_rel:.3f} | {s.rmse_m:.2f} | {s.rmse_log:.3f} | {delta} |"

    lines = [
        "| depth at LiDAR points | abs rel | sq rel | RMSE, m | RMSE log | < 1.25, % | < 1.25², % | < 1.25³, % |",
        "|---|---|---|---|---|---|---|---|",
        row(report.name, report.depth),
        *(row(camera, scores) for camera, scores in report.depth_of_cameras.items()),
        "",
        _summary(report),
    ]
    if (p := report.poses) is not None:
        lines += [
            "",
            "| motions | ATE, m | RPE, m | RPE, degrees | scale | scale error, % | motions | trajectories |",
            "|---|---|---|---|---|---|---|---|",
            _pose_row(report.name, p),
        ]
    return "\n".join(lines)


def _summary(report: PoseReport) -> str:
    scale = f"median of predicted / true depth {report.depth_scale:.3f}"
    return f"{report.frames} key frames of {report.scenes} scenes, nothing scaled; {scale}."


def _pose_row(name: str, p: PoseScores) -> str:
    errors = f"{p.ate_m:.3f} | {p.rpe_m:.3f} | {p.rpe_deg:.3f} | {p.scale:.3f} | {100 * p.scale_error:.1f}"
    return f"| {name} | {errors} | {p.motions} | {p.trajectories} |"


def write_pose_report(report: PoseReport, path: str | Path) -> None:
    """Write ``<path>.json`` and ``<path>.md``; each appears only when complete."""
    base = Path(path)
    for suffix, text in ((".json", json.dumps(asdict(report), indent=1)), (".md", pose_markdown(report))):
        with whole_file(base.with_name(base.name + suffix)) as part:
            part.write_text(text + "\n", encoding="utf-8")
