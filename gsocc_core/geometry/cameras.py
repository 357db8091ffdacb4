# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras: one real camera of any size, and a batch of cameras of one picture size.

Pixel convention: pixel (column i, row j) covers [i, i + 1) x [j, j + 1), its centre is (i + 0.5, j + 0.5). A resize
therefore scales the first two rows of the intrinsics and changes nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.constants import constant
from gsocc_core.geometry.rigid import invert_rigid, transform_points

CameraModel = Literal["pinhole", "fisheye", "orthographic"]
CAMERA_MODELS: tuple[CameraModel, ...] = ("pinhole", "fisheye", "orthographic")

#: Numbers of distortion coefficients that each model understands.
COEFFICIENTS: dict[CameraModel, tuple[int, ...]] = {
    "pinhole": (0, 4, 5, 6, 7, 8), "fisheye": (0, 1, 2, 3, 4), "orthographic": (0,),
}  # fmt: skip


@dataclass(frozen=True)
class Camera:
    """One real camera.

    Attributes:
        name: Name in the rig, for instance CAM_FRONT.
        intrinsics: (3, 3) float64, pixels.
        T_ego_cam: (4, 4) float64 calibration: pose of the optical frame (z forward, x right, y down) in the ego frame.
        width: Picture width, pixels.
        height: Picture height, pixels.
        model: pinhole, fisheye (equidistant) or orthographic.
        distortion: OpenCV coefficients: k1 k2 p1 p2 [k3 [k4 k5 k6]] for pinhole, k1 k2 k3 k4 for fisheye; None = none.
        T_ref_ego: (4, 4) float64 ego motion: pose of the ego at this camera's stamp in the ego frame at the reference
            stamp; None = the same pose.

    Raises:
        ShapeError: a matrix, a size or the model is wrong.
    """

    name: str
    intrinsics: np.ndarray
    T_ego_cam: np.ndarray
    width: int
    height: int
    model: CameraModel = "pinhole"
    distortion: tuple[float, ...] | None = None
    T_ref_ego: np.ndarray | None = None

    def __post_init__(self) -> None:
        shapes = {"intrinsics": (3, 3), "T_ego_cam": (4, 4), "T_ref_ego": (4, 4)}
        for key, shape in shapes.items():
            value = getattr(self, key)
            if value is None:
                continue
            array = np.asarray(value, dtype=np.float64)
            if array.shape != shape or not np.isfinite(array).all():
                raise ShapeError(f"Camera {self.name}", key, f"{shape} finite numbers", array.shape)
            object.__setattr__(self, key, array)
        if 0 in (focal := (float(self.intrinsics[0, 0]), float(self.intrinsics[1, 1]))):
            raise ShapeError(f"Camera {self.name}", "intrinsics", "focal lengths other than 0", focal)
        if self.width < 1 or self.height < 1:
            raise ShapeError(f"Camera {self.name}", "width, height", "positive pixels", (self.width, self.height))
        if self.model not in CAMERA_MODELS:
            raise ShapeError(f"Camera {self.name}", "model", f"one of {CAMERA_MODELS}", self.model)
        count, allowed = len(self.distortion or ()), COEFFICIENTS[self.model]
        if count not in allowed or not np.isfinite(self.distortion or ()).all():
            expected = f"finite coefficients, as many as one of {allowed}"
            raise ShapeError(f"Camera {self.name}", "distortion", expected, self.distortion)

    @property
    def T_ref_cam(self) -> np.ndarray:
        """(4, 4) float64 pose of the camera at its own stamp in the ego frame at the reference stamp."""
        return self.T_ego_cam if self.T_ref_ego is None else self.T_ref_ego @ self.T_ego_cam

    def resized(
        self, width: int, height: int, crop_top_px: float = 0.0, crop_left_px: float = 0.0, scale: float | None = None
    ) -> Camera:
        """The camera of a resized, then cropped picture.

        Args:
            width: Width of the result, pixels.
            height: Height of the result, pixels.
            crop_top_px: Rows cut off at the top after scaling.
            crop_left_px: Columns cut off at the left after scaling.
            scale: Uniform scale before the crop; None = scale each axis to (width, height) without a crop.

        Returns:
            A camera whose intrinsics belong to the new picture.
        """
        sx, sy = (width / self.width, height / self.height) if scale is None else (scale, scale)
        intrinsics = np.diag([sx, sy, 1.0]) @ self.intrinsics
        intrinsics[0, 2] -= crop_left_px
        intrinsics[1, 2] -= crop_top_px
        return replace(self, intrinsics=intrinsics, width=width, height=height)


@dataclass(frozen=True)
class Cameras:
    """V cameras of one picture size, with any leading batch dimensions.

    Attributes:
        intrinsics: (..., V, 3, 3) pixels.
        T_ego_cam: (..., V, 4, 4) calibration.
        width: Picture width, pixels.
        height: Picture height, pixels.
        model: The projection, the same for all.
        distortion: (..., V, K) OpenCV coefficients, or None.
        T_ref_ego: (..., V, 4, 4) ego motion from each camera's stamp to the reference stamp, or None = at rest.
    """

    intrinsics: Tensor
    T_ego_cam: Tensor
    width: int
    height: int
    model: CameraModel = "pinhole"
    distortion: Tensor | None = None
    T_ref_ego: Tensor | None = None

    def __post_init__(self) -> None:
        leading = tuple(self.intrinsics.shape[:-2])
        for key, tail in (("intrinsics", (3, 3)), ("T_ego_cam", (4, 4)), ("T_ref_ego", (4, 4))):
            value = getattr(self, key)
            if value is not None and tuple(value.shape) != (*leading, *tail):
                raise ShapeError("Cameras", key, (*leading, *tail), tuple(value.shape))
        if self.model not in CAMERA_MODELS:
            raise ShapeError("Cameras", "model", f"one of {CAMERA_MODELS}", self.model)

    @classmethod
    def stack(cls, cameras: Sequence[Camera], dtype: torch.dtype = torch.float32) -> Cameras:
        """Batch real cameras that share one picture size, model and number of distortion coefficients.

        Raises:
            ShapeError: there is no camera, or they differ in size or model.
        """
        if not cameras:
            raise ShapeError("Cameras.stack", "cameras", "at least one camera", 0)
        kinds = {(c.width, c.height, c.model, len(c.distortion or ())) for c in cameras}
        if len(kinds) != 1:
            raise ShapeError("Cameras.stack", "cameras", "one (width, height, model, distortion length)", sorted(kinds))
        first = cameras[0]
        # Poses are composed in float64 by the caller and rounded once, here.
        return cls(
            intrinsics=torch.tensor(np.stack([c.intrinsics for c in cameras]), dtype=dtype),
            T_ego_cam=torch.tensor(np.stack([c.T_ego_cam for c in cameras]), dtype=dtype),
            width=first.width,
            height=first.height,
            model=first.model,
            distortion=torch.tensor([c.distortion for c in cameras], dtype=dtype) if first.distortion else None,
            T_ref_ego=torch.tensor(
                np.stack([np.eye(4) if c.T_ref_ego is None else c.T_ref_ego for c in cameras]), dtype=dtype
            ),
        )

    def map(self, function: Any) -> Cameras:
        """Apply a tensor function to every tensor field that is there."""
        changes = {f.name: function(v) for f in fields(self) if isinstance(v := getattr(self, f.name), Tensor)}
        return replace(self, **changes)

    def to(self, *args: Any, **kwargs: Any) -> Cameras:
        """``Tensor.to`` on every tensor field."""
        return self.map(lambda value: value.to(*args, **kwargs))

    @property
    def T_ref_cam(self) -> Tensor:
        """(..., V, 4, 4) pose of each camera in the ego frame at the reference stamp."""
        return self.T_ego_cam if self.T_ref_ego is None else self.T_ref_ego @ self.T_ego_cam

    @property
    def viewmats(self) -> Tensor:
        """(..., V, 4, 4) ``T_cam_ref``: reference ego frame to camera, as gsplat calls it."""
        return invert_rigid(self.T_ref_cam)

    def resized(self, width: int, height: int) -> Cameras:
        """The cameras of pictures scaled to another size."""
        factor = constant(((width / self.width,), (height / self.height,), (1.0,)), self.intrinsics)
        return replace(self, intrinsics=self.intrinsics * factor, width=width, height=height)

    def pixel_centres(self) -> Tensor:
        """(H * W, 2) column and row of the middles of all pixels, row by row, pixels."""
        like = self.intrinsics
        rows = torch.arange(self.height, device=like.device, dtype=like.dtype) + 0.5
        columns = torch.arange(self.width, device=like.device, dtype=like.dtype) + 0.5
        v, u = torch.meshgrid(rows, columns, indexing="ij")
        return torch.stack([u, v], dim=-1).flatten(0, 1)

    def project(self, points_ref: Tensor, near_m: float = 0.01) -> tuple[Tensor, Tensor, Tensor]:
        """Project points of the reference ego frame into every camera.

        Args:
            points_ref: (..., N, 3) metres, the same leading dimensions as the cameras without V.
            near_m: Smallest depth that counts as in front of a perspective camera, metres.

        Returns:
            uv (..., V, N, 2) pixels, depth (..., V, N) metres along the optical axis, and valid (..., V, N) bool:
            in front of the camera and inside the picture.
        """
        points = transform_points(self.viewmats, points_ref[..., None, :, :])
        depth = points[..., 2]
        if self.model == "orthographic":
            plane = points[..., :2]
            in_front = torch.ones_like(depth, dtype=torch.bool)
        else:
            in_front = depth > near_m
            if self.model == "fisheye":
                plane, in_front = self._fisheye_plane(points, near_m)
            else:
                safe = torch.where(in_front, depth, torch.ones_like(depth))
                ideal = points[..., :2] / safe[..., None]
                plane = self._distort_pinhole(ideal)
                in_front = in_front & self._within_reach(ideal.detach().norm(dim=-1))
        uv = plane @ self.intrinsics[..., :2, :2].transpose(-1, -2) + self.intrinsics[..., None, :2, 2]
        u, v = uv.unbind(-1)
        return uv, depth, in_front & (u >= 0) & (u < self.width) & (v >= 0) & (v < self.height)

    def _distort_pinhole(self, plane: Tensor) -> Tensor:
        """OpenCV's plumb-bob (5) or rational (8) model on normalised image coordinates (..., V, N, 2)."""
        if self.distortion is None:
            return plane
        p1, p2 = self.distortion[..., 2, None], self.distortion[..., 3, None]
        x, y = plane.unbind(-1)
        r2 = x * x + y * y
        radial, _ = self._radial(r2)
        return torch.stack(
            [x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y],
            dim=-1,
        )

    def _radial(self, r2: Tensor) -> tuple[Tensor, Tensor]:
        """Radial factor of a distorted pinhole at squared radii (..., V, N), and its derivative by them."""
        assert self.distortion is not None
        k1, k2, _, _, *rest = (k[..., None] for k in self.distortion.unbind(-1))
        k3, k4, k5, k6 = [*rest, *[torch.zeros_like(k1)] * (4 - len(rest))]
        over, under = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)), 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
        slope_over, slope_under = k1 + r2 * (2 * k2 + 3 * r2 * k3), k4 + r2 * (2 * k5 + 3 * r2 * k6)
        return over / under, (slope_over * under - over * slope_under) / (under * under)

    def _within_reach(self, radius: Tensor) -> Tensor:
        """Whether radii (..., V, N), or angles off axis of a fisheye, lie where the lens model still grows outwards.

        Beyond its first turning point a fitted polynomial folds points from far outside back into the picture.
        """
        if self.distortion is None:
            return torch.ones_like(radius, dtype=torch.bool)
        limit, grows = self._turning_point()
        return (radius <= limit[..., None]) | grows[..., None]

    def _turning_point(self) -> tuple[Tensor, Tensor]:
        """First radius (..., V), or fisheye's angle, where the model stops growing; and bool: it grows everywhere."""
        assert self.distortion is not None
        angles = torch.linspace(0, 1, 257, device=self.distortion.device, dtype=self.distortion.dtype)
        if self.model == "fisheye":
            samples = angles * torch.pi
            powers = enumerate(self.distortion.unbind(-1), start=1)
            growth = torch.ones_like(samples) + sum((2 * i + 1) * k[..., None] * samples ** (2 * i) for i, k in powers)
        else:
            samples = torch.tan(angles * 1.55)
            radial, slope = self._radial(samples**2)
            growth = radial + 2 * samples**2 * slope
        grows = (growth > 0).cummin(dim=-1).values
        return torch.where(grows, samples, torch.zeros_like(samples)).amax(-1), grows.all(-1)

    def _fisheye_plane(self, points: Tensor, near_m: float) -> tuple[Tensor, Tensor]:
        """Equidistant projection r = theta (1 + k1 theta^2 + ...), Kannala & Brandt 2006, OpenCV's fisheye model."""
        radius = points[..., :2].norm(dim=-1)
        theta = torch.atan2(radius, points[..., 2])
        stretched = theta
        if self.distortion is not None:
            for power, k in enumerate(self.distortion.unbind(-1), start=1):
                stretched = stretched + k[..., None] * theta ** (2 * power + 1)
        scale = torch.where(radius > 1e-9, stretched / radius.clamp(min=1e-9), torch.ones_like(radius))
        seen = (points.norm(dim=-1) > near_m) & ((radius > 1e-9) | (points[..., 2] > 0))
        return points[..., :2] * scale[..., None], seen & self._within_reach(theta.detach())

    def rays(self) -> tuple[Tensor, Tensor]:
        """Rays through the pixel centres, in the reference ego frame; distortion is inverted numerically.

        Returns:
            origins (..., V, H, W, 3) metres and directions (..., V, H, W, 3). Pinhole and orthographic directions have
            unit depth along the optical axis, so ``origin + depth * direction`` is the point at that depth; fisheye
            directions have unit length, since such a camera also looks sideways; pixels outside its image circle have
            the direction of the circle's edge.
        """
        device, dtype = self.intrinsics.device, self.intrinsics.dtype
        v, u = torch.meshgrid(
            torch.arange(self.height, device=device, dtype=dtype) + 0.5,
            torch.arange(self.width, device=device, dtype=dtype) + 0.5,
            indexing="ij",
        )
        pixels = torch.stack([u, v, torch.ones_like(u)], dim=-1)
        # An inverse without a check of its result: the check would wait for a GPU.
        inverse = torch.linalg.inv_ex(self.intrinsics).inverse
        plane = pixels @ inverse[..., None, :, :].transpose(-1, -2)  # (..., V, H, W, 3)
        T = self.T_ref_cam[..., None, :, :]
        rotation_t = T[..., :3, :3].transpose(-1, -2)
        origin = T[..., None, :3, 3].expand(*plane.shape)
        if self.model == "orthographic":
            offset = torch.cat([plane[..., :2], torch.zeros_like(plane[..., :1])], dim=-1)
            forward = T[..., None, :3, 2].expand(*plane.shape)
            return origin + offset @ rotation_t, forward
        directions = self._undistort(plane[..., :2])
        return origin, directions @ rotation_t

    def rays_at(self, uv: Tensor) -> Tensor:
        """Directions through places in the pictures, in each camera's own frame; distortion is inverted numerically.

        Args:
            uv: (..., V, N, 2) pixels.

        Returns:
            (..., V, N, 3) with unit depth along the optical axis, so that ``depth * direction`` is the point at that
            depth. A fisheye's rays beyond 87 degrees off the axis, beside and behind the camera, are told as those of
            87 degrees on the same side.

        Raises:
            ShapeError: orthographic cameras, whose rays do not start at one point.
        """
        if self.model == "orthographic":
            raise ShapeError("Cameras.rays_at", "model", "pinhole or fisheye", self.model)
        inverse = torch.linalg.inv_ex(self.intrinsics).inverse
        plane = uv @ inverse[..., :2, :2].transpose(-1, -2) + inverse[..., None, :2, 2]
        directions = self._undistort(plane[..., None, :])[..., 0, :]
        sideways, depth = directions[..., :2], directions[..., 2:]
        least = math.cos(math.radians(87.0))
        edge = functional.normalize(sideways, dim=-1) * math.tan(math.radians(87.0))
        sideways = torch.where(depth > least, sideways / depth.clamp(min=least), edge)
        return torch.cat([sideways, torch.ones_like(depth)], dim=-1)

    def _undistort(self, plane: Tensor) -> Tensor:
        """Camera-frame directions (..., V, H, W, 3) of distorted image-plane positions (..., V, H, W, 2)."""
        if self.model == "fisheye":
            radius = plane.norm(dim=-1, keepdim=True)
            theta = radius
            if self.distortion is not None:
                ks = [k[..., None, None, None] for k in self.distortion.unbind(-1)]
                low, high = torch.zeros_like(radius), self._turning_point()[0][..., None, None, None].expand_as(radius)
                theta = torch.minimum(radius, high)
                # Newton on theta (1 + k1 theta^2 + ...) = radius, bracketed: outside the image circle there is no
                # angle, and a step beyond the turning point would lead anywhere.
                for _ in range(12):
                    value = theta * (1 + sum(k * theta ** (2 * i) for i, k in enumerate(ks, 1)))
                    slope = 1 + sum((2 * i + 1) * k * theta ** (2 * i) for i, k in enumerate(ks, 1))
                    low, high = torch.where(value < radius, theta, low), torch.where(value < radius, high, theta)
                    step = theta - (value - radius) / slope
                    theta = torch.where((low <= step) & (step <= high), step, (low + high) / 2)
            sideways = torch.where(radius > 1e-9, plane / radius.clamp(min=1e-9), torch.zeros_like(plane))
            return torch.cat([sideways * theta.sin(), theta.cos()], dim=-1)
        ideal = plane if self.distortion is None else self._undistort_pinhole(plane.flatten(-3, -2)).view_as(plane)
        return torch.cat([ideal, torch.ones_like(ideal[..., :1])], dim=-1)

    def _undistort_pinhole(self, plane: Tensor) -> Tensor:
        """Ideal image-plane positions (..., V, N, 2) of distorted ones, by Newton's method."""
        assert self.distortion is not None
        p1, p2 = self.distortion[..., 2, None], self.distortion[..., 3, None]
        ideal = plane
        for _ in range(12):
            x, y = ideal.unbind(-1)
            radial, slope = self._radial(x * x + y * y)
            xx = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
            yy = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
            xy = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y  # the Jacobian is symmetric
            u, v = (plane - self._distort_pinhole(ideal)).unbind(-1)
            determinant = xx * yy - xy * xy
            # Pixels outside the image circle have no solution; they must not become nan.
            determinant = torch.where(determinant.abs() < 1e-3, torch.full_like(determinant, 1e-3), determinant)
            step = torch.stack([yy * u - xy * v, xx * v - xy * u], dim=-1) / determinant[..., None]
            ideal = ideal + step.clamp(-0.5, 0.5)
        return ideal
