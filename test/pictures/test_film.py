# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures and films appear complete or not at all."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from gsocc_core import OCC3D_NUSCENES, SemanticGrid, VoxelGrid
from gsocc_core.errors import ConfigError, DataError, OutputExistsError, ShapeError
from gsocc_core.pictures import class_colors, draw_comparison, write_pictures

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


def test_a_gif_keeps_the_colours_of_classes_in_every_frame(tmp_path):
    """One bus on a meadow, below photographs that fill any palette: in each frame a bus is yellow, as in the legend."""
    colors, rng = class_colors(OCC3D_NUSCENES), np.random.default_rng(0)
    drawn = []
    for k in range(3):
        labels = torch.full((16, 16, 4), 17, dtype=torch.uint8)
        labels[:, :, 0], labels[4 + k, 5, 1:3], labels[12, 8, 1] = 14, 3, 7
        grid = SemanticGrid(labels, VoxelGrid((-24.0, -24.0, -1.0), (24.0, 24.0, 11.0), 3.0), OCC3D_NUSCENES)
        photo = rng.integers(0, 256, (90, 160, 3)).astype(np.uint8)
        drawn.append(draw_comparison({"front": photo}, grid, title=f"{k}", width=400))
    write_pictures(tmp_path / "a.gif", drawn, fps=2.5, colors=colors)
    with Image.open(tmp_path / "a.gif") as film:
        assert (film.n_frames, film.info["duration"]) == (3, 400)
        for k, frame in enumerate(drawn):
            film.seek(k)
            shown, wanted = np.asarray(film.convert("RGB")), np.asarray(frame)
            for name in (14, 3, 7):
                for shade in (1.0, 0.86, 0.74):
                    color = (np.array(OCC3D_NUSCENES.colors[name]) * shade).astype(np.uint8)
                    exact = (wanted == color).all(-1)
                    assert shade < 1 or exact.sum() > 150, "the legend shows the class"
                    assert (shown[exact] == color).all()
            # What lies between the shades of the bus is yellow, more red than green, and the meadow is not.
            yellow = (wanted[..., 0] > 150) & (wanted[..., 1] > 130) & (wanted[..., 2] < 30)
            yellow[:113] = False  # the photograph
            assert yellow.sum() > 40
            assert (shown[yellow][:, 0] > shown[yellow][:, 1]).all()
            assert np.abs(shown.astype(int) - wanted).mean() < 12


def test_more_colours_than_a_gif_holds(tmp_path):
    """Those that a frame shows come first."""
    rng = np.random.default_rng(1)
    colors = rng.integers(0, 256, (600, 3)).astype(np.uint8)
    shown = colors[rng.permutation(600)[:120]]
    frame = rng.integers(0, 256, (60, 120, 3)).astype(np.uint8)
    frame[30:40] = shown
    write_pictures(tmp_path / "a.gif", [Image.fromarray(frame)], colors=colors)
    with Image.open(tmp_path / "a.gif") as film:
        assert (np.asarray(film.convert("RGB"))[30:40] == shown).all()
    with pytest.raises(ShapeError, match="exact"):
        write_pictures(tmp_path / "b.gif", frames(), colors=np.zeros((3, 4), np.uint8))


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
