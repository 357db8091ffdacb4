# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians to voxels on an NVIDIA GPU: the Triton kernels, their buffers, and their gradient."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.splat.classify import class_ids
from gsocc_core.splat.options import Composition, Support
from gsocc_core.splat.shapes import MIN_SCALE_M, MIN_WEIGHT, scenes_in_grid, squared_cover, squared_reach
from gsocc_core.splat.voxels import triton_list_kernels as lister
from gsocc_core.splat.voxels import triton_sum_kernels as adder

#: Gaussians of one chunk of the coarse lists; places in it are kept as int16.
CHUNK = 1024
#: Gaussians that a tile takes at once: the shortest sum that tensor cores take.
BLOCK = 16
#: Voxels of a tile; its edges follow the height of the grid.
TILE_EDGES = {1: (16, 8, 1), 2: (8, 8, 2), 4: (8, 4, 4), 8: (4, 4, 8)}
#: Most channels that one program holds in registers; with them it takes twice the usual threads.
MAX_CHANNELS, WIDE_WARPS, USUAL_WARPS = 64, 8, 4
#: Gradients that one program of the backward pass holds in registers: voxels times channels.
HELD_GRADIENTS = 2048
#: Room for (tile, Gaussian) pairs: at least so many, and so many per Gaussian. What does not fit is still computed.
MIN_PAIRS, PAIRS_PER_GAUSSIAN = 1 << 23, 32
#: Programs that the backward pass wants at least, so that few Gaussians still fill a GPU.
BACKWARD_PROGRAMS = 16384


class SplatOptions(NamedTuple):
    """How to splat; see :func:`gsocc_core.splat_to_voxels`.

    Attributes:
        grid: The grid.
        composition: Rule of the sums.
        cutoff: Standard deviations.
        support: Shape of the support.
        capacity: Most (tile, Gaussian) pairs that are listed; None = a rule of thumb.
    """

    grid: VoxelGrid
    composition: Composition
    cutoff: float
    support: Support
    capacity: int | None = None

    @property
    def limit(self) -> float:
        """Squared Mahalanobis distance beyond which a Gaussian adds nothing."""
        return (squared_cover if self.mean else squared_reach)(self.cutoff, self.support)

    @property
    def normalise(self) -> bool:
        """Features are divided by the density."""
        return self.composition in {"sum", "hazard"}

    @property
    def mean(self) -> bool:
        """Sums are divided by the number of Gaussians that cover a voxel."""
        return self.composition == "mean"


@functools.lru_cache(maxsize=16)
def _frame(grid: VoxelGrid, device: torch.device) -> Tensor:
    """Pose, corner and voxel edges as the kernels read them; kept, because an upload would wait for the host."""
    T = grid.T_ego_grid_matrix
    return torch.from_numpy(np.concatenate([T[:3, :3].ravel(), T[:3, 3], grid.lower, grid.size_m])).to(device)


def _precision(device: torch.device) -> str:
    """Product of weights and features: three TF32 passes, as good as float32, where tensor cores take them."""
    if device.type != "cuda":
        return "ieee"
    return "tf32x3" if torch.cuda.get_device_capability(device)[0] >= 8 else "ieee"


def _on(device: torch.device) -> AbstractContextManager[Any]:
    """Triton launches on the current device, which need not be that of the tensors."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


class _Lists:
    """B scenes of N Gaussians in voxel units, and the lists of every tile."""

    def __init__(self, gaussians: Gaussians, options: SplatOptions) -> None:
        self.options = options
        self.scenes, self.number = gaussians.opacities.shape
        self.features = gaussians.features.detach().contiguous()
        self.device, self.channels = self.features.device, self.features.shape[-1]
        self.shape = options.grid.shape
        self.edges = TILE_EDGES[max(e for e in TILE_EDGES if e <= self.shape[2])]
        tiles_x, self.tiles_y, self.tiles_z = (triton.cdiv(n, e) for n, e in zip(self.shape, self.edges))
        self.tiles = tiles_x * self.tiles_y * self.tiles_z
        side = lister.SIDE.value
        self.columns_y = triton.cdiv(self.shape[1], side)
        self.columns = triton.cdiv(self.shape[0], side) * self.columns_y
        self.chunks = triton.cdiv(self.number, CHUNK)
        total = self.scenes * self.number
        pairs = options.capacity
        self.capacity = max(MIN_PAIRS, PAIRS_PER_GAUSSIAN * total) if pairs is None else pairs
        self.centers = self._empty(total, 3, dtype=torch.float64)
        self.records = self._empty(total, lister.RECORD.value)
        self.boxes = self._empty(total, 6, dtype=torch.int32)
        self._prepare(gaussians)
        self._list()

    def _empty(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=self.device)

    def _prepare(self, gaussians: Gaussians) -> None:
        total, block, options = self.scenes * self.number, 128, self.options
        fields = (t.detach().contiguous() for t in (gaussians.means, gaussians.scales, gaussians.quats))
        lister.prepare_gaussians[(triton.cdiv(total, block),)](
            *fields, gaussians.opacities.detach().contiguous(), self.features, _frame(options.grid, self.device),
            self.centers, self.records, self.boxes, total, self.channels, *self.shape, options.cutoff, MIN_SCALE_M,
            UNWEIGHTED=options.composition == "sum_unweighted", SUPPORT=get_args(Support).index(options.support),
            BLOCK=block, CHANNELS=16,
        )  # fmt: skip

    def _list(self) -> None:
        slots = (self.scenes, self.columns, self.chunks)
        self.coarse = self._empty(*slots, CHUNK, dtype=torch.int16)
        self.counts = self._empty(*slots, dtype=torch.int32)
        lister.list_coarse[(self.chunks, self.columns, self.scenes)](
            self.boxes, self.coarse, self.counts, self.number, self.columns_y, CHUNK=CHUNK
        )
        counts = torch.zeros(self.scenes * self.tiles + 1, dtype=torch.int64, device=self.device)
        self.entries = self._empty(self.capacity, dtype=torch.int32)
        self._walk(counts, fill=False)
        self.starts = counts.cumsum(0)
        self._walk(self.starts, fill=True)

    def _walk(self, starts: Tensor, *, fill: bool) -> None:
        lister.list_tiles[(self.tiles, self.scenes)](
            self.boxes, self.centers, self.records, self.coarse, self.counts, starts, self.entries, self.number,
            *self.place, self.options.limit, self.capacity, FILL=fill, **self.tile, BLOCK=64,
        )  # fmt: skip

    @property
    def place(self) -> tuple[int, ...]:
        """Where a tile finds its lists: chunks, columns, columns_y, tiles_y, tiles_z."""
        return self.chunks, self.columns, self.columns_y, self.tiles_y, self.tiles_z

    @property
    def tile(self) -> dict[str, int]:
        """Compile-time sizes."""
        return {"TX": self.edges[0], "TY": self.edges[1], "TZ": self.edges[2], "CHUNK": CHUNK}

    @property
    def kernel_options(self) -> dict[str, Any]:
        """Compile-time options of the kernels that add up."""
        return {
            "MEAN": self.options.mean, "BOX": self.options.support != "ellipsoid",
            "PRECISION": _precision(self.device), "BLOCK": BLOCK, "CHANNELS": self.width,
            "num_warps": WIDE_WARPS if self.width > 32 else USUAL_WARPS, **self.tile,
        }  # fmt: skip

    @property
    def width(self) -> int:
        """Channels that one program takes."""
        return min(MAX_CHANNELS, max(16, triton.next_power_of_2(self.channels)))

    @property
    def lists(self) -> tuple[Tensor, ...]:
        """Leading arguments of the kernels that add up."""
        return (
            self.centers, self.records, self.boxes, self.features, self.coarse, self.counts, self.starts, self.entries,
        )  # fmt: skip

    def splat(self, density: Tensor, features: Tensor) -> Tensor:
        """Fill density (B, X, Y, Z) and features (B, X, Y, Z, C).

        Returns:
            For composition ``mean`` (B, X, Y, Z), what both were divided by; otherwise of no meaning.
        """
        more = self.kernel_options
        covering = torch.empty_like(density) if self.options.mean else density
        adder.splat_tiles[(self.tiles, triton.cdiv(self.channels, more["CHANNELS"]), self.scenes)](
            *self.lists, density, features, covering, self.number, self.channels, *self.shape, *self.place,
            self.options.limit, self.capacity, NORMALISE=self.options.normalise, **more,
        )  # fmt: skip
        return covering

    def label(self, classes: ClassTable, threshold: float, labels: Tensor, confidence: Tensor) -> None:
        """Fill labels and confidence (B, X, Y, Z)."""
        adder.label_tiles[(self.tiles, 1, self.scenes)](
            *self.lists, class_ids(classes, self.device), labels, confidence, self.number, self.channels, *self.shape,
            *self.place, self.options.limit, self.capacity, threshold, classes.free_id,
            HAZARD=self.options.composition == "hazard", **self.kernel_options,
        )  # fmt: skip

    def gather(self, by_density: Tensor, by_features: Tensor) -> tuple[Tensor, Tensor]:
        """Sums (B * N, SUMS) and gradients of the features (B * N, C), given gradients of the unnormalised sums."""
        total = self.scenes * self.number
        parts = max(1, min(16, BACKWARD_PROGRAMS // max(total, 1)))
        sums = self._empty(parts, total, lister.SUMS.value)
        rows = self._empty(parts, total, self.channels)
        adder.gather_gradients[(total, parts)](
            self.centers, self.records, self.boxes, self.features, by_density, by_features, sums, rows, self.number,
            self.channels, *self.shape, self.options.limit, MEAN=self.options.mean,
            VOXELS=HELD_GRADIENTS // self.width, CHANNELS=self.width,
        )  # fmt: skip
        return (sums[0], rows[0]) if parts == 1 else (sums.sum(0), rows.sum(0))


def _shape_gradients(lists: _Lists, sums: Tensor, size_m: tuple[float, float, float]) -> tuple[Tensor, Tensor]:
    """Gradients of means (M, 3) and whitening (M, 3, 3), grid frame, metres, out of the gathered sums.

    With q = |A d|^2, S = sum dL/dq d d^T and m = sum dL/dq d: dL/dA = 2 A S and dL/dmean = -2 A^T A m.
    """
    size = sums.new_tensor(size_m)
    A = lists.records[:, :9].reshape(-1, 3, 3) / size
    by_q = -0.5 * lists.records[:, lister.AMPLITUDE.value]
    m = by_q[:, None] * sums[:, 1:4] * size
    xx, xy, xz, yy, yz, zz = sums[:, 4:10].unbind(-1)
    S = torch.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], dim=-1).view(-1, 3, 3)
    S = by_q[:, None, None] * S * size[:, None] * size
    return -2 * (A.mT @ (A @ m[..., None]))[..., 0], 2 * A @ S


class _SplatToVoxels(torch.autograd.Function):
    """density, features = f(means, scales, quats, opacities, features) of B scenes."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, Tensor]:
        """Splat; the five tensors, then the options."""
        gaussians, options = Gaussians(*args[:5]), args[5]
        shape = (len(gaussians.opacities), *options.grid.shape)
        density = gaussians.means.new_empty(shape)
        features = gaussians.means.new_empty((*shape, gaussians.features.shape[-1]))
        ctx.lists = None
        if not gaussians.opacities.numel():
            ctx.save_for_backward(*args[:5])
            return density.zero_(), features.zero_()
        with _on(density.device):
            lists = _Lists(gaussians, options)
            covering = lists.splat(density, features)
        lists.entries = lists.coarse = lists.starts = lists.counts = torch.empty(0)  # the backward pass needs no lists
        ctx.lists = lists
        ctx.covering = covering if options.mean else None
        ctx.save_for_backward(*args[:4], density, features)
        return density, features

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Turn gradients of density and features into those of the five tensors."""
        if ctx.lists is None:
            return (*(torch.zeros_like(value) for value in ctx.saved_tensors), None)
        means, scales, quats, opacities, density, features = ctx.saved_tensors
        lists: _Lists = ctx.lists
        by_density, by_features = grads
        if lists.options.mean:
            by_density, by_features = by_density / ctx.covering, by_features / ctx.covering[..., None]
        elif lists.options.normalise:  # d (num / den) = (d num - feature d den) / den
            solid = density > MIN_WEIGHT
            inverse = torch.where(solid, 1 / torch.where(solid, density, 1.0), 0.0)
            by_density = by_density - (by_features * features).sum(-1) * inverse
            by_features = by_features * inverse[..., None]
        with _on(density.device):
            sums, rows = lists.gather(by_density.contiguous(), by_features.contiguous())
        by_means, by_whitening = _shape_gradients(lists, sums, lists.options.grid.size_m)
        with torch.enable_grad():
            # How a frame, scales and quaternions make a whitening matrix is written once, in plain PyTorch.
            leaves = [t.detach().requires_grad_() for t in (means, scales, quats)]
            fields: list[Tensor] = [*leaves, opacities.detach(), lists.features]
            scene = scenes_in_grid(Gaussians(*fields), lists.options.grid, lists.options.cutoff)
            parts = torch.autograd.grad(
                (scene.means, scene.whitening), leaves, (by_means.view(means.shape), by_whitening.view(*means.shape, 3))
            )
        # Of the first sum, of the last, or (mean) by way of the density and of the features.
        terms = {"sum_unweighted": sums[:, -1], "mean": sums[:, 0] + sums[:, -1]}
        by_opacity = terms.get(lists.options.composition, sums[:, 0])
        return (*parts, by_opacity.reshape(opacities.shape), rows.view(lists.features.shape), None)


def voxels_cuda(
    gaussians: Gaussians, options: SplatOptions, out: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Splat B scenes without waiting for the GPU.

    A Gaussian that holds NaN or infinity adds nothing: finding out whether there is one would make the host wait.

    Args:
        gaussians: (B, N) float32, on the GPU (or on the CPU under ``TRITON_INTERPRET=1``).
        options: How.
        out: Buffers like the result, which receive it without gradients.

    Returns:
        density (B, X, Y, Z) and features (B, X, Y, Z, C).
    """
    if not gaussians.features.shape[-1]:
        # The density alone: the kernels go by blocks of channels, so they get one.
        one = gaussians.replace(features=gaussians.means.new_zeros((*gaussians.opacities.shape, 1)))
        spare = None if out is None else (out[0], torch.empty((*out[0].shape, 1), device=out[0].device))
        density, features = voxels_cuda(one, options, spare)
        return density, features[..., :0]
    if out is not None:
        if gaussians.opacities.numel():
            with _on(out[0].device):
                _Lists(gaussians, options).splat(*out)
        else:
            out[0].zero_()
            out[1].zero_()
        return out
    fields = (gaussians.means, gaussians.scales, gaussians.quats, gaussians.opacities, gaussians.features)
    density, features = _SplatToVoxels.apply(*fields, options)
    return density, features


def labels_cuda(
    gaussians: Gaussians,
    options: SplatOptions,
    threshold: float,
    classes: ClassTable,
    labels: Tensor,
    confidence: Tensor,
) -> None:
    """Fill labels (B, X, Y, Z) uint8 and confidence (B, X, Y, Z); see :func:`gsocc_core.splat_to_labels`."""
    if not gaussians.opacities.numel():
        labels.fill_(classes.free_id)
        confidence.fill_(1.0)
        return
    with _on(labels.device):
        _Lists(gaussians, options).label(classes, float(threshold), labels, confidence)
