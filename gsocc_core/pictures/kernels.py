# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Ray casting of a voxel grid into a picture."""

from __future__ import annotations

import math

import numpy as np

from gsocc_core.compiling import kernel

#: How bright the faces across x, y and z are.
SHADES = (0.74, 0.86, 1.0)


@kernel(nogil=True)
def cast_voxels(labels, eye, forward, right, down, focal, palette, free_id, picture):
    """March every pixel's ray through the grid (Amanatides & Woo 1987), in voxel units."""
    height, width = picture.shape[:2]
    shape = np.array(labels.shape)
    shade = np.array(SHADES)
    direction, t_next, t_delta = np.empty(3), np.empty(3), np.empty(3)
    cell, step = np.empty(3, np.int64), np.empty(3, np.int64)
    for row in range(height):
        background = 250.0 - 22.0 * row / height
        for column in range(width):
            near, far, axis = 0.0, 1e9, 2
            for a in range(3):
                d = (column + 0.5 - width / 2) * right[a] + (row + 0.5 - height / 2) * down[a]
                d = forward[a] + d / focal
                direction[a] = d
                if abs(d) <= 1e-12:
                    d = 1e-12
                t0, t1 = -eye[a] / d, (shape[a] - eye[a]) / d
                if t0 > t1:
                    t0, t1 = t1, t0
                if t0 > near:
                    near, axis = t0, a
                far = min(far, t1)
            label, light, t = free_id, 1.0, near
            if near < far:
                for a in range(3):
                    start = eye[a] + direction[a] * (near + 1e-6)
                    cell[a] = min(max(int(math.floor(start)), 0), shape[a] - 1)
                    d = direction[a] if abs(direction[a]) > 1e-12 else 1e-12
                    step[a] = 1 if d > 0 else -1
                    t_delta[a] = abs(1.0 / d)
                    t_next[a] = (cell[a] + (1 if d > 0 else 0) - eye[a]) / d
                while True:
                    label = labels[cell[0], cell[1], cell[2]]
                    if label != free_id:
                        break
                    axis = 0
                    if t_next[1] < t_next[axis]:
                        axis = 1
                    if t_next[2] < t_next[axis]:
                        axis = 2
                    t = t_next[axis]
                    cell[axis] += step[axis]
                    t_next[axis] += t_delta[axis]
                    if cell[axis] < 0 or cell[axis] >= shape[axis]:
                        break
            if label == free_id:
                picture[row, column, 0] = picture[row, column, 1] = np.uint8(background)
                picture[row, column, 2] = np.uint8(background + 3.0)
                continue
            # Thin darker borders tell single voxels apart; they fade where a pixel is as wide as a border.
            light = shade[axis]
            pixel = t / focal / max(abs(direction[axis] * t), 0.1) * t
            border = 1.0
            for a in range(3):
                if a != axis:
                    hit = eye[a] + direction[a] * t
                    f = hit - math.floor(hit)
                    border = min(border, f, 1.0 - f)
            if border < 0.06:
                light *= 1.0 - 0.3 * min(1.0, 0.06 / max(pixel, 1e-6))
            for c in range(3):
                picture[row, column, c] = np.uint8(min(max(palette[label, c] * light, 0.0), 255.0))
