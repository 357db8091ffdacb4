# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The words that stand for each class, and the captions that ask a detector for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gsocc_core.data.phrases import read_phrases
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.classes import ClassTable

#: Name in the file for what is recognised in order to stay unlabelled.
NONE = "none"
Mode = Literal["separate", "by_class", "combined"]


@dataclass(frozen=True)
class Prompt:
    """One phrase.

    Attributes:
        text: In lower case, without a full stop.
        class_id: What it means; 0 = no label.
    """

    text: str
    class_id: int


@dataclass(frozen=True)
class Caption:
    """One pass of the detector.

    Attributes:
        token_ids: What the detector reads.
        spans: (first, last + 1) token of each phrase.
        prompts: The phrases, in the same order.
    """

    token_ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    prompts: tuple[Prompt, ...]


def read_prompts(path: str | Path, classes: ClassTable) -> tuple[Prompt, ...]:
    """Read a YAML file: class name -> list of phrases.

    Args:
        path: The file. The name ``none`` stands for what shall stay unlabelled, such as the sky.
        classes: Table of the names. Id 0, which means no label in pictures, and free space cannot be labelled.

    Returns:
        All phrases, in the order of the file.

    Raises:
        ConfigError: the file is missing, a name is unknown, or a phrase is empty, has a full stop or comes twice.
    """
    ids = {NONE: 0, **{name: i for i, name in enumerate(classes.names) if i > 0 and i != classes.free_id}}
    prompts = []
    for phrase in read_phrases(path, ids):
        if "." in phrase.text:
            raise ConfigError(path, phrase.class_name, "phrases without full stops", repr(phrase.text))
        prompts.append(Prompt(phrase.text, ids[phrase.class_name]))
    if not any(prompt.class_id for prompt in prompts):
        raise ConfigError(path, "file", "phrases of at least one class", "none")
    return tuple(prompts)


def make_captions(prompts: Sequence[Prompt], mode: Mode, tokenizer: Any, max_tokens: int) -> tuple[Caption, ...]:
    """Captions that ask for all phrases: ``a. b. c.``, tokenised.

    Args:
        prompts: The phrases.
        mode: ``separate`` = one caption per phrase; ``by_class`` = one per class; ``combined`` = as few as hold
            them all.
        tokenizer: The detector's.
        max_tokens: Longest caption.

    Returns:
        The captions.

    Raises:
        ConfigError: the tokenizer does not know a phrase, or a phrase is too long.
    """
    stop = tokenizer.convert_tokens_to_ids(".")
    pieces: list[list[int]] = []
    for prompt in prompts:
        tokens = tokenizer(prompt.text, add_special_tokens=False)["input_ids"]
        if not tokens or tokenizer.unk_token_id in tokens:
            raise ConfigError("prompts", prompt.text, "a phrase that the detector's tokenizer knows", tokens)
        if len(tokens) + 3 > max_tokens:
            raise ConfigError("prompts", prompt.text, f"at most {max_tokens - 3} tokens", len(tokens))
        pieces.append([*tokens, stop])
    groups: list[list[int]] = []
    for number, piece in enumerate(pieces):
        before = groups[-1] if groups and mode != "separate" else []
        alike = mode == "combined" or all(prompts[i].class_id == prompts[number].class_id for i in before)
        if before and alike and sum(len(pieces[i]) for i in before) + len(piece) + 2 <= max_tokens:
            before.append(number)
        else:
            groups.append([number])
    captions = []
    for group in groups:
        tokens, spans = [tokenizer.cls_token_id], []
        for number in group:
            spans.append((len(tokens), len(tokens) + len(pieces[number]) - 1))
            tokens += pieces[number]
        members = tuple(prompts[number] for number in group)
        captions.append(Caption((*tokens, tokenizer.sep_token_id), tuple(spans), members))
    return tuple(captions)
