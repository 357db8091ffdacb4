# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians as the PLY files that 3D Gaussian splatting viewers open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gsocc_core.data.ply_vertices import read_ply, write_ply
from gsocc_core.errors import DataError, ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.spherical_harmonics import SH_C0

#: Opacities nearer to 0 or 1 have no finite logit in float32 that viewers could use.
MARGIN = 2.0**-24
_COMMENTS = (
    "gsocc Gaussians: x y z in metres, ego frame (x forward, y left, z up) at the reference time",
    "opacity: logit; scale: natural log of one standard deviation in metres; rot: quaternion w x y z",
    "colour = 0.5 + 0.28209479177387814 * f_dc; feature_*: class logits; velocity_*: m/s",
)


def write_gaussians_ply(
    path: str | Path,
    gaussians: Gaussians,
    classes: ClassTable | None = None,
    *,
    features: bool = False,
    sh_degree: int | None = None,
) -> None:
    """Write Gaussians for a viewer.

    Fields: x y z, nx ny nz (zero), f_dc_0..2, f_rest_*, opacity, scale_0..2, rot_0..3, as in Kerbl et al. 2023. Colours
    are ``colors_sh`` where the Gaussians have them, else the colour of the class with the largest logit.

    Args:
        path: File to make.
        gaussians: (N); velocities and features are written with ``features``.
        classes: Gives the colours.
        features: Append feature_* and velocity_*, which viewers pass over and :func:`read_gaussians_ply` reads.
        sh_degree: Fill up with zeros to this degree of spherical harmonics: viewers with a fixed layout (INRIA's) want
            3. None = as many as there are.

    Raises:
        ShapeError: the Gaussians have batch dimensions, values that are not finite, or scales that are not positive;
            or there are neither colours nor a class table.
        OutputExistsError: the file exists.
    """
    if gaussians.batch_shape:
        raise ShapeError("write_gaussians_ply", "gaussians", "(N), without batch dimensions", gaussians.batch_shape)
    arrays = {k: _numpy(getattr(gaussians, k)) for k in ("means", "scales", "quats", "opacities", "features")}
    for key, array in arrays.items():
        if not np.isfinite(array).all():
            raise ShapeError("write_gaussians_ply", key, "finite numbers", "nan or inf")
    if (arrays["scales"] <= 0).any():
        raise ShapeError("write_gaussians_ply", "scales", "above 0 m", float(arrays["scales"].min()))
    harmonics = _harmonics(gaussians, arrays["features"], classes, sh_degree)
    opacity = np.clip(arrays["opacities"].astype(np.float64), MARGIN, 1 - MARGIN)
    columns: dict[str, np.ndarray] = {name: arrays["means"][:, i] for i, name in enumerate("xyz")}
    columns |= {f"n{name}": np.zeros(len(opacity)) for name in "xyz"}
    columns |= {f"f_dc_{i}": harmonics[:, 0, i] for i in range(3)}
    rest = harmonics[:, 1:].transpose(0, 2, 1).reshape(len(opacity), -1)  # all of red, then green, then blue
    columns |= {f"f_rest_{i}": rest[:, i] for i in range(rest.shape[1])}
    columns["opacity"] = np.log(opacity) - np.log1p(-opacity)
    columns |= {f"scale_{i}": np.log(arrays["scales"][:, i].astype(np.float64)) for i in range(3)}
    columns |= {f"rot_{i}": arrays["quats"][:, i] for i in range(4)}
    if features:
        columns |= {f"feature_{i}": arrays["features"][:, i] for i in range(arrays["features"].shape[1])}
        if gaussians.velocities is not None:
            velocities = _numpy(gaussians.velocities)
            columns |= {f"velocity_{name}": velocities[:, i] for i, name in enumerate("xyz")}
    write_ply(path, columns, _COMMENTS)


def read_gaussians_ply(path: str | Path) -> Gaussians:
    """Read Gaussians from a PLY of :func:`write_gaussians_ply` or of another 3D Gaussian splatting program.

    Means, quaternions, colours and features come back bit for bit; scales and opacities go through a logarithm and a
    logit in float32 and come back to a few parts in a million.

    Args:
        path: The file.

    Returns:
        (N) Gaussians, float32; without feature_* fields they have no feature channels.

    Raises:
        DataError: it is not such a file.
    """
    table = read_ply(path)
    needed = ("x", "y", "z", "opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4)))
    for name in (*needed, "f_dc_0", "f_dc_1", "f_dc_2"):
        if name not in table:
            raise DataError(path, f"property {name}", "the fields of 3D Gaussian splatting", ", ".join(table))

    def columns(*names: str) -> np.ndarray:
        return np.stack([table[name].astype(np.float64) for name in names], axis=-1)

    def numbered(prefix: str) -> list[str]:
        count = sum(name.startswith(prefix) and name[len(prefix) :].isdigit() for name in table)
        return [f"{prefix}{i}" for i in range(count)]

    count = len(table["x"])
    rest = numbered("f_rest_")
    if len(rest) % 3 or any(name not in table for name in rest):
        raise DataError(path, "f_rest_*", "three times as many as harmonics beyond the first", len(rest))
    channels = numbered("feature_")
    more = columns(*rest).reshape(count, 3, -1).transpose(0, 2, 1) if rest else np.zeros((count, 0, 3))
    sh = np.concatenate([columns("f_dc_0", "f_dc_1", "f_dc_2")[:, None], more], axis=1)
    features = columns(*channels) if channels else np.zeros((count, 0))
    logit = table["opacity"].astype(np.float64)
    half = np.exp(-np.abs(logit))
    opacities = np.where(logit >= 0, 1 / (1 + half), half / (1 + half))
    velocity = "velocity_x" in table
    return Gaussians(
        means=_tensor(columns("x", "y", "z")),
        scales=_tensor(np.exp(columns("scale_0", "scale_1", "scale_2"))),
        quats=_tensor(columns("rot_0", "rot_1", "rot_2", "rot_3")),
        opacities=_tensor(opacities),
        features=_tensor(features),
        velocities=_tensor(columns("velocity_x", "velocity_y", "velocity_z")) if velocity else None,
        colors_sh=_tensor(sh),
    )


def _harmonics(
    gaussians: Gaussians, features: np.ndarray, classes: ClassTable | None, sh_degree: int | None
) -> np.ndarray:
    """(N, K, 3) spherical-harmonic coefficients."""
    if gaussians.colors_sh is not None:
        sh = _numpy(gaussians.colors_sh)
    elif classes is None or features.shape[1] != len(classes.channel_ids):
        expected = f"colors_sh, or a class table of {features.shape[1]} channels"
        received = None if classes is None else len(classes.channel_ids)
        raise ShapeError("write_gaussians_ply", "classes", expected, received)
    else:
        ids = np.asarray(classes.channel_ids)[features.argmax(-1)]
        sh = ((classes.palette()[ids] / 255.0 - 0.5) / SH_C0)[:, None]
    if sh_degree is None:
        return sh
    wanted = (sh_degree + 1) ** 2
    if not 0 <= sh_degree <= 3 or wanted < sh.shape[1]:
        expected = f"0 ... 3, with room for the {sh.shape[1]} coefficients there are"
        raise ShapeError("write_gaussians_ply", "sh_degree", expected, sh_degree)
    return np.concatenate([sh, np.zeros((len(sh), wanted - sh.shape[1], 3))], axis=1)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
