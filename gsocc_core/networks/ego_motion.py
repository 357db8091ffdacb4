# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How far and whereto a rig moved between two moments, seen by all of its cameras at once.

As in SurroundDepth (Wei et al., CoRL 2022), whose pose network GaussianOcc takes over: two pictures of each camera, one
behind the other in time order, features averaged over the cameras, one rigid motion of the rig.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.rigid import invert_rigid, quat_to_rotmat
from gsocc_core.networks.backbones import BackboneArgs, build_backbone

#: Pictures 0..1 become (x - mean) / deviation.
_MEAN, _DEVIATION = 0.45, 0.225


class EgoMotion(nn.Module):
    """Six numbers per pair of moments: an axis times an angle in radians, and a translation in metres.

    They make the motion M that maps points in the ego frame of the earlier moment to the later one's.

    Args:
        backbone: One stage of an image backbone; its stem takes both pictures of a pair.
        dim: Channels of the decoder.
        motion_scale: Factor on the outputs, so that a training begins near rest.
        pretrained: Load the backbone's hub weights, if it has a hub id; the stem's are repeated and halved.

    Raises:
        ConfigError: several stages, or a backbone that cannot be built.
    """

    def __init__(
        self, backbone: BackboneArgs, dim: int = 256, motion_scale: float = 0.01, pretrained: bool = True
    ) -> None:
        super().__init__()
        if len(backbone.out_indices) != 1:
            raise ConfigError("EgoMotion", "backbone.out_indices", "one stage", backbone.out_indices)
        self.backbone, self.motion_scale = pair_backbone(backbone, pretrained), motion_scale
        layers: list[nn.Module] = [nn.Conv2d(int(self.backbone.channels[-1]), dim, 1)]  # type: ignore[index]
        for _ in range(2):
            layers += [nn.ReLU(), nn.Conv2d(dim, dim, 3, padding=1)]
        self.decoder = nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(dim, 6, 1))

    def forward(self, earlier: Tensor, later: Tensor, valid: Tensor) -> Tensor:
        """Predict.

        Args:
            earlier: (N, V, 3, H, W) RGB, 0..255, any dtype.
            later: The same shape.
            valid: (N, V) bool: both pictures of the camera are there. A pair without any gives the motion of nothing
                seen.

        Returns:
            (N, 6).
        """
        pairs = torch.cat([earlier, later], 2).flatten(0, 1).float()
        maps = self.backbone((pairs / 255 - _MEAN) / _DEVIATION).feature_maps[-1].unflatten(0, valid.shape)
        weight = valid.to(maps.dtype)
        weight = weight / weight.sum(1, keepdim=True).clamp(min=1)
        mean = torch.einsum("nvchw,nv->nchw", maps, weight)
        found: Tensor = self.decoder(mean).mean((-2, -1))
        return self.motion_scale * found

    def neighbours(self, pictures: Tensor, valid: Tensor, time_s: Tensor) -> Tensor:
        """Poses of the rig at neighbouring moments.

        Args:
            pictures: (B, S, V, 3, H, W) RGB, 0..255; moment 0 is the present.
            valid: (B, S, V) bool: the picture is there.
            time_s: (B, S) seconds from the present; negative = before it.

        Returns:
            (B, S, 4, 4) ``T_present_neighbour``, pose of the ego at each moment in the present ego frame; the first is
            the identity.
        """
        count = pictures.shape[1] - 1
        before = (time_s[:, 1:] < 0)[:, :, None, None, None, None]
        now, other = pictures[:, :1].expand(-1, count, -1, -1, -1, -1), pictures[:, 1:]
        both = (valid[:, :1] & valid[:, 1:]).flatten(0, 1)
        earlier, later = torch.where(before, other, now), torch.where(before, now, other)
        motion = rigid_motion(self(earlier.flatten(0, 1), later.flatten(0, 1), both)).unflatten(0, (-1, count))
        # M leads from the earlier ego frame to the later one: of a moment before, that is its pose as seen from now.
        poses = torch.where(before[..., 0, 0], motion, invert_rigid(motion))
        here = torch.eye(4, dtype=poses.dtype, device=poses.device).expand(len(poses), 1, 4, 4)
        return torch.cat([here, poses], 1)


def rigid_motion(vectors: Tensor) -> Tensor:
    """Rigid transforms x -> R x + t of an axis times an angle, radians, and a translation, metres.

    Args:
        vectors: (..., 6).

    Returns:
        (..., 4, 4). Differentiable everywhere, at rest too.

    Example:
        >>> turn = rigid_motion(torch.tensor([0.0, 0.0, torch.pi / 2, 1.0, 2.0, 3.0]))
        >>> (turn @ torch.tensor([1.0, 0.0, 0.0, 1.0])).round(decimals=4)
        tensor([1., 3., 3., 1.])
    """
    turn = vectors[..., :3]
    half = (turn.square().sum(-1, keepdim=True) + 1e-14).sqrt() / 2
    quats = torch.cat([half.cos(), turn * half.sin() / (2 * half)], -1)
    upper = torch.cat([quat_to_rotmat(quats), vectors[..., 3:, None]], -1)
    last = vectors.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*vectors.shape[:-1], 1, 4)
    return torch.cat([upper, last], -2)


def part_of_motion(T_a_b: Tensor, part: Tensor) -> Tensor:
    """Rigid transforms after a part of the time that a small motion takes, at constant velocity.

    Args:
        T_a_b: (..., 4, 4) pose at the end; its angle stays well below half a turn.
        part: (...) 0 = the beginning, 1 = the end; also beyond.

    Returns:
        (..., 4, 4).
    """
    R = T_a_b[..., :3, :3]
    axis = torch.stack([R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]], -1) / 2
    sine = (axis.square().sum(-1, keepdim=True) + 1e-14).sqrt()
    cosine = (R.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True) - 1) / 2
    turn = axis * (torch.atan2(sine, cosine) / sine)
    return rigid_motion(torch.cat([turn, T_a_b[..., :3, 3]], -1) * part[..., None])


def pair_backbone(args: BackboneArgs, pretrained: bool) -> nn.Module:
    """A backbone for two pictures on top of each other.

    Pretrained weights of the stem serve both pictures: repeated and halved, so that two equal pictures give what one
    gave.

    Raises:
        ConfigError: a backbone that cannot be built.
    """
    wide = build_backbone(replace(args, hub_id=None, model_args={**args.model_args, "num_channels": 6}), False)
    if args.hub_id is None or not pretrained:
        return wide
    narrow, state = build_backbone(args, True).state_dict(), wide.state_dict()
    for name, value in narrow.items():
        target = state.get(name)
        if target is not None and target.ndim == 4 and target.shape[1] == 2 * value.shape[1] == 6:
            state[name] = torch.cat([value, value], 1) / 2
        elif target is not None:
            state[name] = value
    wide.load_state_dict(state)
    return wide
