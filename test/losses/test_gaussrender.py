# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussRenderLoss: against a slow oracle, finite differences, and what it must do to a wrong prediction."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from gsocc_core import Cameras, Gaussians, VoxelGrid, splat_to_image
from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.virtual_cameras import top_down_camera
from gsocc_core.losses import gaussrender
from gsocc_core.losses.gaussrender import GaussRenderLoss, GaussRenderWeights

EMPTY, IGNORE, CLASSES = 3, 255, 4
GRID = VoxelGrid((-2.0, -2.0, -1.0), (2.0, 2.0, 1.0), 1.0)
NAMES = ("camera_depth", "camera_semantics", "top_depth", "top_semantics")


def rig(batch=1, dtype=torch.float32):
    """Two cameras outside the grid, one from behind and one from the left, 10 x 8 pixels."""
    back = torch.tensor([[0.0, 0, 1, -4], [-1, 0, 0, 0.2], [0, -1, 0, 0.1], [0, 0, 0, 1]])
    left = torch.tensor([[-1.0, 0, 0, 0.3], [0, 0, -1, 5], [0, -1, 0, 0.2], [0, 0, 0, 1]])
    K = torch.tensor([[7.0, 0, 5], [0, 7, 4], [0, 0, 1]])
    T = torch.stack([back, left]).expand(batch, 2, 4, 4).to(dtype)
    return Cameras(K.expand(batch, 2, 3, 3).to(dtype), T, width=10, height=8)


def sample(batch=1, seed=0, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 2, EMPTY, IGNORE], (batch, *GRID.shape), p=[0.15, 0.15, 0.1, 0.5, 0.1]).astype(np.uint8)
    return torch.from_numpy(2 * rng.standard_normal((batch, *GRID.shape, CLASSES))).to(dtype), torch.from_numpy(labels)


def make(**options):
    options = {"cameras_per_step": None, "render_width": None, "backend": "reference", **options}
    return GaussRenderLoss(**options)


def total(losses):
    return sum(losses.values())


def oracle(logits, labels, opacity_rule, class_rule):
    """The four terms of one sample without weights, voxel by voxel and pixel by pixel."""
    probabilities = logits.softmax(-1)
    predicted, truth = ([], [], []), ([], [], [])
    for x, y, z in np.ndindex(GRID.shape):
        label = int(labels[0, x, y, z])
        mean = torch.tensor([x - 1.5, y - 1.5, z - 0.5], dtype=torch.float64)
        p = probabilities[0, x, y, z]
        q = 1 - p[EMPTY]
        if opacity_rule == "sharpened":
            q = q**2 if q <= 0.5 else 1 - (1 - q) ** 2
        if class_rule == "occupied":
            p = torch.cat([p[:EMPTY] / p[:EMPTY].sum(), torch.zeros(1)])
        if label != IGNORE:
            for column, value in zip(predicted, (mean, q, p)):
                column.append(value)
        if label not in {IGNORE, EMPTY}:
            one_hot = torch.eye(CLASSES, dtype=torch.float64)[label]
            for column, value in zip(truth, (mean, torch.tensor(1.0, dtype=torch.float64), one_hot)):
                column.append(value)
    background = torch.eye(CLASSES, dtype=torch.float64)[EMPTY]
    above = top_down_camera(GRID, 10, 8, like=logits)
    terms = {}
    for name, views in (("camera", rig(dtype=torch.float64).map(lambda t: t[0])), ("top", above)):
        pictures = []
        for columns in (predicted, truth):
            means, opacities, features = map(torch.stack, columns)
            quats = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64).expand(len(means), 4)
            g = Gaussians(means, torch.full_like(means, 0.4), quats, opacities, features)
            pictures.append(splat_to_image(g, views, background=background, depth="accumulated", backend="reference"))
        terms[f"{name}_semantics"], terms[f"{name}_depth"] = mean_errors(*pictures)
    return terms


def mean_errors(p, t):
    """Mean absolute error of classes and of depth, pixel by pixel."""
    error, per_picture = [], []
    for v, row, column in np.ndindex(*p.depth.shape):
        error += [abs(p.features[v, row, column, c] - t.features[v, row, column, c]) for c in range(CLASSES)]
    for v in range(len(p.depth)):
        seen = t.depth[v] > 0.1
        if seen.any():
            per_picture.append((p.depth[v] - t.depth[v])[seen].abs().mean())
    return sum(error) / len(error), sum(per_picture) / len(per_picture)


@pytest.mark.parametrize(("opacity_rule", "class_rule"), [("sharpened", "all"), ("linear", "occupied")])
def test_terms_equal_a_loop_over_voxels_and_pixels(opacity_rule, class_rule):
    logits, labels = sample()
    weights = GaussRenderWeights(2.0, 3.0, 5.0, 7.0)
    losses = make(opacity_rule=opacity_rule, class_rule=class_rule, weights=weights)(
        logits, None, labels, GRID, rig(), EMPTY
    )
    expected = oracle(logits, labels, opacity_rule, class_rule)
    factors = {"camera_semantics": 2, "camera_depth": 3, "top_semantics": 5, "top_depth": 7}
    assert {k: v.item() for k, v in losses.items()} == pytest.approx(
        {k: factors[k] * expected[k].item() for k in NAMES}
    )


def test_default_weights_are_the_papers():
    """10 (L1_img + L1_depth / 50 + L1_bev + L1_bevdepth / 100)."""
    w = GaussRenderWeights()
    assert (w.camera_semantics, w.camera_depth, w.top_semantics, w.top_depth) == (10, 10 / 50, 10, 10 / 100)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"opacity_rule": "linear", "class_rule": "occupied", "distance": "kl"},
        {"balanced": True, "depth": "expected", "top_down": "orthographic"},
        {"strategy": "elevated", "distance": "kl", "balanced": True, "top_down": None},
    ],
)
def test_gradients_equal_finite_differences(options):
    logits, labels = sample(seed=1)
    loss, cameras = make(**options), rig()

    def objective(values):
        torch.manual_seed(0)
        return total(loss(values, None, labels, GRID, cameras, EMPTY))

    leaf = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(leaf), leaf)
    directions = torch.randn(3, *logits.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for direction in directions:
        h = 1e-6
        slope = (objective(logits + h * direction) - objective(logits - h * direction)).item() / (2 * h)
        assert (gradient * direction).sum().item() == pytest.approx(slope, rel=2e-4, abs=1e-6)


def test_gradients_of_a_learned_opacity_equal_finite_differences():
    torch.manual_seed(0)
    logits, labels = sample()
    features = torch.randn(*labels.shape, 6, dtype=torch.float64)
    loss = make(feature_dim=6, opacity_rule="learned").double()

    def objective(values):
        return total(loss(logits, values, labels, GRID, rig(), EMPTY))

    leaf = features.clone().requires_grad_()
    objective(leaf).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in loss.parameters())
    for direction in torch.randn(2, *features.shape, dtype=torch.float64):
        h = 1e-6
        slope = (objective(features + h * direction) - objective(features - h * direction)).item() / (2 * h)
        assert (leaf.grad * direction).sum().item() == pytest.approx(slope, rel=2e-4, abs=1e-7)


@pytest.mark.parametrize("top_down", ["perspective", "orthographic"])
def test_the_cpu_renderer_gives_the_values_and_gradients_of_the_reference(top_down):
    results = []
    for backend, dtype in (("reference", torch.float64), ("cpu", torch.float32)):
        logits, labels = sample(batch=2, dtype=dtype)
        logits.requires_grad_()
        losses = make(backend=backend, top_down=top_down)(logits, None, labels, GRID, rig(2), EMPTY)
        total(losses).backward()
        results.append((torch.stack([losses[k] for k in NAMES]).detach().double(), logits.grad.double()))
    (values, gradients), (fast_values, fast_gradients) = results
    assert torch.allclose(fast_values, values, rtol=1e-4)
    assert (fast_gradients - gradients).abs().max() < 2e-3 * gradients.abs().max()


def test_a_batch_is_the_mean_of_its_samples_however_many_voxels_each_has():
    logits, labels = sample(batch=3)
    labels[0] = EMPTY
    labels[0, 1, 1, 0], labels[2, 1:] = 0, IGNORE
    together = make()(logits, None, labels, GRID, rig(3), EMPTY)
    alone = [make()(logits[b : b + 1], None, labels[b : b + 1], GRID, rig(), EMPTY) for b in range(3)]
    for name in ("camera_semantics", "top_semantics"):
        assert together[name].item() == pytest.approx(sum(a[name].item() for a in alone) / 3)


def test_all_views_of_all_samples_are_drawn_by_one_call(monkeypatch):
    calls = []

    def counting(gaussians, cameras, **options):
        calls.append(tuple(cameras.intrinsics.shape[:2]))
        return splat_to_image(gaussians, cameras, **options)

    monkeypatch.setattr(gaussrender, "splat_to_image", counting)
    logits, labels = sample(batch=2)
    make()(logits, None, labels, GRID, rig(2), EMPTY)
    assert calls == [(2, 3), (2, 3)], "once for the truth, once for the prediction"
    calls.clear()
    make(top_down="orthographic", strategy="stereo")(logits, None, labels, GRID, rig(2), EMPTY)
    assert calls == [(2, 4), (2, 4), (2, 1), (2, 1)]


def test_a_perfect_prediction_costs_nothing_and_a_floater_does():
    _, labels = sample()
    labels[labels == IGNORE] = EMPTY
    labels[0, 0] = EMPTY
    perfect = 40 * torch.nn.functional.one_hot(labels.long(), CLASSES).double()
    assert total(make()(perfect, None, labels, GRID, rig(), EMPTY)).item() < 1e-9
    floating = perfect.clone()
    floating[0, 0, 1, 1, EMPTY], floating[0, 0, 1, 1, 0] = 0.0, 40.0
    assert all(v > 1e-3 for v in make()(floating, None, labels, GRID, rig(), EMPTY).values())


def test_voxels_without_a_label_neither_show_nor_learn():
    logits, labels = sample()
    logits.requires_grad_()
    total(make()(logits, None, labels, GRID, rig(), EMPTY)).backward()
    assert logits.grad[labels == IGNORE].abs().max() == 0
    assert logits.grad[labels != IGNORE].abs().max() > 0


def test_min_opacity_leaves_out_faint_floaters_but_never_what_is_truly_there():
    logits = torch.zeros(1, *GRID.shape, CLASSES, dtype=torch.float64)
    logits[..., EMPTY] = math.log(3 * 9)  # occupied with probability 0.1
    labels = torch.full((1, *GRID.shape), EMPTY, dtype=torch.uint8)
    labels[0, :2] = 1
    gradients = []
    for min_opacity in (0.0, 0.2):
        leaf = logits.clone().requires_grad_()
        loss = make(opacity_rule="linear", min_opacity=min_opacity)
        total(loss(leaf, None, labels, GRID, rig(), EMPTY)).backward()
        gradients.append(leaf.grad.abs().amax(-1)[0])
    assert gradients[0][2:].max() > 0
    assert gradients[1][2:].max() == 0
    assert bool((gradients[1][:2] > 0).all())


def test_the_default_limit_changes_no_picture(monkeypatch):
    logits, labels = sample()
    logits[..., EMPTY] += 4
    expected = oracle(logits, labels, "sharpened", "all")  # knows no limit but the renderer's own
    got = make(weights=GaussRenderWeights(1, 1, 1, 1))(logits, None, labels, GRID, rig(), EMPTY)
    assert {k: v.item() for k, v in got.items()} == pytest.approx({k: v.item() for k, v in expected.items()})


def test_max_gaussians_keeps_the_truly_occupied_then_the_most_opaque():
    logits, labels = sample(batch=2)
    loss = make(opacity_rule="linear", max_gaussians=20)
    g = loss._predicted_gaussians(logits, None, labels, GRID, EMPTY, IGNORE)
    assert len(g) == 20
    occupancy = 1 - logits.softmax(-1)[..., EMPTY]
    for b in range(2):
        occupied = (labels[b] != EMPTY) & (labels[b] != IGNORE)
        free = sorted(occupancy[b][labels[b] == EMPTY].tolist(), reverse=True)
        expected = occupancy[b][occupied].tolist() + free[: 20 - int(occupied.sum())]
        assert sorted(g.opacities[b].tolist()) == pytest.approx(sorted(expected))


def test_it_alone_can_shape_a_wrong_prediction():
    """No voxel loss: pictures from six cameras pull random logits to the truth where the cameras see it."""
    torch.manual_seed(0)
    labels = torch.full((1, *GRID.shape), EMPTY, dtype=torch.uint8)
    labels[0, :, :, 0], labels[0, 2:, 2, 1] = 1, 0
    logits = (0.1 * torch.randn(1, *GRID.shape, CLASSES)).requires_grad_()
    loss = make(strategy="stereo", backend="cpu", balanced=True, opacity_rule="linear", class_rule="occupied")
    optimizer = torch.optim.Adam([logits], 0.6)
    for _ in range(20):
        optimizer.zero_grad()
        total(loss(logits, None, labels, GRID, rig(), EMPTY)).backward()
        optimizer.step()
    right = (logits.argmax(-1) == labels).float().mean()
    assert right > 0.9, f"{right:.2f} of the voxels"


def test_the_host_keeps_its_state_dict():
    assert not make().state_dict()
    head = make(feature_dim=8, opacity_rule="learned")
    assert {name.split(".")[0] for name in head.state_dict()} == {"opacity_head"}
    host = torch.nn.Linear(2, CLASSES)
    before = {k: v.clone() for k, v in host.state_dict().items()}
    logits, labels = sample(dtype=torch.float32)
    make(backend="cpu")(host(logits[..., :2]), None, labels, GRID, rig(), EMPTY)
    assert all(torch.equal(before[k], v) for k, v in host.state_dict().items())
    assert before.keys() == host.state_dict().keys()


def test_a_learned_opacity_starts_like_the_originals():
    torch.manual_seed(0)
    head = make(feature_dim=8, opacity_rule="learned").opacity_head
    assert head(torch.zeros(3, 8)).tolist() == pytest.approx([1 / (1 + math.e)] * 3)


def test_half_precision_of_the_host_is_rendered_in_single():
    logits, labels = sample(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        half = make(backend="cpu")(logits.bfloat16(), None, labels, GRID, rig(), EMPTY)
    full = make(backend="cpu")(logits.bfloat16().float(), None, labels, GRID, rig(), EMPTY)
    assert {k: v.item() for k, v in half.items()} == {k: v.item() for k, v in full.items()}


def test_lenses_and_motion_of_the_ego_are_accepted():
    logits, labels = sample(dtype=torch.float32)
    cameras = rig()
    lens = Cameras(cameras.intrinsics, cameras.T_ego_cam, 10, 8, "fisheye", torch.full((1, 2, 4), 0.01))
    assert all(torch.isfinite(v) for v in make(backend="cpu")(logits, None, labels, GRID, lens, EMPTY).values())


def test_bad_input_is_named():
    logits, labels = sample()
    with pytest.raises(ShapeError, match="logits"):
        make()(logits[:, 1:], None, labels, GRID, rig(), EMPTY)
    with pytest.raises(ShapeError, match="labels"):
        make()(logits, None, labels[0], GRID, rig(), EMPTY)
    with pytest.raises(ShapeError, match="empty_id"):
        make()(logits, None, labels, GRID, rig(), 4)
    with pytest.raises(ShapeError, match="cameras"):
        make()(logits, None, labels, GRID, rig(2), EMPTY)
    with pytest.raises(ShapeError, match="ids below 4"):
        make()(logits, None, labels, GRID, rig(), EMPTY, ignore_id=254)
    with pytest.raises(ConfigError, match="feature_dim"):
        make(opacity_rule="learned")
    with pytest.raises(ConfigError, match="voxel features"):
        make(feature_dim=8, opacity_rule="learned")(logits, None, labels, GRID, rig(), EMPTY)
    with pytest.raises(ShapeError, match="features"):
        make(feature_dim=8, opacity_rule="learned")(logits, logits, labels, GRID, rig(), EMPTY)
    for name, value in (
        ("opacity_rule", "hard"), ("class_rule", "none"), ("strategy", "around"), ("distance", "l2"),
        ("depth", "median"), ("top_down", "bev"),
        ("min_opacity", 1.0), ("max_gaussians", 0), ("render_width", 0),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=name):
            make(**{name: value})
    logits[0, 0, 0, 0, 0] = math.nan
    labels[0, 0, 0, 0] = 0
    with pytest.raises(ShapeError, match="logits.*finite"):
        make()(logits, None, labels, GRID, rig(), EMPTY)


def test_the_example_in_the_documentation_runs():
    page = Path(__file__).parents[2] / "docs" / "gaussrender.md"
    code = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert code
    scope = {}
    for block in code:
        exec(block, scope)
    assert scope["loss"].item() > 0
