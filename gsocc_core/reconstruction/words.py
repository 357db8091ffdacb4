# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Classes in words for a model that was told none: a table of them, and how well each Gaussian fits to each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.classes import ClassTable, wheel_colors
from gsocc_core.geometry.text_features import TextFeatures
from gsocc_core.methods.method import ViewMethod
from gsocc_core.text.class_prompts import ClassPrompts

FREE = "free"
#: Class of everything where there are no words.
SOMETHING = "something"
#: Differences of cosines below it tell no class from another.
_TEMPERATURE = 0.1


def class_table(prompts: ClassPrompts | None) -> ClassTable:
    """Classes of prompts, in their order, and free space as the last one; without prompts there is one class.

    Example:
        >>> class_table(None).names
        ('something', 'free')
    """
    names = [SOMETHING] if prompts is None else [n for n in dict.fromkeys(prompts.class_names) if n != FREE]
    if not names:
        raise ConfigError("reconstruct", "prompts", "words of at least one class besides free space", "none")
    return ClassTable((*names, FREE), (*wheel_colors(len(names)), (255, 255, 255)), len(names))


def text_features(method: ViewMethod, features: Tensor, encoder: str) -> TextFeatures:
    """Features of Gaussians where words can be compared with them.

    The teacher's space has hundreds of channels, and a Gaussian's features reach only a plane of it: an orthonormal
    basis of that plane keeps all products with words exactly.

    Args:
        method: Whose features they are.
        features: (N, C).
        encoder: Name of the text encoder whose space the teacher's is.
    """
    weight, bias = (t.detach().double().cpu() for t in method.word_map())
    basis, triangle = torch.linalg.qr(torch.cat([weight, bias[:, None]], dim=1))
    one = torch.ones_like(features[..., :1], dtype=torch.float64).cpu()
    values = torch.cat([features.detach().double().cpu(), one], dim=-1) @ triangle.T
    return TextFeatures(values.float(), basis.float(), encoder)


def class_scores(text: TextFeatures | None, prompts: ClassPrompts | None, classes: ClassTable, count: int) -> Tensor:
    """(N, C) share of each class in each Gaussian: softmax over words, summed per class.

    Args:
        text: Of N Gaussians.
        prompts: Words of the classes; None = everything is of the only class.
        classes: Of :func:`class_table`.
        count: N.

    Raises:
        ConfigError: the words' embeddings have another length than the model's teacher.
    """
    scores = torch.zeros(count, len(classes.names))
    if prompts is None or text is None:
        scores[:, 0] = 1.0
        return scores
    length = text.values.shape[-1] if text.basis is None else text.basis.shape[0]
    if prompts.dim != length:
        expected = f"words as the model's teacher has them, {length} numbers each"
        raise ConfigError("reconstruct", "prompts", expected, f"{prompts.encoder}, {prompts.dim}")
    words = functional.normalize(text.project(prompts.embeddings), dim=-1)
    shares = torch.softmax(functional.normalize(text.values, dim=-1) @ words.T / _TEMPERATURE, dim=-1)
    return scores.index_add(1, torch.tensor(prompts.class_ids(classes)), shares)
