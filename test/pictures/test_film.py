# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures and films appear complete or not at all."""

import sys

import numpy as np
import pytest
from PIL import Image

from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.pictures import write_pictures

COLORS = ((220, 30, 30), (30, 200, 40), (40, 60, 230))
SIZE = (65, 48)  # an odd width, which H.264 does not know


def frames(size=SIZE):
    return [Image.new("RGB", size, color) for color in COLORS]


def middle(image):
    return np.asarray(image.convert("RGB"))[20:28, 28:36].reshape(-1, 3).mean(0)


def test_one_picture(tmp_path):
    write_pictures(tmp_path / "sub" / "a.png", iter(frames()))
    assert middle(Image.open(tmp_path / "sub" / "a.png")) == pytest.approx(COLORS[0])


def test_a_gif_shows_all_frames_in_order(tmp_path):
    write_pictures(tmp_path / "a.gif", iter([*frames(), Image.new("RGB", (130, 96), (250, 250, 0))]), fps=4)
    with Image.open(tmp_path / "a.gif") as film:
        assert (film.n_frames, film.size, film.info["duration"]) == (4, SIZE, 250)
        for i, color in enumerate((*COLORS, (250, 250, 0))):
            film.seek(i)
            assert middle(film) == pytest.approx(color, abs=4)


def test_an_mp4_shows_all_frames_in_order(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    write_pictures(tmp_path / "a.mp4", iter(frames()), fps=5)
    reader = ffmpeg.read_frames(str(tmp_path / "a.mp4"))
    about = next(reader)
    shown = [np.frombuffer(data, np.uint8).reshape(*about["size"][::-1], 3) for data in reader]
    assert (about["size"], about["fps"], len(shown)) == ((64, 48), 5, 3)
    for picture, color in zip(shown, COLORS, strict=True):
        assert picture[20:28, 28:36].reshape(-1, 3).mean(0) == pytest.approx(color, abs=12)


def test_nothing_is_overwritten_and_nothing_half_written_stays(tmp_path):
    (tmp_path / "there.png").write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        write_pictures(tmp_path / "there.png", frames())
    with pytest.raises(ConfigError, match=r"\.mp4"):
        write_pictures(tmp_path / "a.avi", frames())
    with pytest.raises(DataError, match="at least one"):
        write_pictures(tmp_path / "none.gif", [])

    def broken():
        yield frames()[0]
        raise RuntimeError("damaged label file")

    for name in ("a.gif", "a.mp4"):
        with pytest.raises(RuntimeError, match="damaged"):
            write_pictures(tmp_path / name, broken())
    assert [path.name for path in tmp_path.iterdir()] == ["there.png"]


def test_a_missing_encoder_is_named_with_its_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ConfigError, match=r"pip install imageio-ffmpeg"):
        write_pictures(tmp_path / "a.mp4", frames())
