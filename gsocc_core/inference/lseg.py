# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""LSeg's picture side beside a bundle's weights: the teacher whose features of the pictures Uni3R takes as an input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from gsocc_core.errors import BundleError
from gsocc_core.geometry.view_sets import ViewSet
from gsocc_core.networks.lseg import LSegPictures

#: Its tensors beside the bundle's weights.
LSEG = "lseg.safetensors"


def read_lseg(bundle: str | Path) -> LSegPictures | None:
    """LSeg's picture side out of an imported bundle.

    Args:
        bundle: Folder that ``import uni3r`` wrote.

    Returns:
        None = it has none.

    Raises:
        BundleError: the file is damaged, or has other tensors.
    """
    path = Path(bundle) / LSEG
    if not path.is_file():
        return None
    network = LSegPictures()
    try:
        network.load_state_dict(load_file(path))
    except Exception as error:
        raise BundleError(path, "content", "a complete safetensors file of LSeg's picture side", error) from error
    return network


@torch.no_grad()
def with_lseg_features(views: ViewSet, network: LSegPictures) -> ViewSet:
    """The same views with LSeg's features of their pictures.

    Args:
        views: B samples of V views, on the network's device.
        network: See :func:`read_lseg`.

    Returns:
        Its ``features`` are (B, V, D, h, w) at half the pictures' size; the targets stay as they are.

    Raises:
        ShapeError: sides of the pictures are no even numbers of patches.
    """
    features = network(views.images.flatten(0, 1)).unflatten(0, views.images.shape[:2])
    return replace(views, features=features)
