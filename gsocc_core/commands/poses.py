# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Commands around models of poses and depth."""

from __future__ import annotations

from pathlib import Path

from gsocc_core.data.args import DatasetName


def evaluate_poses(
    bundle: str,
    dataroot: str,
    version: str = "v1.0-trainval",
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    sweeps: tuple[int, ...] = (1,),
    limit: int | None = None,
    out: str | None = None,
    update_card: bool = False,
    device: str = "cpu",
    dataset: DatasetName = "occ3d",
) -> None:
    """Score the depth and the motions of a model of GaussianOcc's first stage, in metres and without any scaling.

    Args:
        bundle: Bundle folder or hub id of method gaussianocc_pose.
        dataroot: Folder with the data set; its poses are the truth.
        version: Name of the tables' folder of a nuScenes tree.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        sweeps: Moments between which motions are predicted, in camera cycles after each key frame, ascending. Where the
            last one is the next key frame, each scene is one trajectory. [] = depth alone, for trees of key frames.
        limit: Score only the first so many key frames.
        out: Write <out>.json and <out>.md; None = print only.
        update_card: Put the scores into the bundle's model card.
        device: cpu or cuda.
        dataset: Layout of ``dataroot``.
    """
    from gsocc_core.evaluation.pose_score import pose_markdown, score_pose_bundle, write_pose_report
    from gsocc_core.evaluation.score import scoring_data
    from gsocc_core.inference.model_card import put_scores

    data = scoring_data(dataroot, version, split, scenes, None, dataset=dataset)
    report = score_pose_bundle(Path(bundle).name, bundle, data, sweeps, limit, device)
    if out is not None:
        write_pose_report(report, out)
    print(pose_markdown(report))
    if update_card:
        put_scores(bundle, f"`{data.version}`, split `{split or 'all'}`:\n\n{pose_markdown(report)}")
