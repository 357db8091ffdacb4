# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Predictions from pictures of own cameras: ``gsocc_core predict --images``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from gsocc_core.data.args import check_limit
from gsocc_core.data.depth_maps import check_depth, read_depth_map
from gsocc_core.data.images import decode_image, read_header
from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.export.formats import write_prediction
from gsocc_core.export.snapshots import SnapshotView, write_snapshot
from gsocc_core.geometry.rigid import rotation_fault
from gsocc_core.inference.predictor import OccupancyPredictor, Prediction
from gsocc_core.pictures import draw_comparison
from gsocc_core.resuming import resumable_folder
from gsocc_core.rigs.depth_files import find_depth_files
from gsocc_core.rigs.picture_sets import PictureSet, find_picture_sets
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_core.whole import check_place

#: Width of a camera in the picture of a set, pixels.
_TILE = 400
_log = logging.getLogger(__name__)


def predict_pictures(
    bundle: str | Path,
    images: str | Path,
    rig: CameraRig,
    out: str | Path,
    *,
    pictures: bool = False,
    gaussians: bool = False,
    snapshots: bool = False,
    limit: int | None = None,
    device: str = "auto",
    depth_dir: str | Path | None = None,
) -> None:
    """Predict every set of a folder of pictures.

    Each set becomes ``<out>/<set>/labels.npz`` with ``semantics`` (X, Y, Z) uint8, as Occ3D's files. A folder of
    pictures says nothing of the robot's motion, so each set stands by itself: no memory, no motion within the set.

    Args:
        bundle: Bundle folder or hub id.
        images: Folder, see :func:`gsocc_core.rigs.picture_sets.find_picture_sets`.
        rig: The cameras, of any number and sizes. Where pinhole and fisheye lenses are mixed, pinhole views are cut
            out of the fisheyes.
        out: Folder to make; it appears only when complete. What was interrupted goes on, see
            :mod:`gsocc_core.resuming`.
        pictures: Write ``picture.png`` too: cameras and voxels.
        gaussians: Write ``gaussians.ply`` and ``scene.npz`` too.
        snapshots: Make every set a snapshot too, with its pictures, for ``gsocc_core view``.
        limit: Only the first so many sets.
        device: cpu, cuda or auto.
        depth_dir: Folder with the pictures' depth, see :func:`gsocc_core.rigs.depth_files.find_depth_files`; None =
            none.

    Raises:
        OutputExistsError: ``out`` exists.
        ConfigError: a rotation of the rig is none, or ``limit`` leaves no set.
        DataError: the folder does not fit the rig, or a picture or its depth cannot be read or has another size.
        ShapeError: depth has another aspect than its picture.
        BundleError: the bundle is damaged.
    """
    check_limit("predict", limit)
    out = Path(out)
    if out.exists():
        raise OutputExistsError(out, "out", "a folder that does not exist", "an existing one")
    check_place(out)
    sets = checked_sets(images, rig, slice(limit))
    depths = depth_files(depth_dir, images, rig, sets)
    predictor = OccupancyPredictor.load(bundle, device)
    depths = seen_depths(predictor, depths, depth_dir)
    arguments = {
        "bundle": predictor.bundle.id, "images": images, "rig": rig.to_dict(), "pictures": pictures,
        "gaussians": gaussians, "snapshots": snapshots, "limit": limit, "device": device, "depth_dir": depth_dir,
    }  # fmt: skip
    with resumable_folder(out, arguments) as items:
        for found, depth in zip(tqdm(sets, desc="predict", unit="set"), depths):
            if found.name in items:
                continue
            prediction = predict_set(predictor, found, depth, rig)
            folder = items.begin(found.name) / found.name
            if snapshots:
                _write_snapshot(folder, prediction, found, rig, predictor.bundle.id)
            folder.mkdir(exist_ok=True)
            write_prediction(folder, prediction, predictor.classes, ("occ3d", *(("ply", "npz") if gaussians else ())))
            if pictures:
                _draw(folder, prediction, found, rig)
            items.finish(found.name)


def checked_sets(images: str | Path, rig: CameraRig, part: slice) -> list[PictureSet]:
    """Sets of a folder whose pictures fit the rig, before anything is computed.

    Args:
        images: Folder, see :func:`gsocc_core.rigs.picture_sets.find_picture_sets`.
        rig: The cameras.
        part: Which of the sets, in their order.

    Raises:
        ConfigError: a rotation of the rig is none.
        DataError: the folder does not fit the rig, or a picture has another size.
    """
    for camera in rig.cameras:
        if fault := rotation_fault(camera.T_ego_cam):
            expected = "a rotation; `gsocc_core check-rig` says more"
            raise ConfigError(rig.path, f"cameras.{camera.name}.T_ego_cam", expected, f"one that {fault}")
    sets = find_picture_sets(images, rig)[part]
    for found in sets:
        _check_sizes(found, rig)
    return sets


def depth_files(
    depth_dir: str | Path | None, images: str | Path, rig: CameraRig, sets: Sequence[PictureSet]
) -> Sequence[Sequence[Path | None]]:
    """Depth of sets of pictures, one file or None per camera and set.

    Args:
        depth_dir: Folder, see :func:`gsocc_core.rigs.depth_files.find_depth_files`; None = there is none.
        images: Folder of the pictures.
        rig: The cameras.
        sets: The sets.

    Raises:
        DataError: the folder does not fit the pictures.
    """
    if depth_dir is None:
        return [(None,) * len(rig.cameras)] * len(sets)
    return find_depth_files(depth_dir, images, rig, sets)


def seen_depths(
    predictor: OccupancyPredictor, depths: Sequence[Sequence[Path | None]], depth_dir: str | Path | None
) -> Sequence[Sequence[Path | None]]:
    """What the model looks at of :func:`depth_files`; where it looks at no depth, the log says that there is some."""
    if depth_dir is None or predictor.method.depth_input != "unused":
        return depths
    _log.warning("%s: %s looks at no depth; it is passed over", depth_dir, predictor.bundle.id)
    return [(None,) * len(files) for files in depths]


def predict_set(
    predictor: OccupancyPredictor, found: PictureSet, depth: Sequence[Path | None], rig: CameraRig
) -> Prediction:
    """Predict one set of pictures by itself: no memory, no motion within the set.

    Args:
        predictor: The model.
        found: The pictures.
        depth: Depth per camera, see :func:`depth_files`.
        rig: The cameras.

    Raises:
        DataError: a picture or its depth cannot be read, or the method requires depth and there is none.
        ShapeError: depth has another aspect than its picture.
    """
    images = []
    for file, camera in zip(found.files, rig.cameras):
        height, width = predictor.least_size(camera.model)
        images.append(None if file is None else decode_image(file, min_width=width, min_height=height))
    depths_m = [
        None if file is None else check_depth(read_depth_map(file), camera, str(file))
        for file, camera in zip(depth, rig.cameras)
    ]
    predictor.reset()
    return predictor.predict(images, rig.cameras, depths_m=depths_m, reference_stamp_ns=found.reference_stamp_ns)


def _draw(folder: Path, prediction: Prediction, found: PictureSet, rig: CameraRig) -> None:
    tiles = {
        name: None if file is None else decode_image(file, min_width=_TILE, min_height=_TILE // 2)
        for name, file in zip(rig.names, found.files)
    }
    draw_comparison(tiles, prediction.grid, title=found.name).save(folder / "picture.png")


def _write_snapshot(folder: Path, prediction: Prediction, found: PictureSet, rig: CameraRig, bundle_id: str) -> None:
    write_snapshot(
        folder,
        prediction.grid,
        prediction.scene,
        [SnapshotView(camera, None if f is None else f.read_bytes()) for camera, f in zip(rig.cameras, found.files)],
        frame_id=rig.base_frame,
        reference_stamp_ns=prediction.reference_stamp_ns,
        bundle_id=bundle_id,
    )


def _check_sizes(found: PictureSet, rig: CameraRig) -> None:
    """Before anything is computed, and from the files' headers only."""
    for path, camera in zip(found.files, rig.cameras):
        if path is None:
            continue
        header = read_header(path)
        if (header.width, header.height) != (camera.width, camera.height):
            expected = f"{camera.width} x {camera.height} pixels as in {rig.path}, cameras.{camera.name}"
            stored = f" (upright; stored turned, with EXIF orientation {header.orientation})"
            received = f"{header.width} x {header.height}{stored if header.orientation != 1 else ''}"
            raise DataError(path, "picture size", expected, received)
