# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of a model of unposed views: target views it never saw, their depth and classes, and poses of its cameras."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from gsocc_core.data.args import check_limit
from gsocc_core.data.phrases import Phrase
from gsocc_core.data.view_args import ViewArgs
from gsocc_core.data.view_dataset import ViewDataset
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.evaluation.view_alignment import align_poses
from gsocc_core.evaluation.view_baselines import baseline_pictures, median_depth_m, without_motion
from gsocc_core.evaluation.view_pictures import color_picture, depth_picture, draw_view_sample
from gsocc_core.evaluation.view_report import ClassScores, PictureScores, ViewReport, ViewScores
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.view_sets import ViewSet
from gsocc_core.inference.bundle import OtherBundle, load_view_bundle
from gsocc_core.inference.lseg import read_lseg, with_lseg_features
from gsocc_core.methods.method import Reconstruction, ViewMethod
from gsocc_core.metrics.confusion import VoxelConfusion, scores_of
from gsocc_core.metrics.depth import DepthErrors, fit_depth
from gsocc_core.metrics.picture_quality import mean_of, psnr_db, ssim
from gsocc_core.metrics.relative_pose import RelativePoses
from gsocc_core.splat.to_color import splat_to_color
from gsocc_core.text.class_prompts import ClassPrompts, embed_class_prompts, load_class_prompts
from gsocc_core.text.encoder import load_text_encoder
from gsocc_core.whole import whole_file

WHERE = "evaluate-views"
#: Ratio of predicted to true depth that counts as good, as published.
_GOOD_RATIO = 1.03


@dataclass(frozen=True)
class ViewScoring:
    """What is scored, and how.

    Attributes:
        views: Numbers of context views; all are asked for the same targets.
        align_steps: Steps of the test-time pose alignment; 0 = none.
        turned_deg: Pairs of context views count for poses that are turned against each other by least to most degrees.
        within_deg: The limit for their errors, degrees.
        max_depth_m: True depth beyond is not scored, and predictions are clamped to it, metres.
        prompts: Words of the classes, a file; None = their names.
        encoder: Text encoder that embeds words; None = classes are not scored.
        limit: Score only so many samples per number of views, evenly spread; None = all.
        pictures: Folder for one picture per sample and number of views, of the first target view; None = none.

    Raises:
        ConfigError: a number makes no sense.
    """

    views: tuple[int, ...] = (2,)
    align_steps: int = 100
    turned_deg: tuple[float, float] = (10.0, 40.0)
    within_deg: float = 7.5
    max_depth_m: float = 10.0
    prompts: str | None = None
    encoder: str | None = "wordllama"
    limit: int | None = None
    pictures: str | None = None

    def __post_init__(self) -> None:
        check_limit(WHERE, self.limit)
        if not self.views or min(self.views) < 1 or len(set(self.views)) != len(self.views):
            raise ConfigError(WHERE, "views", "one or more different numbers of 1 or more", self.views)
        if self.align_steps < 0:
            raise ConfigError(WHERE, "align_steps", "0 or more", self.align_steps)


class _Sums:
    """Scores of one number of views by name, summed up."""

    def __init__(self, classes: ClassTable, scoring: ViewScoring) -> None:
        self.classes, self.scoring = classes, scoring
        self.pictures: dict[str, list[tuple[float, float]]] = {}
        self.aligned: list[tuple[float, float]] = []
        self.depth: dict[str, DepthErrors] = {}
        self.fitted: dict[str, DepthErrors] = {}
        self.confusion = VoxelConfusion(classes, "none")
        self.poses = {name: RelativePoses(scoring.turned_deg, scoring.within_deg) for name in ("model", "no_motion")}

    def add_depth(self, name: str, truth_m: np.ndarray, predicted_m: np.ndarray) -> None:
        """Depth of pictures (T, H, W), as it is and fitted."""
        for sums, found in (
            (self.depth, predicted_m),
            (self.fitted, np.stack([fit_depth(t, p) for t, p in zip(truth_m, predicted_m)])),
        ):
            sums.setdefault(name, DepthErrors(max_m=self.scoring.max_depth_m, limit=_GOOD_RATIO)).update(truth_m, found)

    def scores(self) -> dict[str, ViewScores]:
        """By name, the model first."""
        names = dict.fromkeys(("model", *self.pictures, *self.depth, "commonest_class", "no_motion"))
        poses = {name: metric.scores() for name, metric in self.poses.items()}
        classes = self._classes()
        found = {
            name: ViewScores(
                pictures=_picture_scores(self.pictures.get(name)),
                aligned=_picture_scores(self.aligned) if name == "model" else None,
                depth=self.depth[name].scores() if name in self.depth else None,
                fitted_depth=self.fitted[name].scores() if name in self.fitted else None,
                classes=classes.get(name),
                poses=poses[name] if name in poses and poses[name].pairs else None,
            )
            for name in names
        }
        return {name: scores for name, scores in found.items() if scores != ViewScores()}

    def _classes(self) -> dict[str, ClassScores]:
        matrix = self.confusion.matrix
        if not matrix.sum():
            return {}
        one = np.zeros_like(matrix)  # what names every pixel after the commonest class
        one[:, matrix.sum(1).argmax()] = matrix.sum(1)
        return {name: _class_scores(m, self.classes) for name, m in (("model", matrix), ("commonest_class", one))}


def _picture_scores(values: list[tuple[float, float]] | None) -> PictureScores | None:
    if not values:
        return None
    return PictureScores(mean_of([p for p, _ in values]), mean_of([s for _, s in values]), len(values))


def _class_scores(matrix: np.ndarray, classes: ClassTable) -> ClassScores:
    scores = scores_of(matrix, classes)
    return ClassScores(scores.miou, float(np.trace(matrix) / matrix.sum()), scores.per_class)


class _Model:
    """A bundle's model, with LSeg where that makes the features that the model takes and no files hold."""

    def __init__(self, bundle: OtherBundle[ViewMethod], data: ViewArgs, device: str) -> None:
        self.method, self.device, self.lseg = bundle.method.to(device).eval(), device, None
        if self.method.features_input == "required" and data.features_dir is None:
            self.lseg = read_lseg(bundle.path)
            if self.lseg is None:
                expected = "a folder of the features that the model takes, or a bundle with LSeg (import uni3r --lseg)"
                raise ConfigError(WHERE, "features_dir", expected, None)
            self.lseg.to(device)

    def reconstruct(self, views: ViewSet) -> Reconstruction:
        """Gaussians and poses, on the device."""
        views = views.to(self.device)
        if self.lseg is not None:
            views = with_lseg_features(views, self.lseg)
        return self.method.in_metres(self.method.reconstruct(views), views)


@torch.no_grad()
def score_view_bundle(
    name: str, bundle: str | Path, data: ViewArgs, scoring: ViewScoring | None = None, device: str = "cpu"
) -> ViewReport:
    """Score a bundle on target views, and what needs no model on the same ones.

    Args:
        name: Shown in reports.
        bundle: Folder or hub id. Where its model takes features of a teacher, ``data`` names none and LSeg's picture
            side lies in it, that makes them.
        data: What to score on; of its schedule the span, the targets and the beginnings hold. Its true poses and depth
            serve scores and baselines; of the model they say the unit's length, where that is a baseline.
        scoring: What is scored; None = the defaults.
        device: Where the model runs.

    Returns:
        The scores.

    Raises:
        BundleError: the bundle is damaged or of another kind.
        ConfigError: a number makes no sense, words have another length than the model's features, or classes are
            unknown; the model takes features of a teacher, and there are none.
        DataError: the data set is incomplete; a target view has no intrinsics or no pose.
        ShapeError: LSeg makes the features, and the model's pictures are no multiples of its patches.
    """
    scoring = scoring or ViewScoring()
    if not data.schedule.targets:
        raise ConfigError(WHERE, "targets", "1 or more views to score", 0)
    loaded = load_view_bundle(bundle)
    model = _Model(loaded, data, device)
    features = data.features_dir if model.lseg is None else "LSeg's, by the network in the bundle"
    report = ViewReport(name, 0, 0, scoring.turned_deg, scoring.within_deg, features)
    for count in scoring.views:
        schedule = replace(data.schedule, context=(count,), avoid=scoring.views)
        dataset = ViewDataset(replace(data, schedule=schedule), model.method.image_size)
        words = _words(model.method, dataset, scoring)
        total = len(dataset) if scoring.limit is None else min(scoring.limit, len(dataset))
        picks = np.linspace(0, len(dataset) - 1, total).round().astype(int)
        sums = _Sums(dataset.source.classes, scoring)
        for index in tqdm(picks.tolist(), desc=f"{name}, {count} views", unit="sample"):
            _add(sums, model, dataset[index], words)
        report.views[count] = sums.scores()
        scenes = len({dataset.items[i][0] for i in picks})
        report = replace(report, samples=total, scenes=scenes)
    return report


def _words(method: ViewMethod, dataset: ViewDataset, scoring: ViewScoring) -> tuple[Tensor, Tensor] | None:
    """Embeddings (P, D) of words at unit length and their class ids (P); None = classes are not scored."""
    classes = dataset.source.classes
    if scoring.encoder is None:
        return None
    if scoring.prompts is not None:
        prompts: ClassPrompts = load_class_prompts(scoring.prompts, classes, scoring.encoder)
    else:
        names = [n for i, n in enumerate(classes.names) if i != classes.free_id]
        phrases = [Phrase(n.replace("_", " "), n) for n in names]
        prompts = embed_class_prompts(phrases, load_text_encoder(scoring.encoder))
    vectors = prompts.embeddings
    basis = None if dataset.features is None else dataset.features.basis
    if basis is not None and basis.shape[0] == vectors.shape[1]:
        vectors = vectors @ basis
    if vectors.shape[1] != method.teacher_dim:
        expected = f"one whose vectors have {method.teacher_dim} numbers, as the model's features, or null"
        raise ConfigError(WHERE, "encoder", expected, f"{prompts.encoder}, {vectors.shape[1]}")
    return functional.normalize(vectors, dim=-1), torch.tensor(prompts.class_ids(classes))


def _add(sums: _Sums, model: _Model, views: ViewSet, words: tuple[Tensor, Tensor] | None) -> None:
    """Score one sample."""
    targets, device = _checked_targets(views), model.device
    found = model.reconstruct(views)
    height, width = targets.images.shape[-2:]
    cameras = Cameras(targets.intrinsics, targets.T_first_cam, width, height).to(device)
    truth = targets.images.to(device).float() / 255
    seen = splat_to_color(found.scene, cameras)
    rendered = seen.on(found.background)[0].movedim(-1, -3)
    for name, picture in {"model": rendered, **baseline_pictures(views)}.items():
        sums.pictures.setdefault(name, []).extend(_quality(picture.cpu(), truth[0].cpu()))
    if sums.scoring.align_steps:
        aligned = align_poses(found.scene, cameras, truth, sums.scoring.align_steps, found.background)
        drawn = splat_to_color(found.scene, aligned).on(found.background)[0].movedim(-1, -3)
        sums.aligned += _quality(drawn.cpu(), truth[0].cpu())
    if targets.depth_m is not None and bool((targets.depth_m > 0).any()):
        truth_m = targets.depth_m[0].numpy()
        sums.add_depth("model", truth_m, seen.depth[0].cpu().numpy())
        plane = median_depth_m(targets).nan_to_num(1.0).numpy()[:, None, None]
        sums.add_depth("median_depth", truth_m, np.broadcast_to(plane, truth_m.shape).astype(np.float32))
    labels: np.ndarray | None = None
    if words is not None and targets.semantics is not None:
        found_ids = _labels(model.method.expand(seen.features)[0], words, (height, width))
        labels = found_ids.cpu().numpy().astype(np.uint8)
        sums.confusion.update(targets.semantics[0].numpy(), labels)
    true = views.T_first_cam[0].numpy()
    sums.poses["model"].update(true, found.T_first_cam[0].cpu().numpy())
    sums.poses["no_motion"].update(true, without_motion(views).numpy())
    if sums.scoring.pictures is not None:
        _draw(sums, views, rendered[0].cpu().numpy(), seen.depth[0, 0].cpu().numpy(), labels)


def _draw(sums: _Sums, views: ViewSet, colors: np.ndarray, depth_m: np.ndarray, labels: np.ndarray | None) -> None:
    """Write the picture of a sample: what was given, and its first target as it is and as the model shows it.

    Args:
        sums: Says where to.
        views: The sample.
        colors: (3, H, W) 0..1, rendered.
        depth_m: (H, W), rendered.
        labels: (T, H, W) predicted class ids; None = there are no classes.
    """
    targets, scoring, classes = views.targets, sums.scoring, sums.classes
    assert targets is not None
    assert scoring.pictures is not None
    tiles = {"target": targets.images[0, 0].permute(1, 2, 0).numpy(), "rendered": color_picture(colors)}
    if targets.depth_m is not None:
        tiles["true depth"] = depth_picture(targets.depth_m[0, 0].numpy(), scoring.max_depth_m)
    tiles["depth"] = depth_picture(depth_m, scoring.max_depth_m)
    present: list[int] = []
    if labels is not None and targets.semantics is not None:
        true = targets.semantics[0, 0].numpy()
        tiles |= {"true classes": classes.palette()[true], "classes": classes.palette()[labels[0]]}
        present = sorted((set(np.unique(true)) | set(np.unique(labels[0]))) - {classes.ignore_id})
    context = [one.permute(1, 2, 0).numpy() for one in views.images[0]]
    drawn = draw_view_sample(context, tiles, None if labels is None else classes, present)
    name = "-".join((targets.scene_names[0], *views.frame_names[0], "of", targets.frame_names[0][0]))
    with whole_file(Path(scoring.pictures) / f"{name}.png") as path:
        drawn.save(path)


def _checked_targets(views: ViewSet) -> ViewSet:
    """The target views, whose cameras must be known: a score needs to know where to look from."""
    targets = views.targets
    assert targets is not None
    for key, known in (("intrinsics", targets.intrinsics_known[0]), ("pose", targets.pose_known[0])):
        if not bool(known.all()):
            missing = targets.frame_names[0][int((~known).long().argmax())]
            where = f"{targets.scene_names[0]}, frame {missing}"
            raise DataError(
                where, key, f"the {key} of a target view, and the pose of the first context view", "unknown"
            )
    return targets


def _quality(pictures: Tensor, truth: Tensor) -> list[tuple[float, float]]:
    return list(zip(psnr_db(pictures, truth).tolist(), ssim(pictures, truth).tolist()))


def _labels(features: Tensor, words: tuple[Tensor, Tensor], size: tuple[int, int]) -> Tensor:
    """(T, H, W) class ids of features (T, h, w, D): the class of the word with the largest cosine."""
    vectors, ids = (t.to(features.device) for t in words)
    cosines = functional.normalize(features.float(), dim=-1) @ vectors.T
    upright = functional.interpolate(cosines.movedim(-1, 1), size, mode="bilinear", align_corners=False)
    return ids[upright.argmax(1)]
