# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""RGB-D videos in the two layouts in which ScanNet is prepared for reconstruction from unposed views.

``<scene>/color/<frame>.png``, ``depth/<frame>.png`` and ``pose/<frame>.npz``, or ``<scene>/images/<frame>.jpg`` with
``<frame>.npz`` beside it and ``depths/<frame>.png``; in both ``labels/<frame>.png`` with ScanNet's ids, whose names and
classes are in ``scannetv2-labels.combined.tsv``. Everything but the pictures may be missing.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gsocc_core.data.depth_maps import decode_depth_png
from gsocc_core.data.images import fit_nearest, read_header
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.stored import read_npz, read_splits, reading, real_numbers
from gsocc_core.data.video import VideoFrame, VideoScene
from gsocc_core.errors import DataError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.rigid import rotation_fault

LABEL_TABLE = "scannetv2-labels.combined.tsv"
#: The eight classes that LSM and Uni3R score; 0, which they give to what has no label, stands for free space here.
SCANNET8 = ClassTable(
    names=("free", "wall", "floor", "ceiling", "chair", "table", "sofa", "bed", "other"),
    colors=(
        (255, 255, 255), (174, 199, 232), (152, 223, 138), (230, 230, 200), (188, 189, 34), (255, 152, 150),
        (140, 86, 75), (255, 187, 120), (82, 84, 163),
    ),
    free_id=0,
)  # fmt: skip
#: Folders of pictures, depth and poses.
_FOLDERS = (("color", "depth", "pose"), ("images", "depths", "images"))
_ENDINGS = (".png", ".jpg", ".jpeg")
#: Of ScanNet's training scenes in the order of their names, these last ones validate.
_VALIDATION_SCENES = 150


@dataclass(frozen=True, eq=False)
class LabelTable:
    """What the ids of label pictures mean.

    Attributes:
        names: Fine-grained names.
        row_of_id: (65536,) int16 row of ``names`` per id; -1 = none.
        class_of_id: (65536,) uint8 id of :data:`SCANNET8` per id; 255 = no label.
    """

    names: tuple[str, ...]
    row_of_id: np.ndarray
    class_of_id: np.ndarray


def read_label_table(path: str | Path) -> LabelTable:
    """Read ``scannetv2-labels.combined.tsv``: columns ``id``, ``raw_category`` and ``nyu40class``.

    Args:
        path: The file.

    Returns:
        What it says. As in the published scores, a class that is none of the eight is ``other``, and so is an id that
        the file does not list; id 0 has no label.

    Raises:
        DataError: it is missing or damaged, or lacks a column.
    """
    columns = ("id", "raw_category", "nyu40class")
    expected = f"tab-separated columns, {', '.join(columns)} among them"
    with reading(path, expected), Path(path).open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file, delimiter="\t")
        if missing := [column for column in columns if column not in (table.fieldnames or ())]:
            raise DataError(path, missing[0], expected, table.fieldnames)
        rows = [(int(row["id"]), str(row["raw_category"]), str(row["nyu40class"]).lower()) for row in table]
    names = tuple(dict.fromkeys(name for _, name, _ in rows))
    row_of_id = np.full(2**16, -1, np.int16)
    class_of_id = np.full(2**16, SCANNET8.names.index("other"), np.uint8)
    for number, name, label in rows:
        if not 0 < number < 2**16:
            raise DataError(path, "id", "1 ... 65535", number)
        row_of_id[number] = names.index(name)
        class_of_id[number] = SCANNET8.names.index(label if label in SCANNET8.names[1:] else "other")
    class_of_id[0] = SCANNET8.ignore_id
    return LabelTable(names, row_of_id, class_of_id)


def write_label_table(path: Path, rows: Sequence[tuple[int, str, str]]) -> None:
    """Write a table that :func:`read_label_table` reads.

    Args:
        path: The file.
        rows: Id, name and class of each.
    """
    lines = ["id\traw_category\tnyu40class", *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def is_scannet_tree(root: str | Path) -> bool:
    """Whether a folder holds scenes in one of the layouts."""
    root = Path(root)
    return root.is_dir() and any(_picture_folder(path) is not None for path in root.iterdir() if path.is_dir())


def _picture_folder(scene: Path) -> tuple[str, str, str] | None:
    return next((names for names in _FOLDERS if (scene / names[0]).is_dir()), None)


def list_scenes(root: str | Path, split: str | None = None, scenes: Sequence[str] | None = None) -> list[VideoScene]:
    """Scenes and their frames, by name, without opening a file of them.

    Args:
        root: The tree.
        split: A split of ``splits.json`` in it ({split: [scenes]}). Without that file train and val are known: the
            last 150 scenes are val, as in the published training. None = all scenes.
        scenes: Explicit names; they win over ``split``.

    Returns:
        The scenes.

    Raises:
        DataError: there is no such folder, scene or split, or a scene has no pictures.
    """
    root = Path(root)
    if not is_scannet_tree(root):
        expected = "scenes with a folder color (or images) of pictures"
        raise DataError(root, "folder", expected, "none" if root.is_dir() else "no such folder")
    known = sorted(path.name for path in root.iterdir() if path.is_dir() and _picture_folder(path) is not None)
    chosen = list(scenes) if scenes is not None else known if split is None else _of_split(root, known, split)
    if missing := [name for name in chosen if name not in known]:
        raise DataError(root, f"scene {missing[0]}", f"one of {known[:5]}... ({len(known)} scenes)", "no such scene")
    result = []
    for name in chosen:
        folder = root / name / (_picture_folder(root / name) or _FOLDERS[0])[0]
        frames = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
        if not frames:
            raise DataError(folder, "pictures", f"files that end in {', '.join(_ENDINGS)}", "none")
        result.append(VideoScene(name, tuple(frames)))
    return result


def _of_split(root: Path, known: list[str], split: str) -> list[str]:
    if (root / "splits.json").is_file():
        splits = read_splits(root / "splits.json")
    elif len(known) > _VALIDATION_SCENES:
        splits = {"train": known[:-_VALIDATION_SCENES], "val": known[-_VALIDATION_SCENES:]}
    else:
        expected = f"splits.json, or more than {_VALIDATION_SCENES} scenes, of which the last are val"
        raise DataError(root, f"split {split}", expected, f"{len(known)} scenes")
    if not splits.get(split):
        raise DataError(root, f"split {split}", f"one of {sorted(splits)}, with scenes", "no such split")
    return splits[split]


def read_frame(root: str | Path, scene: str, picture: str) -> VideoFrame:
    """Open one frame: the size of its picture, its intrinsics and its pose.

    Args:
        root: The tree.
        scene: Name of the scene.
        picture: File name of the picture.

    Returns:
        The frame; what its pose file does not say, or has no file for, is unknown.

    Raises:
        DataError: a file is damaged, or intrinsics or a pose are none.
    """
    folder = Path(root) / scene
    pictures, _, poses = _picture_folder(folder) or _FOLDERS[0]
    path = folder / pictures / picture
    header = read_header(path)
    stated = folder / poses / f"{path.stem}.npz"
    arrays = read_npz(stated, "camera_intrinsics and camera_pose") if stated.exists() else {}
    return VideoFrame(
        scene, path.stem, path, header.width, header.height,
        _matrix(stated, arrays, "camera_intrinsics"), _matrix(stated, arrays, "camera_pose"),
    )  # fmt: skip


def _matrix(path: Path, arrays: dict[str, np.ndarray], key: str) -> np.ndarray | None:
    if key not in arrays:
        return None
    matrix = real_numbers(arrays[key], path, key).astype(np.float64)
    size = 3 if key == "camera_intrinsics" else 4
    if matrix.shape != (size, size) or not np.isfinite(matrix).all():
        received = matrix.shape if np.isfinite(matrix).all() else "nan or infinity"
        raise DataError(path, key, f"({size}, {size}) finite numbers, or no such array: unknown", received)
    if size == 3 and not (matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise DataError(path, key, "focal lengths above 0", matrix.diagonal()[:2].tolist())
    if size == 4 and (fault := rotation_fault(matrix)) is not None:
        raise DataError(path, key, "a rotation and a position, camera to world", f"a matrix that {fault}")
    return matrix


def read_depth(frame: VideoFrame, width: int, height: int) -> np.ndarray | None:
    """Depth of a frame, fitted to a picture size as the picture is.

    Args:
        frame: The frame.
        width: Pixels.
        height: Pixels.

    Returns:
        (height, width) float32 metres, 0 = unknown; None = the frame has no depth.

    Raises:
        DataError: the file is damaged, or has another aspect than the picture.
    """
    path = _beside(frame, 1)
    if not path.exists():
        return None
    return fit_nearest(_same_aspect(decode_depth_png(path), frame, path), frame.camera, width, height)


def read_ids(frame: VideoFrame, width: int, height: int) -> np.ndarray | None:
    """Ids of a frame's label picture, fitted likewise; None = it has none.

    Raises:
        DataError: the file is damaged, or has another aspect than the picture.
    """
    path = frame.path.parent.parent / "labels" / f"{frame.name}.png"
    if not path.exists():
        return None
    with reading(path, "a grey PNG of 8 or 16 bits with ids"), Image.open(path) as picture:
        ids = np.asarray(picture)
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or ids.min(initial=0) < 0 or ids.max(initial=0) >= 2**16:
        raise DataError(path, "content", "a grey PNG of 8 or 16 bits with ids", f"{ids.shape} {ids.dtype}")
    return fit_nearest(_same_aspect(ids, frame, path).astype(np.uint16), frame.camera, width, height)


def _beside(frame: VideoFrame, which: int) -> Path:
    folder = frame.path.parent
    return folder.parent / next(names for names in _FOLDERS if names[0] == folder.name)[which] / f"{frame.name}.png"


def _same_aspect(array: np.ndarray, frame: VideoFrame, path: Path) -> np.ndarray:
    rows, columns = array.shape
    # ScanNet's colour has 1296 x 968 pixels, its depth 640 x 480: each side may be off by a pixel or so.
    if abs(rows * frame.width - columns * frame.height) > 2 * max(frame.width, frame.height):
        expected = f"the aspect of the picture, {frame.height} x {frame.width}"
        raise DataError(path, "size", expected, f"{rows} x {columns}")
    return array


def label_table(root: str | Path) -> LabelTable | None:
    """What a tree's label pictures mean; None = it has no table.

    Raises:
        DataError: its table is damaged.
    """
    path = Path(root) / LABEL_TABLE
    return read_label_table(path) if path.exists() else None


def read_scannet_key_frames(
    root: str | Path, split: str | None = None, scenes: Sequence[str] | None = None
) -> list[KeyFrame]:
    """All frames as key frames of one camera named ``color``, for what labels pictures.

    Args:
        root: The tree.
        split: See :func:`list_scenes`.
        scenes: Likewise.

    Returns:
        Key frames; their token is the picture's name. The ego frame is the camera's, and where a pose is unknown it is
        that of the world.

    Raises:
        DataError: see :func:`list_scenes` and :func:`read_frame`.
    """
    listed = list_scenes(root, split, scenes)
    return [read_frame(root, scene.name, picture).key_frame(i) for scene in listed
            for i, picture in enumerate(scene.frames)]  # fmt: skip
