# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The page as people see it: a real Chromium, a real drive, the shipped model."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.synthetic.synthesize import synthesize
from gsocc_core.viewer.browser import differing, find_chromium, of_hue, open_page
from gsocc_core.viewer.comparison import ERROR_CLASSES
from gsocc_core.viewer.open_source import open_source

MISSING = [name for name in ("viser", "playwright") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_chromium() is None, reason="needs Chromium: apt install chromium"),
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}: pip install '.[view,browser]'"),
]
BUNDLE = Path(__file__).parents[2] / "bundles" / "synthetic-gaussianflowocc"
#: Software rendering on a busy machine: seconds per picture.
PATIENCE_S = 120


def color(name):
    return OCC3D_NUSCENES.colors[OCC3D_NUSCENES.names.index(name)]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A page on four key frames with the shipped model's predictions, and a browser that looks at it."""
    from gsocc_core.viewer.page import ViewerPage

    root = tmp_path_factory.mktemp("drive") / "drive"
    synthesize(root, seed=7, image_scale=0.2, sweeps=False, duration_s=2.0, pseudo_labels=False)
    source = open_source(root, "v1.0-synthetic", bundle=BUNDLE, device="cpu")
    source.frame(len(source) - 1)  # all predictions are there
    page = ViewerPage(source, port=8390)
    try:
        assert page.wait_for(1, 60)
        with open_page(page.url) as browser:
            assert browser.wait(lambda: of_hue(browser.scene(), color("terrain"), 20) > 0.02, PATIENCE_S)
            yield page, browser
    finally:
        page.close()
        source.close()


def settled(browser):
    """The scene when it no longer changes."""
    pictures = [browser.scene()]

    def still():
        pictures.append(browser.scene())
        return differing(pictures[-1], pictures[-2]) < 0.001

    assert browser.wait(still, PATIENCE_S)
    return pictures[-1]


def changes(page, browser, act, least=0.003):
    """What the scene looks like before and after something was done to the controls."""
    before, drawn = settled(browser), page.drawn
    act()
    assert page.wait_for(drawn + 1, 30), "the control reached the server"
    assert browser.wait(lambda: differing(before, browser.scene()) > least, PATIENCE_S), "the picture changed"
    return before, settled(browser)


def test_voxels_of_many_classes_are_on_the_screen(shown):
    _, browser = shown
    scene = settled(browser)
    assert (np.abs(scene.astype(int) - 255).max(-1) > 8).mean() > 0.2, "much of the picture is not background"
    assert of_hue(scene, color("sidewalk")) > 0.003
    assert "key frame 1 of" in browser.text()


def test_the_slider_moves_the_scene(shown):
    page, browser = shown
    changes(page, browser, browser.step)
    assert browser.wait(lambda: "key frame 2 of" in browser.text())
    changes(page, browser, lambda: browser.step("ArrowLeft"))
    assert browser.wait(lambda: "key frame 1 of" in browser.text())


def test_a_class_can_be_hidden_and_shown(shown):
    page, browser = shown
    with_terrain, without = changes(page, browser, lambda: browser.toggle("terrain"))
    assert of_hue(without, color("terrain"), 20) < 0.3 * of_hue(with_terrain, color("terrain"), 20)
    changes(page, browser, lambda: browser.toggle("terrain"))
    # Two equal pictures do not mean that everything is back: software rendering may pause in between.
    assert browser.wait(lambda: differing(with_terrain, browser.scene()) < 0.02, PATIENCE_S)


def test_the_error_view_has_its_own_colours(shown):
    page, browser = shown
    changes(page, browser, lambda: browser.choose("voxels", "errors"))
    scene = settled(browser)
    for name in ("true positive", "false positive", "false negative"):
        assert of_hue(scene, ERROR_CLASSES.colors[ERROR_CLASSES.names.index(name)], 15) > 0.003, name
    assert browser.wait(lambda: "IoU of this frame" in browser.text())


def test_the_page_needs_no_network_and_does_not_complain(shown):
    page, browser = shown
    strangers = [url for url in browser.requests if not url.startswith((page.url, f"blob:{page.url}", "data:"))]
    assert strangers == []
    assert browser.messages == []


def test_gaussians_are_splats(shown):
    page, browser = shown
    if page._panel.wanted().voxels != "none":
        changes(page, browser, lambda: browser.choose("voxels", "none"))
    empty, splats = changes(page, browser, lambda: browser.toggle("Gaussians"))
    assert differing(empty, splats) > 0.05
    changes(page, browser, lambda: browser.toggle("Gaussians"))
    # viser's own geometry of splats makes three.js say this, whatever it is given.
    assert [message for message in browser.messages if "computeBoundingSphere" not in message] == []
