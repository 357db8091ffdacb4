# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""splat_to_image: a set of Gaussians becomes pictures of features, depth and opacity."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.rigid import multiply_quats, rotmat_to_quat, transform_points
from gsocc_core.splat.images.cpu import images_cpu, make_views
from gsocc_core.splat.images.reference import images_reference
from gsocc_core.splat.near_origin import scene_near_cameras
from gsocc_core.splat.options import Backend, DepthMode, check_choice, check_finite, resolve_backend
from gsocc_core.splat.shapes import MIN_SCALE_M

Pictures = tuple[Tensor, Tensor, Tensor]


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
    """Render features, depth and opacity into all cameras at once (Kerbl et al. 2023, with gsplat's rules).

    A Gaussian becomes an ellipse by the affine approximation of the projection at its mean (Zwicker et al. 2001), plus
    0.3 square pixels of low-pass. In depth order of the means, alpha = min(0.999, o exp(-1/2 d^T C^-1 d)) at the pixel
    centre, left out below 1/255; its weight is w = alpha times the transmittance of those before it; from the Gaussian
    on that would bring the transmittance to 1e-4 or below, a pixel shows nothing more. Standard deviations below 1e-6 m
    count as 1e-6 m. Results on the CPU do not depend on the number of threads.

    Differentiable for means, scales, quats, opacities, features, the background, and on the CPU for camera poses
    (slower); not for intrinsics.

    Args:
        gaussians: (..., N) Gaussians in the reference ego frame, metres. N may be 0. Far from the origin (UTM) means
            and camera poses want float64: they are moved near it before anything is rounded.
        cameras: (..., V) undistorted pinhole or orthographic cameras without skew, same leading dimensions.
        background: Features behind everything, (C,) or anything that broadcasts to (..., V, H, W, C); None = zero.
        depth: ``expected`` = sum w z / sum w, ``accumulated`` = sum w z.
        near: Means nearer than this are left out, metres.
        far: Means farther than this are left out, metres.
        backend: ``auto`` picks ``cpu`` (numba, computes in float32) or ``cuda`` (gsplat) by the device of the means;
            ``reference`` is plain PyTorch in the dtype given.

    Returns:
        Pictures (..., V, H, W).

    Raises:
        ShapeError: a field holds NaN or infinity, or leading dimensions differ.
        ConfigError: an unknown option, cameras that cannot be rendered, or a backend that cannot run here.

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
    check_finite(where, gaussians)
    _check_cameras(gaussians, cameras, near, far)
    backend = resolve_backend(where, backend, gaussians.means.device)
    gaussians, cameras = scene_near_cameras(gaussians, cameras)
    batch_shape, views = gaussians.batch_shape, cameras.intrinsics.shape[-3]
    count = math.prod(batch_shape)
    dtype = torch.float64 if gaussians.means.dtype == torch.float64 and backend == "reference" else torch.float32
    flat = gaussians.map(lambda t: t.to(dtype).reshape(count, *t.shape[len(batch_shape) :]))
    flat = flat.replace(scales=flat.scales.clamp(min=MIN_SCALE_M))
    flat_cameras = cameras.map(lambda t: t.reshape(count, *t.shape[len(batch_shape) :]))
    if backend == "cpu":
        pictures = _render_cpu(flat, flat_cameras, near, far)
    elif backend == "cuda":
        from gsocc_core.splat.images.cuda import images_cuda

        pictures = images_cuda(flat, flat_cameras, near, far)
    else:
        pictures = _render_one_by_one(flat, flat_cameras, near, far)
    features, accumulated, alpha = (p.reshape(*batch_shape, views, *p.shape[-k:]) for p, k in zip(pictures, (3, 2, 2)))
    if background is not None:
        features = features + (1 - alpha)[..., None] * background.to(features)
    if depth == "expected":
        accumulated = accumulated / torch.where(alpha > 0, alpha, 1.0)
    return Rendering(features, accumulated, alpha)


def _check_cameras(gaussians: Gaussians, cameras: Cameras, near: float, far: float) -> None:
    where, leading = "splat_to_image", tuple(cameras.intrinsics.shape[:-3])
    if leading != gaussians.batch_shape:
        raise ShapeError(where, "cameras", f"leading dimensions {gaussians.batch_shape}", leading)
    if cameras.model not in {"pinhole", "orthographic"}:
        raise ConfigError(where, "cameras.model", "pinhole or orthographic", cameras.model)
    if cameras.distortion is not None and bool((cameras.distortion != 0).any()):
        raise ConfigError(where, "cameras.distortion", "None: undistort the pictures first", "coefficients")
    K = cameras.intrinsics
    if not bool(torch.isfinite(K).all() and torch.isfinite(cameras.T_ref_cam).all()):
        raise ShapeError(where, "cameras", "finite intrinsics and poses", "NaN or infinity")
    if bool((K[..., [0, 1], [0, 1]] == 0).any()):
        raise ShapeError(where, "cameras.intrinsics", "focal lengths other than 0", 0)
    if bool((K[..., 0, 1] != 0).any() or (K[..., 1, 0] != 0).any()):
        raise ConfigError(where, "cameras.intrinsics", "no skew", "a skew")
    if not 0 < near < far:
        raise ConfigError(where, "near, far", "0 < near < far (m)", (near, far))


def _render_cpu(gaussians: Gaussians, cameras: Cameras, near: float, far: float) -> Pictures:
    viewmats = cameras.viewmats
    if viewmats.requires_grad and torch.is_grad_enabled():
        # Poses act on the scene alone, so moving the scene into each camera carries their gradient through plain torch.
        gaussians = _seen_from_cameras(gaussians, viewmats.to(gaussians.means))
        viewmats = torch.eye(4).expand(viewmats.shape)
    size = (cameras.height, cameras.width)
    views = make_views(viewmats, cameras.intrinsics, size, near, far, cameras.model == "orthographic")
    return images_cpu(gaussians.means, gaussians.covariances(), gaussians.opacities, gaussians.features, views)


def _seen_from_cameras(gaussians: Gaussians, viewmats: Tensor) -> Gaussians:
    """(B * V) scenes in camera frames out of B scenes and viewmats (B, V, 4, 4)."""
    views = viewmats.shape[1]
    poses = viewmats.flatten(0, 1)
    repeated = gaussians.map(lambda t: t.repeat_interleave(views, dim=0))
    quats = multiply_quats(rotmat_to_quat(poses[:, :3, :3])[:, None], repeated.quats)
    return repeated.replace(means=transform_points(poses, repeated.means), quats=quats)


def _render_one_by_one(gaussians: Gaussians, cameras: Cameras, near: float, far: float) -> Pictures:
    results = []
    for b in range(len(gaussians.opacities)):
        scene, rig = gaussians.map(lambda t, b=b: t[b]), cameras.map(lambda t, b=b: t[b].to(gaussians.means))
        results.append(images_reference(scene, rig, near, far))
    if not results:
        shape = (*cameras.intrinsics.shape[:2], cameras.height, cameras.width)
        blank = gaussians.means.new_zeros(shape)
        return gaussians.means.new_zeros((*shape, gaussians.features.shape[-1])), blank, blank.clone()
    features, depth, alpha = (torch.stack([result[k] for result in results]) for k in range(3))
    return features, depth, alpha
