# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Ray casting of a voxel grid into a picture."""

from __future__ import annotations

import math

import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.metrics.ray_kernels import march_ray

#: How bright the faces across x, y and z are.
SHADES = (0.74, 0.86, 1.0)


@kernel(nogil=True)
def cast_voxels(codes, labels, eye, forward, right, down, focal, palette, free_id, picture):
    """Follow every pixel's ray to the first voxel that is not free, in voxel units.

    ``codes`` are the cells of the labels inside a border of one cell, as :func:`march_ray` wants them.
    """
    height, width = picture.shape[:2]
    row, plane = codes.shape[2], codes.shape[1] * codes.shape[2]
    shade = np.array(SHADES)
    direction, start, cell = np.empty(3), np.empty(3), np.empty(3, np.int64)
    for i in range(height):
        background = 250.0 - 22.0 * i / height
        for j in range(width):
            enter, leave = 0.0, 1e9
            for a in range(3):
                across = (j + 0.5 - width / 2) * right[a] + (i + 0.5 - height / 2) * down[a]
                d = forward[a] + across / focal
                direction[a] = d if abs(d) > 1e-12 else 1e-12
                t0, t1 = -eye[a] / direction[a], (labels.shape[a] - eye[a]) / direction[a]
                enter, leave = max(enter, min(t0, t1)), min(leave, max(t0, t1))
            label = free_id
            if enter < leave:
                for a in range(3):
                    start[a] = eye[a] + direction[a] * (enter + 1e-6)
                place, _ = march_ray(codes, start, direction)
                cell[0], cell[1], cell[2] = place // plane - 1, place // row % codes.shape[1] - 1, place % row - 1
                if place > 0:
                    label = labels[cell[0], cell[1], cell[2]]
            if label == free_id:
                picture[i, j, 0] = picture[i, j, 1] = np.uint8(background)
                picture[i, j, 2] = np.uint8(background + 3.0)
                continue
            t, axis = 0.0, 2  # where the eye stands in the voxel there is no face to come through
            for a in range(3):
                face = (cell[a] + (0 if direction[a] > 0 else 1) - eye[a]) / direction[a]
                if face > t:
                    t, axis = face, a
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
                picture[i, j, c] = np.uint8(min(max(palette[label, c] * light, 0.0), 255.0))
