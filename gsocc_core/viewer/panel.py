# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The controls beside the scene: time, what is shown, classes, legend."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gsocc_core.data.phrases import clean_phrase, split_phrases
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.inference.found import THRESHOLD
from gsocc_core.pictures import camera_mosaic
from gsocc_core.viewer.frames import ViewFrame

Voxels = Literal["prediction", "ground truth", "side by side", "errors", "none"]
VOXELS: tuple[Voxels, ...] = ("prediction", "ground truth", "side by side", "errors", "none")


@dataclass(frozen=True)
class Wanted:
    """What the controls say.

    Attributes:
        index: Frame.
        voxels: Which labels.
        only_seen: Show predictions only where the cameras see.
        gaussians: Show Gaussians.
        cameras: Show cameras with pictures.
        arrows: Show velocities.
        classes: Class ids that are shown.
        queries: Words that are asked.
        threshold: Least score of what is lit up.
    """

    index: int
    voxels: Voxels
    only_seen: bool
    gaussians: bool
    cameras: bool
    arrows: bool
    classes: frozenset[int]
    queries: tuple[str, ...] = ()
    threshold: float = THRESHOLD


class ControlPanel:
    """Controls on a viser server, shared by everyone who looks.

    Args:
        server: A ``viser.ViserServer``.
        classes: Class table; free space has no checkbox.
        count: Number of frames.
        start: Frame to begin with.
        voxels: Labels to begin with.
        fps: Frames per second while playing.
        changed: Called, from any thread, after any control changed.
        gaussians: Show Gaussians from the beginning.
    """

    def __init__(
        self,
        server: Any,
        classes: ClassTable,
        count: int,
        start: int,
        voxels: Voxels,
        fps: float,
        changed: Callable[[], None],
        gaussians: bool = False,
    ) -> None:
        gui, self._classes = server.gui, classes
        self._title = gui.add_markdown("")
        last = max(count - 1, 1)
        self._slider = gui.add_slider("frame", 0, last, 1, min(start, count - 1), disabled=count < 2)
        self._count = count
        self._play = gui.add_checkbox("play", False, disabled=count < 2)
        self._fps = gui.add_slider("frames per s", 0.5, 10.0, 0.5, fps)
        self._voxels = gui.add_dropdown("voxels", VOXELS, initial_value=voxels)
        self._only_seen = gui.add_checkbox("only seen", True, hint="Hide predictions where no camera looks.")
        self._cameras = gui.add_checkbox("cameras", True)
        self._gaussians = gui.add_checkbox("Gaussians", gaussians)
        self._arrows = gui.add_checkbox("velocities", True, hint="The way in one second.")
        with gui.add_folder("ask", visible=False) as self._ask:
            hint = "Any words, with commas between them: dog, garden chair."
            self._queries = gui.add_text("words", "", hint=hint)
            self._threshold = gui.add_slider("score from", 0.05, 1.0, 0.05, THRESHOLD)
        # A picture inside HTML: viser's own picture control frees the old picture's address while the page may still
        # be loading it, and the browser complains.
        self._pictures = gui.add_html("")
        self._legend = gui.add_html("")
        ids = [i for i in range(len(classes.names)) if i != classes.free_id]
        with gui.add_folder("classes"):
            everything, nothing = gui.add_button("all"), gui.add_button("none")
            self._boxes = {i: gui.add_checkbox(classes.names[i].replace("_", " "), True) for i in ids}
        everything.on_click(lambda _: self._set_all(True))
        nothing.on_click(lambda _: self._set_all(False))
        shown = (self._voxels, self._only_seen, self._cameras, self._gaussians, self._arrows)
        controls: list[Any] = [self._slider, *shown, self._queries, self._threshold, *self._boxes.values()]
        for control in controls:
            control.on_update(lambda _: changed())

    @property
    def playing(self) -> bool:
        """The frames should advance by themselves."""
        return bool(self._play.value)

    @property
    def fps(self) -> float:
        """Frames per second while playing."""
        return float(self._fps.value)

    def wanted(self) -> Wanted:
        """What the controls say now."""
        return Wanted(
            index=min(int(self._slider.value), self._count - 1),
            voxels=self._voxels.value,
            only_seen=bool(self._only_seen.value),
            gaussians=bool(self._gaussians.value),
            cameras=bool(self._cameras.value),
            arrows=bool(self._arrows.value),
            classes=frozenset(i for i, box in self._boxes.items() if box.value),
            queries=tuple(dict.fromkeys(clean_phrase(word) for word in split_phrases(self._queries.value))),
            threshold=float(self._threshold.value),
        )

    def advance(self) -> None:
        """Go to the next frame; after the last comes the first."""
        self._slider.value = (int(self._slider.value) + 1) % self._count

    def go(self, index: int) -> None:
        """Go to a frame."""
        self._slider.value = min(max(index, 0), self._count - 1)

    def _set_all(self, value: bool) -> None:
        for box in self._boxes.values():
            box.value = value

    def tell(self, frame: ViewFrame, note: str, legend: str) -> None:
        """Show what frame this is, its pictures and a legend.

        Args:
            frame: The frame.
            note: Something to say, or empty.
            legend: HTML.
        """
        if frame.ask is not None:
            self._ask.visible = True  # and it stays, while other frames are still being computed
        notes = [f"**{frame.title}**", *([note] if note else [])]
        self._title.content = "  \n".join(notes)
        self._legend.content = legend
        self._pictures.content = _mosaic(frame.images)


def _mosaic(images: dict[str, np.ndarray | None]) -> str:
    if all(image is None for image in images.values()):
        return ""
    stream = io.BytesIO()
    camera_mosaic(images, 200).save(stream, "JPEG", quality=80)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="cameras" style="width:100%;padding:0 .7em" src="data:image/jpeg;base64,{data}">'


def legend(classes: ClassTable, counts: Mapping[int, int], iou: float | None = None) -> str:
    """Colours, names and numbers of voxels as HTML.

    Args:
        classes: Class table.
        counts: Voxels per class id; those without are left out.
        iou: Occupied against free, 0..1, or None.
    """
    rows = [
        f'<tr><td><span style="display:inline-block;width:.9em;height:.9em;background:rgb{classes.colors[i]}"></span>'
        f'</td><td style="padding:0 1em 0 .4em">{html.escape(classes.names[i].replace("_", " "))}</td>'
        f'<td style="text-align:right">{counts[i]:,}</td></tr>'
        for i in sorted(counts)
    ]
    if iou is not None and not math.isnan(iou):
        rows.append(f"<tr><td></td><td>IoU of this frame</td><td>{100 * iou:.1f} %</td></tr>")
    return f'<table style="font-size:.8em;margin:.3em 1em">{"".join(rows)}</table>' if rows else ""
