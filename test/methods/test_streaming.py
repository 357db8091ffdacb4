# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Memory and flow of GaussianFlowOcc, at a tiny size."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_frames import BACKBONE, CLASSES, GRID, NETWORK, frames, surround_cameras

from gsocc_core import Targets, splat_to_labels
from gsocc_core.errors import ConfigError
from gsocc_core.methods.gaussianflowocc import GaussianFlowOcc
from gsocc_core.methods.gaussianflowocc_args import LossArgs, MemoryArgs, SplatArgs
from gsocc_core.networks.flow import FlowArgs

SECOND = 1_000_000_000


def build(memory=None, flow=None, splat=None, **loss):
    torch.manual_seed(0)
    network = replace(NETWORK, lifted_level=1, lifted_depth_m=(1.0, 8.0))
    splat = splat or SplatArgs(threshold=0.1)
    return GaussianFlowOcc(CLASSES, GRID, (32, 64), BACKBONE, network, LossArgs(**loss), splat, memory, flow).eval()


def pose(x=0.0, yaw=0.0):
    T = np.eye(4)
    T[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    T[0, 3] = x
    return torch.from_numpy(T)


def at(stamp_s, T_world_ego, seed=0, b=1, scene="a"):
    return replace(
        frames(b=b, seed=seed),
        reference_stamp_ns=torch.full((b, 1), int(stamp_s * SECOND)),
        T_world_ego=T_world_ego.expand(b, 4, 4),
        scene_names=(scene,) * b,
    )


def same(a, b):
    torch.testing.assert_close(a.scene.features, b.scene.features, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(a.scene.means, b.scene.means, rtol=1e-4, atol=1e-4)


MEMORIES = [MemoryArgs(), MemoryArgs(gate=0.3), MemoryArgs(attention=False, carried=20), MemoryArgs(carried=20)]


@pytest.mark.parametrize("args", MEMORIES)
def test_the_memory_is_read_and_the_ego_motion_taken_into_account(args):
    model = build(args)
    first = model(at(0.0, pose()))
    now = at(0.5, pose(1.0, 0.3), seed=1)
    alone, after = model(now), model(now, first.memory)
    if args.attention:
        count = alone.scene.means.shape[1]
        assert not torch.allclose(alone.scene.features, after.scene.features[:, :count], atol=1e-4)
    elsewhere = model(replace(now, T_world_ego=pose(3.0).expand(1, 4, 4)), first.memory)
    assert not torch.allclose(after.scene.features, elsewhere.scene.features, atol=1e-4)
    assert bool((after.scene.opacities[:, alone.scene.means.shape[1] :] > 0).any()) == bool(args.carried)
    # Only the motion between the two counts, not where the world has its origin.
    far = pose(5000.0, 1.0)
    moved = replace(first.memory, T_world_ego=far @ first.memory.T_world_ego)
    same(after, model(replace(now, T_world_ego=far @ now.T_world_ego), moved))


@pytest.mark.parametrize("args", MEMORIES)
def test_history_in_training_is_the_stream_of_inference(args):
    model = build(args)
    past, now = at(0.0, pose(), seed=3), at(0.5, pose(1.0, 0.3), seed=4)
    streamed = model(now, model(past).memory)
    T_now_past = torch.linalg.inv(now.T_world_ego) @ past.T_world_ego
    both = replace(
        now,
        images=torch.cat([now.images, past.images], dim=1),
        cameras=replace(
            surround_cameras(1, 2, 4, 64, 32),
            T_ref_ego=torch.stack([torch.eye(4).expand(1, 4, 4, 4), T_now_past.float()[:, None].expand(1, 4, 4, 4)], 1),
        ),
        camera_stamps_ns=torch.zeros(1, 2, 4, dtype=torch.int64),
        reference_stamp_ns=torch.cat([now.reference_stamp_ns, past.reference_stamp_ns], dim=1),
        T_ref_ego=torch.stack([torch.eye(4).expand(1, 4, 4), T_now_past.float()], dim=1),
        valid=torch.ones(1, 2, 4, dtype=torch.bool),
        pose_valid=torch.ones(1, 2, dtype=torch.bool),
    )
    same(streamed, model(both))
    # A moment before the drive's beginning is no memory.
    unborn = replace(both, pose_valid=torch.tensor([[True, False]]))
    alone, count = model(now), model(now).scene.means.shape[1]
    torch.testing.assert_close(model(unborn).scene.features[:, :count], alone.scene.features, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("args", MEMORIES)
@pytest.mark.parametrize(
    "change",
    [
        {"scene_names": ("b",)},
        {"reference_stamp_ns": torch.tensor([[9 * SECOND]])},
        {"reference_stamp_ns": torch.tensor([[-SECOND]])},
        {"T_world_ego": None},
    ],
)
def test_a_memory_that_does_not_belong_here_is_not_read(args, change):
    model = build(args)
    memory = model(at(0.0, pose())).memory
    now = replace(at(0.5, pose(1.0), seed=1), **change)
    same(model(now, memory), model(now))


@pytest.mark.parametrize("args", MEMORIES)
@pytest.mark.parametrize("sizes", [(3, 2), (1, 2)])
def test_a_memory_of_another_batch_size_is_not_read(args, sizes):
    model, (then, now) = build(args), sizes
    memory = model(at(0.0, pose(), b=then)).memory
    present = at(0.5, pose(1.0), seed=1, b=now)
    same(model(present, memory), model(present))


@pytest.mark.parametrize("args", MEMORIES)
def test_samples_with_and_without_memory_share_a_batch(args):
    model = build(args)
    now = at(0.5, pose(1.0), seed=1, b=2)
    memory = model(at(0.0, pose(), b=2)).memory
    mixed = model(now, replace(memory, valid=torch.tensor([True, False])))
    with_memory, without = model(now, memory), model(now)
    count = without.scene.means.shape[1]
    torch.testing.assert_close(mixed.scene.features[0], with_memory.scene.features[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mixed.scene.features[1, :count], without.scene.features[1], rtol=1e-4, atol=1e-4)
    assert mixed.scene.opacities[1, count:].sum() == 0


def test_carried_gaussians_bring_what_stands_still_to_the_same_place_of_the_world():
    model = build(MemoryArgs(attention=False, carried=30))
    for block in model.blocks:  # no block moves a mean
        torch.nn.init.zeros_(block.move[-1].weight)
        torch.nn.init.zeros_(block.move[-1].bias)
    T_then, T_now = pose(100.0, 0.4), pose(101.0, 0.5)
    first = model(at(0.0, T_then))
    second = model(at(0.5, T_now, seed=1), first.memory)
    count = first.scene.means.shape[1]
    kept = second.scene.means[0, count:].double()
    world = kept @ T_now[:3, :3].T + T_now[:3, 3]
    before = first.scene.means[0].double() @ T_then[:3, :3].T + T_then[:3, 3]
    assert len(kept) == 30
    assert torch.cdist(world, before).amin(1).max() < 1e-4


def test_a_memory_turns_and_moves_with_the_vehicle():
    model = build(MemoryArgs(attention=False, carried=30), FlowArgs(hidden=16, layers=2, motion="velocity"))
    torch.nn.init.normal_(model.flow.net[-1].weight, std=1.0)
    T_then, T_now = pose(100.0, 0.4), pose(101.0, -0.5)
    memory, now = model(at(0.0, T_then)).memory, at(0.5, T_now, seed=1)
    old, here, moved = memory.scene, memory.seen_from(now), memory.seen_from(now, move=True)

    def in_world(T, vectors):
        return vectors.double() @ T[:3, :3].T

    torch.testing.assert_close(in_world(T_now, here.velocities), in_world(T_then, old.velocities), rtol=1e-4, atol=1e-4)
    covariances = [T[:3, :3] @ g.covariances().double() @ T[:3, :3].T for T, g in ((T_now, here), (T_then, old))]
    torch.testing.assert_close(*covariances, rtol=1e-4, atol=1e-4)
    assert here.velocities.abs().max() > 0.1
    torch.testing.assert_close(moved.means - here.means, 0.5 * here.velocities, rtol=1e-4, atol=1e-4)


def test_what_was_never_seen_is_not_carried():
    model = build(MemoryArgs(attention=False, carried=30))
    memory, now = model(at(0.0, pose())).memory, at(0.5, pose(0.5), seed=1)
    count = len(model(now).scene)
    assert memory.seen.any()
    assert not memory.seen.all()
    assert (model(now, memory).scene.opacities[:, count:] > 0).any()
    guesses = replace(memory, seen=torch.zeros_like(memory.seen))
    assert (model(now, guesses).scene.opacities[:, count:] == 0).all()
    kept = model(now, memory).memory
    assert kept.seen[:, count:].all(), "what was seen once is known as long as it lives"


@pytest.mark.parametrize("flow", [FlowArgs(hidden=16, layers=2), FlowArgs(hidden=16, layers=2, motion="velocity")])
def test_flow_moves_what_can_move_and_nothing_at_the_present(flow):
    model = build(flow=flow)
    torch.nn.init.normal_(model.flow.net[-1].weight, std=1.0)
    output = model(at(0.0, pose()))
    offsets = model.flow(output.features, output.dynamic, torch.tensor([[0.0, 0.5, -1.0]]))
    assert output.dynamic.any()
    assert not output.dynamic.all()
    assert (offsets[0, 0] == 0).all()
    assert (offsets[0, :, ~output.dynamic[0]] == 0).all()
    assert (offsets[0, 1:, output.dynamic[0]].abs().sum(-1) > 0).all()
    speeds = output.scene.velocities.norm(dim=-1)
    assert ((speeds > 0) == output.dynamic).all()
    if flow.motion == "velocity":
        torch.testing.assert_close(offsets[0, 2], -output.scene.velocities[0], rtol=1e-4, atol=1e-4)
        soon = model.flow(output.features, output.dynamic, torch.tensor([[0.1]]))[0, 0]  # between key frames, too
        torch.testing.assert_close(soon, 0.1 * output.scene.velocities[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("motion", ["tokens", "velocity"])
def test_a_bounded_flow_keeps_its_bound(motion):
    model = build(flow=FlowArgs(hidden=16, layers=2, max_speed_mps=3.0, motion=motion))
    torch.nn.init.normal_(model.flow.net[-1].weight, std=1e4)
    output = model(at(0.0, pose()))
    offsets = model.flow(output.features, output.dynamic, torch.tensor([[0.5, -3.0]]))
    assert offsets[:, 0].abs().max() <= 1.5 + 1e-5
    assert 1.5 < offsets[:, 1].abs().max() <= 9.0 + 1e-4
    assert output.scene.velocities.abs().max() <= 3.0 + 1e-5


def test_motion_is_read_off_the_key_frame_before():
    flow = FlowArgs(hidden=16, layers=2, motion="velocity", neighbours=4)
    with pytest.raises(ConfigError, match=r"flow\.neighbours"):
        build(flow=flow)
    model = build(MemoryArgs(attention=False), flow)
    torch.nn.init.normal_(model.flow.net[-1].weight, std=1.0)
    with torch.no_grad():
        model.heads["logits"][-1].bias[model.classes.channel_ids.index(4)] = 100.0  # all Gaussians are cars
    memory, now = model(at(0.0, pose())).memory, at(0.5, pose(0.5), seed=1)
    elsewhere = replace(memory, scene=memory.scene.replace(means=memory.scene.means + torch.tensor([1.0, 0.0, 0.0])))
    one, other = (model(now, m).scene for m in (memory, elsewhere))
    torch.testing.assert_close(one.means, other.means)
    assert (one.velocities - other.velocities).abs().max() > 1e-3


def test_voxels_of_moving_classes_have_the_velocity_of_their_gaussians():
    model = build(flow=FlowArgs(hidden=16, layers=2, motion="velocity"))
    output = model(at(0.0, pose()))
    velocity = torch.tensor([2.0, -1.0, 0.0]).expand_as(output.scene.means) * output.dynamic[..., None]
    grid = model.occupancy(replace(output, scene=output.scene.replace(velocities=velocity)))
    moving = torch.isin(grid.labels, torch.tensor(CLASSES.dynamic_ids, dtype=torch.uint8))
    assert moving.any()
    assert (grid.velocity[~moving] == 0).all()
    torch.testing.assert_close(grid.velocity[moving], torch.tensor([2.0, -1.0, 0.0]).expand(int(moving.sum()), 3))


def test_flow_losses_reach_the_flow_head_and_name_what_they_need():
    model = build(flow=FlowArgs(hidden=16, layers=2), flow_alignment=1.0, flow_speed=0.1, semantics=1.0, depth=0.1)
    batch = at(0.0, pose())
    semantics = torch.full_like(batch.targets.view_semantics, 4)
    with torch.no_grad():
        channel = model.classes.channel_ids.index(4)
        model.heads["logits"][-1].bias[channel] = 100.0  # all Gaussians are cars
    targets = replace(
        batch.targets, view_semantics=semantics, view_time_s=torch.tensor([[0.0, 0.5]]),
        view_valid=torch.ones_like(batch.targets.view_valid),
    )  # fmt: skip
    losses = model.losses(model(batch), replace(batch, targets=targets))
    assert set(losses) == {"semantics", "depth", "flow_alignment", "flow_speed"}
    losses["flow_alignment"].backward(retain_graph=True)
    assert model.flow.tokens.grad.abs().sum() > 0
    with pytest.raises(ConfigError, match="view_time_s"):
        model.losses(model(batch), batch)
    with pytest.raises(ConfigError, match="flow"):
        build(flow_alignment=1.0)
    with pytest.raises(ConfigError, match="targets"):
        model.losses(model(batch), replace(batch, targets=Targets()))


def test_a_step_without_anything_dynamic_still_gives_the_flow_head_a_gradient():
    model = build(flow=FlowArgs(hidden=16, layers=2), semantics=1.0, depth=0.0)
    with torch.no_grad():
        model.heads["logits"][-1].bias[model.classes.channel_ids.index(11)] = 100.0
    batch = at(0.0, pose())
    batch = replace(batch, targets=replace(batch.targets, view_time_s=torch.tensor([[0.0, 0.5]])))
    sum(model.losses(model(batch), batch).values()).backward()
    assert all(p.grad is not None for p in model.flow.parameters())


def test_a_step_without_a_memory_still_gives_what_reads_it_a_gradient():
    flow = FlowArgs(hidden=16, layers=2, motion="velocity", neighbours=4)
    model = build(MemoryArgs(carried=20), flow, semantics=1.0, depth=0.1).train()
    batch = at(0.0, pose())
    batch = replace(batch, targets=replace(batch.targets, view_time_s=torch.tensor([[0.0, 0.5]])))
    sum(model.losses(model(batch), batch).values()).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_the_published_tricks_do_what_their_names_say():
    model = build(splat=SplatArgs(composition="sum_unweighted", threshold=0.05))
    output = model(at(0.0, pose()))
    inside = GRID.index(output.scene.means)[1][0]  # the original leaves out means beyond the grid
    output = replace(output, scene=output.scene.map(lambda t: t[:, inside]))
    plain = model.occupancy(output).labels
    cut = build(splat=SplatArgs("sum_unweighted", 0.05, published_roof_cut_m=1.0)).occupancy(output).labels
    heights = GRID.centers[..., 2]
    assert (cut[:, heights > 1.0] == CLASSES.free_id).all()
    assert (cut == plain)[:, heights <= 1.0].all()
    assert (plain[:, heights > 1.0] != CLASSES.free_id).any()
    wide = build(splat=SplatArgs("sum_unweighted", 0.05, published_neighborhood=14)).occupancy(output).labels
    tight = build(splat=SplatArgs("sum_unweighted", 0.05, published_neighborhood=0)).occupancy(output).labels
    exact = build(splat=SplatArgs("sum_unweighted", 0.05, cutoff=12.0)).occupancy(output).labels
    assert (wide == exact).float().mean() > 0.999
    assert (tight != CLASSES.free_id).sum() < (wide != CLASSES.free_id).sum()


def test_voxels_by_gausstr_s_rules():
    model = build()
    output = model(at(0.0, pose()))
    for splat in (SplatArgs("sum", 0.04, support="box_voxels"), SplatArgs("mean", 0.04, cutoff=7.5**0.5)):
        labels = build(splat=splat).occupancy(output).labels
        expected = splat_to_labels(
            output.scene.replace(velocities=None), GRID, model.classes, composition=splat.composition, threshold=0.04,
            cutoff=splat.cutoff, support=splat.support, backend="reference",
        )  # fmt: skip
        assert (labels == expected.labels).float().mean() > 0.999
    with pytest.raises(ConfigError, match=r"composition.*published_neighborhood"):
        SplatArgs("mean", published_neighborhood=4)
