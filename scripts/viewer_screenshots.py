# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of ``gsocc_core view`` for the documentation, taken in Chromium without a screen.

Needs ``pip install 'gsocc[view,browser]'`` and an installed Chromium.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from PIL import Image

from gsocc_core.synthetic.synthesize import synthesize
from gsocc_core.viewer import FrameSource
from gsocc_core.viewer.browser import Browser, differing, open_page
from gsocc_core.viewer.open_source import open_source
from gsocc_core.viewer.page import ViewerPage
from gsocc_ros.bags.view_bag import BagSource

ROOT = Path(__file__).resolve().parents[1]
#: The drive of `make demo`, which no model was trained on.
SEED, DURATION_S = 7, 3.0
#: Software rendering needs its time, s.
PATIENCE_S = 120.0


def main() -> int:
    """Take the pictures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", help="folder of the pictures")
    parser.add_argument(
        "--bag", type=Path, help="a replayed recording to show; without it a drive is made and predicted"
    )
    parser.add_argument("--bundle", type=Path, default=ROOT / "bundles" / "synthetic-gaussianflowocc", help="the model")
    parser.add_argument("--frame", type=int, default=3, help="key frame")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if options.bag is not None:
            source: FrameSource = BagSource(options.bag, "nuscenes")
        else:
            root = Path(scratch) / "drive"
            synthesize(root, seed=SEED, image_scale=0.5, sweeps=False, duration_s=DURATION_S, pseudo_labels=False)
            source = open_source(root, "v1.0-synthetic", bundle=options.bundle)
        source.frame(len(source) - 1)  # all predictions are there
        take(source, options.frame, options.out)
    return 0


def take(source: FrameSource, frame: int, out: Path) -> None:
    """Open the page on one frame and write viewer_prediction.jpg, viewer_errors.jpg and viewer_gaussians.jpg."""
    out.mkdir(parents=True, exist_ok=True)
    page = ViewerPage(source, start=frame)
    try:
        page.wait_for(1, PATIENCE_S)
        with open_page(page.url, 1200, 720) as browser:
            browser.wait(lambda: "Software WebGL" in browser.text(), 20)
            browser.dismiss()
            _save(browser, out / "viewer_prediction.jpg")
            browser.choose("voxels", "errors")
            _save(browser, out / "viewer_errors.jpg")
            browser.choose("voxels", "none")
            browser.toggle("Gaussians")
            _save(browser, out / "viewer_gaussians.jpg")
    finally:
        page.close()
        source.close()


def _save(browser: Browser, path: Path) -> None:
    """Write the page when it has stood still for a second."""
    browser.raw.wait_for_timeout(2000)
    last = browser.picture()

    def still() -> bool:
        nonlocal last
        browser.raw.wait_for_timeout(1000)
        before, last = last, browser.picture()
        return differing(before, last) < 0.0005 and browser.scene().std() > 10

    browser.wait(still, PATIENCE_S)
    Image.fromarray(last).save(path, quality=85, optimize=True)
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    sys.exit(main())
