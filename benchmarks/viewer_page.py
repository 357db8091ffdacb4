# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How fast the viewer's page is: the first voxel after the page began to load, and a step of the slider.

Also what voxels cost as one cube each against merged faces. Needs Chromium, which renders by the processor here.

Run: ``python benchmarks/viewer_page.py DATAROOT [--bundle BUNDLE] [--browser false]``
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from jsonargparse import auto_cli

from gsocc_core.viewer.browser import differing, open_page
from gsocc_core.viewer.meshes import voxel_meshes
from gsocc_core.viewer.open_source import open_source
from gsocc_core.viewer.page import ViewerPage, import_viser


def first_voxel_s(page: ViewerPage, size: tuple[int, int]) -> tuple[float, float, list[float]]:
    """Seconds until the page has loaded, from then to the first voxel, and from a step of the slider to its picture."""
    with open_page(page.url, *size) as browser:
        browser.wait(lambda: colorful(browser.scene()) > 0.03, 120)
        loading, first = browser.loaded - browser.opened, time.perf_counter() - browser.loaded
        browser.raw.wait_for_timeout(3000)
        steps = []
        for index in (1, 2, 3):
            before, begin = browser.scene(), time.perf_counter()
            page.go(index)
            browser.wait(lambda before=before: differing(before, browser.scene()) > 0.003, 60)
            steps.append(time.perf_counter() - begin)
            browser.raw.wait_for_timeout(2000)
    return loading, first, steps


def one_box_s(size: tuple[int, int]) -> tuple[float, float]:
    """The same of viser alone with one red box, without shadows and reflections: no page of viser can be faster."""
    server = import_viser().ViserServer(host="127.0.0.1", port=8390, verbose=False)
    server.initial_camera.position, server.initial_camera.look_at = (-6.0, 0.0, 3.0), (0.0, 0.0, 0.0)
    server.scene.configure_environment_map(hdri=None)
    server.scene.configure_default_lights(cast_shadow=False)
    server.scene.add_box("/box", dimensions=(4.0, 4.0, 4.0), color=(220, 30, 30), cast_shadow=False)
    try:
        with open_page(f"http://127.0.0.1:{server.get_port()}", *size) as browser:
            browser.wait(lambda: colorful(browser.scene()) > 0.03, 120)
            return browser.loaded - browser.opened, time.perf_counter() - browser.loaded
    finally:
        server.stop()


def colorful(picture: np.ndarray) -> float:
    """Share of pixels that are not grey."""
    rgb = picture.astype(int)
    return float((rgb.max(-1) - rgb.min(-1) > 40).mean())


def viewer_page(
    dataroot: str,
    version: str = "v1.0-synthetic",
    bundle: str | None = None,
    browser: bool = True,
    runs: int = 3,
    window: tuple[int, int] = (800, 500),
) -> None:
    """Measure and print.

    Args:
        dataroot: Tree in nuScenes layout with at least four key frames.
        version: Name of the tables' folder.
        bundle: Model whose predictions are shown; all are made before measuring. None = ground truth.
        browser: Measure in Chromium, too.
        runs: Page loads.
        window: Width and height of the browser's window, pixels.
    """
    source = open_source(dataroot, version, bundle=bundle)
    source.frame(len(source) - 1)
    page = ViewerPage(source)
    page.wait_for(1, 60)
    steps, processor = [], []
    for index in [i % len(source) for i in range(1, 25)]:
        drawn, begin = page.drawn, time.process_time()
        page.go(index)
        page.wait_for(drawn + 1, 30)
        steps.append(page.last_step_ms)
        processor.append(1e3 * (time.process_time() - begin))
    frame = source.frame(0)
    grid = frame.prediction if bundle else frame.truth
    assert grid is not None
    meshes = voxel_meshes(grid)
    voxels, triangles = (sum(n) for n in zip(*((m.voxels, len(m.faces)) for m in meshes.values())))
    size = sum(m.vertices_m.nbytes + m.faces.nbytes for m in meshes.values())
    print(f"{voxels} voxels: {triangles} triangles, {size / 1e6:.2f} MB; as cubes {12 * voxels} triangles")
    print(
        f"server's step: median {statistics.median(steps):.0f} ms, largest {max(steps):.0f} ms, "
        f"{statistics.median(processor):.0f} ms of processor"
    )
    for _ in range(runs if browser else 0):
        (bare_loading, bare), (loading, first, shown) = one_box_s(window), first_voxel_s(page, window)
        print(f"viser with one box: loaded after {bare_loading:.2f} s, the box {bare:.2f} s later")
        print(f"this page: loaded after {loading:.2f} s, the first voxel {first:.2f} s later")
        print(f"steps on the screen {', '.join(f'{s:.2f}' for s in shown)} s")
    page.close()
    source.close()


if __name__ == "__main__":
    auto_cli(viewer_page)
