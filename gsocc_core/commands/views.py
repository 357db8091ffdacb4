# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Commands around models of unposed views."""

from __future__ import annotations

from pathlib import Path

from gsocc_core.data.view_args import ViewLayout


def evaluate_views(
    bundle: str,
    dataroot: str,
    layout: ViewLayout = "scannet",
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    views: tuple[int, ...] = (2,),
    span: int = 10,
    targets: int = 2,
    stride: int = 0,
    offsets: tuple[int, ...] = (0,),
    align_steps: int = 100,
    turned_deg: tuple[float, float] = (10.0, 40.0),
    within_deg: float = 7.5,
    max_depth_m: float = 10.0,
    prompts: str | None = None,
    encoder: str | None = "wordllama",
    features_dir: str | None = None,
    hide_intrinsics: bool = False,
    limit: int | None = None,
    version: str = "v1.0-trainval",
    camera: str = "CAM_FRONT",
    sweeps: bool = False,
    depth_dir: str | None = "metric_3d_nusc",
    semantics_dir: str | None = "grounded_sam_nusc",
    out: str | None = None,
    pictures: str | None = None,
    update_card: bool = False,
    device: str = "cpu",
) -> None:
    """Score a model of unposed views: pictures, depth and classes of views it has not seen, and poses; and baselines.

    Args:
        bundle: Bundle folder or hub id of a method of unposed views, such as uni3r.
        dataroot: Folder with the data set.
        layout: scannet = videos in ScanNet's layout; nuscenes = one camera of drives.
        split: A split of ``splits.json``, of nuScenes an official one too; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        views: Numbers of context views, each scored by itself on the same targets over the same span.
        span: Frames from the first to the last context view.
        targets: Views between them that are scored.
        stride: Frames between the beginnings of samples; 0 = one sample per video.
        offsets: Beginnings after each multiple of ``stride``.
        align_steps: Steps of the test-time pose alignment, whose scores are named so; 0 = none.
        turned_deg: Pairs of context views that are turned against each other by least,most degrees count for poses.
        within_deg: The limit for their errors, degrees.
        max_depth_m: True depth beyond is not scored, and predictions end there, metres; 10 as published for rooms.
        prompts: Words of the classes, a YAML or .safetensors file; None = their names.
        encoder: Text encoder of words, the one of the teacher's features; None = classes are not scored.
        features_dir: Folder of the teacher's features, for models that take them as input, or whose teacher's features
            were reduced by the basis in it; None = none, or those that LSeg in the bundle makes.
        hide_intrinsics: Context views come without intrinsics.
        limit: Score only so many samples, evenly spread.
        version: Name of the tables' folder; nuscenes only, and so are the following four.
        camera: The camera.
        sweeps: The pictures between key frames belong to the video.
        depth_dir: Folder of depth labels; None = none.
        semantics_dir: Folder of class labels; None = none.
        out: Write <out>.json and <out>.md; None = print only.
        pictures: Folder for one picture per scored sample and number of views: what was given, and the first target's
            true and rendered colours, depth and classes; None = none. ``limit`` keeps them few.
        update_card: Put the scores into the bundle's model card.
        device: cpu or cuda.
    """
    from gsocc_core.data.view_args import ViewArgs
    from gsocc_core.data.view_schedule import SpanStage, ViewSchedule
    from gsocc_core.evaluation.view_report import view_markdown, write_view_report
    from gsocc_core.evaluation.view_score import ViewScoring, score_view_bundle
    from gsocc_core.inference.model_card import put_scores

    scoring = ViewScoring(views, align_steps, turned_deg, within_deg, max_depth_m, prompts, encoder, limit, pictures)
    stages = (SpanStage(0, (span, span)),)
    schedule = ViewSchedule((min(views),), stages, targets, avoid=views, stride=stride, offsets=offsets)
    data = ViewArgs(
        dataroot, layout, split, scenes, schedule, features_dir, hide_intrinsics, version=version, camera=camera,
        sweeps=sweeps, depth_dir=depth_dir, semantics_dir=semantics_dir,
    )  # fmt: skip
    report = score_view_bundle(Path(bundle).name, bundle, data, scoring, device)
    if out is not None:
        write_view_report(report, out)
    print(view_markdown(report))
    if update_card:
        put_scores(bundle, f"`{dataroot}`, split `{split or 'all'}`:\n\n{view_markdown(report)}")
