# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The Triton kernels against the float64 reference: through Triton's interpreter on a CPU, compiled where a GPU is."""

import json
import math
import os
import subprocess
import sys

import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, VoxelField, VoxelGrid, splat_to_labels, splat_to_voxels
from gsocc_core.geometry.rigid import rigid_from_quat

pytest.importorskip("triton")
from gsocc_core.splat.voxels import cuda
from gsocc_core.splat.voxels.cuda import SplatOptions, labels_cuda, voxels_cuda

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
GRID = VoxelGrid((-1.0, -1.0, -1.0), (1.0, 1.0, 1.4), 0.4)  # two by two tiles: the interpreter takes its time
FIELDS = ("means", "scales", "quats", "opacities", "features")


@pytest.fixture(autouse=True)
def few_large_steps(monkeypatch):
    """The interpreter pays by the step, not by the number."""
    if not ON_GPU:
        monkeypatch.setattr(cuda, "HELD_GRADIENTS", 1 << 15)
        monkeypatch.setattr(cuda, "BACKWARD_PROGRAMS", 40)
        monkeypatch.setattr(cuda, "MIN_PAIRS", 1 << 14)


def on_device(scene, requires_grad=False):
    return scene.map(lambda t: t[None].float().to(DEVICE).clone().requires_grad_(requires_grad))


def compare(scene, grid, options, safe, min_density=1e-2):
    """Values and gradients of both backends where no rounding can flip the support."""
    channels = scene.features.shape[-1]
    g = torch.Generator().manual_seed(1)
    weights = torch.randn(*grid.shape, channels + 1, generator=g, dtype=torch.float64) * safe[..., None]
    expected = scene.map(lambda t: t.clone().requires_grad_())
    field = splat_to_voxels(
        expected, grid, composition=options.composition, support=options.support, cutoff=options.cutoff,
        backend="reference",
    )  # fmt: skip
    weights = weights * (field.density.detach() > min_density)[..., None]
    ((field.density * weights[..., 0]).sum() + (field.features * weights[..., 1:]).sum()).backward()
    leaf = on_device(scene, requires_grad=True)
    density, features = voxels_cuda(leaf, options)
    w = weights.float().to(DEVICE)
    ((density[0] * w[..., 0]).sum() + (features[0] * w[..., 1:]).sum()).backward()
    torch.testing.assert_close(density[0].cpu().double()[safe], field.density[safe], rtol=3e-5, atol=3e-6)
    solid = safe & (field.density.detach() > min_density)
    torch.testing.assert_close(features[0].cpu().double()[solid], field.features[solid], rtol=2e-3, atol=3e-4)
    for name in FIELDS:
        wanted, got = getattr(expected, name).grad, getattr(leaf, name).grad[0].cpu().double()
        error = (got - wanted).abs().max() / wanted.abs().max().clamp(min=1e-9)
        assert error < 3e-4, f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize(
    ("composition", "support"),
    [
        ("sum", "ellipsoid"), ("sum", "box"), ("hazard", "box_voxels"), ("sum_unweighted", "ellipsoid"),
        ("sum_unweighted", "box_voxels"), ("mean", "ellipsoid"), ("mean", "box_voxels"),
    ],
)  # fmt: skip
def test_values_and_gradients_equal_the_float64_reference(random_scene, away_from_the_cutoff, composition, support):
    scene = random_scene(12, 5, seed=3)
    safe = away_from_the_cutoff(scene, GRID, 3.0, support)
    assert safe.double().mean() > 0.8
    compare(scene, GRID, SplatOptions(GRID, composition, 3.0, support), safe)


@pytest.mark.parametrize(("composition", "capacity"), [("sum", 0), ("mean", 25), ("sum", None)])
def test_a_tile_whose_list_does_not_fit_is_as_right(random_scene, away_from_the_cutoff, composition, capacity):
    scene = random_scene(60, 3, seed=4)
    safe = away_from_the_cutoff(scene, GRID, 3.0, "ellipsoid")
    expected = splat_to_voxels(scene, GRID, composition=composition, backend="reference")
    density, features = voxels_cuda(on_device(scene), SplatOptions(GRID, composition, 3.0, "ellipsoid", capacity))
    torch.testing.assert_close(density[0].cpu().double()[safe], expected.density[safe], rtol=3e-5, atol=3e-6)
    solid = safe & (expected.density > 1e-2)
    torch.testing.assert_close(features[0].cpu().double()[solid], expected.features[solid], rtol=2e-3, atol=3e-4)


# One program takes up to 64: none, parts of one, one and a part, whole ones; the interpreter need not take 768.
@pytest.mark.parametrize("channels", [0, 1, 18, 70, 768 if ON_GPU else 192])
def test_any_number_of_channels(random_scene, away_from_the_cutoff, channels):
    scene = random_scene(8, channels, seed=5, sigma=(0.3, 0.9))
    safe = away_from_the_cutoff(scene, GRID, 3.0, "ellipsoid")
    if channels:
        compare(scene, GRID, SplatOptions(GRID, "sum", 3.0, "ellipsoid"), safe)
    else:
        density, features = voxels_cuda(on_device(scene), SplatOptions(GRID, "sum", 3.0, "ellipsoid"))
        expected = splat_to_voxels(scene, GRID, backend="reference")
        assert features.shape == (1, *GRID.shape, 0)
        torch.testing.assert_close(density[0].cpu().double()[safe], expected.density[safe], rtol=3e-5, atol=3e-6)


@pytest.mark.parametrize("shape", [(35, 3, 1), (1, 34, 2), (5, 9, 5), (4, 4, 17)])
def test_grids_whose_edges_no_tile_divides(random_scene, away_from_the_cutoff, shape):
    lower = [-0.2 * n for n in shape]
    pose = tuple(map(tuple, rigid_from_quat([0.9, 0.1, -0.2, 0.3], [0.5, -0.4, 0.2])))
    grid = VoxelGrid(tuple(lower), tuple(-x for x in lower), 0.4, pose)
    scene = random_scene(15, 2, seed=6, sigma=(0.4, 1.5))
    expected = splat_to_voxels(scene, grid, cutoff=20.0, backend="reference")
    assert expected.density.max() > 0.1
    options = SplatOptions(grid, "sum", 20.0, "ellipsoid")
    density, features = voxels_cuda(on_device(scene), options)
    torch.testing.assert_close(density[0].cpu().double(), expected.density, rtol=1e-4, atol=1e-5)
    solid = expected.density > 1e-2
    torch.testing.assert_close(features[0].cpu().double()[solid], expected.features[solid], rtol=2e-3, atol=3e-4)


@pytest.mark.parametrize(("composition", "support"), [("sum", "ellipsoid"), ("sum", "box"), ("mean", "box_voxels")])
def test_a_wide_support_adds_what_the_gaussian_is_worth(random_scene, composition, support):
    scene, options = random_scene(6, 2, seed=8, sigma=(0.05, 0.3)), SplatOptions(GRID, composition, 40.0, support)
    compare(scene, GRID, options, torch.ones(GRID.shape, dtype=torch.bool))
    faint = scene.replace(opacities=torch.full((6,), 1e-40, dtype=torch.float64))
    _, features = voxels_cuda(on_device(faint), options)
    assert torch.isfinite(features).all()


HOSTILE = {"flat": [2.0, 2.0, 0.01], "needles": [3.0, 0.02, 0.02], "huge": [50.0] * 3, "tiny": [1e-4] * 3}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_shapes_equal_the_float64_reference(random_scene, away_from_the_cutoff, kind):
    scene = random_scene(20, 2, seed=11)
    scene = scene.replace(scales=torch.tensor(HOSTILE[kind], dtype=torch.float64).expand(20, 3).clone())
    scene = scene.replace(
        means=GRID.centers.double().reshape(-1, 3)[torch.arange(20) * 23 % math.prod(GRID.shape)] + 5e-5
    )
    scene = scene.map(lambda t: t.float().double())
    safe = away_from_the_cutoff(scene, GRID, 3.0, "ellipsoid")
    expected = splat_to_voxels(scene, GRID, composition="sum_unweighted", backend="reference")
    density, features = voxels_cuda(on_device(scene), SplatOptions(GRID, "sum_unweighted", 3.0, "ellipsoid"))
    assert expected.density[safe].max() > 0.5
    assert (density[0].cpu().double() - expected.density)[safe].abs().max() < 1e-3
    assert (features[0].cpu().double() - expected.features)[safe].abs().max() < 3e-3


def test_what_is_not_finite_adds_nothing(random_scene):
    scene = random_scene(6, 20)
    options = SplatOptions(GRID, "sum", 3.0, "ellipsoid")
    for k, name in enumerate(FIELDS):
        bad = scene.map(torch.clone)
        getattr(bad, name)[k] = math.nan if k % 2 else math.inf
        rest = scene.map(lambda t, k=k: torch.cat([t[:k], t[k + 1 :]]))
        got, expected = voxels_cuda(on_device(bad), options), voxels_cuda(on_device(rest), options)
        torch.testing.assert_close(got[0], expected[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(got[1], expected[1], rtol=1e-4, atol=1e-5)


def test_no_gaussians_no_scenes_and_none_in_sight(random_scene):
    options = SplatOptions(GRID, "sum", 3.0, "ellipsoid")
    none = on_device(random_scene(3, 2), requires_grad=True).map(lambda t: t[:, :0])
    density, features = voxels_cuda(none, options)
    assert density.abs().sum() == 0
    assert features.shape == (1, *GRID.shape, 2)
    (density.sum() + features.sum()).backward()  # a loss over an empty scene is no special case for a trainer
    assert voxels_cuda(on_device(random_scene(3, 2)).map(lambda t: t[:0]), options)[0].shape == (0, *GRID.shape)
    far = on_device(random_scene(3, 2), requires_grad=True)
    density, _ = voxels_cuda(far.replace(means=far.means + 500), options)
    density.sum().backward()
    assert density.abs().sum() == 0
    assert far.scales.grad.abs().sum() == 0


def test_batches_and_buffers(random_scene):
    scene = random_scene(20, 3).map(lambda t: t.float().reshape(2, 10, *t.shape[1:]).to(DEVICE))
    options = SplatOptions(GRID, "sum", 3.0, "ellipsoid")
    density, features = voxels_cuda(scene, options)
    single = voxels_cuda(scene.map(lambda t: t[1:]), options)
    torch.testing.assert_close(density[1:], single[0])
    out = torch.full_like(density, 7.0), torch.full_like(features, 7.0)
    assert voxels_cuda(scene, options, out)[0] is out[0]
    assert torch.equal(out[1], features)


@pytest.mark.parametrize("composition", ["sum", "hazard", "sum_unweighted", "mean"])
@pytest.mark.parametrize("count", [16, 70])
def test_labels_equal_the_argmax_of_the_volume(random_scene, composition, count):
    names = (*(f"class {k}" for k in range(count)), "free")
    colors = tuple((k, 0, 0) for k in range(count + 1))
    classes = type(OCC3D_NUSCENES)(names, colors, free_id=count, channel_to_id=tuple(reversed(range(count))))
    scene = random_scene(60, count, seed=8)
    support, threshold = ("box_voxels", 0.02) if composition == "mean" else ("ellipsoid", 0.2)
    options, rule = SplatOptions(GRID, composition, 3.0, support), {"composition": composition, "support": support}
    labels = torch.empty((1, *GRID.shape), dtype=torch.uint8, device=DEVICE)
    confidence = torch.empty((1, *GRID.shape), device=DEVICE)
    labels_cuda(on_device(scene), options, threshold, classes, labels, confidence)
    wanted = splat_to_labels(scene, GRID, classes, threshold=threshold, backend="reference", **rule)
    field = splat_to_voxels(scene, GRID, backend="reference", **rule)
    best = field.features.topk(2, dim=-1).values
    occupancy = -torch.expm1(-field.density) if composition == "hazard" else field.density.clamp(max=1)
    clear = ((best[..., 0] - best[..., 1]) > 1e-3) & ((occupancy - threshold).abs() > 1e-4)
    assert clear.float().mean() > 0.5
    assert 0.05 < (wanted.labels != count).float().mean() < 0.99
    assert torch.equal(labels[0].cpu()[clear], wanted.labels[clear])
    torch.testing.assert_close(confidence[0].cpu()[clear], wanted.confidence.float()[clear], rtol=1e-4, atol=1e-4)


CAPABILITIES = (80, 90)
COMPILE = """
import json, sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from gsocc_core.splat.voxels import triton_sum_kernels as kernels
POINTERS = {"features": "*fp32", "centers": "*fp64", "records": "*fp32", "coarse": "*i16", "counts": "*i32",
            "starts": "*i64", "entries": "*i32", "out_density": "*fp32", "out_features": "*fp32", "limit": "fp32",
            "ids": "*u8", "out_labels": "*u8", "out_confidence": "*fp32", "threshold": "fp32",
            "boxes": "*i32", "out_covering": "*fp32"}
SIZES = dict(CHUNK=1024, TX=4, TY=4, TZ=8, BLOCK=16, CHANNELS=32, NORMALISE=True, PRECISION="tf32x3",
             HAZARD=False)
codes = {}
for capability in map(int, sys.argv[1:]):
    for kernel, rule in ((kernels.splat_tiles, False), (kernels.label_tiles, True)):
        sizes = dict(SIZES, MEAN=rule, BOX=rule)
        fixed = {p.name: sizes[p.name] for p in kernel.params if p.is_constexpr}
        types = {p.name: "constexpr" if p.is_constexpr else POINTERS.get(p.name, "i32") for p in kernel.params}
        compiled = triton.compile(ASTSource(kernel, types, fixed), target=GPUTarget("cuda", capability, 32))
        codes.setdefault(capability, []).append(compiled.asm["ptx"])
print(json.dumps(codes))
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """PTX of the kernels by capability, from one process: here Triton interprets."""
    cache = tmp_path_factory.mktemp("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", COMPILE, *map(str, CAPABILITIES)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_the_kernels_compile_for_real_gpus_without_one(compiled, capability):
    codes = compiled[str(capability)]
    assert len(codes) == 2
    for ptx in codes:
        assert f".target sm_{capability}" in ptx
        assert "mma" in ptx, "the product of weights and features runs on tensor cores"
        assert "atom" not in ptx


@pytest.mark.gpu
def test_the_operators_choose_the_kernels_and_a_cuda_graph_holds_them(random_scene):
    scene = random_scene(500, 18, seed=9).map(lambda t: t.float().cuda())
    expected = splat_to_voxels(scene.map(lambda t: t.cpu().double()), GRID, backend="reference")
    out = VoxelField(torch.empty(GRID.shape, device="cuda"), torch.empty(*GRID.shape, 18, device="cuda"), GRID)
    stream = torch.cuda.Stream()
    with torch.no_grad(), torch.cuda.stream(stream):
        splat_to_voxels(scene, GRID, out=out)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            splat_to_voxels(scene, GRID, out=out)
    out.density.zero_()
    graph.replay()
    torch.cuda.synchronize()
    close = (out.density.cpu().double() - expected.density).abs() < 1e-4
    assert close.double().mean() > 0.99
    labels = splat_to_labels(scene, GRID, OCC3D_NUSCENES, threshold=0.3)
    on_cpu = splat_to_labels(scene.map(torch.Tensor.cpu), GRID, OCC3D_NUSCENES, threshold=0.3)
    assert (labels.labels.cpu() == on_cpu.labels).double().mean() > 0.99
