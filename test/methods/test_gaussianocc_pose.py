# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc's first stage at a tiny size, and the second stage that takes its poses."""

from dataclasses import replace

import pytest
import torch
from tiny_frames import BACKBONE, surround_cameras
from tiny_gaussianocc import PLAIN as SECOND
from tiny_gaussianocc import batch as second_batch
from tiny_gaussianocc import build as second_stage

from gsocc_core import FrameSet, Targets
from gsocc_core.errors import BundleError, ConfigError, DataError
from gsocc_core.inference.bundle import load_bundle, load_pose_bundle, save_bundle
from gsocc_core.inference.predictor import OccupancyPredictor
from gsocc_core.losses.photometric import reprojection_loss
from gsocc_core.methods.build import build_trainable
from gsocc_core.methods.method import Method, PoseMethod
from gsocc_core.networks.ego_motion import rigid_motion

HEIGHT, WIDTH, VIEWS = 32, 64, 6
NAMES = tuple(f"camera_{i}" for i in range(VIEWS))
SIZES = BACKBONE.model_args
PLAIN = {
    "cameras": list(NAMES),
    "image_size": [HEIGHT, WIDTH],
    "backbone": {"model_args": SIZES, "out_indices": [1, 2, 3]},
    "motion_backbone": {"model_args": SIZES, "out_indices": [4]},
    "network": {"dim": 8, "range_m": [1.0, 40.0], "first_depth_m": 8.0, "motion_dim": 8, "motion_scale": 0.1},
    "cross": {"size": [16, 32], "max_depth_m": 40.0, "samples": 40, "erosion_px": 0},
}


def build(seed=0, pretrained=False, **changes):
    torch.manual_seed(seed)
    plain = {k: {**PLAIN[k], **v} if isinstance(v, dict) and k in PLAIN else v for k, v in changes.items()}
    return build_trainable("gaussianocc_pose", PLAIN | plain, None, pretrained=pretrained)


def batch(b=2, v=VIEWS, seed=0, spread_ms=(0, 40), time_s=(0.0, -0.08, 0.08), names=None):
    g = torch.Generator().manual_seed(seed)
    views = surround_cameras(b, 3, v, WIDTH, HEIGHT)
    poses = torch.eye(4).expand(b, 3, v, 4, 4).clone()
    poses[:, 1, :, 0, 3], poses[:, 2, :, 0, 3] = -0.5, 0.5
    pictures = torch.randint(0, 256, (b, 3, v, 3, HEIGHT // 4, WIDTH // 4), generator=g, dtype=torch.uint8)
    pictures = pictures.repeat_interleave(4, -1).repeat_interleave(4, -2)
    stamps = torch.linspace(*spread_ms, v).mul(1e6).long().expand(b, 1, v)
    return FrameSet(
        images=pictures[:, :1],
        cameras=replace(surround_cameras(b, 1, v, WIDTH, HEIGHT), T_ref_ego=torch.eye(4).expand(b, 1, v, 4, 4)),
        camera_names=names or tuple(f"camera_{i}" for i in range(v)),
        camera_stamps_ns=stamps,
        reference_stamp_ns=torch.full((b, 1), 40_000_000),
        T_ref_ego=torch.eye(4).expand(b, 1, 4, 4),
        valid=torch.ones(b, 1, v, dtype=torch.bool),
        pose_valid=torch.ones(b, 1, dtype=torch.bool),
        targets=Targets(
            view_cameras=replace(views, T_ref_ego=poses), view_images=pictures,
            view_valid=torch.ones(b, 3, v, dtype=torch.bool), view_time_s=torch.tensor(time_s).expand(b, 3).clone(),
        ),
        sample_tokens=("token",) * b,
    )  # fmt: skip


def test_depth_begins_at_the_depth_asked_for_and_motion_at_rest():
    for metres in (4.0, 8.0, 16.0):
        output = build(network={"first_depth_m": metres})(batch())
        assert output.depth_m.shape == (2, VIEWS, HEIGHT // 2, WIDTH // 2)
        assert output.depth_m.log().mean().exp().item() == pytest.approx(metres, rel=0.35)
    moved = output.motion.T_ref_ego[..., :3, 3].norm(dim=-1)
    assert moved.shape == (2, 3)
    assert moved.max() < 0.2


def test_losses_reach_both_networks_and_only_the_pictures_teach():
    model, data = build(), batch()
    losses = model.losses(model(data), data)
    assert set(losses) == {"photometric", "smoothness", "cross"}
    assert all(value.isfinite() and value > 0 for value in losses.values())
    sum(losses.values()).backward()
    silent = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().any())]
    assert not [name for name in silent if "backbone" not in name], silent
    model.zero_grad()
    model.losses(model(data), data)["cross"].backward()
    assert all(p.grad is None or not p.grad.any() for p in model.learned.parameters()), "scale comes through depth"
    wrong = replace(data.targets.view_cameras, T_ref_ego=torch.randn(2, 3, VIEWS, 4, 4))
    given = replace(data, targets=replace(data.targets, view_cameras=wrong))
    for name, value in build().losses(build()(given), given).items():
        torch.testing.assert_close(value, losses[name].detach(), msg=f"{name} looks at given poses")


def test_cameras_stand_where_the_motion_says_at_their_own_stamps():
    data, model = batch(b=1), build().eval()
    motion = model(data).motion
    for v in range(VIEWS):
        seconds = (float(data.camera_stamps_ns[0, 0, v]) - 40e6) * 1e-9
        both = []
        for s, at in ((1, -0.08), (2, 0.08)):
            T = motion.T_ref_ego[0, s].double()
            # The motion is small: its rotation vector is the skew part of the matrix, to the third order.
            turn = torch.stack([T[2, 1] - T[1, 2], T[0, 2] - T[2, 0], T[1, 0] - T[0, 1]]) / 2
            both.append(rigid_motion(torch.cat([turn, T[:3, 3]]) * seconds / at))
        expected = sum(both) / 2
        torch.testing.assert_close(motion.T_ref_camera[0, v].double(), expected, atol=1e-5, rtol=0)
        placed = motion.place(data.targets.view_cameras)
        expected = motion.T_ref_camera[0, v] @ motion.T_ref_ego[0, 2] @ placed.T_ego_cam[0, 2, v]
        torch.testing.assert_close(placed.T_ref_cam[0, 2, v], expected)
    still = build(neighbours={"stamps": "ignored"}).eval()(data).motion
    torch.testing.assert_close(still.T_ref_camera, torch.eye(4).expand(1, VIEWS, 4, 4))


def test_pixels_of_the_robot_itself_teach_nothing():
    model, data = build(), batch(b=1)
    usable = torch.zeros(1, 3, VIEWS, HEIGHT, WIDTH, dtype=torch.bool)
    data = replace(data, targets=replace(data.targets, view_usable=usable))
    losses = model.losses(model(data), data)
    assert losses["cross"].item() == 0.0
    assert losses["photometric"].item() == 0.0
    usable = usable.clone()
    usable[:, 0, :, :16] = True
    some, t = replace(data, targets=replace(data.targets, view_usable=usable)), data.targets
    depth = torch.full((1, VIEWS, HEIGHT, WIDTH), 5.0)
    whole = torch.ones_like(usable[:, 0])
    args = (depth, t.view_images, t.view_cameras, t.view_valid)
    torch.testing.assert_close(reprojection_loss(*args, usable=whole), reprojection_loss(*args))
    assert reprojection_loss(*args, usable=some.targets.view_usable[:, 0]) != reprojection_loss(*args)


def test_other_sources_of_scale():
    """Lengths of given motions or of an odometer, and the height of the cameras above flat ground."""
    data = batch(b=1)
    way = torch.tensor([0.0, -0.25, 1.0])[None, :, None].expand(1, 3, VIEWS)
    data = replace(data, targets=replace(data.targets, view_travelled_m=way))
    found = {}
    for source in ("poses", "odometry", "mounting_height"):
        model = build(scale=source, loss={"cross": 0.0})
        model.check_frames(data)
        output = model(data)
        losses = model.losses(output, data)
        found[source] = losses["scale"].item()
        length = output.motion.T_ref_ego[0, 1:, :3, 3].norm(dim=-1)
        true = {"poses": (0.5, 0.5), "odometry": (0.25, 1.0)}.get(source)
        if true is not None:
            assert found[source] == pytest.approx((length - torch.tensor(true)).abs().mean().item(), abs=1e-5)
        assert losses["scale"] > 0
        losses["scale"].backward()
        taught = [name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()]
        assert taught
        assert {name.split(".")[0] for name in taught} == {"depth" if source == "mounting_height" else "learned"}
    assert len(set(found.values())) == 3


def test_a_source_of_scale_that_is_not_there_is_named():
    """Each one line says which source is missing, and why."""
    data = batch(b=1)
    poses = data.targets.view_cameras.T_ref_ego.clone()
    poses[:, 1:] = torch.nan
    unknown = replace(
        data, targets=replace(data.targets, view_cameras=replace(data.targets.view_cameras, T_ref_ego=poses))
    )
    build().check_frames(unknown)
    model = build()
    assert all(value.isfinite() for value in model.losses(model(unknown), unknown).values()), (
        "calibration needs no pose"
    )
    with pytest.raises(
        ConfigError, match=r"scale: expected another source .*the poses of the data are unknown, received"
    ):
        build(scale="poses").check_frames(unknown)
    with pytest.raises(
        ConfigError, match=r"scale: expected another source .*no odometer \(rosbag2_to_nuscenes --odometry"
    ):
        build(scale="odometry").check_frames(data)
    T = data.cameras.T_ego_cam.clone()
    T[..., 2, 3] = -0.5
    below = replace(data, cameras=replace(data.cameras, T_ego_cam=T))
    with pytest.raises(ConfigError, match=r"no camera stands above the ground.*mounting_height \(camera_0 -0.50 m, "):
        build(scale="mounting_height").check_frames(below)
    with pytest.raises(ConfigError, match="loss.scale: expected above 0, since scale is odometry"):
        build(scale="odometry", loss={"scale": 0.0})


def test_one_camera_learns_with_a_source_of_scale():
    way = torch.tensor([0.0, -0.5, 0.5])[None, :, None]
    data = batch(b=1, v=1)
    data = replace(data, targets=replace(data.targets, view_travelled_m=way))
    model = build(cameras=["camera_0"], scale="odometry")
    model.check_frames(data)
    losses = model.losses(model(data), data)
    assert losses["cross"].item() == 0.0, "there is no other camera"
    assert losses["scale"] > 0
    sum(losses.values()).backward()
    assert model.poses(model(data)).scale == "odometry"


def test_a_bundle_predicts_the_same_and_knows_no_losses_and_no_classes(tmp_path):
    model, data = build(), batch()
    model(data)  # records the rig
    model.eval()
    save_bundle(tmp_path / "b", "gaussianocc_pose", PLAIN, model, "# tiny\n", half=False)
    assert not (tmp_path / "b" / "classes.yaml").exists()
    assert "cross" not in (tmp_path / "b" / "config.yaml").read_text()
    loaded = load_pose_bundle(tmp_path / "b").method
    assert isinstance(loaded, PoseMethod)
    assert not isinstance(loaded, Method)
    one, other = model(data), loaded(data)
    assert torch.equal(one.depth_m, other.depth_m)
    poses = loaded.poses(other)
    assert torch.equal(poses.T_ref_ego, one.motion.T_ref_ego.double())
    assert poses.scale == "calibration"
    with pytest.raises(BundleError, match=r"method: expected one that predicts occupancy, received gaussianocc_pose"):
        OccupancyPredictor.load(tmp_path / "b", device="cpu")
    loaded.learned.check_rig(data, "b")
    with pytest.raises(ConfigError, match=r"rig: expected the 6 cameras camera_0, .*, received 4: camera_0"):
        loaded.learned.check_rig(batch(v=4), "b")
    turned = replace(data, cameras=data.cameras.map(lambda t: t.roll(1, 2)))
    with pytest.raises(ConfigError, match=r"rig: expected camera_0 about where .* 60 degrees away"):
        loaded.learned.check_rig(turned, "b")
    large = replace(data.targets, view_images=data.targets.view_images.repeat_interleave(2, -1))
    with pytest.raises(ConfigError, match=r"data.view_size: expected \(32, 64\)"):
        loaded.learned.check_rig(replace(data, targets=large), "b")


def neighbours_of(data):
    """Second-stage frames whose views are as large as the pose network's pictures."""
    g = torch.Generator().manual_seed(4)
    b, _, v = data.targets.view_valid.shape
    cameras = data.targets.view_cameras.resized(WIDTH, HEIGHT)
    targets = replace(
        data.targets, view_cameras=cameras, view_time_s=torch.tensor([[0.0, 0.08]]).expand(b, 2),
        view_images=torch.randint(0, 256, (b, 2, v, 3, HEIGHT, WIDTH), generator=g, dtype=torch.uint8),
        view_semantics=torch.randint(1, 17, (b, 2, v, HEIGHT, WIDTH), generator=g, dtype=torch.uint8),
        view_depth_m=None, view_valid=torch.ones_like(data.targets.view_valid),
    )  # fmt: skip
    return replace(data, targets=targets)


@pytest.mark.parametrize("mode", ["learned", "refined"])
def test_the_second_stage_goes_by_learned_poses(mode, tmp_path):
    data = neighbours_of(second_batch(b=1))
    first = build(cameras=list(data.camera_names), network={"motion_scale": 1.0})
    first.learned.record(data)
    first.eval()
    model = second_stage(poses={"mode": mode, "bundle": "somewhere"})
    assert model.pose_bundle == "somewhere"
    model.take_poses(first)
    model.check_frames(data)
    model.train()
    assert model.poses.ego_motion.training == (mode == "refined")
    output = model(data)
    losses = model.losses(output, data)
    placed = replace(data.targets, view_cameras=output.motion.place(data.targets.view_cameras))
    expected = model._objective(output.logits, placed)
    torch.testing.assert_close(losses["photometric"], expected["photometric"])
    assert not torch.isclose(losses["photometric"], model._objective(output.logits, data.targets)["photometric"])
    losses["photometric"].backward()
    moved = [p.grad is not None and bool(p.grad.any()) for p in model.poses.parameters()]
    assert any(moved) == (mode == "refined")
    # Whoever uses the model has poses of his own, and the bundle knows nothing of the first stage.
    model.eval()
    assert model(data).motion is None
    plain = SECOND | {"poses": {"mode": mode, "bundle": "somewhere"}}
    save_bundle(tmp_path / "b", "gaussianocc", plain, model, "# tiny\n", half=False)
    assert "poses" not in (tmp_path / "b" / "config.yaml").read_text()
    alone = load_bundle(tmp_path / "b").method
    assert torch.equal(alone(data).logits, model(data).logits)
    with pytest.raises(BundleError, match="method: expected one that predicts poses"):
        load_pose_bundle(tmp_path / "b")


def test_given_poses_stay_as_they_are():
    data, model = neighbours_of(second_batch(b=1)), second_stage()
    assert model.pose_bundle is None
    output = model(data)
    assert output.motion is None
    assert model.losses(output, data)["photometric"] == model._objective(output.logits, data.targets)["photometric"]


def test_what_does_not_fit_is_named():
    model, data = build(), batch()
    model.check_frames(data)
    apart = build(cameras=list(NAMES[:2]))
    shares = r"rig: expected cameras that share at least 50 px of 32 x 16, .*received 0 px"
    with pytest.raises(ConfigError, match=rf"{shares} \(camera_0 and camera_1 0 px\)"):
        apart.check_frames(batch(v=2))
    build(cameras=list(NAMES[:2]), scale="poses").check_frames(batch(v=2))
    with pytest.raises(ConfigError, match=r"received 0 px \(camera_0 alone\)"):
        build(cameras=["camera_0"]).check_frames(batch(v=1))
    with pytest.raises(DataError, match=r"token.*neighbours at most 0.15 s away.*received 0.500 s"):
        model(batch(time_s=(0.0, -0.5, 0.08)))
    with pytest.raises(DataError, match=r"camera stamps.*at most 0.1 s apart, received 0.300 s: they are not synchro"):
        model(batch(spread_ms=(0, 300)))
    alone = replace(data, targets=None)
    with pytest.raises(DataError, match=r"data.view_images: expected pictures"):
        model.losses(model(alone), alone)
    with pytest.raises(ConfigError, match=r"cameras: expected those of the data"):
        model.check_frames(batch(names=tuple("abcdef")))
    for changes, match in (
        ({"loss": {"cross": 0.0}}, "scale: expected loss.cross above 0"),
        ({"network": {"first_depth_m": 50.0}}, "first_depth_m: expected inside range_m"),
        ({"motion_backbone": {"out_indices": [3, 4]}}, "out_indices: expected one stage"),
        ({"scale": "guess"}, "scale"),
        ({"cameras": ["a", "a"]}, "cameras: expected one or more different"),
    ):
        with pytest.raises(ConfigError, match=match):
            build(**changes)
    with pytest.raises(ConfigError, match=r"poses.bundle: expected a bundle of gaussianocc_pose"):
        second_stage(poses={"mode": "learned"})
