# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What can be opened, and what is told when it cannot."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.commands import cli
from gsocc_core.data.args import DataArgs
from gsocc_core.data.nuscenes import NuScenesOccupancy
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.inference.predictor import OccupancyPredictor
from gsocc_core.rigs.overlay import depth_colors
from gsocc_core.splat import splat_to_image
from gsocc_core.viewer.comparison import ERROR_CLASSES
from gsocc_core.viewer.open_source import open_source, show
from gsocc_core.viewer.snapshot import SnapshotSource
from gsocc_core.viewer.still import draw_frame


@pytest.fixture(scope="module")
def predictions(tiny_tree, tmp_path_factory):
    """What ``gsocc_core predict`` would write, for one of three key frames: ground truth with one more car voxel."""
    folder = tmp_path_factory.mktemp("predictions")
    with np.load(tiny_tree / "gts" / "scene-a" / "scene-a-1" / "labels.npz") as content:
        semantics = content["semantics"].copy()
    semantics[0, 0, 5] = 4
    (folder / "scene-a" / "scene-a-1").mkdir(parents=True)
    np.savez_compressed(folder / "scene-a" / "scene-a-1" / "labels.npz", semantics=semantics)
    return folder


def test_a_drive_without_a_model(tiny_tree):
    source = open_source(tiny_tree, "v1.0-tiny", scene="scene-b")
    assert (source.name, len(source)) == ("scene-b", 3)
    frame = source.frame(2)
    assert frame.prediction is None
    assert not frame.pending
    assert frame.truth.observed.any()
    assert set(frame.images) == {view.camera.name for view in frame.views}
    assert frame.images["CAM_FRONT"].shape == (45, 80, 3)
    # Pictures are older than the reference time by up to 50 ms at 5 m/s.
    front = next(view.camera for view in frame.views if view.camera.name == "CAM_FRONT")
    assert 0.1 < np.linalg.norm((front.T_ref_cam - front.T_ego_cam)[:3, 3]) < 0.3
    assert open_source(tiny_tree, "v1.0-tiny", occ3d_dir=None).frame(0).truth is None


def test_written_predictions(tiny_tree, predictions):
    source = open_source(tiny_tree, "v1.0-tiny", predictions=predictions)
    assert source.frame(0).prediction is None
    frame = source.frame(1)
    assert (frame.prediction.labels != frame.truth.labels).sum() == 1
    with pytest.raises(DataError, match="predictions of scene-b"):
        open_source(tiny_tree, "v1.0-tiny", scene="scene-b", predictions=predictions)
    (predictions / "scene-a" / "scene-a-2").mkdir()
    (predictions / "scene-a" / "scene-a-2" / "labels.npz").write_bytes(b"cut short")
    with pytest.raises(DataError, match="predicted labels"):
        source.frame(2)
    shutil.rmtree(predictions / "scene-a" / "scene-a-2")


def test_a_live_model_predicts_in_order(tiny_tree, tiny_bundle):
    source = open_source(tiny_tree, "v1.0-tiny", bundle=tiny_bundle, device="cpu")
    ready = []
    source.start(ready.append)
    last = source.frame(2)
    assert last.prediction.labels.shape == (200, 200, 16)
    assert len(last.gaussians.labels) == 50
    assert set(last.gaussians.labels.tolist()) <= set(range(1, 17))
    source.close()
    assert ready == [0, 1, 2]


def test_rendered_depth_stands_beside_the_cameras(tiny_tree, tiny_bundle):
    source = open_source(tiny_tree, "v1.0-tiny", bundle=tiny_bundle, device="cpu", depth=True)
    frame = source.frame(0)
    source.close()
    assert list(frame.depths) == list(frame.images)
    plain = replace(frame, depths={})
    assert draw_frame(frame, width=300).height > draw_frame(plain, width=300).height
    dataset = NuScenesOccupancy(DataArgs(str(tiny_tree), "v1.0-tiny"), (32, 64))
    predicted = OccupancyPredictor.load(tiny_bundle, "cpu").predict_frames(dataset[0])
    cameras = dataset[0].cameras.map(lambda t: t[0, 0])
    found = splat_to_image(predicted.scene.replace(velocities=None), cameras)
    for v, name in enumerate(dataset.args.cameras):
        hit = found.alpha[v] > 0
        assert frame.depths[name].shape == (32, 64, 3)
        assert (frame.depths[name][~hit.numpy()] == 255).all()
        assert np.array_equal(frame.depths[name][hit.numpy()], depth_colors(found.depth[v][hit].numpy()))
    with pytest.raises(ConfigError, match="view: depth: expected a bundle"):
        open_source(tiny_tree, "v1.0-tiny", depth=True)


def test_what_cannot_be_opened(tiny_tree, predictions, tmp_path):
    with pytest.raises(ConfigError, match="one of the two"):
        open_source(tiny_tree, "v1.0-tiny", bundle="b", predictions=predictions)
    with pytest.raises(DataError, match="no such folder"):
        open_source(tmp_path / "absent", "v1.0-tiny")
    (tmp_path / "metadata.yaml").touch()
    with pytest.raises(ConfigError, match="gsocc_core view-bag"):
        open_source(tmp_path, "v1.0-tiny")
    with pytest.raises(DataError, match="snapshot"):
        SnapshotSource(tmp_path)


def test_pictures_from_the_command_line(tiny_tree, predictions, tmp_path, capsys):
    common = ["view", str(tiny_tree), "--version", "v1.0-tiny", "--predictions", str(predictions), "--width", "300"]
    cli.main([*common, "--frame", "1", "--out", str(tmp_path / "a.png")])
    three_panels = Image.open(tmp_path / "a.png")
    cli.main([*common, "--frame", "-1", "--out", str(tmp_path / "b.png")])
    one_panel = Image.open(tmp_path / "b.png")
    assert three_panels.width == one_panel.width == 300
    assert one_panel.height > three_panels.height, "ground truth alone has all the width"
    cli.main([*common, "--out", str(tmp_path / "c.gif")])
    with Image.open(tmp_path / "c.gif") as film:
        assert film.n_frames == 3
        film.seek(1)
        top = round((film.height - three_panels.height) / 2)  # fitted into the size of the first frame
        film_frame = film.convert("RGB").crop((0, top, 300, top + three_panels.height))
    shown, drawn = np.asarray(film_frame), np.asarray(three_panels.convert("RGB"))
    for color in (*OCC3D_NUSCENES.colors[:17], *ERROR_CLASSES.colors[:4]):
        exact = (drawn == color).all(-1)
        assert (shown[exact] == color).all()
    assert (drawn == OCC3D_NUSCENES.colors[4]).all(-1).sum() > 100, "the legend"
    for words, told in (
        (["--frame", "3", "--out", "d.png"], "-3 ... 2"),
        (["--out", "d.tiff"], ".mp4"),
        (["--out", str(tmp_path / "a.png")], "does not exist"),
        (["--scene", "scene-z", "--out", "d.png"], "scene-z"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main([*common, *words])
        assert ended.value.code == 2
        assert told in capsys.readouterr().err


def test_a_frame_without_voxels_cannot_be_drawn(tiny_tree):
    source = open_source(tiny_tree, "v1.0-tiny", occ3d_dir=None)
    with pytest.raises(DataError, match="ground truth"):
        draw_frame(source.frame(0))
    with pytest.raises(ConfigError, match="fps"):
        show(source, out="x.gif", fps=0)
