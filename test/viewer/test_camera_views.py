# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``gsocc_core compare-views`` on a small tree with predictions beside it."""

import numpy as np
import pytest
from PIL import Image

from gsocc_core.commands.cli import main
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.metrics.image_metrics import TOP_DOWN
from gsocc_core.viewer.camera_views import write_camera_views
from gsocc_core.viewer.open_source import open_source

SCENE = "scene-a"


@pytest.fixture(scope="module")
def predictions(tiny_tree, tmp_path_factory):
    """The ground truth without its block of cars."""
    folder = tmp_path_factory.mktemp("predictions")
    for path in (tiny_tree / "gts" / SCENE).glob("*/labels.npz"):
        labels = np.load(path)["semantics"]
        labels[labels == 4] = 17
        (folder / SCENE / path.parent.name).mkdir(parents=True)
        np.savez_compressed(folder / SCENE / path.parent.name / "labels.npz", semantics=labels)
    return folder


def test_the_command_writes_a_picture_and_prints_scores(tiny_tree, predictions, tmp_path, capsys):
    out = tmp_path / "views.png"
    words = [str(tiny_tree), "--out", str(out), "--version", "v1.0-tiny", "--scene", SCENE]
    main(["compare-views", *words, "--predictions", str(predictions), "--tile_width", "64", "--only_seen", "false"])
    with Image.open(out) as picture:
        assert picture.width > 3 * 64
    *table, told = capsys.readouterr().out.splitlines()
    assert told == str(out)
    rows = {line.split("|")[1].strip(): line.split("|")[2:5] for line in table[2:]}
    assert {"all cameras", "top_down", "CAM_FRONT", "CAM_BACK"} <= set(rows)
    miou, _, depth = map(float, rows["CAM_FRONT"])
    assert miou < 55, "road, and no car"
    assert depth > 0.1
    assert all(np.isfinite([float(v) for v in row]).all() for row in rows.values())


def test_a_blinking_film_shows_one_frame_twice(tiny_tree, predictions, tmp_path):
    source = open_source(tiny_tree, "v1.0-tiny", SCENE, predictions=predictions)
    metric = write_camera_views(source, tmp_path / "blink.gif", frame=-1, blink=True, tile_width=64)
    with Image.open(tmp_path / "blink.gif") as film:
        assert film.n_frames == 2
    pixels = [metric.scores([view]).pixels for view in metric.views if view != TOP_DOWN]
    assert len(pixels) == 6
    assert pixels[0] > 0
    assert set(pixels) == {pixels[0]}
    assert pixels[0] % 64 == 0


def test_what_cannot_be_compared_is_named(tiny_tree, predictions, tmp_path):
    source = open_source(tiny_tree, "v1.0-tiny", SCENE)
    with pytest.raises(DataError, match="prediction"):
        write_camera_views(source, tmp_path / "a.png")
    assert not list(tmp_path.iterdir()), "nothing half-done"
    with pytest.raises(ConfigError, match="frame"):
        write_camera_views(source, tmp_path / "a.png", frame=9)
    with pytest.raises(ConfigError, match="blink"):
        write_camera_views(source, tmp_path / "a.png", blink=True)
    with pytest.raises(ConfigError, match="tile_width"):
        write_camera_views(source, tmp_path / "a.png", tile_width=3)
