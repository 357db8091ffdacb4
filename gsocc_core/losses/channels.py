# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""From class ids in label files to the feature channels of a model."""

from __future__ import annotations

import torch
from torch import Tensor


def channel_of_label(labels: Tensor, channel_ids: tuple[int, ...]) -> Tensor:
    """Feature channel of every label.

    Args:
        labels: (...) integer class ids 0..255.
        channel_ids: Class id of each channel.

    Returns:
        (...) int64 channel; -1 where no channel stands for the label.

    Example:
        >>> channel_of_label(torch.tensor([4, 255, 5]), (4, 5))
        tensor([ 0, -1,  1])
    """
    table = torch.full((256,), -1, dtype=torch.long, device=labels.device)
    table[torch.tensor(channel_ids, device=labels.device)] = torch.arange(len(channel_ids), device=labels.device)
    return table[labels.long()]
