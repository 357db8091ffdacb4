# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""3D Gaussians with opacity and features: the scene of every sparse method."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.rigid import quat_to_rotmat

_TRAILING: dict[str, tuple[int | None, ...]] = {
    "means": (3,), "scales": (3,), "quats": (4,), "opacities": (), "features": (None,),
    "velocities": (3,), "colors_sh": (None, 3),
}  # fmt: skip


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians, with any leading batch dimensions shared by all fields.

    Attributes:
        means: (..., N, 3) metres, ego frame at the reference time.
        scales: (..., N, 3) metres, one standard deviation along each own axis.
        quats: (..., N, 4) w, x, y, z; any non-zero length (operators normalise).
        opacities: (..., N) in 0..1.
        features: (..., N, C), for instance class logits.
        velocities: (..., N, 3) m/s, ego frame, or None.
        colors_sh: (..., N, K, 3) spherical-harmonic colours, or None.

    Raises:
        ShapeError: the shapes do not fit each other.

    Example:
        >>> import torch
        >>> quats = torch.tensor([1.0, 0, 0, 0]).expand(5, 4)
        >>> g = Gaussians(torch.zeros(5, 3), torch.ones(5, 3), quats, torch.ones(5), torch.zeros(5, 2))
        >>> len(g), g.batch_shape
        (5, ())
    """

    means: Tensor
    scales: Tensor
    quats: Tensor
    opacities: Tensor
    features: Tensor
    velocities: Tensor | None = None
    colors_sh: Tensor | None = None

    def __post_init__(self) -> None:
        leading = tuple(self.opacities.shape)
        if len(leading) < 1:
            raise ShapeError("Gaussians", "opacities", "(..., N)", leading)
        for name, trailing in _TRAILING.items():
            value = getattr(self, name)
            if value is None:
                continue
            shape = tuple(value.shape)
            tail = shape[len(leading) :]
            fits = len(tail) == len(trailing) and all(e is None or e == t for e, t in zip(trailing, tail, strict=True))
            if shape[: len(leading)] != leading or not fits:
                raise ShapeError("Gaussians", name, (*leading, *("*" if t is None else t for t in trailing)), shape)

    def __len__(self) -> int:
        """Number of Gaussians N (per batch element)."""
        return int(self.opacities.shape[-1])

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Leading batch dimensions."""
        return tuple(self.opacities.shape[:-1])

    def map(self, function: Any) -> Gaussians:
        """Apply a tensor function (``lambda t: t[0]``, ``torch.detach``) to every field that is there."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        changes = {name: function(v) for name, v in values.items() if v is not None}
        return replace(self, **changes)

    def to(self, *args: Any, **kwargs: Any) -> Gaussians:
        """``Tensor.to`` on every field."""
        return self.map(lambda value: value.to(*args, **kwargs))

    def replace(self, **changes: Any) -> Gaussians:
        """A copy with some fields replaced."""
        return replace(self, **changes)

    def covariances(self) -> Tensor:
        """(..., N, 3, 3) covariances R S^2 R^T, square metres (3D Gaussian splatting, Kerbl et al. 2023, eq. 6)."""
        half = quat_to_rotmat(self.quats) * self.scales[..., None, :]
        return half @ half.transpose(-1, -2)
