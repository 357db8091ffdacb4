# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What an encoder holds for alike: the nearest words of each word."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gsocc_core.data.phrases import clean_phrases
from gsocc_core.errors import ConfigError
from gsocc_core.text.class_prompts import ClassPrompts
from gsocc_core.text.encoder import TextEncoder


def nearest_words(
    words: Sequence[str], encoder: TextEncoder, prompts: ClassPrompts | None = None, most: int = 5
) -> str:
    """A table with the nearest words of each word, best first, with their cosines.

    Args:
        words: Phrases.
        encoder: What embeds them.
        prompts: Class prompts of the same encoder to look among; None = the other words.
        most: How many to name per word.

    Returns:
        One line per word.

    Raises:
        ConfigError: a phrase is empty or unknown, the prompts are another encoder's, or there is nothing to compare.

    Example:
        >>> from gsocc_core.text.encoder import load_text_encoder
        >>> print(nearest_words(["automobile", "car", "oak"], load_text_encoder("wordllama"), most=1))
        automobile  car 0.67
        car         automobile 0.67
        oak         car -0.07
    """
    if prompts is not None:
        prompts.check_encoder(encoder, "text", "encoder")
    phrases = list(dict.fromkeys(clean_phrases(words, "text")))
    if prompts is None and len(phrases) < 2:
        raise ConfigError("text", "words", "two or more words, or prompts to compare them with", len(phrases))
    mine = encoder.embed(phrases)
    theirs = mine if prompts is None else torch.nn.functional.normalize(prompts.embeddings, dim=-1)
    names = phrases if prompts is None else [f"{w} ({c})" for w, c in zip(prompts.words, prompts.class_names)]
    cosines = mine @ theirs.T
    if prompts is None:
        cosines.fill_diagonal_(-torch.inf)
    count, width = min(most, len(names) - (prompts is None)), max(map(len, phrases))
    lines = []
    for phrase, (values, places) in zip(phrases, zip(*cosines.topk(count, dim=1))):
        found = [f"{names[i]} {value:.2f}" for value, i in zip(values.tolist(), places.tolist())]
        lines.append(f"{phrase:<{width}}  {', '.join(found)}")
    return "\n".join(lines)
