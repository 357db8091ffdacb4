# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A folder of photographs to a folder of files: ``gsocc_core reconstruct``."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from tqdm import tqdm

from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.export.gaussian_ply import write_gaussians_ply
from gsocc_core.export.scene_npz import write_scene
from gsocc_core.export.scene_words import SceneWords, save_scene_words
from gsocc_core.export.snapshots import SnapshotView, fill_snapshot
from gsocc_core.geometry.cameras import Camera
from gsocc_core.reconstruction.photos import Photo, PhotoFolder, centred, read_photos
from gsocc_core.reconstruction.reconstructor import ReconstructArgs, Reconstructed, Reconstructor
from gsocc_core.reconstruction.scale import ScaleHints
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_core.whole import check_place, whole_folder

#: The file that says what a reconstruction is.
ABOUT = "reconstruction.json"
#: Stages of the work, for the progress bar.
_STAGES = 5


@dataclass(frozen=True)
class PhotoArgs:
    """Which pictures are read, and what is known of their cameras.

    Attributes:
        folder: Folder with the pictures.
        max_views: Of more pictures, so many evenly spread ones are used.
        rig: Rig file whose cameras are called like the pictures; None = nothing is known but EXIF.
        rig_gives: ``poses`` = intrinsics and poses of the rig are taken; ``intrinsics`` = these alone.
        focal_px: Focal length of all pictures, pixels; wins over EXIF. None = EXIF's, or unknown.

    Raises:
        ConfigError: the focal length is not above 0.
    """

    folder: str | Path
    max_views: int = 16
    rig: str | Path | None = None
    rig_gives: Literal["poses", "intrinsics"] = "poses"
    focal_px: float | None = None

    def __post_init__(self) -> None:
        if self.focal_px is not None and not 0 < self.focal_px < 1e6:
            raise ConfigError("reconstruct", "focal_px", "above 0", self.focal_px)


def reconstruct_photos(
    args: PhotoArgs,
    reconstructor: Reconstructor,
    out: str | Path,
    hints: ScaleHints | None = None,
    options: ReconstructArgs | None = None,
) -> Reconstructed:
    """Read, reconstruct, write; with progress bars.

    Args:
        args: The pictures.
        reconstructor: The model.
        out: Folder to make, see :func:`write_reconstruction`.
        hints: What tells metres.
        options: What is made of the network's output.

    Returns:
        The result, its notes those of the pictures first.

    Raises:
        OutputExistsError: ``out`` exists.
        DataError: there are no pictures, or one cannot be read or does not fit the rig.
        ConfigError: the rig is wrong or has distorted lenses, or the scale that is asked for is not at hand.
        ShapeError: the network's numbers are not finite.
    """
    out = Path(out)
    _check_new(out)
    found = known_cameras(
        read_photos(args.folder, args.max_views, lambda f: tqdm(f, desc="read", unit="picture")), args
    )
    with tqdm(total=_STAGES, desc="reconstruct", unit="stage") as bar:
        result = reconstructor(found.photos, hints, options, on_stage=lambda _: bar.update())
    result = replace(result, notes=(*found.notes, *result.notes))
    write_reconstruction(out, result, SceneWords(result.text, reconstructor.prompts), reconstructor.bundle_id)
    return result


def known_cameras(found: PhotoFolder, args: PhotoArgs) -> PhotoFolder:
    """What a rig file or a focal length says of the cameras of pictures.

    Raises:
        ConfigError: no camera of the rig is called like a picture, or one is distorted.
        DataError: a picture has another size than its camera.
    """
    photos = list(found.photos)
    notes = found.notes
    if args.focal_px is not None:
        photos = [replace(photo, intrinsics=centred(args.focal_px, photo.picture)) for photo in photos]
    if args.rig is not None:
        cameras = {camera.name: camera for camera in CameraRig.load(args.rig).cameras}
        if not any(photo.name in cameras for photo in photos):
            expected = f"cameras called like the pictures, such as {photos[0].name}"
            raise ConfigError(args.rig, "cameras", expected, sorted(cameras)[:8])
        photos = [_of_rig(photo, cameras.get(photo.name), args) for photo in photos]
    if all(photo.intrinsics is not None for photo in photos):
        notes = tuple(note for note in notes if "focal length" not in note)
    return PhotoFolder(tuple(photos), notes)


def _of_rig(photo: Photo, camera: Camera | None, args: PhotoArgs) -> Photo:
    if camera is None:
        return photo
    if camera.model != "pinhole" or any(camera.distortion or ()):
        expected = "pinhole lenses without distortion: rectify the pictures first"
        raise ConfigError(str(args.rig), f"cameras.{camera.name}", expected, f"{camera.model} with distortion")
    size = (photo.picture.shape[1], photo.picture.shape[0])
    if size != (camera.width, camera.height):
        raise DataError(photo.path or photo.name, "picture size", f"{camera.width} x {camera.height}", size)
    pose = camera.T_ego_cam if args.rig_gives == "poses" else None
    return replace(photo, intrinsics=camera.intrinsics, T_world_cam=pose)


def write_reconstruction(out: str | Path, result: Reconstructed, words: SceneWords, bundle_id: str) -> Path:
    """Write a reconstruction; the folder appears complete or not at all.

    It is a snapshot that ``gsocc_core view`` opens (see :func:`gsocc_core.export.snapshots.write_snapshot`), with
    ``gaussians.ply`` (for 3D Gaussian splatting viewers), ``scene.npz`` (Gaussians and voxels), ``cameras.yaml`` (the
    cameras as a rig file), ``words.safetensors`` (text features) and ``reconstruction.json`` (scale, ground,
    confidence, notes) beside.

    Args:
        out: Folder to create.
        result: The reconstruction.
        words: Its text features.
        bundle_id: Id of the model's bundle.

    Returns:
        The folder.

    Raises:
        OutputExistsError: the folder exists.
    """
    with whole_folder(out) as folder:
        classes = result.grid.classes
        labelled = result.scene.replace(features=result.class_scores)
        views = [SnapshotView(camera, _encoded(photo)) for camera, photo in zip(result.cameras, result.photos)]
        fill_snapshot(
            folder, result.grid, labelled, views, frame_id="base_link", reference_stamp_ns=0, bundle_id=bundle_id,
            latency_ms=result.latency_ms,
        )  # fmt: skip
        write_gaussians_ply(folder / "gaussians.ply", result.scene, classes, sh_degree=3)
        write_scene(folder / "scene.npz", classes, gaussians=labelled, grid=result.grid)
        estimated_rig(result).save(folder / "cameras.yaml", _comment(result))
        save_scene_words(folder, words)
        (folder / ABOUT).write_text(json.dumps(about(result, bundle_id), indent=2) + "\n", encoding="utf-8")
    return Path(out)


def estimated_rig(result: Reconstructed) -> CameraRig:
    """The cameras as a rig, all fired at once as far as anyone knows."""
    return CameraRig.of(result.cameras, dict.fromkeys((camera.name for camera in result.cameras), 0.0))


def about(result: Reconstructed, bundle_id: str) -> dict[str, Any]:
    """What ``reconstruction.json`` holds."""
    ground = result.ground
    return {
        "layout": 1,
        "bundle": bundle_id,
        "scale": {"source": result.scale.source, "unit_m": result.scale.unit_m},
        "known_poses": result.known_poses,
        "ground": None if ground is None else {"share": ground.share, "spread_m": ground.spread * result.scale.unit_m},
        "confidence": {name: round(value, 4) for name, value in result.confidence.items()},
        "gaussians": len(result.scene),
        "unmerged": result.unmerged,
        "notes": list(result.notes),
    }


def _comment(result: Reconstructed) -> str:
    lines = ["Estimated from pictures alone: a suggestion, no calibration."] if not result.known_poses else []
    lines += [f"Metres: {result.scale.source}. The origin lies on the ground below {result.cameras[0].name}."]
    return "\n".join(lines)


def _encoded(photo: Photo) -> bytes:
    """The file itself, or the picture as PNG."""
    if photo.path is not None:
        return photo.path.read_bytes()
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(photo.picture)).save(stream, "PNG")
    return stream.getvalue()


def _check_new(out: Path) -> None:
    if out.exists():
        raise OutputExistsError(out, "out", "a folder that does not exist", "an existing one")
    check_place(out)
