# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Metric depth from cameras that look at the same place at the same time: what one has, another must show.

After GaussianOcc (Gan et al., ICCV 2025, section 3.2). Every pixel is a Gaussian at its depth. What camera i shares
with its neighbours is taken out of its own pixels, and the neighbours' pixels must fill the hole; they do where their
depth is right in metres, since the rig is known in metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.rigid import transform_points
from gsocc_core.geometry.voxel_gaussians import chosen_voxels
from gsocc_core.losses.photometric import SSIM_REACH_PX, photometric_error
from gsocc_core.losses.rig_overlap import eroded
from gsocc_core.splat import Rendering, splat_to_image

#: Opacity from which a pixel counts as covered.
_COVERED = 0.5


@dataclass(frozen=True)
class CrossViewArgs:
    """How pixels become Gaussians, and where they are compared.

    Attributes:
        scale_m: Standard deviation of every Gaussian, metres.
        near_m: What is nearer is not drawn, metres.
        far_m: What is farther is not drawn, metres.
        mask_out: Take a camera's own pixels out of what it shares with others. False: they stay and hide all others,
            for experiments.
        erosion_px: Pixels this near to the mask's edge are not compared.
        holes: What faint pixels are: ``filled``, so that their colour is that of what covers them, and not compared
            where nothing covers them, or a pixel beside them, half; or ``counted`` as they are, black where nothing
            covers them, as published. Counted, surfaces that are too far look better than right ones, for far ones
            leave no holes.
        ssim: Share of SSIM in the photometric error.
    """

    scale_m: float = 0.02
    near_m: float = 0.2
    far_m: float = 120.0
    mask_out: bool = True
    erosion_px: int = 1
    holes: Literal["filled", "counted"] = "filled"
    ssim: float = 0.85


def cross_view_loss(
    depth_m: Tensor,
    pictures: Tensor,
    cameras: Cameras,
    valid: Tensor,
    overlaps: Tensor,
    usable: Tensor | None = None,
    args: CrossViewArgs | None = None,
) -> Tensor:
    """Photometric error of what cameras share, drawn from the others' pixels.

    Args:
        depth_m: (B, V, H, W) along the optical axis, metres.
        pictures: (B, V, 3, H, W) values 0..1.
        cameras: (B, V) undistorted pinhole cameras of these pictures.
        valid: (B, V) bool: the picture is there.
        overlaps: (B, V, V, H, W) bool, see :func:`gsocc_core.losses.rig_overlap.overlap_masks`.
        usable: (B, V, H, W) bool: the pixel shows the surroundings, not the robot itself; None = all do.
        args: Sizes and rules; None = the defaults.

    Returns:
        Scalar mean over the pixels compared; 0, with a gradient of 0, where there are none.
    """
    args = args or CrossViewArgs()
    usable = torch.ones_like(depth_m, dtype=torch.bool) if usable is None else usable
    shared = overlaps & (valid[:, :, None] & valid[:, None])[..., None, None]
    compared = eroded(shared.any(2) & usable, args.erosion_px)
    if not bool(compared.any()):
        return depth_m.sum() * 0.0
    drawn = draw_from_others(depth_m, pictures, cameras, valid, shared, usable, args)
    colours = drawn.features
    if args.holes == "filled":
        # Beside a hole SSIM's window is partly black, which pulls surfaces away until the hole closes.
        compared = compared & eroded(drawn.alpha.detach() > _COVERED, SSIM_REACH_PX)
        colours = colours / drawn.alpha.clamp(min=_COVERED / 2)[..., None]
    errors = photometric_error(colours.movedim(-1, -3), pictures, args.ssim)
    return (errors * compared).sum() / compared.sum().clamp(min=1)


def draw_from_others(
    depth_m: Tensor,
    pictures: Tensor,
    cameras: Cameras,
    valid: Tensor,
    shared: Tensor,
    usable: Tensor,
    args: CrossViewArgs,
) -> Rendering:
    """Every camera's picture, made of its own pixels where nothing is shared, and of the others' where something is.

    Args:
        depth_m: (B, V, H, W) metres.
        pictures: (B, V, 3, H, W).
        cameras: (B, V).
        valid: (B, V) bool.
        shared: (B, V, V, H, W) bool: [i, j] are pixels of camera i that camera j, which has a picture too, may see.
        usable: (B, V, H, W) bool.
        args: Sizes and rules.

    Returns:
        (B, V, H, W).
    """
    batch, views = shared.shape[:2]
    rays = cameras.rays_at(cameras.pixel_centres())
    points = transform_points(cameras.T_ref_cam, rays * depth_m.flatten(-2)[..., None])
    own = ~shared.any(2) if args.mask_out else torch.ones_like(usable)
    # [i, j]: pixels of camera j that are drawn into camera i. Pixels of j that i cannot see at any depth are left out.
    used = shared.transpose(1, 2) | (torch.eye(views, device=own.device).bool()[..., None, None] & own[:, :, None])
    used = used & (usable & valid[..., None, None])[:, None]
    index, real = chosen_voxels(used.flatten(0, 1))
    values = torch.cat([points, pictures.flatten(-2).transpose(-1, -2)], -1).flatten(1, 2)  # (B, V * H * W, 6)
    values = values[:, None].expand(-1, views, -1, -1).flatten(0, 1)
    rows = values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))
    quats = rows.new_tensor([1.0, 0.0, 0.0, 0.0]).expand(*index.shape, 4)
    scales = torch.full_like(rows[..., :3], args.scale_m)
    scene = Gaussians(rows[..., :3], scales, quats, real.to(rows), rows[..., 3:])
    each = cameras.map(lambda t: t.flatten(0, 1)[:, None])
    found = splat_to_image(scene, each, near=args.near_m, far=args.far_m)
    return Rendering(*(t[:, 0].unflatten(0, (batch, views)) for t in (found.features, found.depth, found.alpha)))


def at_size(
    depth_m: Tensor, pictures: Tensor, usable: Tensor | None, size: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Depth, pictures and masks of another size: depth by its inverse, which is even on planes, pictures by area.

    Args:
        depth_m: (B, V, h, w) metres.
        pictures: (B, V, 3, H, W).
        usable: (B, V, H, W) bool, or None.
        size: (height, width), pixels.

    Returns:
        The same three at that size; a pixel is usable where all that it covers is.
    """
    if depth_m.shape[-2:] != size:
        depth_m = 1 / functional.interpolate(1 / depth_m, size, mode="bilinear", align_corners=False)
    if pictures.shape[-2:] != size:
        pictures = functional.interpolate(pictures.flatten(0, 1), size, mode="area").unflatten(0, pictures.shape[:2])
        if usable is not None:
            usable = functional.interpolate(usable.to(depth_m), size, mode="area") > 1 - 1e-4
    return depth_m, pictures, usable
