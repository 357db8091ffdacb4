# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Compiled deferred shading: light, shadow, haze, sky, lens and sensor for every pixel of a z-buffer."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.synthetic.render.raster_kernels import pixel_weights
from gsocc_core.synthetic.render.shading_kernels import hash01, noise, surface


class Surfaces(NamedTuple):
    """Triangles with what shading needs: (T, 3, 3) corners, (T, 3, 3) normals, (T, 3, 2) uv, (T,) material rows."""

    corners: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    materials: np.ndarray


class Look(NamedTuple):
    """Material table, paint atlas and noise tile."""

    patterns: np.ndarray
    colors: np.ndarray
    params: np.ndarray
    paint: np.ndarray
    tile: np.ndarray


class Shades(NamedTuple):
    """Maps of what is dark.

    Attributes:
        sun: (H, W) float32 greatest height + offset along the sun's direction, of everything that stands still.
        sun_moving: The same for actors at this time.
        contact: (P, Q) uint8 how much the ground is covered by actors.
        ground: (P, Q) float32 height of the ground.
        openness: (P, Q) float32 how much of the sky the ground sees.
        frame: (8,) sun origin x, y, texels per metre, shear x, y per metre of height, offset, spare, spare.
        ground_frame: (3,) ground maps' origin x, y and texels per metre.
    """

    sun: np.ndarray
    sun_moving: np.ndarray
    contact: np.ndarray
    ground: np.ndarray
    openness: np.ndarray
    frame: np.ndarray
    ground_frame: np.ndarray


class Lens(NamedTuple):
    """One view: rotation into the camera, position, inverse intrinsics."""

    R_cam_world: np.ndarray
    origin: np.ndarray
    K_inv: np.ndarray


@kernel(inline="always")
def _sunlit(sun: np.ndarray, moving: np.ndarray, frame: np.ndarray, x: float, y: float, z: float) -> float:
    """Share of the sun's disc that a point sees, from the four nearest texels of the shadow maps."""
    column = (x - frame[3] * z - frame[0]) * frame[2] - 0.5
    row = (y - frame[4] * z - frame[1]) * frame[2] - 0.5
    height, width = sun.shape
    if not (0.0 <= column < width - 1.0 and 0.0 <= row < height - 1.0):
        return 1.0
    i, j = int(row), int(column)
    wi, wj = row - i, column - j
    level = z + frame[5]
    total = 0.0
    for di in range(2):
        for dj in range(2):
            if max(sun[i + di, j + dj], moving[i + di, j + dj]) <= level:
                total += (wi if di else 1.0 - wi) * (wj if dj else 1.0 - wj)
    return total


@kernel(inline="always")
def _ambient(
    ground: np.ndarray, contact: np.ndarray, openness: np.ndarray, frame: np.ndarray, x: float, y: float, z: float
) -> float:
    """How much sky light reaches a point between what stands around it and what parks above it."""
    column, row = (x - frame[0]) * frame[2] - 0.5, (y - frame[1]) * frame[2] - 0.5
    height, width = ground.shape
    if not (0.0 <= column < width - 1.0 and 0.0 <= row < height - 1.0):
        return 1.0
    i, j = int(row), int(column)
    wi, wj = row - i, column - j
    above = max(z - ground[i, j], 0.0)
    covered, opened = 0.0, 0.0
    for di in range(2):
        for dj in range(2):
            w = (wi if di else 1.0 - wi) * (wj if dj else 1.0 - wj)
            covered += w * contact[i + di, j + dj]
            opened += w * openness[i + di, j + dj]
    near_ground = 1.0 / (1.0 + (above * 2.2) ** 2)
    return (1.0 - 0.85 / 255.0 * covered * near_ground) * (1.0 - (1.0 - opened) / (1.0 + 0.15 * above))


@kernel()
def sky(d: np.ndarray, light: np.ndarray, tile: np.ndarray, clouds: bool, out: np.ndarray) -> None:
    """Radiance of the sky in a direction.

    Args:
        d: (3,) unit direction, world frame.
        light: The light vector, see ``render.light_vector``.
        tile: Noise.
        clouds: Whether clouds are drawn.
        out: (3,) result.
    """
    up = max(d[2], 0.0)
    w = math.exp(-4.5 * up)
    glow = max(d[0] * light[0] + d[1] * light[1] + d[2] * light[2], 0.0) ** 24
    cover = 0.0
    if clouds and d[2] > 0.0:
        x, y = d[0] / (d[2] + 0.12), d[1] / (d[2] + 0.12)
        n = 0.75 * noise(tile, x * 9.0 + light[20], y * 9.0) + 0.4 * noise(tile, x * 41.0, y * 41.0 + light[20])
        cover = min(max(0.5 * n + 1.6 * light[16] - 0.75, 0.0), 1.0) * (1.0 - 0.6 * w)
    for k in range(3):
        base = light[6 + k] * (1.0 - w) + light[9 + k] * w
        cloud = (light[3 + k] * 0.22 + light[9 + k] * 0.9) * (1.0 - 0.35 * cover)
        out[k] = base * (1.0 - cover) + cloud * cover + 0.25 * glow * light[3 + k] * (1.0 - 0.7 * cover)


@kernel(inline="always")
def _shade_point(
    normal: np.ndarray, view: np.ndarray, distance: float, albedo: np.ndarray, light: np.ndarray,
    sun: float, open_sky: float, scratch: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Light that leaves a point towards the camera, through the haze."""
    up = 0.5 + 0.5 * normal[2]
    clear = math.exp(-light[15] * distance)
    for k in range(3):
        ambient = (light[12 + k] * (1.0 - up) + (0.45 * light[6 + k] + 0.55 * light[9 + k]) * up) * open_sky
        out[k] = albedo[k] * (ambient + light[3 + k] * sun + 1.5 * albedo[4])
    if albedo[3] > 0.02:
        cosine = max(-(view[0] * normal[0] + view[1] * normal[1] + view[2] * normal[2]), 0.0)
        for k in range(3):
            scratch[k] = view[k] + 2.0 * cosine * normal[k]
        fresnel = (0.09 + 0.91 * (1.0 - cosine) ** 5) * albedo[3]
        mirror = max(scratch[0] * light[0] + scratch[1] * light[1] + scratch[2] * light[2], 0.0)
        glint = mirror**60 * sun * 1.5 * albedo[3]
        w = math.exp(-4.5 * max(scratch[2], 0.0))
        for k in range(3):
            if scratch[2] > 0.02:
                seen = (light[6 + k] * (1.0 - w) + light[9 + k] * w) * (0.35 + 0.65 * min(scratch[2] * 4.0, 1.0))
            else:
                seen = 0.5 * light[12 + k]
            out[k] = out[k] * (1.0 - fresnel) + fresnel * seen * open_sky + glint * light[3 + k]
    for k in range(3):
        out[k] = out[k] * clear + light[9 + k] * (1.0 - clear)


@kernel()
def shade(
    lens: Lens,
    factor: int,
    triangle_of: np.ndarray,
    static: Surfaces,
    moving: Surfaces,
    look: Look,
    shades: Shades,
    light: np.ndarray,
    radiance: np.ndarray,
) -> None:
    """Colour every pixel of a z-buffer.

    Args:
        lens: The view.
        factor: 2 = blocks of 2 x 2 pixels that show one triangle are coloured once; 1 = every pixel.
        triangle_of: (H, W) int32; -1 = sky; values from ``len(static.corners)`` on mean triangles of ``moving``.
        static: Triangles that stand still.
        moving: Triangles of the actors.
        look: Materials.
        shades: Shadow maps.
        light: The light vector.
        radiance: (H, W, 3) float32 result, linear light.
    """
    height, width = triangle_of.shape
    # Taken out of the tuples here: inside the loop each access would touch a reference count.
    R, origin, K_inv = lens.R_cam_world, lens.origin, lens.K_inv
    sun_map, sun_moving, sun_frame = shades.sun, shades.sun_moving, shades.frame
    ground, openness, contact, ground_frame = shades.ground, shades.openness, shades.contact, shades.ground_frame
    patterns, colors, table, paint, tile = look.patterns, look.colors, look.params, look.paint, look.tile
    corners_s, normals_s, uv_s, materials_s = static.corners, static.normals, static.uv, static.materials
    corners_m, normals_m, uv_m, materials_m = moving.corners, moving.normals, moving.uv, moving.materials
    p, q, rows = np.empty((3, 3)), np.zeros((3, 3)), np.empty((3, 3))
    ray, x, normal, out, scratch, albedo = np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(5)
    own_normal, corners, normals, uv = np.empty(3), np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 2))
    pattern, c, params = 0, np.empty((2, 3), np.float32), np.empty(8, np.float32)
    split = corners_s.shape[0]
    angle = abs(K_inv[0, 0])
    last, last_material = -2, -1
    for row in range(height):
        for column in range(width):
            triangle = triangle_of[row, column]
            u, v, grown = column + 0.5, row + 0.5, 1.0
            if factor == 2:
                r0, c0 = row & ~1, column & ~1
                if (
                    triangle_of[r0, c0] == triangle
                    and triangle_of[r0, c0 + 1] == triangle
                    and triangle_of[r0 + 1, c0] == triangle
                    and triangle_of[r0 + 1, c0 + 1] == triangle
                ):
                    if row != r0 or column != c0:  # one sample stands for all four
                        for k in range(3):
                            radiance[row, column, k] = radiance[r0, c0, k]
                        continue
                    u, v, grown = c0 + 1.0, r0 + 1.0, 2.0
            a = K_inv[0, 0] * u + K_inv[0, 1] * v + K_inv[0, 2]
            b = K_inv[1, 1] * v + K_inv[1, 2]
            for k in range(3):
                ray[k] = R[0, k] * a + R[1, k] * b + R[2, k]
            length = math.sqrt(1.0 + a * a + b * b)
            if triangle < 0:
                for k in range(3):
                    ray[k] /= length
                sky(ray, light, tile, True, out)
                for k in range(3):
                    radiance[row, column, k] = out[k]
                continue
            if triangle != last:
                last = triangle
                if triangle < split:
                    material = materials_s[triangle]
                    _take(corners_s, normals_s, uv_s, triangle, corners, normals, uv)
                else:
                    material = materials_m[triangle - split]
                    _take(corners_m, normals_m, uv_m, triangle - split, corners, normals, uv)
                pixel_weights(corners, R, origin, K_inv, p, rows, q)
                _face_normal(corners, own_normal)
                if material != last_material:
                    last_material = material
                    pattern = patterns[material]
                    for k in range(3):
                        c[0, k], c[1, k] = colors[material, 0, k], colors[material, 1, k]
                    for k in range(8):
                        params[k] = table[material, k]
            w0 = q[0, 0] * u + q[0, 1] * v + q[0, 2]
            w1 = q[1, 0] * u + q[1, 1] * v + q[1, 2]
            w2 = q[2, 0] * u + q[2, 1] * v + q[2, 2]
            depth = 1.0 / (w0 + w1 + w2)
            w0, w1, w2 = w0 * depth, w1 * depth, w2 * depth
            for k in range(3):
                x[k] = origin[k] + ray[k] * depth
                ray[k] /= length
                normal[k] = w0 * normals[0, k] + w1 * normals[1, k] + w2 * normals[2, k]
            cosine = ray[0] * own_normal[0] + ray[1] * own_normal[1] + ray[2] * own_normal[2]
            if normal[0] * own_normal[0] + normal[1] * own_normal[1] + normal[2] * own_normal[2] < 0.0:
                cosine = -cosine
            if cosine > 0.0:  # the back of a surface
                for k in range(3):
                    normal[k] = -normal[k]
            near = depth * angle * grown
            surface(
                pattern, c, params, paint, tile, x,
                w0 * uv[0, 0] + w1 * uv[1, 0] + w2 * uv[2, 0], w0 * uv[0, 1] + w1 * uv[1, 1] + w2 * uv[2, 1],
                near, near / max(abs(cosine), 0.03), normal, albedo,
            )  # fmt: skip
            size = math.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) + 1e-9
            for k in range(3):
                normal[k] /= size
            facing = normal[0] * light[0] + normal[1] * light[1] + normal[2] * light[2]
            sun = 0.0
            if facing > 0.0 and light[3] > 1e-3:
                s = 0.28 + 0.25 * (1.0 - facing)  # metres along the normal, so that surfaces do not shade themselves
                sun = facing * _sunlit(
                    sun_map, sun_moving, sun_frame,
                    x[0] + s * normal[0], x[1] + s * normal[1], x[2] + s * normal[2] + 0.06,
                )  # fmt: skip
            open_sky = _ambient(ground, contact, openness, ground_frame, x[0], x[1], x[2])
            _shade_point(normal, ray, depth * length, albedo, light, sun, open_sky, scratch, out)
            for k in range(3):
                radiance[row, column, k] = out[k]


@kernel(inline="always")
def _take(
    all_corners: np.ndarray, all_normals: np.ndarray, all_uv: np.ndarray, t: int,
    corners: np.ndarray, normals: np.ndarray, uv: np.ndarray,
) -> None:  # fmt: skip
    """Copy a triangle's corners, normals and surface coordinates."""
    for i in range(3):
        for k in range(3):
            corners[i, k] = all_corners[t, i, k]
            normals[i, k] = all_normals[t, i, k]
        uv[i, 0], uv[i, 1] = all_uv[t, i, 0], all_uv[t, i, 1]


@kernel(inline="always")
def _face_normal(c: np.ndarray, out: np.ndarray) -> None:
    """Unit normal of the triangle with corners ``c``."""
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        out[k] = (c[1, i] - c[0, i]) * (c[2, j] - c[0, j]) - (c[1, j] - c[0, j]) * (c[2, i] - c[0, i])
    size = math.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2) + 1e-20
    for k in range(3):
        out[k] /= size


#: Entries of the tone curve's table, and the square root of the light at its end.
_CURVE = 4096
_CURVE_END = 3.0


@kernel()
def tone_curve() -> np.ndarray:
    """(_CURVE + 1,) display value of exposed light x at index sqrt(x) / _CURVE_END * _CURVE."""
    curve = np.empty(_CURVE + 1)
    for i in range(_CURVE + 1):
        root = i * _CURVE_END / _CURVE
        value = (1.0 - math.exp(-root * root)) ** (1.0 / 2.2)
        curve[i] = 0.55 * value + 0.45 * value * value * (3.0 - 2.0 * value)
    return curve


@kernel()
def develop(
    radiance: np.ndarray, factor: int, triangle_of: np.ndarray, light: np.ndarray, curve: np.ndarray, seed: int,
    rgb: np.ndarray,
) -> None:  # fmt: skip
    """Turn linear light into a picture: antialiasing, exposure, vignetting, tone curve, sensor noise.

    Args:
        radiance: (H * factor, W * factor, 3) linear light.
        factor: Samples per pixel and axis; 1 = edges between triangles are smoothed instead.
        triangle_of: (H * factor, W * factor) int32.
        light: The light vector.
        curve: What :func:`tone_curve` gives.
        seed: Seed of the sensor noise.
        rgb: (H, W, 3) uint8 result.
    """
    height, width = rgb.shape[:2]
    mean = np.empty(3)
    for row in range(height):
        for column in range(width):
            mean[:] = 0.0
            if factor == 1:
                here = triangle_of[row, column]
                r1, c1 = min(row + 1, height - 1), min(column + 1, width - 1)
                r0, c0 = max(row - 1, 0), max(column - 1, 0)
                flat = here == triangle_of[row, c1] and here == triangle_of[row, c0]
                flat = flat and here == triangle_of[r1, column] and here == triangle_of[r0, column]
                for k in range(3):
                    mean[k] = radiance[row, column, k]
                    if not flat:
                        around = radiance[row, c0, k] + radiance[row, c1, k]
                        around += radiance[r0, column, k] + radiance[r1, column, k]
                        mean[k] = 0.5 * mean[k] + 0.125 * around
            else:
                for i in range(factor):
                    for j in range(factor):
                        for k in range(3):
                            mean[k] += radiance[row * factor + i, column * factor + j, k] / (factor * factor)
            x, y = (column + 0.5) / width * 2.0 - 1.0, (row + 0.5) / height * 2.0 - 1.0
            falloff = 1.0 - 0.5 * light[19] * (x * x + y * y)
            for k in range(3):
                root = math.sqrt(mean[k] * light[21 + k] * falloff)
                value = curve[min(int(root * (_CURVE / _CURVE_END)), _CURVE)]
                h = hash01(column, row, seed + k) + hash01(row, column, seed + 31 + k) - 1.0
                value += 2.45 * light[18] * h * (1.2 - 0.6 * value)
                rgb[row, column, k] = int(min(max(value, 0.0), 1.0) * 255.0 + 0.5)


@kernel()
def pose_triangles(
    which: np.ndarray,
    corners: np.ndarray,
    normals: np.ndarray,
    starts: np.ndarray,
    poses: np.ndarray,
    out_corners: np.ndarray,
    out_normals: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> None:
    """Move some actors' triangles from their box frames into the world.

    Args:
        which: (K,) the actors.
        corners: (T, 3, 3) of all actors in the box frames.
        normals: (T, 3, 3) in the box frames.
        starts: (A + 1,) first triangle of each actor.
        poses: (A, 4, 4) of the boxes in the world.
        out_corners: (T, 3, 3) result; updated where the actors' triangles are.
        out_normals: (T, 3, 3) result; updated likewise.
        lower: (A, 3) lower corners of the actors' bounding boxes; updated.
        upper: (A, 3) upper corners; updated.
    """
    for a in which:
        lower[a], upper[a] = np.inf, -np.inf
        for t in range(starts[a], starts[a + 1]):
            for i in range(3):
                for k in range(3):
                    x = poses[a, k, 3]
                    n = 0.0
                    for j in range(3):
                        x += poses[a, k, j] * corners[t, i, j]
                        n += poses[a, k, j] * normals[t, i, j]
                    out_corners[t, i, k], out_normals[t, i, k] = x, n
                    lower[a, k], upper[a, k] = min(lower[a, k], x), max(upper[a, k], x)
