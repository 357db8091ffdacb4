# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a query finds with a threshold: voxels, and groups of voxels that touch each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.voxels import VoxelGrid, VoxelScores
from gsocc_core.inference.cluster_kernels import group_voxels

#: Score from which on voxels count where nobody says otherwise.
THRESHOLD = 0.5


@dataclass(frozen=True, eq=False)
class FoundVoxels:
    """Voxels whose score for a word reaches a threshold, word after word; a voxel may stand there for several words.

    Attributes:
        grid: Their grid.
        word: (M,) uint8 place of the word among the words of the query.
        index: (M,) int64 flat number of the voxel, ascending for each word.
        score: (M,) float32, 0..1.
        centers_m: (M, 3) middle of the voxel, metres, ego frame.
    """

    grid: VoxelGrid
    word: np.ndarray
    index: np.ndarray
    score: np.ndarray
    centers_m: np.ndarray


@dataclass(frozen=True)
class Cluster:
    """Voxels of one word that touch each other by a face, an edge or a corner.

    Attributes:
        word: Place of the word.
        center_m: Middle of the box around them, metres, ego frame.
        size_m: Edge lengths of the box, metres, along the axes of the grid.
        voxels: How many they are.
        mean_score: Mean of their scores.
        best_score: Largest of their scores.
    """

    word: int
    center_m: tuple[float, float, float]
    size_m: tuple[float, float, float]
    voxels: int
    mean_score: float
    best_score: float


@dataclass(frozen=True)
class WordSummary:
    """What was found of one word.

    Attributes:
        word: The word.
        best_score: Largest score of any voxel; 0 = nothing is anywhere.
        voxels: Voxels that reach the threshold.
        nearest_m: Distance from the ego frame's origin to the nearest of them, on the ground, metres; None = there is
            none.
    """

    word: str
    best_score: float
    voxels: int
    nearest_m: float | None

    @property
    def text(self) -> str:
        """For people.

        Example:
            >>> WordSummary("dog", 0.91, 4, 7.25).text, WordSummary("pram", 0.2, 0, None).text
            ('dog: 4 voxels, nearest 7.2 m', 'pram: none (best score 0.20)')
        """
        if self.nearest_m is None:
            return f"{self.word}: none (best score {self.best_score:.2f})"
        return f"{self.word}: {self.voxels} voxel{'s' if self.voxels > 1 else ''}, nearest {self.nearest_m:.1f} m"


def check_threshold(where: str, threshold: float) -> None:
    """Raise ConfigError unless a threshold says something: above 0, which all voxels reach, and up to 1."""
    if not 0 < threshold <= 1:
        raise ConfigError(where, "threshold", "above 0, up to 1", threshold)


def find_voxels(scores: VoxelScores, threshold: float = THRESHOLD) -> FoundVoxels:
    """The voxels that reach a threshold.

    Args:
        scores: Answer of a query.
        threshold: Least score, above 0.

    Raises:
        ConfigError: the threshold lies outside 0..1, or is 0.

    Example:
        >>> import torch
        >>> grid = VoxelGrid((0.0, 0.0, 0.0), (3.0, 1.0, 1.0), 1.0)
        >>> scores = VoxelScores(torch.tensor([0, 2]), torch.tensor([[0.2, 0.9]]), grid, ("dog",))
        >>> find_voxels(scores).centers_m.tolist()
        [[2.5, 0.5, 0.5]]
    """
    check_threshold("query", threshold)
    values, grid = scores.values.cpu().numpy(), scores.grid
    places = [np.flatnonzero(row >= threshold) for row in values]  # numpy's nonzero of a table takes five times as long
    word, place = np.repeat(np.arange(len(places)), [len(found) for found in places]), np.concatenate(places)
    index = scores.index.cpu().numpy()[place]
    centers = grid.centers.reshape(-1, 3).numpy()[index]
    if grid.T_ego_grid is not None:
        T = grid.T_ego_grid_matrix
        centers = centers @ T[:3, :3].T + T[:3, 3]
    return FoundVoxels(grid, word.astype(np.uint8), index, values[word, place], centers)


def find_clusters(found: FoundVoxels, most: int | None = None) -> tuple[Cluster, ...]:
    """Groups of touching voxels, the largest first.

    Args:
        found: Voxels of any words; those of different words form no common group.
        most: Only the largest so many; None = all.
    """
    count = len(found.word)
    corners, counts = np.empty((count, 2, 3), np.int64), np.empty((count, 2), np.int64)
    totals, bests = np.empty(count), np.empty(count, np.float32)
    groups = group_voxels(
        found.index, found.word, found.score, np.array(found.grid.shape), corners, counts, totals, bests
    )
    order = np.lexsort((-bests[:groups], counts[:groups, 0], -counts[:groups, 1]))[:most]
    first, last = corners[order, 0], corners[order, 1] + 1
    T, size = found.grid.T_ego_corner, np.asarray(found.grid.size_m)
    centers = ((first + last) / 2 * size) @ T[:3, :3].T + T[:3, 3]
    columns = (counts[order, 0], centers, (last - first) * size, counts[order, 1], totals[order] / counts[order, 1],
               bests[order])  # fmt: skip
    return tuple(
        Cluster(word, tuple(center), tuple(edges), *rest)
        for word, center, edges, *rest in zip(*(column.tolist() for column in columns))
    )


def warm_up_clusters() -> None:
    """Compile, or load from numba's cache, what :func:`find_clusters` runs; takes seconds the first time."""
    grid = VoxelGrid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 1.0)
    find_clusters(find_voxels(VoxelScores(torch.tensor([0]), torch.ones(1, 1), grid, ("thing",))))


def summarize(scores: VoxelScores, found: FoundVoxels) -> tuple[WordSummary, ...]:
    """What was found of each word.

    Args:
        scores: Answer of a query.
        found: Its voxels that reach a threshold.
    """
    values = scores.values.cpu().numpy()
    away = np.hypot(found.centers_m[:, 0], found.centers_m[:, 1])
    result = []
    for number, word in enumerate(scores.words):
        distances = away[found.word == number]
        nearest = float(distances.min()) if len(distances) else None
        best = float(values[number].max(initial=0.0))
        result.append(WordSummary(word, best, len(distances), nearest))
    return tuple(result)


def summary_table(summaries: tuple[WordSummary, ...], threshold: float) -> str:
    """A table for people.

    Example:
        >>> print(summary_table((WordSummary("dog", 0.91, 4, 7.25), WordSummary("pram", 0.2, 0, None)), 0.5))
        word  best score  voxels from 0.5  nearest
        dog         0.91                4    7.2 m
        pram        0.20                0        -
    """
    head = ("word", "best score", f"voxels from {threshold:g}", "nearest")
    rows = [
        (s.word, f"{s.best_score:.2f}", str(s.voxels), "-" if s.nearest_m is None else f"{s.nearest_m:.1f} m")
        for s in summaries
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
        for row in (head, *rows)
    ]
    return "\n".join(lines)
