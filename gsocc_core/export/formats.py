# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Predictions as files of other programs: ``gsocc_core export``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from gsocc_core.data.args import DataArgs, check_limit
from gsocc_core.data.build import build_dataset, check_fit, protocol_of
from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.export.gaussian_ply import write_gaussians_ply
from gsocc_core.export.scene_npz import read_scene, write_scene
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.inference.predictor import OccupancyPredictor, Prediction
from gsocc_core.resuming import resumable_folder
from gsocc_core.whole import check_place

#: ply = Gaussians for viewers; npz = Gaussians and voxels with class table; occ3d = labels.npz with ``semantics``.
Format = Literal["ply", "npz", "occ3d"]
FILES: dict[Format, str] = {"ply": "gaussians.ply", "npz": "scene.npz", "occ3d": "labels.npz"}


def write_prediction(
    folder: str | Path,
    prediction: Prediction,
    classes: ClassTable,
    formats: Collection[Format] = ("ply", "npz"),
    *,
    min_opacity: float = 0.0,
    features: bool = False,
    sh_degree: int | None = None,
) -> None:
    """Write one prediction as ``gaussians.ply``, ``scene.npz`` and ``labels.npz``.

    Args:
        folder: An existing folder.
        prediction: What a predictor gave.
        classes: The predictor's class table.
        formats: Which files.
        min_opacity: Fainter Gaussians are left out of the PLY.
        features: See :func:`gsocc_core.export.gaussian_ply.write_gaussians_ply`.
        sh_degree: Likewise.

    Raises:
        ConfigError: ``ply`` is asked for and the model predicts no Gaussians.
        OutputExistsError: a file exists.
    """
    folder, scene = Path(folder), prediction.scene
    gaussians = scene if isinstance(scene, Gaussians) else None
    if "ply" in formats:
        if gaussians is None:
            raise ConfigError("export", "formats", "npz or occ3d: this model predicts voxels, no Gaussians", "ply")
        kept = _visible(gaussians, min_opacity)
        write_gaussians_ply(folder / FILES["ply"], kept, classes, features=features, sh_degree=sh_degree)
    if "npz" in formats:
        write_scene(
            folder / FILES["npz"],
            classes,
            gaussians=gaussians,
            grid=prediction.grid,
            reference_stamp_ns=prediction.reference_stamp_ns,
        )
    if "occ3d" in formats:
        np.savez_compressed(folder / FILES["occ3d"], semantics=prediction.grid.labels.cpu().numpy())


def export_scene(
    source: str | Path,
    out: str | Path,
    *,
    min_opacity: float = 0.0,
    features: bool = False,
    sh_degree: int | None = None,
) -> None:
    """Turn a ``scene.npz`` into a PLY file.

    Args:
        source: A file of :func:`gsocc_core.export.scene_npz.write_scene`.
        out: File to make, with the ending .ply.
        min_opacity: Fainter Gaussians are left out.
        features: See :func:`gsocc_core.export.gaussian_ply.write_gaussians_ply`.
        sh_degree: Likewise.

    Raises:
        DataError: the source is damaged or holds no Gaussians.
        ConfigError: ``out`` has another ending.
        OutputExistsError: ``out`` exists.
    """
    if Path(out).suffix != ".ply":
        raise ConfigError("export", "out", "a file with the ending .ply", out)
    stored = read_scene(source)
    if stored.gaussians is None:
        raise DataError(source, "means", "Gaussians", "voxels only")
    kept = _visible(stored.gaussians, min_opacity)
    write_gaussians_ply(out, kept, stored.classes, features=features, sh_degree=sh_degree)


def export_tree(
    bundle: str | Path,
    data: DataArgs,
    out: str | Path,
    formats: Collection[Format] = ("ply", "npz"),
    *,
    limit: int | None = None,
    min_opacity: float = 0.0,
    features: bool = False,
    sh_degree: int | None = None,
    device: str = "auto",
) -> None:
    """Predict the key frames of a data set and write ``<out>/<scene>/<token>/`` for each.

    Args:
        bundle: Bundle folder or hub id.
        data: Pictures to read; needs no labels.
        out: Folder to make; it appears only when complete. What was interrupted goes on, see
            :mod:`gsocc_core.resuming`.
        formats: Which files, see :data:`FILES`.
        limit: Only the first so many key frames.
        min_opacity: Fainter Gaussians are left out of the PLY.
        features: See :func:`gsocc_core.export.gaussian_ply.write_gaussians_ply`.
        sh_degree: Likewise.
        device: cpu, cuda or auto.

    Raises:
        OutputExistsError: ``out`` exists.
        ConfigError: voxel labels are asked for (``occ3d``), and the bundle's grid or number of classes is not the data
            set's; the other formats say themselves what they hold.
        BundleError: the bundle is damaged.
        DataError: the data set is incomplete.
    """
    check_limit("export", limit)
    out = Path(out)
    if out.exists():
        raise OutputExistsError(out, "out", "a folder that does not exist", "an existing one")
    check_place(out)
    predictor = OccupancyPredictor.load(bundle, device)
    if "occ3d" in formats:
        check_fit(protocol_of(data), predictor.classes, predictor.grid, bundle)
    dataset = build_dataset(data, predictor.image_size)
    arguments = {
        "bundle": predictor.bundle.id, "data": asdict(data), "formats": sorted(formats), "limit": limit,
        "min_opacity": min_opacity, "features": features, "sh_degree": sh_degree, "device": device,
    }  # fmt: skip
    with resumable_folder(out, arguments) as items:
        for index in tqdm(range(min(len(dataset), limit or len(dataset))), desc="export", unit="frame"):
            frame = dataset.key_frame(index)
            if (name := f"{frame.scene_name}/{frame.token}") in items:
                continue
            folder = items.begin(name) / frame.scene_name / frame.token
            folder.mkdir(parents=True)
            prediction = predictor.predict_frames(dataset[index])
            write_prediction(
                folder, prediction, predictor.classes, formats,
                min_opacity=min_opacity, features=features, sh_degree=sh_degree,
            )  # fmt: skip
            items.finish(name)


def _visible(gaussians: Gaussians, min_opacity: float) -> Gaussians:
    return gaussians.map(lambda t, kept=gaussians.opacities >= min_opacity: t[kept])
