# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The model card of a bundle: what it was trained on, how well it does, and what it is not for."""

from __future__ import annotations

from pathlib import Path

from gsocc_core.errors import BundleError
from gsocc_core.whole import whole_file

CARD = "README.md"
_BEGIN, _END = "<!-- scores -->", "<!-- end of scores -->"

_TEMPLATE = """\
---
license: {licence}
library_name: gsocc
tags: [3d-occupancy, gaussian-splatting, {method}]
---
# {title}

3D semantic occupancy from surround cameras with `{method}`: {parameters:.2f} M parameters, pictures of {width}x{height}
pixels, {classes} classes.

## Use

```python
from gsocc_core import OccupancyPredictor

predictor = OccupancyPredictor.load("{title}")
prediction = predictor.predict(images, cameras)   # prediction.grid.labels: (X, Y, Z) class ids
```

## Training data

{data}

## Scores

{begin}
Not scored yet: `gsocc_core evaluate` fills this in with `--update_card`.
{end}

## Limits

{limits}
"""

#: What holds for every model that sees only cameras.
LIMITS = (
    "The model knows the kind of scenes, cameras and camera poses that it was trained on; elsewhere its labels may be "
    "wrong without a sign of it. What no camera sees is guessed. It is not a safety function: do not let anything "
    "move by it alone."
)


def model_card(
    title: str,
    method: str,
    parameters: int,
    image_size: tuple[int, int],
    classes: int,
    data: str,
    limits: str = LIMITS,
    licence: str = "apache-2.0",
) -> str:
    """Text of a model card.

    Args:
        title: Name of the model.
        method: Name of the method.
        parameters: Number of weights.
        image_size: (height, width) of the network's pictures, pixels.
        classes: Number of classes without free space.
        data: What it was trained on and for how long.
        limits: What it is not for.
        licence: Of the weights, as the Hugging Face hub spells it.

    Returns:
        Markdown with the front matter of the Hugging Face hub.
    """
    height, width = image_size
    return _TEMPLATE.format(
        title=title, method=method, parameters=parameters / 1e6, width=width, height=height, classes=classes,
        data=data, limits=limits, licence=licence, begin=_BEGIN, end=_END,
    )  # fmt: skip


_POSE_TEMPLATE = """\
---
license: {licence}
library_name: gsocc
tags: [ego-motion, depth, gaussian-splatting, {method}]
---
# {title}

Motion of a rig and depth of its pictures with `{method}`: {parameters:.2f} M parameters, pictures of {width}x{height}
pixels.

## Use

`poses: {{mode: learned, bundle: {title}}}` in the `model` section of a training of `gaussianocc` takes its poses.

## Training data

{data}

## Scores

{begin}
Not scored yet: `gsocc_core evaluate-poses` fills this in with `--update_card`.
{end}

## Limits

{limits}
"""

_POSE_LIMITS = (
    "The model knows the kind of scenes, the rig and the time between pictures that it was trained on. Its metres are "
    "those of the rig's calibration, as far as its cameras overlap. It is not a safety function: do not let anything "
    "move by it alone."
)


def pose_card(
    title: str, method: str, parameters: int, image_size: tuple[int, int], data: str, licence: str = "apache-2.0"
) -> str:
    """Text of the card of a model of poses and depth; see :func:`model_card`."""
    height, width = image_size
    return _POSE_TEMPLATE.format(
        title=title, method=method, parameters=parameters / 1e6, width=width, height=height, data=data,
        limits=_POSE_LIMITS, licence=licence, begin=_BEGIN, end=_END,
    )  # fmt: skip


_VIEW_TEMPLATE = """\
---
license: {licence}
library_name: gsocc
tags: [novel-view-synthesis, open-vocabulary, gaussian-splatting, {method}]
---
# {title}

Semantic Gaussians of several pictures of one static scene, without their poses, with `{method}`: {parameters:.2f} M
parameters, trained on pictures of {width}x{height} pixels.

## Use

```python
from gsocc_core.inference.bundle import load_view_bundle
from gsocc_core.methods.uni3r import stack_views

method = load_view_bundle("{title}").method
output = method(stack_views(pictures), intrinsics)   # output.scene: Gaussians in the first camera's frame
```

## Training data

{data}

## Scores

{begin}
Not scored yet: `gsocc_core evaluate-views` fills this in with `--update_card`.
{end}

## Limits

{limits}
"""

_VIEW_LIMITS = (
    "The model knows the kind of scenes and camera motions that it was trained on. Its metres are only as good as what "
    "told it the length of its unit. It predicts no occupancy. It is not a safety function: do not let anything move "
    "by it alone."
)


def view_card(
    title: str, method: str, parameters: int, image_size: tuple[int, int], data: str, licence: str = "apache-2.0"
) -> str:
    """Text of the card of a model of unposed views; see :func:`model_card`."""
    height, width = image_size
    return _VIEW_TEMPLATE.format(
        title=title, method=method, parameters=parameters / 1e6, width=width, height=height, data=data,
        limits=_VIEW_LIMITS, licence=licence, begin=_BEGIN, end=_END,
    )  # fmt: skip


def put_scores(bundle: str | Path, scores: str) -> None:
    """Write scores into a bundle's card, in place of those that are there.

    Args:
        bundle: A bundle folder.
        scores: Markdown.

    Raises:
        BundleError: the folder has no card, or the card is no text or has no place for scores.
    """
    path = Path(bundle) / CARD
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(path, "file", "a model card in UTF-8", error) from error
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise BundleError(path, "scores", f"{_BEGIN} and {_END}", "no such place")
    with whole_file(path) as temporary:
        temporary.write_text(f"{before}{begin}\n{scores.strip()}\n{end}{after}", encoding="utf-8")
