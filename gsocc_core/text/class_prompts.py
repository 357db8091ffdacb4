# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Class prompts: the words that stand for each class, and their embeddings, which a bundle carries with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from gsocc_core.data.phrases import Phrase, clean_phrases, read_phrases
from gsocc_core.data.stored import reading
from gsocc_core.errors import ConfigError, DataError, OutputExistsError, ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.text.encoder import TextEncoder, load_text_encoder
from gsocc_core.whole import whole_file

_TENSOR, _KEY = "embeddings", "prompts"
_YAML = {".yaml", ".yml"}
#: Numbers of unit vectors that differ by less are the same but for roundings.
_SAME = 1e-3
#: Least cosine of a word's embeddings by one encoder on two machines.
_FITS = 0.99
_WHAT = "class prompts as `gsocc_core text --prompts` writes them"


@dataclass(frozen=True)
class ClassPrompts:
    """Words with the class that each stands for and its embedding.

    Attributes:
        words: P phrases.
        class_names: Name of each phrase's class; free space is one, for words such as sky.
        embeddings: (P, D) float32, unit length if the encoder's are.
        encoder: Name of the encoder, see :func:`gsocc_core.text.encoder.load_text_encoder`.

    Raises:
        ConfigError: there are no words, or not as many class names.
        ShapeError: the embeddings are not (P, D) finite float32 numbers.
    """

    words: tuple[str, ...]
    class_names: tuple[str, ...]
    embeddings: Tensor
    encoder: str

    def __post_init__(self) -> None:
        if not self.words or len(self.words) != len(self.class_names):
            expected = f"{len(self.words)} names, one per word" if self.words else "at least one word"
            raise ConfigError("ClassPrompts", "class_names" if self.words else "words", expected, len(self.class_names))
        value = self.embeddings
        if value.ndim != 2 or len(value) != len(self.words) or not value.shape[1] or value.dtype != torch.float32:
            expected = f"({len(self.words)}, D) float32"
            raise ShapeError("ClassPrompts", "embeddings", expected, f"{tuple(value.shape)} {value.dtype}")
        if not bool(value.isfinite().all()):
            raise ShapeError("ClassPrompts", "embeddings", "finite numbers", "NaN or infinity")

    @property
    def dim(self) -> int:
        """Length D of an embedding."""
        return int(self.embeddings.shape[1])

    def class_ids(self, classes: ClassTable) -> tuple[int, ...]:
        """Class id of each word.

        Args:
            classes: Table that knows the names.

        Raises:
            ConfigError: the table lacks a class.
        """
        ids = {name: i for i, name in enumerate(classes.names)}
        for word, name in zip(self.words, self.class_names):
            if name not in ids:
                raise ConfigError("class prompts", word, f"a class among {', '.join(classes.names)}", name)
        return tuple(ids[name] for name in self.class_names)

    def same_as(self, other: ClassPrompts) -> bool:
        """Whether words, classes and encoder are the same, and no number of the embeddings differs by 0.001 or more.

        Another machine, or another number of threads, embeds words in other roundings.
        """
        mine, theirs = ((p.words, p.class_names, p.encoder) for p in (self, other))
        here, there = self.embeddings.cpu(), other.embeddings.cpu()
        return mine == theirs and here.shape == there.shape and bool((here - there).abs().max() < _SAME)

    def told_otherwise(self, path: str | Path, classes: ClassTable | None, encoder: str) -> str | None:
        """What a file tells instead of these prompts, for people; None = the same. No encoder is loaded.

        Of a YAML file, words, classes and the encoder's name are compared, of a .safetensors file embeddings as well.

        Args:
            path: See :func:`load_class_prompts`.
            classes: See there.
            encoder: See there.

        Raises:
            ConfigError: another kind of file, or a name or phrase is wrong.
            DataError: the file of embeddings is missing or damaged.
        """
        if Path(path).suffix in _YAML:
            phrases = read_class_prompts(path, classes)
            words, names = tuple(p.text for p in phrases), tuple(p.class_name for p in phrases)
            same = (words, names, encoder) == (self.words, self.class_names, self.encoder)
            return None if same else f"{_described(words, names)} ({encoder})"
        other = load_class_prompts(path, classes, encoder)
        if self.same_as(other):
            return None
        told = f"{other.described()} ({other.encoder})"
        return "the same words with other embeddings" if told == f"{self.described()} ({self.encoder})" else told

    def check_encoder(self, encoder: TextEncoder, where: object, key: str) -> None:
        """Raise unless an encoder gives these embeddings again: what it is called says nothing on another machine.

        Args:
            encoder: The encoder.
            where: What names it, for errors.
            key: What names it there.

        Raises:
            ConfigError: the cosine of some word's two embeddings is below 0.99, or their lengths differ.
        """
        again, expected = encoder.embed(self.words), f"the encoder of the class prompts, {self.encoder}"
        if again.shape != self.embeddings.shape:
            received = f"{encoder.name}, which gives {again.shape[1]} numbers, not {self.dim}"
            raise ConfigError(where, key, expected, received)
        cosines = torch.cosine_similarity(again, self.embeddings.cpu(), dim=1)
        if bool((cosines < _FITS).any()):
            worst = int(cosines.argmin())
            received = f"{encoder.name}: its {self.words[worst]!r} has a cosine of {cosines[worst]:.2f} with theirs"
            raise ConfigError(where, key, expected, received)

    def described(self) -> str:
        """One line with the words of each class, for people."""
        return _described(self.words, self.class_names)

    def save(self, path: str | Path, *, replace: bool = False) -> None:
        """Write a safetensors file that holds everything; it appears only when complete.

        Args:
            path: The file.
            replace: Take the place of an older one.

        Raises:
            OutputExistsError: the file exists and is not to be replaced.
        """
        path = Path(path)
        if path.exists() and not replace:
            raise OutputExistsError(path, "prompts", "a file that does not exist", "an existing one")
        content = {"encoder": self.encoder, "words": self.words, "classes": self.class_names}
        with whole_file(path) as temporary:
            tensors = {_TENSOR: self.embeddings.detach().cpu().contiguous()}
            save_file(tensors, temporary, metadata={_KEY: json.dumps(content, ensure_ascii=False)})
            temporary.chmod(0o644)  # safetensors writes for the owner alone

    @classmethod
    def load(cls, path: str | Path) -> ClassPrompts:
        """Read a file written by :meth:`save`.

        Raises:
            DataError: the file is missing, is damaged or holds something else.
        """
        with reading(path, _WHAT):
            with safe_open(path, "pt") as file:
                metadata, names = file.metadata() or {}, set(file.keys())
                embeddings = file.get_tensor(_TENSOR) if names == {_TENSOR} else None
            if embeddings is None or _KEY not in metadata:
                raise DataError(path, "content", _WHAT, f"tensors {', '.join(sorted(names)) or 'none'}")
            content = json.loads(metadata[_KEY])
            lists = [content[key] for key in ("words", "classes")]
            if not all(isinstance(part, list) and all(isinstance(t, str) for t in part) for part in lists):
                raise DataError(path, "words, classes", "lists of texts", "something else")
            if not isinstance(content["encoder"], str):
                raise DataError(path, "encoder", "its name", repr(content["encoder"]))
            return cls(tuple(lists[0]), tuple(lists[1]), embeddings, content["encoder"])


def _described(words: Sequence[str], class_names: Sequence[str]) -> str:
    groups: dict[str, list[str]] = {}
    for word, name in zip(words, class_names):
        groups.setdefault(name, []).append(word)
    return "; ".join(f"{name}: {', '.join(words)}" for name, words in groups.items())


def read_class_prompts(path: str | Path, classes: ClassTable | None) -> tuple[Phrase, ...]:
    """Read a YAML file: class name -> list of phrases, such as those in config/prompts/.

    Args:
        path: The file. Free space may have phrases: what stands in pictures and takes no room, such as the sky.
        classes: Table of the names; None = any names.

    Returns:
        All phrases, in the order of the file.

    Raises:
        ConfigError: the file is missing, a name is unknown, a phrase is empty or comes twice, or only free space has
            phrases.
    """
    phrases = read_phrases(path, None if classes is None else classes.names)
    free = None if classes is None else classes.names[classes.free_id]
    if all(phrase.class_name == free for phrase in phrases):
        raise ConfigError(path, "file", "phrases of at least one class besides free space", "none")
    return phrases


def embed_class_prompts(phrases: Sequence[Phrase], encoder: TextEncoder) -> ClassPrompts:
    """Embed phrases.

    Raises:
        ConfigError: there are none, or the encoder does not know one.
    """
    words = tuple(phrase.text for phrase in phrases)
    return ClassPrompts(words, tuple(phrase.class_name for phrase in phrases), encoder.embed(words), encoder.name)


def embed_words(words: Sequence[str], encoder: TextEncoder) -> ClassPrompts:
    """Prompts of which each stands for a class of its own name, with _ between its words.

    Raises:
        ConfigError: there are none, or the encoder does not know one.
    """
    cleaned = dict.fromkeys(clean_phrases(words, "text"))
    return embed_class_prompts([Phrase(word, word.replace(" ", "_")) for word in cleaned], encoder)


def load_class_prompts(path: str | Path, classes: ClassTable | None, encoder: str) -> ClassPrompts:
    """Class prompts from either kind of file.

    Args:
        path: A YAML file of words, or a .safetensors file with their embeddings.
        classes: Table of the class names; None = any names.
        encoder: Name of the encoder that embeds a YAML file's words; embeddings in a file keep their own.

    Returns:
        The prompts, of classes that the table knows.

    Raises:
        ConfigError: another kind of file, a name or phrase is wrong, or the encoder cannot be loaded.
        DataError: the file of embeddings is missing or damaged.
    """
    suffix = Path(path).suffix
    if suffix == ".safetensors":
        prompts = ClassPrompts.load(path)
        if classes is not None:
            prompts.class_ids(classes)
        return prompts
    if suffix in _YAML:
        return embed_class_prompts(read_class_prompts(path, classes), load_text_encoder(encoder))
    raise ConfigError(path, "prompts", "a .yaml file of words, or a .safetensors file of class prompts", repr(suffix))
