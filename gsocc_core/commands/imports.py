# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Commands that make bundles of weights that others published."""

from __future__ import annotations

from typing import Any, Literal


def import_gausstr(
    checkpoint: str,
    out: str,
    rule: Literal["first", "filtered"] | None = None,
    depth_model: str | None = None,
    places: Literal["even", "random"] = "even",
    model: dict[str, Any] | None = None,
) -> None:
    """Make a bundle of GaussTR's published weights.

    Its licence, its data and its rule are printed, and stand in the bundle. Nothing that a checkpoint pickles is run.

    Args:
        checkpoint: gausstr_featup_*.pth or gausstr_talk2dino_*.pth; the file tells which of them it is.
        out: Bundle folder to make; it must not exist.
        rule: From Gaussians to voxels: first = that of the first release, filtered = that since March 2025; None = what
            the file's published score was made with.
        depth_model: Hub id or folder of a metric depth model of transformers, which is run where no depth is given.
        places: Where queries look first: even = always the same places; random = drawn for every picture, as published.
        model: Arguments of the method that differ from the published configuration, for files of other sizes.
    """
    from gsocc_core.importers.gausstr import import_gausstr as start

    print(f"{out}\n{start(checkpoint, out, rule, depth_model, places, model).told()}")


def import_gaussianocc(
    checkpoint: str,
    out: str,
    trained_on: Literal["nuscenes", "ddad"] | None = None,
    part: Literal["occupancy", "poses"] = "occupancy",
    model: dict[str, Any] | None = None,
) -> None:
    """Make a bundle of GaussianOcc's published weights, of the second stage or of the pose network.

    Its licence, its data and its rule are printed, and stand in the bundle. Nothing that a checkpoint pickles is run.

    Args:
        checkpoint: Folder with encoder.pth and depth.pth, and with pose_encoder.pth and pose.pth or neither; for poses
            the latter two are enough.
        out: Bundle folder to make; it must not exist.
        trained_on: Data of the training, which the files do not tell; None = by the folder's name, with nusc or ddad in
            it.
        part: occupancy = the second stage; poses = the pose network, as a bundle of method gaussianocc_pose.
        model: Arguments of the method that differ from the published configuration, for files of other sizes.
    """
    from gsocc_core.importers.gaussianocc import import_gaussianocc as occupancy
    from gsocc_core.importers.gaussianocc_pose import import_pose_network as poses

    start = occupancy if part == "occupancy" else poses
    print(f"{out}\n{start(checkpoint, out, trained_on, model).told()}")


def import_tpvformer(checkpoint: str, out: str, model: dict[str, Any] | None = None) -> None:
    """Make a bundle of TPVFormer's published weights, those of GaussRender among them.

    Their licence, their data and their rule are printed, and stand in the bundle. Nothing that a checkpoint pickles is
    run.

    Args:
        checkpoint: occ3d_tpv_render.pth, surroundocc_tpv_render.pth or tpv04_occupancy_v2.pth; the file tells which of
            them it is.
        out: Bundle folder to make; it must not exist.
        model: Arguments of the method that differ from the published configuration, for files of other sizes.
    """
    from gsocc_core.importers.tpvformer import import_tpvformer as start

    print(f"{out}\n{start(checkpoint, out, model).told()}")


def import_uni3r(checkpoint: str, out: str, lseg: str | None = None, model: dict[str, Any] | None = None) -> None:
    """Make a bundle of Uni3R's published weights.

    Their licence and their data are printed, and stand in the bundle. Nothing that a checkpoint pickles is run. The
    published files take about 15 GB of memory.

    Args:
        checkpoint: 2views.pth, or another of the published files.
        out: Bundle folder to make; it must not exist.
        lseg: LSeg's demo_e200.ckpt; its picture side, whose features are an input of the model, is kept in the bundle.
        model: Arguments of the method that differ from the published configuration, for files of other sizes.
    """
    from gsocc_core.importers.uni3r import import_uni3r as start

    print(f"{out}\n{start(checkpoint, out, lseg, model).told()}")
