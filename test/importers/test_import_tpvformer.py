# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""TPVFormer's files: every published tensor is accounted for, and what is imported computes what its code does."""

import math
from dataclasses import replace
from pathlib import Path

import published_tpvformer as published
import pytest
import torch
from published_files import table
from published_tpvformer import FULL, SMALL, TPV04, checkpoint, layout, points
from tiny_frames import frames, surround_cameras

from gsocc_core import Camera, Cameras, OccupancyPredictor
from gsocc_core.commands.cli import main
from gsocc_core.data.build import check_fit
from gsocc_core.data.nuscenes import NuScenesOccupancy
from gsocc_core.data.surroundocc import SurroundOccNuScenes
from gsocc_core.errors import BundleError, OutputExistsError
from gsocc_core.importers import tpvformer
from gsocc_core.importers.bundles import changed
from gsocc_core.importers.checkpoint_files import Weights
from gsocc_core.importers.key_map import carry_over
from gsocc_core.importers.tpvformer import import_tpvformer, tpvformer_keys
from gsocc_core.inference.bundle import load_bundle
from gsocc_core.losses.gaussrender import OpacityHead
from gsocc_core.methods.build import build_method, parse_arguments
from gsocc_core.methods.tpvformer import as_planes
from gsocc_core.networks.pictures import place_points
from gsocc_core.training.initial_weights import start_from
from gsocc_core.yaml_files import read_yaml

ROOT = Path(__file__).parents[2]

#: The published sizes, reduced, as our configuration calls them.
MODEL = {
    "grid": {"lower": list(SMALL.lower_m), "upper": [4.8, 4.0, 2.2], "voxel_size": [0.8, 0.8, 0.4]},
    "image_size": [40, 64],
    "backbone": {"model_args": {"embedding_size": 8, "hidden_sizes": [16, 16, 24, 32], "depths": [1, 1, 2, 1]}},
    "network": {"dim": 16, "num_layers": 2, "num_heads": 2, "pillar_points": [2, 4, 4], "feed_hidden": 24,
                "head_hidden": 20},
}  # fmt: skip
WIDTH, HEIGHT = 64, 40


def batch(v=4):
    """Pictures that look ahead, to the left, back and to the right, some cells of the planes seen by two of them."""
    g = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (1, 1, v, 3, HEIGHT, WIDTH), generator=g, dtype=torch.uint8)
    cameras = surround_cameras(1, 1, v, WIDTH, HEIGHT)
    return replace(frames(1, v), images=images, cameras=cameras, targets=None)


def headed_cameras(headings_deg):
    poses = []
    for degrees in headings_deg:
        T = torch.eye(4)
        T[:3, 2] = torch.tensor([math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), 0.0])
        T[:3, 1] = torch.tensor([0.0, 0.0, -1.0])
        T[:3, 0] = torch.linalg.cross(T[:3, 1], T[:3, 2])
        T[2, 3] = 1.5
        poses.append(T)
    K = torch.tensor([[0.6 * WIDTH, 0, WIDTH / 2], [0, 0.6 * WIDTH, HEIGHT / 2], [0, 0, 1.0]])
    return Cameras(K.expand(1, len(poses), 3, 3), torch.stack(poses)[None], WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Their tensors, our method, and what each gives at every stage."""
    folder, theirs = tmp_path_factory.mktemp("tpvformer"), checkpoint(SMALL)
    torch.save({"state_dict": {f"module.{k}": v for k, v in theirs.items()}, "epoch": 18}, folder / "theirs.pth")
    import_tpvformer(folder / "theirs.pth", folder / "bundle", MODEL)
    bundle, data = load_bundle(folder / "bundle"), batch()
    K, T = data.cameras.intrinsics[0, 0], data.cameras.T_ego_cam[0, 0]
    with torch.no_grad():
        maps = published.backbone(theirs, SMALL, data.images[0, 0])
        levels = published.neck(theirs, maps)
        layers = published.planes(theirs, SMALL, levels, K, T, WIDTH, HEIGHT, [0, 4, 3, 5])
        features, logits = published.voxels(theirs, SMALL, layers[-1], 2)
    return theirs, bundle, data, (maps, levels, layers, features, logits)


def test_every_published_tensor_is_accounted_for(monkeypatch):
    """Both published lists have the same shapes, so that one method, which takes a while to build, does for them."""
    known = tpvformer.OCC3D
    for name in ("kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "uniform_", "normal_"):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)  # slow on meta
    with torch.device("meta"):
        method = build_method("tpvformer", known.arguments, known.classes, pretrained=False)
    files = {"gaussrender_occ3d_tpvformer_render": (FULL, known), "tpvformer_tpv04_occupancy": (TPV04, tpvformer.TPV04)}
    for (file, (sizes, training)), entries in zip(files.items(), (820, 812)):
        theirs = table(file)
        assert len(theirs) == entries
        assert theirs == layout(sizes)
        tensors = {name: torch.empty(shape, device="meta") for name, shape in theirs.items()}
        for key, value in tensors.items():
            if key.endswith("num_batches_tracked"):
                tensors[key] = value.long()
        carry_over([Weights(Path("theirs.pth"), tensors, {})], tpvformer_keys(method, training), method, "TPVFormer")


def test_the_configuration_is_that_of_the_shipped_training():
    shipped = read_yaml(ROOT / "config/train/nuscenes_tpvformer_original.yaml", "")
    training = {"loss", "render"}
    model = {key: value for key, value in shipped["model"].items() if key not in training}
    model["backbone"].pop("checkpointing")
    model["network"].pop("checkpointing")
    assert model == tpvformer.OCC3D.arguments


@pytest.mark.parametrize(("name", "dataset"), [("OCC3D", NuScenesOccupancy), ("SURROUNDOCC", SurroundOccNuScenes)])
def test_bundles_fit_the_data_sets_that_score_them(name, dataset):
    known = getattr(tpvformer, name)
    arguments = parse_arguments("tpvformer", known.arguments)
    check_fit(dataset.protocol, known.classes, arguments["grid"], "bundle")


def test_pictures_are_the_published_ones(imported):
    _, bundle, data, (maps, levels, *_) = imported
    encoder = bundle.method.pictures.encoder
    with torch.no_grad():
        flat = torch.nn.functional.pad(data.images[0, 0].float() - encoder.mean, (0, 0, 0, 24))
        for found, expected in zip(encoder.backbone(flat).feature_maps, maps, strict=True):
            assert expected.square().mean() > 0.01, "the comparison says something"
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        for found, expected in zip(encoder(data.images[0, 0]), levels, strict=True):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_pillars_stand_where_the_published_ones_do(imported):
    theirs, bundle, data, _ = imported
    method, cameras = bundle.method, data.cameras.map(lambda t: t[:, 0])
    geometry = method._geometry(cameras, data.valid[:, 0], torch.device("cpu"))
    X, Y, Z = SMALL.planes
    for (uv, visible), name, size in zip(geometry.seen, ("hw", "zh", "wz"), ((Y, X), (Z, Y), None)):
        stored = theirs[f"head.encoder.ref_3d_{name}"]
        K, T = data.cameras.intrinsics[0, 0], data.cameras.T_ego_cam[0, 0]
        places, inside = published.pictures_of_pillars(SMALL, stored, K, T, WIDTH, HEIGHT)
        if size is not None:  # their cells run through a plane the other way
            places, inside = (t.unflatten(1, size).transpose(1, 2).flatten(1, 2) for t in (places, inside))
        assert torch.equal(visible[0], inside)
        assert inside.any()
        assert not inside.all()
        near = (places.abs() < 50).all(-1)
        torch.testing.assert_close(uv[0][near], places[near], atol=1e-4, rtol=1e-4)
        assert (uv[0][~near].abs() > 40).any(-1).all()


def test_planes_and_voxels_are_the_published_ones(imported):
    _, bundle, data, (_, _, layers, features, logits) = imported
    method, found = bundle.method, []
    handles = [layer.register_forward_hook(lambda _, __, out: found.append(out)) for layer in method.layers]
    with torch.no_grad():
        output = method(data)
    for handle in handles:
        handle.remove()
    X, Y, Z = SMALL.planes
    for ours, theirs in zip(found, layers, strict=True):
        for plane, query, size, turned in zip(
            as_planes(ours, SMALL.planes), theirs, ((Y, X), (Z, Y), (X, Z)), (True, True, False)
        ):
            expected = query.unflatten(0, size)
            expected = expected.transpose(0, 1) if turned else expected
            torch.testing.assert_close(plane[0].movedim(0, -1), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(output.features[0], features, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(output.scene.features[0], logits, atol=1e-3, rtol=1e-3)
    labels = method.occupancy(output).labels[0].long()
    assert len(logits.argmax(-1).unique()) >= 3, "the comparison says something"
    assert (labels == logits.argmax(-1)).float().mean() >= 0.999


def test_planes_and_voxels_give_the_numbers_of_the_published_modules(imported):
    """Stored once, from instances of the published head and aggregator with the same weights and inputs."""
    method, g = imported[1].method, torch.Generator().manual_seed(21)
    maps = [torch.randn(1, 6, 16, n, n, generator=g) for n in (8, 4, 2, 1)]
    cameras = headed_cameras(method.network_args.original.camera_headings_deg)
    valid = torch.ones(1, 6, dtype=torch.bool)
    with torch.no_grad():
        geometry = method._geometry(cameras, valid, torch.device("cpu"))
        maps = [level + method.pictures.embeddings[None, :, :, None, None] for level in maps]
        queries = method.queries[None]
        for layer in method.layers:
            queries = layer(queries, geometry, maps)
        found = as_planes(queries, SMALL.planes)
        logits, _ = method.head(found, method.work_grid.shape)
    for plane, mean_square, place, numbers in (
        (found[0], 1.143304, (0, slice(6), 1, 1), [1.04843, 0.73306, -1.01821, 0.36931, -0.39172, -1.29564]),
        (found[1], 1.175180, (0, slice(6), 2, 1), [0.72089, 0.32754, 1.7967, -0.45344, -0.5998, -0.84343]),
        (found[2], 1.156177, (0, slice(6), 1, 3), [1.16456, 0.58082, 0.05941, 0.31861, -0.92412, -1.73493]),
        (logits, 60.382261, (0, 5, 3, 2, slice(9)),
         [-14.13489, -2.79849, -3.44385, 5.81112, 1.47888, 6.38735, 2.74696, 1.69366, 0.84171]),
    ):  # fmt: skip
        assert plane.double().square().mean().item() == pytest.approx(mean_square, rel=1e-4)
        torch.testing.assert_close(plane[place], torch.tensor(numbers), atol=2e-4, rtol=1e-4)


def test_the_opacity_head_of_a_training_comes_from_its_row(imported):
    theirs, bundle, _, (_, _, _, features, _) = imported
    render = {"opacity_rule": "learned", "render_width": 24}
    arguments = changed(bundle.arguments, {"render": render})
    method = build_method("tpvformer", arguments, bundle.classes, pretrained=False)
    report = start_from(method, "tpvformer", bundle.path)
    assert not report.left
    assert "opacity head" in report.notes[0]
    head = method.render.opacity_head
    assert isinstance(head, OpacityHead)
    with torch.no_grad():
        torch.testing.assert_close(head(features), published.opacity(theirs, SMALL, features), atol=1e-5, rtol=1e-4)


def test_a_camera_takes_the_embedding_of_the_nearest_heading(imported):
    _, bundle, data, _ = imported
    pictures = bundle.method.pictures
    with torch.no_grad():
        cameras = surround_cameras(1, 1, 8, WIDTH, HEIGHT).map(lambda t: t[:, 0])
        picture = data.images[:, 0, :1].expand(1, 8, -1, -1, -1)
        level = pictures(picture, cameras)[0][0]
        given = level - pictures.encoder(picture)[0][0]
        # ahead, 45, 90, 135 degrees to the left, back, and the same on the right
        for view, embedding in enumerate((0, 2, 4, 4, 3, 5, 5, 1)):
            expected = pictures.embeddings[embedding][:, None, None].expand_as(given[view])
            torch.testing.assert_close(given[view], expected, atol=1e-4, rtol=1e-4)


def test_motion_between_shots_is_ignored_as_published_or_respected(imported):
    _, bundle, data, _ = imported
    moved = torch.eye(4).repeat(1, 1, 4, 1, 1)
    moved[..., 0, 3] = 1.0
    driving = replace(data, cameras=replace(data.cameras, T_ref_ego=moved))
    respected = changed(bundle.arguments, {"network": {"original": {"ego_motion": "respected"}}})
    other = build_method("tpvformer", respected, bundle.classes, pretrained=False).eval()
    other.load_state_dict(bundle.method.state_dict())
    with torch.no_grad():
        still, ignored, found = bundle.method(data), bundle.method(driving), other(driving)
    assert torch.equal(still.scene.features, ignored.scene.features)
    assert (found.scene.features - still.scene.features).abs().max() > 0.1


def test_pictures_that_are_missing_are_left_out(imported):
    _, bundle, data, _ = imported
    valid = data.valid.clone()
    valid[:, :, 1] = False
    images = data.images.clone()
    images[:, :, 1] = 255 - images[:, :, 1]
    with torch.no_grad():
        one, two = (bundle.method(replace(data, valid=valid, images=pictures)) for pictures in (data.images, images))
    assert torch.equal(one.scene.features, two.scene.features)
    _, visible = place_points(data.cameras.map(lambda t: t[:, 0]), valid[:, 0], torch.rand(9, 3), 32)
    assert not visible[:, 1].any()


def test_frozen_norms_and_stages_do_not_learn(imported):
    _, bundle, data, _ = imported
    method = build_method("tpvformer", bundle.arguments, bundle.classes, pretrained=False).train()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method(data).scene.features.square().mean().backward()
    learns = {name for name, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())
    backbone = {name.removeprefix("pictures.encoder.backbone.") for name in learns if "backbone" in name}
    assert "stages.2.0.conv2.offsets.weight" in backbone
    assert not any("norm" in name or name.startswith(("conv.", "stages.0")) for name in backbone)
    frozen = {name for name, p in method.named_parameters() if not p.requires_grad}
    assert learns | frozen >= {name for name, _ in method.named_parameters() if "pictures.encoder.backbone" in name}


def test_the_file_tells_which_training_it_is_of(tmp_path, capsys):
    turned = changed(MODEL, {"grid": {"T_ego_grid": None}})
    small = replace(SMALL, head="tpv_head", aggregator="tpv_aggregator", render=False)
    torch.save({"state_dict": checkpoint(small)}, tmp_path / "tpv04.pth")
    coarse = changed(turned, {"grid": {"voxel_size": [1.6, 1.6, 0.8]}})
    coarse = changed(turned, {"grid": {"voxel_size": [1.6, 1.6, 0.8]}})
    origin = import_tpvformer(tmp_path / "tpv04.pth", tmp_path / "tpv04", coarse)
    assert "sparse, not Occ3D" in origin.trained_on
    assert any("not on Occ3D" in note for note in origin.notes)
    assert load_bundle(tmp_path / "tpv04").origin == origin
    torch.save(checkpoint(replace(SMALL, classes=17)), tmp_path / "surround.pth")
    origin = import_tpvformer(tmp_path / "surround.pth", tmp_path / "surround", turned)
    assert "SurroundOcc" in origin.system
    assert load_bundle(tmp_path / "surround").classes.names[0] == "free"
    torch.save(checkpoint(SMALL), tmp_path / "occ3d.pth")
    words = [f"--model.{key}={value}".replace("'", '"') for key, value in MODEL.items()]
    main(["import", "tpvformer", str(tmp_path / "occ3d.pth"), "--out", str(tmp_path / "occ3d"), *words])
    told = capsys.readouterr().out
    for line in ("licence:    mixed, non-commercial", "30.48", "opacity head", "nearest heading"):
        assert line in told
    card = (tmp_path / "occ3d" / "README.md").read_text()
    assert "license: other" in card


def test_a_predictor_takes_pictures_of_any_rig(imported):
    """Pictures and calibration of three cameras in another order, as a node has them."""
    _, bundle, data, _ = imported
    predictor, names = OccupancyPredictor(bundle, device="cpu"), ("left", "ahead", "back")
    K, poses = data.cameras.intrinsics[0, 0].double().numpy(), data.cameras.T_ego_cam[0, 0].double().numpy()
    rows = (1, 0, 2)
    cameras = [Camera(name, K[i], poses[i], WIDTH, HEIGHT) for name, i in zip(names, rows)]
    pictures = [data.images[0, 0, i].permute(1, 2, 0).numpy() for i in rows]
    found = predictor.predict(pictures, cameras).grid
    valid = data.valid.clone()
    valid[:, :, 3] = False
    with torch.no_grad():
        expected = bundle.method.occupancy(bundle.method(replace(data, valid=valid)))
    assert (found.labels == expected.labels).float().mean() >= 0.999


def test_files_that_do_not_fit_are_told_and_nothing_is_written(tmp_path):
    good, path, out = checkpoint(SMALL), tmp_path / "theirs.pth", tmp_path / "bundle"

    def refused(tensors, message, model=MODEL):
        torch.save(tensors, path)
        with pytest.raises(BundleError, match=message):
            import_tpvformer(path, out, model)
        assert not out.exists()

    refused({k: v for k, v in good.items() if k != "head.cams_embeds"}, r"head\.cams_embeds: expected a tensor of TPV")
    refused(good | {"head.more": torch.ones(2)}, r"head\.more: expected only tensors of TPVFormer")
    refused(good | {"head.cams_embeds": torch.ones(5, 16)}, r"head\.cams_embeds: expected \(6, 16\)")
    refused(good | {"head.tpv_embedding_zh.weight": torch.ones(19, 16)}, r"tpv_embedding_zh.*expected \(20, 16\)")
    refused(good | {"aggregator.classifier.bias": torch.ones(20)}, r"18 classes \(Occ3D\) or 17")
    refused(
        {"optimizer": {}, "state_dict": {"backbone.cls_token": torch.ones(2)}},
        "tensors of TPVFormer.*, such as img_backbone",
    )
    refused({"state": {}, "param_groups": []}, "the state of an optimiser and no weights")
    other = points(replace(SMALL, box_m=(100.0, 8.0, 3.2)))["ref_3d_zh"]
    refused(good | {"head.encoder.ref_3d_zh": other}, r"ref_3d_zh: expected points from \[0\.0521")
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 754712910\n")
    with pytest.raises(BundleError, match="Git LFS pointer for 754,712,910 bytes.*git lfs pull"):
        import_tpvformer(path, out, MODEL)
    out.mkdir()
    with pytest.raises(OutputExistsError):
        import_tpvformer(path, out, MODEL)


def test_half_precision_is_read(tmp_path, imported):
    theirs, bundle, _, _ = imported
    halves = {k: v.half() if v.is_floating_point() and "ref_" not in k else v for k, v in theirs.items()}
    torch.save(halves, tmp_path / "theirs.pth")
    import_tpvformer(tmp_path / "theirs.pth", tmp_path / "bundle", MODEL)
    value = load_bundle(tmp_path / "bundle").method.queries
    torch.testing.assert_close(value, bundle.method.queries, atol=2e-3, rtol=2e-3)
    assert value.dtype == torch.float32
