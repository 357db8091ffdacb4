# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A word's score in every voxel, for scenes whose features a text encoder's embeddings can be compared with."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.data.phrases import clean_phrases
from gsocc_core.errors import ConfigError, DataError, ShapeError
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.text_features import TextFeatures
from gsocc_core.geometry.voxels import SemanticGrid, VoxelField, VoxelGrid, VoxelScores
from gsocc_core.text.class_prompts import ClassPrompts
from gsocc_core.text.encoder import TextEncoder, load_text_encoder, missing_file

#: Differences of cosines below it do not tell a word from its negatives.
TEMPERATURE = 0.1
#: Most words of a call, and of negatives: each fills a grid.
MAX_WORDS = 64
_KNOWN = 1024


class Votes(Protocol):
    """What made a scene, as far as words need to know: a :class:`~gsocc_core.methods.method.Method` is one.

    Attributes:
        prompts: Class prompts; None = there are none.
    """

    @property
    def prompts(self) -> ClassPrompts | None:
        """Class prompts; None = there are none."""

    def spread(self, scene: Gaussians, values: Tensor, grid: VoxelGrid) -> Tensor:
        """See :meth:`gsocc_core.methods.method.Method.spread`."""


class WordQueries:
    """Compares words with the text features of predictions; the text encoder is loaded by the first word.

    Several threads may ask.

    Args:
        method: The model behind the predictions.
        where: Name of the bundle, for errors.
        text_encoder: What to load in place of the encoder that the training named, see
            :func:`gsocc_core.text.encoder.load_text_encoder`; None = that one.
    """

    def __init__(self, method: Votes, where: object = "query", text_encoder: str | None = None) -> None:
        self.method, self._where, self._given = method, where, text_encoder
        self._encoder: TextEncoder | None = None
        self._loaded: str | None = None
        self._known: dict[str, Tensor] = {}
        self._lock = threading.Lock()

    def prepare(self, words: Sequence[str], negatives: Sequence[str] = ()) -> tuple[str, ...]:
        """Load the encoder and embed words before there is a prediction to ask.

        Args:
            words: What will be asked for.
            negatives: What will compete; () = the class prompts of the method.

        Returns:
            The words as scores name them.

        Raises:
            ConfigError: the method has no class prompts, so nothing says what its features could be compared with; or
                the words are some that :meth:`scores` would refuse.
        """
        phrases, others = _checked(words, "words"), _checked(negatives, "negatives")
        if self.method.prompts is None:
            received = f"{type(self.method).__name__}, which has none"
            raise ConfigError("query", "bundle", "a method with text features, and so with class prompts", received)
        self._rivals(phrases, others, self.method.prompts.encoder)
        return tuple(phrases)

    def scores(
        self,
        words: Sequence[str],
        negatives: Sequence[str],
        scene: Gaussians | VoxelField,
        text: TextFeatures | None,
        voxels: SemanticGrid,
    ) -> VoxelScores:
        """Score of each word in each voxel; see :meth:`gsocc_core.OccupancyPredictor.query`.

        Args:
            words: What is asked for.
            negatives: What competes; () = the class prompts of the method.
            scene: (N) Gaussians or a voxel field of one prediction.
            text: Its text features.
            voxels: Its labels (X, Y, Z).

        Raises:
            ConfigError: there are no words, too many or some that the encoder does not know; the scene has no text
                features; nothing is there to tell a word from; or the encoder cannot be loaded or does not give the
                class prompts again.
            ShapeError: the features do not belong to the encoder, or not to the scene.
        """
        phrases, others = _checked(words, "words"), _checked(negatives, "negatives")
        if text is None:
            received = f"a prediction of {type(self.method).__name__}, which has none"
            raise ConfigError("query", "prediction", "a scene with text features", received)
        found = contrast(text, *self._rivals(phrases, others, text.encoder))
        index, values = self._in_voxels(found, scene, voxels)
        return VoxelScores(index, values, voxels.grid, tuple(phrases), voxels.observed)

    def _rivals(self, phrases: Sequence[str], others: Sequence[str], encoder: str) -> tuple[Tensor, Tensor, Tensor]:
        """(Q, D) embeddings of words, (M, D) those of their rivals, and (Q, M) bool: which compete with which."""
        if not phrases:
            raise ConfigError("query", "words", "at least one word", "none")
        embeddings = self._embed(phrases, encoder)
        if others:
            rivals = self._embed(others, encoder)
            allowed = torch.tensor([[other != phrase for other in others] for phrase in phrases])
        else:
            rivals, allowed = self._class_rivals(phrases, embeddings)
        if not bool(allowed.any(1).all()):
            lonely = phrases[int((~allowed.any(1)).nonzero()[0])]
            raise ConfigError("query", "negatives", f"words to tell {lonely!r} from", "none")
        return embeddings, rivals, allowed

    def _embed(self, phrases: Sequence[str], encoder: str) -> Tensor:
        """(Q, D) embeddings; those of the last words are kept, since standing queries ask for the same again."""
        name = encoder if self._given is None else self._given
        with self._lock:
            if self._encoder is None or self._loaded != name:
                self._encoder, self._loaded, self._known = self._load(name), name, {}
            if len(self._known) > _KNOWN:
                self._known = {}
            if new := [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._known]:
                self._known.update(zip(new, self._encoder.embed(new)))
            return torch.stack([self._known[phrase] for phrase in phrases])

    def _load(self, name: str) -> TextEncoder:
        """An encoder that gives the class prompts again, if there are any."""
        option = "--text_encoder, or text_encoder of the node or of OccupancyPredictor.load"
        if self._given is None and (missing := missing_file(name)) is not None:
            expected = f"files that are here; name yours as {option}"
            raise ConfigError(self._where, "text encoder", expected, f"{name}: no file or folder {missing}")
        try:
            encoder = load_text_encoder(name)
        except (ConfigError, DataError) as error:
            expected = f"{error.expected}; or another name as {option}"
            raise ConfigError(self._where, "text encoder", expected, f"{name}: {error.received}") from error
        if self.method.prompts is not None:
            self.method.prompts.check_encoder(encoder, self._where, "text encoder")
        return encoder

    def _class_rivals(self, phrases: Sequence[str], embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """The class prompts, and which of them each word competes with: those of other classes than its nearest."""
        prompts = self.method.prompts
        if prompts is None:
            raise ConfigError("query", "negatives", "some, or class prompts in the bundle", "none")
        rivals = functional.normalize(prompts.embeddings, dim=-1)
        own = [prompts.class_names[i] for i in (embeddings @ rivals.T).argmax(1).tolist()]
        allowed = [[name != mine and word != phrase for word, name in zip(prompts.words, prompts.class_names)]
                   for phrase, mine in zip(phrases, own)]  # fmt: skip
        return rivals, torch.tensor(allowed)

    def _in_voxels(self, scores: Tensor, scene: Gaussians | VoxelField, voxels: SemanticGrid) -> tuple[Tensor, Tensor]:
        """Flat numbers (N,) of the voxels that hold something, and (Q, N) float32 there, both on the CPU.

        Args:
            scores: (N, Q) of Gaussians or (X, Y, Z, Q) of a field.
            scene: What they belong to.
            voxels: Labels (X, Y, Z).
        """
        grid = voxels.grid
        if isinstance(scene, Gaussians):
            if scores.shape[:-1] != scene.opacities.shape:
                raise ShapeError("query", "text.values", (*scene.opacities.shape, "E"), (*scores.shape[:-1], "E"))
            scores = self.method.spread(scene.map(lambda t: t[None]), scores[None], grid)[0]
        elif scores.shape[:-1] != grid.shape or not scene.grid.same_as(grid):
            raise ShapeError("query", "text.values", (*grid.shape, "E"), (*scores.shape[:-1], "E"))
        index = torch.from_numpy(np.flatnonzero(voxels.occupied.cpu().numpy()))  # torch's takes five times as long
        there = scores.flatten(0, 2)[index.to(scores.device)]
        return index, there.float().clamp(0.0, 1.0).T.cpu().contiguous()


def contrast(text: TextFeatures, embeddings: Tensor, rivals: Tensor, allowed: Tensor) -> Tensor:
    """How much more a feature is like a word than like the words that compete with it.

    With cosines c, the score is exp(c / t) of the word over the same sum of the word and its rivals, t being
    :data:`TEMPERATURE`: 1 / (1 + M) where all M rivals are as like as the word itself.

    Args:
        text: Features of a scene.
        embeddings: (Q, D) of words.
        rivals: (M, D) of other words.
        allowed: (Q, M) bool: they compete; at least one per word.

    Returns:
        (..., Q) in 0..1, of the features' leading shape.
    """
    values = functional.normalize(text.values, dim=-1)
    here, there = (functional.normalize(text.project(part), dim=-1) for part in (embeddings, rivals))
    # Cosines over the temperature lie within 10 of 0, whose exponentials float32 adds up without shifting them first.
    others = (values @ there.T / TEMPERATURE).exp() @ allowed.T.to(values)
    return torch.sigmoid(values @ here.T / TEMPERATURE - others.log())


def _checked(words: Sequence[str], key: str) -> list[str]:
    if not isinstance(words, str) and len(words) > MAX_WORDS:
        raise ConfigError("query", key, f"at most {MAX_WORDS}", len(words))
    phrases = clean_phrases(words, "query", key)
    if again := next((phrase for i, phrase in enumerate(phrases) if phrase in phrases[:i]), None):
        raise ConfigError("query", key, "every phrase once", f"{again!r} again")
    return phrases
