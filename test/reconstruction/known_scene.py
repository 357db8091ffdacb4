# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A room that is known exactly, pictures of it, and a "network" that knows it, too: what comes after is judged."""

import numpy as np
import torch

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.spherical_harmonics import SH_C0
from gsocc_core.methods.method import FoundViews, ViewMethod
from gsocc_core.reconstruction.photos import Photo
from gsocc_core.rigs.rig_file import looking

SIZE = 32
K = np.array([[SIZE * 0.8, 0, SIZE / 2], [0, SIZE * 0.8, SIZE / 2], [0, 0, 1]])
#: Lower and upper corner of the room and of a box that stands in it, metres.
ROOM = np.array([[-3.0, -2.0, 0.0], [3.0, 2.0, 2.6]])
BOX = np.array([[1.0, -0.6, 0.0], [1.8, 0.4, 0.9]])
FLOOR, WALL, CEILING, THING = range(4)


def pose(x=-2.5, y=0.0, z=1.2, yaw=0.0, pitch=20.0):
    """(4, 4) of a camera in the room: metres, degrees to the left and down."""
    return looking((x, y, z), (yaw, pitch, 0.0))


def _slab(origin, way, corners):
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (corners[:, None, None] - origin) / way
    return np.nan_to_num(np.minimum(t[0], t[1]), nan=-np.inf), np.nan_to_num(np.maximum(t[0], t[1]), nan=np.inf)


def look(T, size=SIZE, intrinsics=K):
    """What a camera sees: (h, w) depth, (h, w) classes and (h, w, 3) uint8 picture with a pattern fixed to surfaces."""
    v, u = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5, indexing="ij")
    ray = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(intrinsics).T
    way, origin = ray @ T[:3, :3].T, T[:3, 3]
    _, out = _slab(origin, way, ROOM)
    axis, depth = out.argmin(-1), out.min(-1)
    ids = np.where(axis < 2, WALL, np.where(way[..., 2] < 0, FLOOR, CEILING))
    first, last = _slab(origin, way, BOX)
    enter = first.max(-1)
    hit = (enter < last.min(-1)) & (enter > 0)
    depth, ids = np.where(hit, enter, depth), np.where(hit, THING, ids)
    points = origin + depth[..., None] * way
    cells = np.floor(points / 0.35 + 1e-6).astype(np.int64) % 1000
    noise = (cells @ np.array([73856093, 19349663, 83492791]) % 97) / 97.0
    colors = np.stack([noise, noise * 0.7 + 0.1, 1 - noise], -1)
    return depth, ids, (255 * colors).astype(np.uint8)


class KnownScene(ViewMethod):
    """Says exactly what is there, in its own unit: one Gaussian per pixel whose feature is its class."""

    def __init__(self, poses, unit_m=1.0, metric=False, told=None, size=SIZE):
        super().__init__()
        self.image_size, self.teacher_dim = (size, size), 4
        self.poses, self.unit_m, self.metric = list(poses), unit_m, metric
        # What it says of cameras and surfaces, where that is not the truth.
        self.told = list(poses) if told is None else told

    def reconstruct(self, views):
        return views

    def found(self, output):
        first = np.linalg.inv(self.told[0])
        T = torch.tensor(np.stack([first @ pose for pose in self.told]))
        T[:, :3, 3] /= self.unit_m
        seen = [look(pose, self.image_size[0]) for pose in self.poses]
        depth = torch.tensor(np.stack([s[0] for s in seen])) / self.unit_m
        ids = torch.tensor(np.stack([s[1] for s in seen])).flatten()
        rays = torch.tensor(K).expand(len(T), 3, 3)
        origins, directions = Cameras(rays, T, *self.image_size).rays()
        means = (origins + depth[..., None] * directions).flatten(0, 2)
        scales = (0.6 * depth.flatten() / K[0, 0])[:, None].expand(-1, 3)
        colors = (output.images[0].double() / 255 - 0.5).movedim(1, -1).flatten(0, 2)
        quats = torch.tensor([1.0, 0, 0, 0]).expand(len(means), 4)
        scene = Gaussians(
            means.float(), scales.float(), quats, torch.full((len(means),), 0.95),
            torch.nn.functional.one_hot(ids, 4).float(), colors_sh=(colors / SH_C0).float()[:, None],
        )  # fmt: skip
        batch = scene.map(lambda t: t[None])
        return FoundViews(batch, T[None].float(), rays[None].float(), self.image_size, None, self.metric)

    def word_map(self):
        return torch.eye(4), torch.zeros(4)

    def in_metres(self, output, views):
        raise NotImplementedError

    def expand(self, features):
        return features

    def losses(self, output, batch):
        raise NotImplementedError


def photos(poses, known=False, intrinsics=True):
    """Pictures of the room; with ``known`` their poses, in the room's frame, come along."""
    return [Photo(f"p{i}", look(T)[2], K if intrinsics else None, T if known else None) for i, T in enumerate(poses)]
