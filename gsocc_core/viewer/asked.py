# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Words asked of a frame: its prediction with what fits to them lit up, and a line per word."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from gsocc_core.errors import GsoccError
from gsocc_core.geometry.voxels import SemanticGrid
from gsocc_core.inference.found import find_voxels, summarize
from gsocc_core.pictures import light_up, word_colors
from gsocc_core.viewer.frames import ViewFrame


@dataclass(frozen=True, eq=False)
class Answer:
    """What a frame says to words.

    Attributes:
        prediction: Its predicted labels, with a class per word behind its own.
        text: HTML with a line per word.
    """

    prediction: SemanticGrid | None
    text: str


def answer(frame: ViewFrame, words: Sequence[str], threshold: float) -> Answer:
    """Ask a frame.

    Args:
        frame: Any.
        words: What to look for; none, or a frame that cannot be asked, changes nothing.
        threshold: Least score of what is lit up, above 0, up to 1.

    Returns:
        The answer; what cannot be asked is said in the text.
    """
    if not words or frame.ask is None or frame.prediction is None:
        return Answer(frame.prediction, "")
    try:
        scores = frame.ask(words)
        lit = light_up(frame.prediction, scores, threshold)
        lines = [summary.text for summary in summarize(scores, find_voxels(scores, threshold))]
    except GsoccError as error:
        return Answer(frame.prediction, _paragraph("", str(error)))
    shown = zip(lines, word_colors(len(lines)))
    return Answer(lit, "".join(_paragraph(f"color:rgb{color}", line) for line, color in shown))


def _paragraph(style: str, text: str) -> str:
    """HTML; what people typed is text there, whatever it looks like."""
    return f'<div style="font-size:.8em;margin:0 1em;{style}">{html.escape(text)}</div>'
