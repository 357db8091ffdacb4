# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The page's server: what is on it after each wish. The browser's side is in test_browser.py."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, VoxelScores
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.pictures import word_colors
from gsocc_core.viewer import LabelledGaussians, Motion
from gsocc_core.viewer.open_source import open_source

pytest.importorskip("viser")
from gsocc_core.viewer.page import ViewerPage


class Changed:
    """A real drive whose frames a test may change; frame 0 waits for its prediction until told otherwise."""

    def __init__(self, source):
        self._source, self.name, self.classes = source, source.name, source.classes
        self.pending, self.broken, self.asked = False, False, None

    def __len__(self):
        return len(self._source)

    def start(self, on_ready=None):
        pass

    def close(self):
        pass

    def frame(self, index, wait=True):
        if self.broken:
            raise DataError("labels.npz", "semantics", "an array", "noise")
        frame = self._source.frame(index)
        if self.pending and index == 0:
            return replace(frame, pending=True)
        count = 4
        gaussians = LabelledGaussians(
            np.ones((count, 3), np.float32), np.tile(np.eye(3, dtype=np.float32), (count, 1, 1)),
            np.ones(count, np.float32), np.array([4, 4, 11, 11], np.uint8),
        )  # fmt: skip
        motion = Motion(np.ones((1, 3), np.float32), np.ones((1, 3), np.float32))
        prediction = replace(frame.truth, observed=None)
        ask = None if self.asked is None else lambda words: self._scores(prediction, words)
        return replace(frame, prediction=prediction, gaussians=gaussians, motion=motion, ask=ask)

    def _scores(self, prediction, words):
        """Every word is the name of a class, and fits to its voxels."""
        self.asked.append(words)
        index = prediction.occupied.flatten().nonzero()[:, 0]
        ids = [OCC3D_NUSCENES.names.index(word) if word != "unicorn" else -1 for word in words]
        if -1 in ids:
            raise ConfigError("query", "words", "<b>letters</b>", "unicorn")
        there = prediction.labels.flatten()[index]
        values = torch.stack([0.75 * (there == i) for i in ids])
        return VoxelScores(index, values, prediction.grid, tuple(words))


@pytest.fixture
def source(tiny_tree):
    return Changed(open_source(tiny_tree, "v1.0-tiny"))


@pytest.fixture
def page(source):
    page = ViewerPage(source, port=8290)
    assert page.wait_for(1, 30)
    yield page
    page.close()


def after(page, change, drawn=1):
    """Names of the nodes after a change has been drawn."""
    before = page.drawn
    change()
    assert page.wait_for(before + drawn, 20)
    return set(page._nodes)


def set_value(control, value):
    return lambda: setattr(control, "value", value)


def layers(nodes):
    return {name.split("/")[1] for name in nodes}


def test_what_the_controls_put_on_the_page(page):
    panel = page._panel
    assert layers(page._nodes) == {"prediction", "cameras", "velocities"}
    assert {"/prediction/car", "/prediction/driveable_surface", "/cameras/CAM_BACK"} <= set(page._nodes)
    assert layers(after(page, set_value(panel._voxels, "side by side"))) >= {"prediction", "ground truth"}
    right = page._nodes["/ground truth/car"]
    assert right.position.tolist() == [0, -90, 0]
    assert layers(after(page, set_value(panel._voxels, "errors"))) >= {"errors"}
    nodes = after(page, set_value(panel._only_seen, False))
    assert "/errors/true positive" in nodes
    assert "IoU of this frame" in panel._legend.content
    assert layers(after(page, set_value(panel._voxels, "none"))) == {"cameras", "velocities"}
    assert "/gaussians" in after(page, set_value(panel._gaussians, True))
    after(page, set_value(panel._cameras, False))
    assert set(after(page, set_value(panel._arrows, False))) == {"/gaussians"}


def test_hiding_a_class_sends_nothing_again(page):
    panel, road = page._panel, page._nodes["/prediction/driveable_surface"]
    car = OCC3D_NUSCENES.names.index("car")
    nodes = after(page, set_value(panel._boxes[car], False))
    assert "/prediction/car" in nodes
    assert not page._nodes["/prediction/car"].visible
    assert page._nodes["/prediction/driveable_surface"] is road, "what did not change stays on the page"
    after(page, set_value(panel._boxes[car], True))
    assert page._nodes["/prediction/car"].visible
    after(page, lambda: page.go(1))
    assert page._nodes["/prediction/driveable_surface"] is not road


def test_the_slider_and_playing(page):
    assert "key frame 1 of 3" in page._panel._title.content
    after(page, lambda: page.go(2))
    assert "key frame 3 of 3" in page._panel._title.content
    page._panel._fps.value = 10.0
    after(page, set_value(page._panel._play, True), drawn=2)
    page._panel._play.value = False
    assert "data:image/jpeg" in page._panel._pictures.content


def test_words_light_up_what_fits_to_them(source):
    source.asked = []
    page = ViewerPage(source, port=8292)
    try:
        assert page.wait_for(1, 30)
        panel = page._panel
        assert panel._ask.visible
        pale_before = page._nodes["/prediction/driveable_surface"].color
        nodes = after(page, set_value(panel._queries, " Car , bus,,car"))
        assert source.asked == [("car", "bus")]
        assert '/prediction/"car"' in nodes
        assert not {"/prediction/car", '/prediction/"bus"'} & nodes, "all cars are lit, and there is no bus"
        assert tuple(page._nodes['/prediction/"car"'].color) == word_colors(2)[0]
        assert page._nodes["/prediction/driveable_surface"].color != pale_before
        shown = panel._legend.content
        assert f'color:rgb{word_colors(2)[0]}">car: ' in shown
        assert "bus: none (best score 0.00)" in shown
        road = page._nodes["/prediction/driveable_surface"]
        after(page, set_value(panel._boxes[OCC3D_NUSCENES.names.index("car")], False))
        assert page._nodes['/prediction/"car"'].visible, "hiding the class does not hide the word"
        assert page._nodes["/prediction/driveable_surface"] is road
        assert len(source.asked) == 1
        assert "/prediction/car" in after(page, set_value(panel._threshold, 0.8))
        assert "car: none (best score 0.75)" in panel._legend.content
        nodes = after(page, set_value(panel._queries, ""))
        assert "/prediction/car" in nodes
        assert page._nodes["/prediction/driveable_surface"].color == pale_before
    finally:
        page.close()


def test_words_that_cannot_be_asked_are_told_beside_the_scene(source):
    source.asked = []
    page = ViewerPage(source, port=8293)
    try:
        assert page.wait_for(1, 30)
        nodes = after(page, set_value(page._panel._queries, "unicorn"))
        assert "/prediction/car" in nodes
        assert "expected &lt;b&gt;letters&lt;/b&gt;, received unicorn" in page._panel._legend.content
        after(page, lambda: page.go(1))
        assert source.asked == [("unicorn",)] * 2, "the next frame is asked the same"
    finally:
        page.close()


def test_nothing_can_be_asked_of_a_model_without_text_features(page):
    assert not page._panel._ask.visible
    assert "/prediction/car" in page._nodes


def test_a_prediction_that_comes_later_is_drawn(source):
    source.pending = True
    page = ViewerPage(source, port=8291)
    try:
        assert page.wait_for(1, 30)
        assert "being computed" in page._panel._title.content
        assert "prediction" not in layers(page._nodes)
        source.pending = False
        assert "/prediction/car" in after(page, lambda: page.refresh(0))
    finally:
        page.close()


def test_a_damaged_frame_is_told_and_the_page_goes_on(page, source):
    source.broken = True
    assert after(page, lambda: page.go(1)) == set()
    assert "labels.npz" in page._panel._title.content
    source.broken = False
    assert "/prediction/car" in after(page, lambda: page.go(2))


def test_without_viser_the_command_is_named(source, monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(ConfigError, match=r"pip install viser"):
        ViewerPage(source)
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="frame"):
        ViewerPage(source, start=3)
