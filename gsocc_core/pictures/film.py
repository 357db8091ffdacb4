# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures as files: PNG or JPEG for one, GIF or MP4 for a film."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.pictures.indexed import index_picture
from gsocc_core.whole import whole_file

STILLS, FILMS = (".png", ".jpg", ".jpeg"), (".gif", ".mp4")


def check_output(path: str | Path) -> Path:
    """Look, before anything is computed, whether a picture or film can be written.

    Args:
        path: File to make.

    Returns:
        The path.

    Raises:
        ConfigError: the name does not end in a known format, or the encoder of MP4 is not installed.
        OutputExistsError: the file is there.
    """
    path = Path(path)
    if path.suffix.lower() not in STILLS + FILMS:
        raise ConfigError("picture", "out", f"a name that ends in {', '.join(STILLS + FILMS)}", str(path))
    if path.exists():
        raise OutputExistsError(path, "out", "a file that does not exist", "an existing one")
    if path.suffix.lower() == ".mp4":
        _ffmpeg()
    return path


def write_pictures(
    path: str | Path, pictures: Iterable[Image.Image], fps: float = 2.0, colors: np.ndarray | None = None
) -> None:
    """Write one picture, or a film, by the end of the file's name. The file appears only when complete.

    Args:
        path: ``.png`` or ``.jpg`` = the first picture; ``.gif`` or ``.mp4`` = all of them. MP4 needs imageio-ffmpeg.
        pictures: RGB; in a film, those of another size than the first are fitted into it. They are taken one by
            one, and none is kept.
        fps: Frames per second of a film.
        colors: (N, 3) uint8 RGB that every frame of a GIF keeps exactly, such as those of
            :func:`gsocc_core.pictures.class_colors`; a GIF holds 256 colours per frame, and others are approximated.
            None = none.

    Raises:
        ConfigError: the name does not end in a known format, or the encoder of MP4 is not installed.
        DataError: there is no picture.
        OutputExistsError: the file is there.

    Example:
        >>> import tempfile
        >>> red, blue = (Image.new("RGB", (16, 8), color) for color in ("red", "blue"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_pictures(f"{folder}/film.gif", [red, blue], fps=4)
        ...     Image.open(f"{folder}/film.gif").n_frames
        2
    """
    path = check_output(path)
    frames = iter(pictures)
    first = next(frames, None)
    if first is None:
        raise DataError(path, "pictures", "at least one", 0)
    film = itertools.chain([first], (_fitted(frame, first.size) for frame in frames))
    with whole_file(path) as scratch:
        kind = path.suffix.lower()
        if kind in STILLS:
            first.save(scratch, **({"optimize": True} if kind == ".png" else {"quality": 90}))
        elif kind == ".gif":
            _write_gif(scratch, film, fps, np.zeros((0, 3), np.uint8) if colors is None else colors)
        else:
            _write_mp4(scratch, film, first.size, fps)
        if path.exists():
            raise OutputExistsError(path, "out", "a file that does not exist", "one that came meanwhile")


def _fitted(frame: Image.Image, size: tuple[int, int]) -> Image.Image:
    return frame if frame.size == size else ImageOps.pad(frame, size, color=(255, 255, 255))


def _write_gif(path: Path, frames: Iterator[Image.Image], fps: float, colors: np.ndarray) -> None:
    reduced = (index_picture(frame, colors) for frame in frames)
    first = next(reduced)
    first.save(path, save_all=True, append_images=reduced, duration=round(1000 / fps), loop=0)


def _write_mp4(path: Path, frames: Iterator[Image.Image], size: tuple[int, int], fps: float) -> None:
    width, height = (value - value % 2 for value in size)  # H.264 halves the resolution of colour
    ffmpeg, count = _ffmpeg(), 0
    writer = ffmpeg.write_frames(str(path), (width, height), fps=fps, codec="libx264", macro_block_size=2, quality=7)
    writer.send(None)
    try:
        for frame in frames:
            writer.send(np.ascontiguousarray(np.asarray(frame.convert("RGB"))[:height, :width]))
            count += 1
    finally:
        writer.close()
    try:  # the encoder tells nobody what it could not write
        written = ffmpeg.count_frames_and_secs(str(path))[0]
    except (RuntimeError, OSError):
        written = 0
    if written < count:
        raise DataError(path, "film", f"{count} pictures in it", f"{written}: is there space on the disk?")


def _ffmpeg() -> Any:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ConfigError("imageio-ffmpeg", "import", "pip install imageio-ffmpeg, to write MP4", error) from error
    return imageio_ffmpeg
