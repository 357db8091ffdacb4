# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of own cameras in, occupancy files out: the same labels as the predictor gives."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import ExifTags, Image

from gsocc_core import OCC3D_NUSCENES, OccupancyPredictor
from gsocc_core.commands.cli import main
from gsocc_core.data.images import decode_image
from gsocc_core.export.gaussian_ply import read_gaussians_ply
from gsocc_core.export.scene_npz import read_scene
from gsocc_core.rigs.nuscenes_rig import read_nuscenes
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_core.viewer.open_source import open_source

from ..seen_depth import write_bundle  # noqa: TID252 - tests are no package

EXAMPLE = Path(__file__).parents[2] / "config" / "rigs" / "example_calibrated.yaml"


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors gain nothing from threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def own(tiny_tree, tmp_path):
    """A rig file and a folder per camera with the pictures of one scene, named by number."""
    rig, _ = read_nuscenes(tiny_tree, "v1.0-tiny", "scene-a")
    rig.save(tmp_path / "rig.yaml")
    for name in rig.names:
        files = sorted((tiny_tree / "samples" / name).glob("scene-a-*.jpg"))
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i, file in enumerate(files):
            shutil.copy(file, tmp_path / "pictures" / name / f"{i:04d}.jpg")
    return tmp_path, CameraRig.load(tmp_path / "rig.yaml")


def predict(bundle, folder, *more):
    words = ["--images", str(folder / "pictures"), "--rig", str(folder / "rig.yaml"), "--out", str(folder / "out")]
    main(["predict", "--bundle", str(bundle), *words, "--device", "cpu", *more])
    return folder / "out"


def test_every_set_gets_the_labels_of_the_predictor(own, tiny_bundle):
    folder, rig = own
    (folder / "pictures" / "CAM_BACK" / "0001.jpg").unlink()
    out = predict(tiny_bundle, folder, "--pictures", "true", "--gaussians", "true")
    assert sorted(path.name for path in out.iterdir()) == ["0000", "0001", "0002"]
    predictor = OccupancyPredictor.load(tiny_bundle, "cpu")
    for name in ("0000", "0001"):
        files = [folder / "pictures" / camera / f"{name}.jpg" for camera in rig.names]
        images = [decode_image(file) if file.exists() else None for file in files]
        predictor.reset()
        expected = predictor.predict(images, rig.cameras)
        with np.load(out / name / "labels.npz") as stored:
            assert stored.files == ["semantics"]
            assert stored["semantics"].dtype == np.uint8
            assert stored["semantics"].shape == (200, 200, 16)
            assert (stored["semantics"] == expected.grid.labels.numpy()).mean() > 0.999
        scene = read_scene(out / name / "scene.npz")
        torch.testing.assert_close(scene.gaussians.means, expected.scene.means, atol=1e-3, rtol=0)
        assert scene.classes == OCC3D_NUSCENES.with_channels(range(1, 17))
        assert torch.equal(read_gaussians_ply(out / name / "gaussians.ply").means, scene.gaussians.means)
        with Image.open(out / name / "picture.png") as picture:
            assert picture.width == 1200


def test_snapshots_of_own_pictures_can_be_viewed(own, tiny_bundle, capsys):
    folder, rig = own
    (folder / "pictures" / "CAM_BACK" / "0001.jpg").unlink()
    out = predict(tiny_bundle, folder, "--snapshots", "true", "--limit", "2")
    source = open_source(out, "none")
    assert len(source) == 2
    second = source.frame(1)
    with np.load(out / "0001" / "labels.npz") as stored:
        np.testing.assert_array_equal(second.prediction.labels.numpy(), stored["semantics"])
    views = {view.camera.name: view for view in second.views}
    np.testing.assert_allclose(views["CAM_FRONT"].camera.T_ego_cam, rig.cameras[rig.names.index("CAM_FRONT")].T_ego_cam)
    assert views["CAM_BACK"].image is None
    kept = out / "0001" / "pictures" / "CAM_FRONT.jpg"
    assert kept.read_bytes() == (folder / "pictures" / "CAM_FRONT" / "0001.jpg").read_bytes()
    assert second.gaussians is not None
    main(["view", str(out), "--out", str(folder / "view.png"), "--width", "400"])
    assert Image.open(folder / "view.png").width == 400

    shutil.rmtree(out)
    predict(tiny_bundle, folder, "--limit", "1")
    with pytest.raises(SystemExit):
        main(["view", str(out), "--out", str(folder / "again.png")])
    assert "--snapshots true` writes some" in capsys.readouterr().err


def test_depth_beside_own_pictures_goes_to_the_model(own, tiny_bundle, monkeypatch, caplog, capsys):
    folder, rig = own
    bundle = write_bundle(monkeypatch, folder / "seen_depth")
    words = ("--depth_dir", str(folder / "depth"))
    for i, name in enumerate(rig.names):
        (folder / "depth" / name).mkdir(parents=True)
        for number in range(3):
            millimetres = np.full((45, 80), 3000 + 500 * i + number, np.uint16)
            Image.fromarray(millimetres).save(folder / "depth" / name / f"{number:04d}.png")
    (folder / "depth" / "CAM_BACK" / "0001.png").unlink()
    np.save(folder / "depth" / "CAM_FRONT" / "0001.npy", np.full((90, 160), 9.5))
    (folder / "depth" / "CAM_FRONT" / "0001.png").unlink()
    out = predict(bundle, folder, *words)
    predictor = OccupancyPredictor.load(bundle, "cpu")
    images = [np.zeros((45, 80, 3), np.uint8)] * 6
    depths_m = [np.full((45, 80), (3001 + 500 * i) / 1000, np.float32) for i in range(6)]
    depths_m[rig.names.index("CAM_BACK")], depths_m[rig.names.index("CAM_FRONT")] = None, np.full((45, 80), 9.5)
    expected = predictor.predict(images, rig.cameras, depths_m=depths_m).grid.labels.numpy()
    with np.load(out / "0001" / "labels.npz") as stored:
        np.testing.assert_array_equal(stored["semantics"], expected)
    assert set(np.unique(expected)) == {1, 2, 3, 4, 5, 6, 17} - {1 + rig.names.index("CAM_BACK")}

    shutil.rmtree(out)
    Image.fromarray(np.full((45, 45), 3000, np.uint16)).save(folder / "depth" / "CAM_BACK" / "0002.png")
    with pytest.raises(SystemExit):
        predict(bundle, folder, *words)
    told = "CAM_BACK/0002.png: depth: expected (h, w) of the picture's aspect, 45 : 80, received (45, 45)"
    assert told in capsys.readouterr().err
    assert [path.name for path in folder.glob("*out*")] == ["out.incomplete"]  # what was whole stays, to go on from
    shutil.rmtree(folder / "out.incomplete")
    predict(tiny_bundle, folder, *words, "--limit", "1")
    assert "looks at no depth; it is passed over" in caplog.text


def test_a_mixed_rig_of_pinholes_and_fisheyes_predicts(tmp_path, tiny_bundle):
    rig = CameraRig.load(EXAMPLE)
    (tmp_path / "pictures").mkdir()
    shutil.copy(EXAMPLE, tmp_path / "rig.yaml")
    rng = np.random.default_rng(0)
    for camera in rig.cameras[:3]:  # the right one is missing
        small = Image.fromarray(rng.integers(0, 255, (8, 8, 3)).astype(np.uint8))
        small.resize((camera.width, camera.height)).save(tmp_path / "pictures" / f"{camera.name}.jpg")
    out = predict(tiny_bundle, tmp_path, "--pictures", "true")
    with np.load(out / "pictures" / "labels.npz") as stored:
        assert stored["semantics"].shape == (200, 200, 16)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--images", "x"], "either --dataroot, or --images with --rig, received --images alone"),
        (["--rig", "x"], "received --rig alone"),
        ([], "received neither"),
        (["--dataroot", "x", "--images", "x", "--rig", "x"], "received --dataroot and --images and --rig"),
        (["--dataroot", "x", "--pictures", "true"], "writes Gaussians of a tree"),
        (["--dataroot", "x", "--depth_dir", "y"], "--input_depth_dir for the depth of a data set, received y"),
        (
            ["--images", "x", "--rig", str(EXAMPLE), "--input_depth_dir", "y"],
            "--depth_dir is for the depth of own pictures",
        ),
    ],
)
def test_the_input_is_one_of_two(words, expected, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["predict", "bundle", "--out", str(tmp_path / "out"), *words])
    assert expected in capsys.readouterr().err


def test_turned_pictures_are_predicted_upright(own, tiny_bundle, capsys):
    """A robot with cameras upside down: the file is turned and says so, the rig describes the upright picture."""
    folder, rig = own
    for camera in rig.names:
        place = folder / "pictures" / camera
        with Image.open(place / "0000.jpg") as image:
            upright = image.convert("RGB")
        for file in place.iterdir():
            file.unlink()
        exif = Image.Exif()
        upright.save(place / "0000.png")
        for number, orientation, turn in (
            (1, 3, Image.Transpose.ROTATE_180),
            (2, 6, Image.Transpose.ROTATE_90),
            (3, 1, Image.Transpose.ROTATE_180),
        ):
            exif[ExifTags.Base.Orientation] = orientation
            upright.transpose(turn).save(place / f"000{number}.png", exif=exif)
    out = predict(tiny_bundle, folder)
    plain, turned, sideways, untold = (np.load(out / f"000{i}" / "labels.npz")["semantics"] for i in range(4))
    assert np.array_equal(turned, plain)
    assert np.array_equal(sideways, plain)
    assert not np.array_equal(untold, plain)  # the model does see the difference
    # A rig that was calibrated with the stored picture contradicts it.
    content = yaml.safe_load((folder / "rig.yaml").read_text())
    content["cameras"]["CAM_BACK"] |= {"width": 45, "height": 80, "intrinsics": [60.0, 60.0, 22.5, 40.0]}
    (folder / "rig.yaml").write_text(yaml.safe_dump(content))
    for other in (0, 1, 3):
        (folder / "pictures" / "CAM_BACK" / f"000{other}.png").unlink()
    shutil.rmtree(out)
    with pytest.raises(SystemExit):
        predict("nowhere", folder)
    expected = "received 80 x 45 (upright; stored turned, with EXIF orientation 6)"
    assert expected in capsys.readouterr().err


def test_folders_without_any_picture_are_an_error(own, tiny_bundle, capsys):
    folder, rig = own
    for path in (folder / "pictures").rglob("*.jpg"):
        path.unlink()
    for expected in ("received none", "named CAM_FRONT_LEFT"):
        with pytest.raises(SystemExit):
            predict(tiny_bundle, folder)
        assert f"{folder / 'pictures'}: images: expected" in (error := capsys.readouterr().err)
        assert expected in error
        for name in rig.names:
            if (folder / "pictures" / name).is_dir():
                (folder / "pictures" / name).rmdir()
    assert not (folder / "out").exists()


def test_faults_come_before_the_model_and_leave_nothing(own, capsys):
    folder, _ = own
    wrong = folder / "pictures" / "CAM_BACK" / "0002.jpg"
    good = wrong.read_bytes()
    Image.new("RGB", (40, 45)).save(wrong)
    with pytest.raises(SystemExit):
        predict("nowhere", folder)
    assert "0002.jpg: picture size: expected 80 x 45 pixels" in (error := capsys.readouterr().err)
    assert "received 40 x 45" in error
    wrong.write_bytes(b"no picture")
    with pytest.raises(SystemExit):
        predict("nowhere", folder)
    assert "0002.jpg: content" in capsys.readouterr().err
    wrong.write_bytes(good)
    content = yaml.safe_load((folder / "rig.yaml").read_text())
    content["cameras"]["CAM_BACK"]["T_ego_cam"][0][0] += 0.5
    (folder / "rig.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(SystemExit):
        predict("nowhere", folder)
    assert (
        "cameras.CAM_BACK.T_ego_cam: expected a rotation; `gsocc_core check-rig` says more" in capsys.readouterr().err
    )
    assert not (folder / "out").exists()
    assert not list(folder.glob("*.incomplete"))
