# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Static word vectors: the two files that the wheel of wordllama carries, without a download and without its code."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gsocc_core.data.phrases import clean_phrases
from gsocc_core.data.stored import reading
from gsocc_core.errors import ConfigError, DataError

WEIGHTS, TOKENIZER = "weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json"
#: Name of the table of vectors in the file, one row per token.
_TABLE = "embedding.weight"


class StaticWords:
    """Mean of the vectors of a phrase's tokens, at unit length: the numbers that wordllama itself gives.

    A phrase costs less than a tenth of a millisecond. Word order does not count, and a word has one vector whatever
    stands beside it.

    Attributes:
        name: ``wordllama``.
        dim: 256.

    Raises:
        ConfigError: wordllama is not installed, or does not hold the files.
        DataError: a file is damaged.
    """

    name = "wordllama"

    def __init__(self) -> None:
        from safetensors import safe_open
        from tokenizers import Tokenizer

        weights, tokenizer = (_package_file(name) for name in (WEIGHTS, TOKENIZER))
        with reading(weights, f"word vectors as {_TABLE}"), safe_open(weights, "np") as file:
            self._table: np.ndarray = file.get_tensor(_TABLE)
        if self._table.ndim != 2 or self._table.dtype not in {np.dtype(np.float16), np.dtype(np.float32)}:
            received = f"{self._table.dtype} {self._table.shape}"
            raise DataError(weights, _TABLE, "(tokens, dimensions) of float16 or float32", received)
        with reading(tokenizer, "a tokenizer"):
            self._tokenizer: Any = Tokenizer.from_file(str(tokenizer))
        if self._tokenizer.get_vocab_size() > len(self._table):
            raise DataError(weights, _TABLE, f"{self._tokenizer.get_vocab_size()} rows", len(self._table))
        self.dim = int(self._table.shape[1])

    def embed(self, words: Sequence[str]) -> Tensor:
        """See :class:`gsocc_core.text.encoder.TextEncoder`."""
        rows = np.zeros((len(words), self.dim), np.float32)
        for row, phrase in zip(rows, clean_phrases(words, self.name)):
            encoded = self._tokenizer.encode(phrase, add_special_tokens=False)
            # A sign that no token holds falls apart into bytes, which mean nothing by themselves.
            if any(token.startswith("<0x") for token in encoded.tokens):
                raise ConfigError(self.name, "words", "phrases in letters that the encoder knows", repr(phrase))
            row[:] = np.sum(self._table[encoded.ids], axis=0, dtype=np.float32) / np.float32(len(encoded.ids))
        return torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _package_file(name: str) -> Path:
    spec = find_spec("wordllama")
    if spec is None:
        raise ConfigError("wordllama", "package", "wordllama>=0.3.3 (pip install wordllama)", "not installed")
    for folder in spec.submodule_search_locations or ():
        if (path := Path(folder) / name).is_file():
            return path
    raise ConfigError("wordllama", name, "a file of the wheel of wordllama 0.3.3 or later", "no such file")
