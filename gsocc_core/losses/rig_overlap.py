# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Which pixels of a rig's pictures show what a neighbouring camera may see too; it follows from the rig alone."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.rigid import transform_points

#: Rigs whose masks are kept: calibrations differ from drive to drive, and drives come in any order.
_RIGS = 256


@dataclass(frozen=True)
class OverlapArgs:
    """How overlaps are found.

    Attributes:
        max_depth_m: Rays are followed to this depth along the optical axis.
        samples: Samples on each ray, at the ends of equal steps from the camera.
        least_samples: So many of them must fall into the neighbour's picture.
    """

    max_depth_m: float = 80.0
    samples: int = 160
    least_samples: int = 2


@torch.no_grad()
def overlap_masks(cameras: Cameras, args: OverlapArgs | None = None) -> Tensor:
    """Pixels whose rays pass through the neighbours' pictures (GaussianOcc, section 3.2).

    Args:
        cameras: (V) cameras at the size of the masks; their calibration counts, not their ego motion.
        args: How rays are followed; None = the defaults.

    Returns:
        (V, V, H, W) bool: [i, j] are pixels of camera i that camera j may see; never of a camera itself.
    """
    args = args or OverlapArgs()
    still = replace(cameras, T_ref_ego=None)
    rays = still.rays_at(still.pixel_centres())
    depths = torch.arange(1, args.samples + 1).to(rays) * (args.max_depth_m / args.samples)
    views = len(rays)
    found = torch.zeros((views, views, cameras.height, cameras.width), dtype=torch.bool, device=rays.device)
    for i in range(views):
        points = transform_points(still.T_ref_cam[i], (depths[:, None, None] * rays[i]).flatten(0, 1))
        inside = still.project(points)[2].unflatten(-1, (args.samples, -1)).sum(1) >= args.least_samples
        found[i] = inside.unflatten(-1, (cameras.height, cameras.width))
        found[i, i] = False
    return found


def eroded(masks: Tensor, pixels: int) -> Tensor:
    """Masks without the pixels that have one outside within a square of 2 ``pixels`` + 1 around them.

    What lies beyond the picture's border counts as inside.

    Args:
        masks: (..., H, W) bool.
        pixels: 0 = as they are.

    Returns:
        (..., H, W) bool.

    Example:
        >>> eroded(torch.tensor([[True, True, True, False]]), 1)
        tensor([[ True,  True, False, False]])
    """
    if not pixels:
        return masks
    outside = (~masks).flatten(0, -3)[:, None].float() if masks.ndim > 2 else (~masks)[None, None].float()
    grown = functional.max_pool2d(outside, 2 * pixels + 1, 1, pixels)
    return (grown == 0).view(masks.shape)


class RigOverlaps:
    """Overlap masks of the rigs of a training, each computed once.

    Args:
        args: How they are found.
    """

    def __init__(self, args: OverlapArgs) -> None:
        self.args = args
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()

    def __call__(self, cameras: Cameras) -> Tensor:
        """Masks (B, V, V, H, W) of cameras (B, V) at the size of the masks; see :func:`overlap_masks`."""
        return torch.stack([self._of(cameras.map(lambda t, b=b: t[b])) for b in range(len(cameras.intrinsics))])

    def _of(self, rig: Cameras) -> Tensor:
        parts = [t for t in (rig.intrinsics, rig.T_ego_cam, rig.distortion) if t is not None]
        numbers = torch.cat([t.detach().flatten() for t in parts]).cpu()
        key = numbers.numpy().tobytes() + f"{rig.model} {rig.width} {rig.height}".encode()
        if key not in self._known:
            self._known[key] = overlap_masks(rig, self.args).cpu()
            if len(self._known) > _RIGS:
                self._known.popitem(last=False)
        return self._known[key].to(rig.intrinsics.device)


def overlap_pixels(masks: Tensor, names: tuple[str, ...]) -> str:
    """How many pixels each pair of cameras shares, in words.

    Args:
        masks: (V, V, H, W) bool.
        names: V camera names.

    Returns:
        All pairs, those with the largest overlap first; a pair's number is that of the camera that sees less of it.

    Example:
        >>> masks = torch.zeros(2, 2, 1, 3, dtype=torch.bool)
        >>> masks[0, 1, 0, :2] = masks[1, 0] = True
        >>> overlap_pixels(masks, ("left", "right"))
        'left and right 2 px'
    """
    counts = masks.sum((-2, -1))
    pairs = [(int(min(counts[i, j], counts[j, i])), i, j) for i in range(len(names)) for j in range(i)]
    pairs.sort(key=lambda pair: (-pair[0], pair[2], pair[1]))
    return ", ".join(f"{names[j]} and {names[i]} {count} px" for count, i, j in pairs) or f"{names[0]} alone"
