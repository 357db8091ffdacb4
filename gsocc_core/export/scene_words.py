# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Text-aligned features of a stored scene, so that it can be asked for words without the model that made it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from gsocc_core.data.stored import reading
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.text_features import TextFeatures
from gsocc_core.geometry.voxels import SemanticGrid, VoxelGrid, VoxelScores
from gsocc_core.inference.query import WordQueries
from gsocc_core.reconstruction.occupancy import is_solid, voxel_votes
from gsocc_core.splat import splat_to_voxels
from gsocc_core.text.class_prompts import ClassPrompts

#: Name of the file in a snapshot's folder.
FILE = "words.safetensors"
_WHAT = "text features of a scene"


@dataclass(frozen=True)
class SceneWords:
    """Features beside a stored scene.

    Attributes:
        text: One row per Gaussian.
        prompts: Words of the classes, which compete with those that are asked for; None = there are none.
    """

    text: TextFeatures
    prompts: ClassPrompts | None = None

    def spread(self, scene: Gaussians, values: Tensor, grid: VoxelGrid) -> Tensor:
        """(B, X, Y, Z, C) means of Gaussians' values in voxels, by the rule of the stored labels."""
        votes = [voxel_votes(scene.map(lambda t, b=b: t[b]), of_scene, grid) for b, of_scene in enumerate(values)]
        return torch.stack([splat_to_voxels(one, grid).features for one in votes])

    def about(
        self, scene: Gaussians, grid: SemanticGrid, text_encoder: str | None = None, negatives: Sequence[str] = ()
    ) -> Callable[[Sequence[str]], VoxelScores]:
        """What answers questions about a scene.

        Args:
            scene: (N) the Gaussians that the features belong to; their own features are shares of the classes.
            grid: Its labels.
            text_encoder: What embeds words; None = the encoder that the scene names.
            negatives: Words that compete; () = the class prompts.

        Returns:
            Words -> scores; raises what :meth:`gsocc_core.OccupancyPredictor.query` raises.
        """
        queries = WordQueries(self, "reconstruction", text_encoder)
        solid = is_solid(scene.features, grid.classes)
        there = scene.map(lambda t: t[solid])
        text = replace(self.text, values=self.text.values[solid])

        def ask(words: Sequence[str]) -> VoxelScores:
            if self.prompts is None and not negatives:
                expected = "words that compete with them, since the scene has no class prompts"
                raise ConfigError("query", "negatives", expected, "none")
            return queries.scores(words, negatives, there, text, grid)

        return ask


def save_scene_words(folder: str | Path, words: SceneWords) -> None:
    """Write the file into a folder that nobody reads yet."""
    text, prompts = words.text, words.prompts
    tensors = {"values": text.values.cpu().contiguous()}
    tensors |= {} if text.basis is None else {"basis": text.basis.cpu().contiguous()}
    content = {"encoder": text.encoder}
    if prompts is not None:
        tensors["prompts"] = prompts.embeddings.cpu().contiguous()
        content |= {"words": json.dumps(prompts.words), "classes": json.dumps(prompts.class_names)}
    path = Path(folder) / FILE
    save_file(tensors, path, metadata=content)
    path.chmod(0o644)  # safetensors writes for the owner alone


def load_scene_words(folder: str | Path) -> SceneWords | None:
    """Read what :func:`save_scene_words` wrote; None = the folder has no such file.

    Raises:
        DataError: the file is damaged.
    """
    path = Path(folder) / FILE
    if not path.exists():
        return None
    with reading(path, _WHAT):
        with safe_open(path, "pt") as file:
            content, tensors = file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if "values" not in tensors or "encoder" not in content:
            raise DataError(path, "content", _WHAT, ", ".join(tensors) or "nothing")
        prompts = None
        if "prompts" in tensors:
            lists = [tuple(map(str, json.loads(content[key]))) for key in ("words", "classes")]
            prompts = ClassPrompts(lists[0], lists[1], tensors["prompts"].to(torch.float32), content["encoder"])
        return SceneWords(TextFeatures(tensors["values"], tensors.get("basis"), content["encoder"]), prompts)
