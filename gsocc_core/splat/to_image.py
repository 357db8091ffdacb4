# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The operator from Gaussians to pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.splat.options import Backend, DepthMode, check_choice, check_finite


@dataclass(frozen=True)
class Rendering:
    """What cameras see of a scene.

    Attributes:
        features: (..., V, H, W, C).
        depth: (..., V, H, W) metres along the optical axis; 0 where nothing is hit.
        alpha: (..., V, H, W) accumulated opacity, 0..1.
    """

    features: Tensor
    depth: Tensor
    alpha: Tensor


def splat_to_image(
    gaussians: Gaussians,
    cameras: Cameras,
    *,
    background: Tensor | None = None,
    depth: DepthMode = "expected",
    near: float = 0.1,
    far: float = 100.0,
    backend: Backend = "auto",
) -> Rendering:
    """Render features, depth and opacity into all cameras (Kerbl et al. 2023; gsplat's compositing rules).

    Args:
        gaussians: Gaussians (..., N) in the reference ego frame; C feature channels.
        cameras: Cameras (..., V), undistorted pinhole or orthographic, the same leading dimensions.
        background: (C,) features behind everything, or None = zero.
        depth: ``expected`` = sum w z / sum w; ``accumulated`` = sum w z.
        near: Nearest depth kept, metres.
        far: Farthest depth kept, metres.
        backend: ``reference`` (PyTorch, any dtype), ``cpu`` (numba, float32), ``cuda`` (gsplat) or ``auto``.

    Returns:
        The pictures, differentiable in means, scales, quats, opacities and features.

    Raises:
        ShapeError: NaN or infinity in a field, leading dimensions that differ, or distorted cameras.
        ConfigError: unknown option, or a backend that does not fit the tensors.

    Example:
        >>> quats = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
        >>> g = Gaussians(torch.tensor([[0.0, 0.0, 5.0]]), torch.ones(1, 3), quats, torch.ones(1), torch.ones(1, 1))
        >>> K = torch.tensor([[[10.0, 0.0, 4.0], [0.0, 10.0, 4.0], [0.0, 0.0, 1.0]]])
        >>> view = splat_to_image(g, Cameras(K, torch.eye(4)[None], 8, 8))
        >>> round(view.depth[0, 4, 4].item(), 3)
        5.0
    """
    where = "splat_to_image"
    check_choice(where, "depth", depth, DepthMode)
    check_choice(where, "backend", backend, Backend)
    check_finite(where, gaussians)
    batch = gaussians.batch_shape
    if tuple(cameras.intrinsics.shape[:-3]) != batch:
        raise ShapeError(where, "cameras", f"leading dimensions {batch}", tuple(cameras.intrinsics.shape[:-3]))
    if cameras.model == "fisheye" or cameras.distortion is not None:
        raise ShapeError(where, "cameras", "undistorted pinhole or orthographic cameras", cameras.model)
    if backend == "auto":
        kind = gaussians.means.device.type
        backend = "cuda" if kind == "cuda" else "cpu" if gaussians.means.dtype != torch.float64 else "reference"
    flat_scene = gaussians.map(lambda t: t.reshape(math.prod(batch), *t.shape[len(batch) :]))
    flat_cameras = cameras.map(lambda t: t.reshape(math.prod(batch), *t.shape[len(batch) :]))
    count = math.prod(batch)
    results = [
        _render_scene(flat_scene.map(lambda t, i=i: t[i]), flat_cameras.map(lambda t, i=i: t[i]), near, far, backend)
        for i in range(count)
    ]
    features, accumulated, alpha = (
        torch.stack([r[k] for r in results]).reshape(*batch, *results[0][k].shape) for k in range(3)
    )
    if background is not None:
        features = features + (1 - alpha)[..., None] * background
    if depth == "expected":
        accumulated = accumulated / torch.where(alpha > 0, alpha, torch.ones_like(alpha))
    return Rendering(features, accumulated, alpha)


def _render_scene(
    scene: Gaussians, cameras: Cameras, near: float, far: float, backend: Backend
) -> tuple[Tensor, Tensor, Tensor]:
    if backend == "cuda":
        from gsocc_core.splat.images.cuda import rasterize_cuda

        return rasterize_cuda(scene, cameras, near, far)
    from gsocc_core.splat.images.projection import project

    if backend == "cpu" and scene.means.device.type != "cpu":
        raise ConfigError("splat_to_image", "backend", "tensors on the CPU for backend cpu", scene.means.device)
    if backend == "cpu":
        from gsocc_core.splat.images.cpu import Rasterize

        scene, cameras = scene.to(torch.float32), cameras.to(torch.float32)
        p = project(scene, cameras, near, far)
        return Rasterize.apply(
            p.means2d, p.conics, p.depths, scene.opacities, scene.features, p.radii, cameras.width, cameras.height
        )
    from gsocc_core.splat.images.reference import rasterize_reference

    p = project(scene, cameras.to(scene.means.dtype), near, far)
    return rasterize_reference(p, scene.opacities, scene.features, cameras.width, cameras.height)
