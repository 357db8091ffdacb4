# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Predictions of a data set as files that the official Occ3D evaluators read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from gsocc_core.data.args import DataArgs, check_limit
from gsocc_core.data.build import build_dataset, check_fit, protocol_of
from gsocc_core.errors import OutputExistsError
from gsocc_core.evaluation.label_sources import model_source
from gsocc_core.resuming import resumable_folder
from gsocc_core.whole import check_place


def write_predictions(
    bundle: str | Path,
    data: DataArgs,
    out: str | Path,
    limit: int | None = None,
    device: str = "auto",
    layout: Literal["gts", "tokens"] = "gts",
) -> None:
    """Write ``<out>/<scene>/<token>/labels.npz`` with ``semantics`` (X, Y, Z) uint8 for every key frame.

    Args:
        bundle: Bundle folder or hub id.
        data: Pictures to read; needs no labels, so it works on a test split.
        out: Folder to make; it appears only when complete. What was interrupted goes on, see
            :mod:`gsocc_core.resuming`.
        limit: Only the first so many key frames.
        device: cpu, cuda or auto.
        layout: ``gts`` = as Occ3D lays out its labels; ``tokens`` = ``<out>/<token>.npz`` with ``arr_0``, which the
            evaluator of the Occ3D challenge and the ray evaluators read.

    Raises:
        OutputExistsError: ``out`` exists.
        ConfigError: the bundle's grid or number of classes is not the data set's: its readers would take one for the
            other.
        BundleError: the bundle is damaged.
        DataError: the data set is incomplete.
    """
    check_limit("predict", limit)
    out = Path(out)
    if out.exists():
        raise OutputExistsError(out, "out", "a folder that does not exist", "an existing one")
    check_place(out)
    source, image_size, classes, grid = model_source(bundle, device)
    check_fit(protocol_of(data), classes, grid, bundle)
    dataset = build_dataset(data, image_size)
    arguments = {"bundle": bundle, "data": asdict(data), "limit": limit, "device": device, "layout": layout}
    with resumable_folder(out, arguments) as items:
        for index in tqdm(range(min(len(dataset), limit or len(dataset))), desc="predict", unit="frame"):
            frame = dataset.key_frame(index)
            if (name := f"{frame.scene_name}/{frame.token}") in items:
                continue
            folder = items.begin(name)
            labels = source(dataset[index]).labels
            if layout == "tokens":
                np.savez_compressed(folder / f"{frame.token}.npz", labels)
            else:
                folder = folder / frame.scene_name / frame.token
                folder.mkdir(parents=True)
                np.savez_compressed(folder / "labels.npz", semantics=labels)
            items.finish(name)
