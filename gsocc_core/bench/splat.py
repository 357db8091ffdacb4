# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``gsocc_core bench splat``: the splatting operators, side by side with others when asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from gsocc_core.bench.baselines import Baseline, load_baselines
from gsocc_core.bench.bounds import Machine, pixel_pairs, splat_flops, voxel_pairs, written_bytes
from gsocc_core.bench.measure import cpu_ms, cuda_ms, extra_memory_mb, wall_ms
from gsocc_core.bench.report import Row, as_json, header, table, write_json
from gsocc_core.bench.scenes import SIGMAS_M, one_per_voxel, random_scene, surround_cameras
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.classes import OCC3D_NUSCENES
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import SemanticGrid, VoxelField, VoxelGrid
from gsocc_core.splat import splat_to_image, splat_to_labels, splat_to_voxels

CHANNELS, THRESHOLD = 18, 0.3
#: Largest scenes that the baselines are asked for: beyond, they take minutes.
BASELINE_GAUSSIANS = 10_000
#: Voxels at which results are held against the exact sum.
PROBES = 4000

Rows = Iterator[Row]


class _Bench:
    """One scene on one device, its buffers, and the calls to measure."""

    def __init__(self, name: str, scene: Gaussians, grid: VoxelGrid, machine: Machine, repeats: int) -> None:
        self.name, self.scene, self.grid, self.machine, self.repeats = name, scene, grid, machine, repeats
        self.device = scene.means.device
        # Zeros, not empty: the first touch of a page would count as time and memory of the first call.
        density = torch.zeros(grid.shape, device=self.device)
        features = torch.zeros(*grid.shape, CHANNELS, device=self.device)
        self.field = VoxelField(density, features, grid)
        labels = torch.zeros(grid.shape, dtype=torch.uint8, device=self.device)
        self.labels = SemanticGrid(labels, grid, OCC3D_NUSCENES, torch.zeros_like(density))
        self.pairs = voxel_pairs(scene, grid)

    def volume(self) -> None:
        """Density and features into given buffers."""
        with torch.no_grad():
            splat_to_voxels(self.scene, self.grid, out=self.field)

    def label(self) -> None:
        """Labels and confidence into given buffers."""
        splat_to_labels(self.scene, self.grid, OCC3D_NUSCENES, threshold=THRESHOLD, out=self.labels)

    def volume_and_argmax(self) -> None:
        """Labels by way of the whole volume."""
        self.volume()
        best = self.field.features.argmax(-1)
        torch.where(self.field.density >= THRESHOLD, best, OCC3D_NUSCENES.free_id)

    def forward_and_backward(self) -> None:
        """One training step's worth."""
        leaf = self.scene.map(lambda t: t.detach().requires_grad_())
        field = splat_to_voxels(leaf, self.grid)
        torch.autograd.backward([field.density, field.features], [self.field.density, self.field.features])

    def row(self, case: str, run: Callable[[], object], channels: int | None, passes: int = 1) -> Row:
        """Time, memory and bound of one call."""
        memory = extra_memory_mb(run, self.device)
        ms = (cuda_ms if self.device.type == "cuda" else cpu_ms)(run, self.repeats)
        bound = self.machine.least_ms(passes * splat_flops(self.pairs, CHANNELS), written_bytes(self.grid, channels))
        return Row(self.name, case, ms, memory, self.pairs, bound)

    def rows(self) -> Rows:
        """All cases."""
        yield self.row("volume", self.volume, CHANNELS)
        yield self.row("labels only", self.label, None)
        yield self.row("volume, then argmax", self.volume_and_argmax, CHANNELS)
        # Backward, every pair once for the gradient of the features and once for that of the weight.
        yield self.row("volume and its gradients", self.forward_and_backward, CHANNELS, passes=3)
        if self.device.type == "cuda":
            for case, run in (("volume, CUDA graph", self.volume), ("labels only, CUDA graph", self.label)):
                yield Row(self.name, case, cuda_ms(run, self.repeats, graph=True), None, self.pairs)

    def baseline(self, other: Baseline) -> Rows:
        """A baseline on the same buffers, and how far both are from the untruncated sum."""
        density, votes = self.field.density, self.field.features
        run: Callable[[], object] = lambda: other.splat(self.scene, self.grid, density, votes)  # noqa: E731
        with torch.no_grad():
            row = self.row(other.name, run, CHANNELS)
            yield Row(row.scene, row.case, row.ms, row.memory_mb, note=self.distance(density))
            classify = cpu_ms(lambda: other.classify(density, votes), 3)
            assert row.ms is not None
            yield Row(self.name, f"{other.name}, then its class step", row.ms + classify)

    def distance(self, density: Tensor) -> str:
        """Mean and largest error of a density against the untruncated float64 sum at random voxels."""
        probes = torch.randperm(density.numel(), generator=torch.Generator().manual_seed(0))[:PROBES]
        points = self.grid.centers.reshape(-1, 3)[probes].double()
        means, sigma = (t.cpu().double() for t in (self.scene.means, self.scene.covariances()))
        inverse, opacities = torch.linalg.inv(sigma), self.scene.opacities.cpu().double()
        exact = torch.cat([_densities(part, means, inverse, opacities) for part in points.split(100)])
        error = (density.reshape(-1).cpu().double()[probes] - exact).abs()
        return f"density off by {error.mean():.2g} in the mean, {error.max():.2g} at most"


def _densities(points: Tensor, means: Tensor, inverse: Tensor, opacities: Tensor) -> Tensor:
    offset = points[:, None] - means
    return torch.exp(-0.5 * torch.einsum("pni,nij,pnj->pn", offset, inverse, offset)) @ opacities


def _image_rows(count: int, grid: VoxelGrid, device: torch.device, machine: Machine, repeats: int) -> Rows:
    """Six views of 112 x 200 pixels with 22 channels, against the PyTorch reference."""
    scene, cameras = random_scene(count, "mixed", grid, channels=22).to(device), surround_cameras().to(device)
    clock = cuda_ms if device.type == "cuda" else cpu_ms
    name = f"{count:,} mixed, 6 views of 112 x 200"

    def render(backend: str) -> None:
        with torch.no_grad():
            splat_to_image(scene, cameras, backend=backend)  # type: ignore[arg-type]

    pairs, written = pixel_pairs(scene, cameras), 4.0 * 6 * 112 * 200 * (22 + 2)
    bound = machine.least_ms(splat_flops(pairs, 22 + 1), written)
    render("auto")
    memory = extra_memory_mb(lambda: render("auto"), device)
    fast = clock(lambda: render("auto"), repeats)
    yield Row(name, "pictures", fast, memory, pairs, bound)
    slow = clock(lambda: render("reference"), 1)
    yield Row(name, "pictures, PyTorch reference", slow, note=f"{slow / fast:.0f} times as long")


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _thread_rows(bench: _Bench, threads: int) -> Rows:
    one, more = bench.name, f"volume, {threads} threads (wall time)"
    with _threads(1):
        alone = wall_ms(bench.volume, bench.repeats)
    with _threads(threads):
        together = wall_ms(bench.volume, bench.repeats)
    yield Row(one, "volume, 1 thread (wall time)", alone)
    yield Row(one, more, together, note=f"{alone / together:.2f} times as fast as one")


def _warm_up(grid: VoxelGrid, device: torch.device, machine: Machine) -> None:
    """Compile every kernel before the first one is measured."""
    bench = _Bench("", random_scene(10, "mixed", grid, CHANNELS).to(device), grid, machine, 1)
    for call in (bench.volume, bench.label, bench.volume_and_argmax, bench.forward_and_backward):
        call()


def _scenes(gaussians: Sequence[int], sigmas: Sequence[str], grid: VoxelGrid, dense: bool) -> Iterator[tuple[str, int]]:
    for count in gaussians:
        for sigma in sigmas:
            yield sigma, count
    if dense:
        yield "voxel", len(grid.centers.reshape(-1, 3))


def run(
    gaussians: Sequence[int],
    sigmas: Sequence[str],
    dense: bool,
    threads: int,
    repeats: int,
    device_name: str,
    baselines: str | None,
    images: bool,
    out: str | None,
) -> list[Row]:
    """Measure, print a table, and write JSON; see :func:`gsocc_core.commands.bench`.

    Returns:
        The rows of the table.

    Raises:
        ConfigError: an unknown size, a number below 1, a device that is not there, or baselines that are none.
    """
    unknown = [sigma for sigma in sigmas if sigma not in SIGMAS_M]
    if unknown:
        raise ConfigError("bench", "sigma", f"some of {', '.join(SIGMAS_M)}", unknown[0])
    for key, least in (("threads", threads), ("repeats", repeats), ("gaussians", min(gaussians, default=1))):
        if least < 1:
            raise ConfigError("bench", key, "1 or more", least)
    device = torch.device(
        "cuda" if device_name == "auto" and torch.cuda.is_available() else device_name.replace("auto", "cpu")
    )
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("bench", "device", "an NVIDIA GPU that PyTorch can use", "none")
    others = load_baselines(baselines) if baselines else ()
    grid = VoxelGrid.occ3d()
    rows: list[Row] = []
    with _threads(threads):
        machine = Machine.measure(device)
        _warm_up(grid, device, machine)
        scenes = list(_scenes(gaussians, sigmas, grid, dense))
        for sigma, count in tqdm(scenes, desc="scenes", file=sys.stderr):
            scene = one_per_voxel(grid, CHANNELS) if sigma == "voxel" else random_scene(count, sigma, grid, CHANNELS)
            bench = _Bench(f"{count:,} {sigma}", scene.to(device), grid, machine, repeats)
            rows += bench.rows()
            if sigma == "mixed" and count <= BASELINE_GAUSSIANS:
                bench.volume()
                first = next(i for i, row in enumerate(rows) if (row.scene, row.case) == (bench.name, "volume"))
                rows[first] = Row(**{**vars(rows[first]), "note": bench.distance(bench.field.density)})
                for other in others:
                    rows += bench.baseline(other)
        if images:
            rows += _image_rows(10_000, grid, device, machine, repeats)
    if device.type == "cpu" and 10_000 in gaussians:
        scene = random_scene(10_000, "mixed", grid, CHANNELS)
        rows += _thread_rows(_Bench("10,000 mixed", scene, grid, machine, repeats), 2)
    print(header(machine, device, threads), table(rows), sep="\n\n")
    if out is not None:
        write_json(Path(out), as_json(rows, machine, device, threads))
    return rows
