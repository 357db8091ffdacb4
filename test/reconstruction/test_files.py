# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""From a folder of pictures to a folder of files that other commands and programs read; nothing is half written."""

import json

import numpy as np
import pytest
import torch
from known_scene import ROOM, K, KnownScene, look, photos, pose
from PIL import Image

from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.export.gaussian_ply import read_gaussians_ply
from gsocc_core.export.query_files import Question, query_scene
from gsocc_core.export.reconstruction_files import PhotoArgs, reconstruct_photos
from gsocc_core.export.scene_npz import read_scene
from gsocc_core.geometry.cameras import Camera
from gsocc_core.reconstruction.reconstructor import Reconstructor
from gsocc_core.reconstruction.scale import ScaleHints
from gsocc_core.rigs.checks import check_rig
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_core.text.class_prompts import ClassPrompts
from gsocc_core.text.encoder import load_text_encoder
from gsocc_core.viewer.snapshot import SnapshotSource

POSES = [pose(y=-0.3), pose(y=0.1, yaw=6), pose(y=0.5, z=1.3, yaw=-6)]
NAMES = ("floor", "wall", "ceiling", "box")


class WordScene(KnownScene):
    """Its features lead to the embeddings of the words for what is there."""

    def word_map(self):
        return load_text_encoder("wordllama").embed(NAMES).T, torch.zeros(256)


def prompts():
    return ClassPrompts(NAMES, NAMES, load_text_encoder("wordllama").embed(NAMES), "wordllama")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "photos"
    made.mkdir()
    for photo in photos(POSES):
        Image.fromarray(photo.picture).save(made / f"{photo.name}.png")
    return made


@pytest.fixture
def model():
    return Reconstructor(WordScene(POSES, 0.4), "known", prompts())


def test_everything_that_is_written_reads_back(folder, model, tmp_path):
    out = tmp_path / "out"
    args = PhotoArgs(folder, focal_px=K[0, 0])
    result = reconstruct_photos(args, model, out, ScaleHints(mounting_height_m=1.2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]
    about = json.loads((out / "reconstruction.json").read_text())
    assert about["scale"] == {"source": "mounting_height", "unit_m": pytest.approx(0.4, rel=0.01)}
    assert set(about["confidence"]) == {"p0", "p1", "p2"}

    rig = CameraRig.load(out / "cameras.yaml")
    sizes = {photo.name: photo.picture.shape[1::-1] for photo in result.photos}
    assert not [f for f in check_rig(rig, sizes) if f.level in {"error", "warning"}]
    assert rig.anchor == "p0"
    np.testing.assert_allclose(rig.cameras[2].T_ego_cam[:3, 3], [0.0, 0.8, 1.3], atol=0.03)

    ply = read_gaussians_ply(out / "gaussians.ply")
    torch.testing.assert_close(ply.means, result.scene.means)
    assert ply.colors_sh.shape[1] == 16
    stored = read_scene(out / "scene.npz")
    assert torch.equal(stored.grid.labels, result.grid.labels)
    assert torch.equal(stored.grid.observed, result.grid.observed)

    source = SnapshotSource(out)
    frame = source.frame(0)
    assert torch.equal(frame.prediction.observed, result.grid.observed)
    np.testing.assert_array_equal(frame.views[1].image, look(POSES[1])[2])
    assert frame.gaussians.colors.shape == (len(result.scene), 3)
    assert 0.2 < frame.gaussians.colors.std() < 0.5
    lit = frame.ask(["crate"]).scores[0]
    box = result.grid.labels == 3
    assert lit[box].median() > lit[(result.grid.labels < 3)].median() + 0.2


def test_query_of_the_folder_finds_the_box_where_it_stands(folder, model, tmp_path):
    reconstruct_photos(PhotoArgs(folder, focal_px=K[0, 0]), model, tmp_path / "out", ScaleHints(mounting_height_m=1.2))
    (found,) = query_scene(tmp_path / "out", Question(("box",), tmp_path / "asked", ("floor", "wall", "ceiling")))
    assert found.voxels > 10
    assert found.nearest_m == pytest.approx(3.5, abs=0.4)
    assert {path.name for path in (tmp_path / "asked").iterdir()} == {"00_box.ply", "picture.png", "scores.npz"}


def test_a_rig_file_gives_poses_and_metres_or_intrinsics_alone(folder, model, tmp_path):
    cameras = [Camera(f"p{i}", K, T, 32, 32) for i, T in enumerate(POSES)]
    CameraRig.of(cameras).save(tmp_path / "rig.yaml")
    args = PhotoArgs(folder, rig=tmp_path / "rig.yaml")
    known = reconstruct_photos(args, model, tmp_path / "a")
    assert (known.scale.source, known.known_poses, known.notes) == ("poses", True, ())
    assert "no calibration" not in (tmp_path / "a" / "cameras.yaml").read_text()
    args = PhotoArgs(folder, rig=tmp_path / "rig.yaml", rig_gives="intrinsics")
    assert reconstruct_photos(args, model, tmp_path / "b").scale.source == "unknown"
    assert ROOM[1, 0] > known.scene.means[:, 0].max() - 3


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"name": "other"}, ConfigError, "cameras: expected cameras called like the pictures, such as p0"),
        ({"width": 64}, DataError, r"p0.png: picture size: expected 64 x 32"),
        ({"distortion": (0.1, 0, 0, 0)}, ConfigError, "cameras.p0: expected pinhole lenses without distortion"),
    ],
)
def test_a_rig_that_does_not_fit_is_one_line_and_leaves_nothing(folder, model, tmp_path, change, error, message):
    camera = {"name": "p0", "intrinsics": K, "T_ego_cam": POSES[0], "width": 32, "height": 32} | change
    CameraRig.of([Camera(**camera)]).save(tmp_path / "rig.yaml")
    with pytest.raises(error, match=message):
        reconstruct_photos(PhotoArgs(folder, rig=tmp_path / "rig.yaml"), model, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "rig.yaml"]


def test_nothing_is_half_written_or_overwritten(folder, model, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="scale poses: expected known poses"):
        reconstruct_photos(PhotoArgs(folder), model, out, ScaleHints("poses"))
    monkeypatch.setattr("gsocc_core.export.reconstruction_files.save_scene_words", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        reconstruct_photos(PhotoArgs(folder), model, out)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    out.mkdir()
    with pytest.raises(OutputExistsError, match="out: expected a folder that does not exist"):
        reconstruct_photos(PhotoArgs(folder), model, out)
