# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The text tower of a CLIP (Radford et al., ICML 2021), through transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.data.phrases import clean_phrases
from gsocc_core.errors import ConfigError
from gsocc_core.labels.pretrained import load_model, model_type

#: transformers' model types that have a CLIP's text tower -> the class that reads it.
_KINDS = {"clip": "CLIPTextModelWithProjection", "clip_text_model": "CLIPTextModelWithProjection"}
#: Phrases per pass.
_BATCH = 64


class ClipText:
    """Text embeddings of a CLIP after its projection, at unit length; phrases as they are, without a sentence around.

    Args:
        source: Folder or hub id of a CLIP that transformers reads.

    Attributes:
        name: ``clip:SOURCE``.
        dim: Width of CLIP's common space.

    Raises:
        ConfigError: there is no such model, it is no CLIP, or its weights or its tokenizer do not load.
    """

    def __init__(self, source: str) -> None:
        self.name = f"clip:{source}"
        self._model, self._tokenizer = _load(source)
        config = self._model.config
        self.dim, self._longest = int(config.projection_dim), int(config.max_position_embeddings)

    def embed(self, words: Sequence[str]) -> Tensor:
        """See :class:`gsocc_core.text.encoder.TextEncoder`."""
        return functional.normalize(self.project(words), dim=-1)

    @torch.no_grad()
    def project(self, words: Sequence[str]) -> Tensor:
        """(len(words), D) float32: the same before it gets unit length."""
        phrases = clean_phrases(words, self.name)
        parts = [torch.zeros(0, self.dim)]
        for start in range(0, len(phrases), _BATCH):
            # What pads a shorter phrase stands behind its last token, which a causal tower reads.
            tokens = self._tokenizer(phrases[start : start + _BATCH], padding=True, return_tensors="pt")
            length = tokens["input_ids"].shape[1]
            if length > self._longest:
                raise ConfigError(self.name, "words", f"phrases of at most {self._longest} tokens", length)
            found = self._model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).text_embeds
            parts.append(found.float())
        return torch.cat(parts)


def _load(source: str) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoTokenizer

    kind = model_type(source, "encoder", _KINDS)
    config = AutoConfig.from_pretrained(source)
    if kind == "clip":  # both towers in one file: the width of the common space stands beside them
        config.text_config.projection_dim, config = config.projection_dim, config.text_config
    model = load_model(source, _KINDS[kind], "encoder", torch.device("cpu"), config=config)
    try:
        return model, AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        received = f"{source}: {' '.join(str(error).split())}"
        raise ConfigError("text encoder", "encoder", "a CLIP with its tokenizer", received) from error
