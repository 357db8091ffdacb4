# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Where the patches of every view lie in the first view, by what they look like: what attention would have to find."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Numbers of a match: its place less the patch's own (2), how far its candidates spread (2), how alike they are (1).
_NUMBERS = 5
#: Patches move by some tenths of the picture's height; tokens have numbers around 1.
_FACTOR = 8.0
#: At the start: how strongly likeness counts, and the distance at which a place is less likely, in picture heights.
_SHARPNESS, _REACH = 10.0, 0.25


class PatchMatching(nn.Module):
    """Compares every patch with those of the sample's first view and tells tokens where it would lie there.

    Each head compares vectors of unit length, less the mean of both views, so that light and walls of one colour do not
    make everything alike; a softmax over the first view's patches, near ones first, gives the expected place, its
    spread and the expected likeness. These numbers, of all heads and beside the patch's own place, become an addition
    to its token, and their mean one to the view's camera token.

    Args:
        dim: Width of the tokens.
        heads: Comparisons, each with weights of its own.
        width: Numbers that each compares.
    """

    def __init__(self, dim: int, heads: int = 4, width: int = 16) -> None:
        super().__init__()
        self.heads = heads
        self.describe = nn.Linear(dim, heads * width)
        self.sharpness = nn.Parameter(torch.full((heads,), _SHARPNESS).log())
        self.reach = nn.Parameter(torch.full((heads,), _REACH).log())
        self.tell = nn.Sequential(nn.Linear(_NUMBERS * heads + 2, dim), nn.GELU(), nn.Linear(dim, 2 * dim))

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Match.

        Args:
            patches: (B, V, dim, h, w); V of any size, the first view is the one that all are compared with.

        Returns:
            Additions to the patches (B, V, dim, h, w), and to the camera tokens (B, V, dim).
        """
        height, width = patches.shape[-2:]
        place = _places(height, width, patches)
        found = self.describe(patches.flatten(-2).transpose(-1, -2)).unflatten(-1, (self.heads, -1)).transpose(2, 3)
        first = found[:, :1]  # (B, 1, heads, P, width)
        mean = 0.5 * (found.mean(-2, keepdim=True) + first.mean(-2, keepdim=True))
        alike = functional.normalize(found - mean, dim=-1) @ functional.normalize(first - mean, dim=-1).mT
        apart = (place[:, None] - place[None]).square().sum(-1)
        sharpness, reach = (value.exp()[:, None, None] for value in (self.sharpness, self.reach))
        share = (alike * sharpness - 0.5 * apart / reach.square()).softmax(-1)
        expected = share @ place
        spread = (share @ place.square() - expected.square()).clamp(min=0)
        numbers = torch.cat([_FACTOR * (expected - place), spread, (share * alike).sum(-1, keepdim=True)], dim=-1)
        numbers = torch.cat([numbers.transpose(2, 3).flatten(-2), place.expand(*patches.shape[:2], -1, -1)], dim=-1)
        to_patch, to_camera = self.tell(numbers).chunk(2, dim=-1)
        return to_patch.transpose(-1, -2).unflatten(-1, (height, width)), to_camera.mean(-2)


def _places(height: int, width: int, like: Tensor) -> Tensor:
    """(P, 2) column and row of the patches' centres around the picture's middle, in picture heights."""
    rows = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5 - height / 2) / height
    columns = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5 - width / 2) / height
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).flatten(0, 1)
