# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures in folders as sets, one picture per camera of a rig."""

from __future__ import annotations

import logging
import re
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from gsocc_core.errors import DataError
from gsocc_core.rigs.rig_file import CameraRig

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
#: Digits of a stamp and the nanoseconds that its unit has.
_UNITS = {10: 1_000_000_000, 13: 1_000_000, 16: 1_000, 19: 1}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureSet:
    """Pictures that belong together.

    Attributes:
        name: Name of the set.
        files: One per camera, in the order of the rig; None = missing.
        stamps_ns: One per camera where the names are stamps; a missing picture has its anchor's. None = no stamps.
        anchor: Position of the rig's anchor camera.
    """

    name: str
    files: tuple[Path | None, ...]
    stamps_ns: tuple[int, ...] | None = None
    anchor: int = 0

    @property
    def reference_stamp_ns(self) -> int:
        """The anchor's stamp, 0 without stamps."""
        return 0 if self.stamps_ns is None else self.stamps_ns[self.anchor]


def find_picture_sets(folder: str | Path, rig: CameraRig) -> list[PictureSet]:
    """Find the sets of a folder, in order.

    One set: the folder holds ``<camera>.jpg`` or ``.png``, one per camera. Many sets: it holds a folder per camera, and
    pictures belong together

    1. by equal names, if any name occurs in two folders;
    2. else by stamps, if all names are stamps (whole seconds, milli-, micro- or nanoseconds since 1970, or seconds with
       a point): every picture of the anchor makes a set with the nearest pictures, stamps minus trigger offsets, within
       the rig's ``tolerance_ms``;
    3. else by their place in the sorted list, if all folders hold equally many.

    A picture that is missing becomes None and is told in the log.

    Args:
        folder: Where to look.
        rig: The cameras.

    Returns:
        At least one set; each has at least one picture.

    Raises:
        DataError: the folder holds nothing that fits the camera names, both layouts at once, two pictures of one name,
            or folders that none of the rules pairs.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(folder, "images", "a folder", "no such folder")
    single = [_one(folder, name) for name in rig.names]
    folders = [folder / name for name in rig.names if (folder / name).is_dir()]
    expected = f"one picture <camera>.jpg|png or one folder per camera, named {', '.join(rig.names)}"
    if any(single) and folders:
        raise DataError(folder, "images", expected, "both pictures and folders of these names")
    if any(single):
        return _told(folder, rig, [PictureSet(folder.resolve().name, tuple(single), None, rig.names.index(rig.anchor))])
    if not folders:
        raise DataError(folder, "images", expected, sorted(path.name for path in folder.iterdir())[:12])
    pictures = [_pictures(folder / name) for name in rig.names]
    if not any(pictures):
        raise DataError(folder, "images", f"pictures ({', '.join(ENDINGS)}) in the cameras' folders", "none")
    return _told(folder, rig, _pair(folder, rig, pictures))


def _one(folder: Path, name: str) -> Path | None:
    found = [p for p in sorted(folder.glob(f"{_escaped(name)}.*")) if p.suffix.lower() in ENDINGS and p.stem == name]
    if len(found) > 1:
        raise DataError(folder, name, "one picture", [path.name for path in found])
    return found[0] if found else None


def _escaped(name: str) -> str:
    return re.sub(r"([\[*?])", r"[\1]", name)


def _pictures(folder: Path) -> dict[str, Path]:
    """Name without ending -> file."""
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in ENDINGS and path.is_file():
            if path.stem in found:
                raise DataError(folder, path.stem, "one picture of that name", f"{found[path.stem].name}, {path.name}")
            found[path.stem] = path
    return found


def _pair(folder: Path, rig: CameraRig, pictures: list[dict[str, Path]]) -> list[PictureSet]:
    anchor = rig.names.index(rig.anchor)
    names = Counter(name for found in pictures for name in found)
    if len([found for found in pictures if found]) == 1 or max(names.values()) > 1:
        return [PictureSet(name, tuple(p.get(name) for p in pictures), None, anchor) for name in sorted(names)]
    if all(stamp_of(name) is not None for name in names):
        return _by_stamps(folder, rig, pictures)
    counts = {name: len(found) for name, found in zip(rig.names, pictures)}
    if len(set(counts.values())) > 1:
        expected = "equal names in all folders, names that are stamps, or equally many pictures in each"
        raise DataError(folder, "images", expected, counts)
    columns = [sorted(found.items()) for found in pictures]
    return [PictureSet(row[anchor][0], tuple(path for _, path in row), None, anchor) for row in zip(*columns)]


def stamp_of(name: str) -> int | None:
    """Nanoseconds of a name that is a stamp, else None.

    Example:
        >>> stamp_of("1531883530.449377"), stamp_of("1531883530449377000"), stamp_of("000012")
        (1531883530449377000, 1531883530449377000, None)
    """
    if name.isdigit() and len(name) in _UNITS:
        stamp_ns = int(name) * _UNITS[len(name)]
        return stamp_ns if stamp_ns < 1 << 63 else None
    whole, point, part = name.partition(".")
    if point and whole.isdigit() and len(whole) == 10 and part.isdigit() and len(part) <= 9:
        return int(whole) * 1_000_000_000 + int(part.ljust(9, "0"))
    return None


def _by_stamps(folder: Path, rig: CameraRig, pictures: list[dict[str, Path]]) -> list[PictureSet]:
    unknown = [name for name, offset in zip(rig.names, rig.trigger_offsets_ms) if offset is None]
    if unknown:
        raise DataError(
            rig.path, f"cameras.{unknown[0]}.trigger_offset_ms", "a number, to pair pictures by stamps", None
        )
    offsets = [round((offset or 0.0) * 1e6) for offset in rig.trigger_offsets_ms]
    # (stamp minus offset, stamp, file) per camera
    columns = [
        sorted((stamp - offset, stamp, path) for name, path in found.items() if (stamp := stamp_of(name)) is not None)
        for found, offset in zip(pictures, offsets)
    ]
    anchor, tolerance = rig.names.index(rig.anchor), round(rig.tolerance_ms * 1e6)
    if not columns[anchor]:
        raise DataError(folder / rig.anchor, "images", "pictures of the anchor camera", "none")
    sets, used = [], 0
    for time, stamp, path in columns[anchor]:
        chosen = [_nearest(column, time, tolerance) for column in columns]
        chosen[anchor] = (time, stamp, path)
        used += sum(entry is not None for entry in chosen)
        files = tuple(None if entry is None else entry[2] for entry in chosen)
        stamps = tuple(stamp if entry is None else entry[1] for entry in chosen)
        sets.append(PictureSet(path.stem, files, stamps, anchor))
    left = sum(map(len, columns)) - used
    if left > 0:
        _log.warning("%s: %d pictures lie more than %g ms from every picture of %s and are not used",
                     folder, left, rig.tolerance_ms, rig.anchor)  # fmt: skip
    return sets


def _nearest(column: list[tuple[int, int, Path]], time: int, tolerance: int) -> tuple[int, int, Path] | None:
    at = bisect_left(column, time, key=lambda entry: entry[0])
    near = [entry for entry in column[max(at - 1, 0) : at + 1] if abs(entry[0] - time) <= tolerance]
    return min(near, key=lambda entry: abs(entry[0] - time)) if near else None


def _told(folder: Path, rig: CameraRig, sets: list[PictureSet]) -> list[PictureSet]:
    for index, name in enumerate(rig.names):
        missing = [found.name for found in sets if found.files[index] is None]
        if missing:
            some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            # A camera without any picture may be there under another name.
            strange = _strange(folder, rig) if len(missing) == len(sets) else ""
            _log.warning("%s: no picture in %d of %d sets (%s); the camera counts as missing there%s",
                         name, len(missing), len(sets), some, strange)  # fmt: skip
    return sets


def _strange(folder: Path, rig: CameraRig) -> str:
    names = sorted(
        path.name
        for path in folder.iterdir()
        if (path.suffix.lower() in ENDINGS and path.stem not in rig.names)
        or (path.name not in rig.names and _pictures(path))
    )
    some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"; of no camera's name: {some}" if names else ""
