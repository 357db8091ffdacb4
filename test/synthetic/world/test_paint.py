# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Names of what is painted on a road: found to the texel, though the road's triangles are metres large."""

import numpy as np

from gsocc_core.synthetic.world.detailed import name_id
from gsocc_core.synthetic.world.materials import Palette
from gsocc_core.synthetic.world.paint import PaintBlock, PaintedNames
from gsocc_core.synthetic.world.roads import bent_road
from gsocc_core.synthetic.world.shapes import MeshBuilder

ROAD, ZEBRA, LANE, LINE = (name_id(name) for name in ("road", "zebra crossing", "cycle lane", "lane marking"))


def names_at(block, road, s, d):
    """Names at (s, d) of a strip with cells of 2 m that carries the block, beside a wall that carries none."""
    palette, builder = Palette(np.random.default_rng(0)), MeshBuilder()
    builder.box((0, 0, 0), (1, 1, 1), 15, palette.plaster())
    material = palette.asphalt((block.s0, block.d0, 0.0, 0.0))
    grid_s, grid_d = np.meshgrid(np.arange(-10.0, 30.1, 2.0), np.arange(-6.0, 6.1, 2.0), indexing="ij")
    vertices = np.concatenate([road.point(grid_s, grid_d), np.zeros((*grid_s.shape, 1))], axis=2)
    index = np.arange(grid_s.size).reshape(grid_s.shape)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], -1).reshape(-1, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    uv = np.stack([grid_s.ravel(), grid_d.ravel()], 1)
    builder.add(vertices.reshape(-1, 3), triangles, 11, material, uv=uv, name_id=ROAD)
    mesh = builder.mesh()
    xy = road.point(s, d)
    corners = mesh.vertices_m[mesh.triangles][..., :2].astype(float)
    inside = np.ones((len(xy), len(corners)), bool)
    for k in range(3):
        a, b = corners[:, k], corners[:, (k + 1) % 3]
        away = xy[:, None] - a
        inside &= (b - a)[:, 0] * away[..., 1] - (b - a)[:, 1] * away[..., 0] >= -1e-9
    inside[:, :12] = False
    triangle = inside.argmax(1)
    assert inside.any(1).all()
    painted = PaintedNames(mesh, palette.table(), block.texels)
    assert (painted.road_of[:12] == -1).all()
    names = mesh.name_ids[triangle]
    painted.rename(painted.road_of[triangle], xy[:, 0], xy[:, 1], names)
    return names


def test_names_follow_the_paint_on_a_bent_road():
    road = bent_road(np.random.default_rng(2), -60.0, 140.0, 6.0, 1.0)
    assert np.abs(road.curvature_at(np.arange(-10.0, 30.0))).max() > 1 / 150
    block = PaintBlock(-10.0, 30.0, 5.2)
    block.lane(-3.0, -4.6, "cycle lane")
    block.line(-3.0, 0.2, 200)
    block.line(0.0, 0.15, 0)
    block.clear(4.0, 11.0, -5.0, 5.0)
    block.zebra(5.1, 3.6, -5.0, 5.0, 200)
    block.name_lines()
    rng = np.random.default_rng(0)
    s, d = rng.uniform(-9.5, 29.5, 4000), rng.uniform(-5.5, 5.5, 4000)
    names = names_at(block, road, s, d)
    free = (s > 4.0) & (s < 11.0)
    zebra = (s > 5.1) & (s < 8.7) & (np.abs(d) < 5.0)
    lane, line = ~free & (d > -4.6) & (d < -3.0), ~free & (np.abs(d + 3.0) < 0.1)
    expected = np.where(zebra, ZEBRA, np.where(line, LINE, np.where(lane, LANE, ROAD)))
    # Not compared: within a texel of an edge, which is 10 cm along the road and 5 cm across it.
    clear = (np.abs(s[:, None] - [4.0, 5.1, 8.7, 11.0]) > 0.12).all(1)
    clear &= (np.abs(d[:, None] - [-5.0, -4.6, -3.1, -2.9, 5.0]) > 0.07).all(1)
    assert clear.sum() > 3000
    np.testing.assert_array_equal(names[clear], expected[clear])
    assert set(names[clear]) == {ROAD, ZEBRA, LANE, LINE}
