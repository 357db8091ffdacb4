# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser without a screen: what its test looks through, and what draws the documentation."""

from __future__ import annotations

import base64
import io
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from gsocc_core.errors import ConfigError

#: WebGL by the processor, no profile of anyone, and no calls home.
_FLAGS = (
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
_NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Differences of colour below this are noise of antialiasing.
_NOISE = 30


def find_chromium() -> str | None:
    """Path of an installed Chromium, or None."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Browser:
    """A page that is open in Chromium; made by :func:`open_page`.

    Attributes:
        messages: What the page wrote to the console as error, and requests that failed, since it was opened.
        requests: Addresses that the page asked for.
        opened: ``time.perf_counter()`` when the page began to load.
        loaded: The same when the browser said that it had loaded; what the server sends comes after that.
    """

    def __init__(self, page: Any) -> None:
        self._page = page
        self._session = page.context.new_cdp_session(page)
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.opened = self.loaded = 0.0
        page.on("console", lambda m: self.messages.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("requestfailed", lambda request: self.messages.append(f"failed: {request.url}"))
        page.on("request", lambda request: self.requests.append(request.url))

    def load(self, url: str) -> None:
        """Open an address."""
        self.opened = time.perf_counter()
        self._page.goto(url, wait_until="load")
        self.loaded = time.perf_counter()

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the whole page."""
        data = self._session.send("Page.captureScreenshot", {"format": "png"})["data"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))

    def scene(self) -> np.ndarray:
        """(H, W', 3) uint8 RGB of the page without the controls and the messages on its sides."""
        picture = self.picture()
        return picture[:, picture.shape[1] // 4 : picture.shape[1] * 3 // 5]

    def wait(self, what: Callable[[], bool], timeout_s: float = 60.0) -> bool:
        """Look again until something is so; False when the time is over."""
        end = time.perf_counter() + timeout_s
        while not what():
            if time.perf_counter() > end:
                return False
            self._page.wait_for_timeout(20)
        return True

    def text(self) -> str:
        """All text on the page."""
        return str(self._page.inner_text("body"))

    def toggle(self, label: str) -> None:
        """Click the checkbox with a label."""
        self._page.get_by_label(label, exact=True).first.click(force=True)

    def choose(self, label: str, option: str) -> None:
        """Choose from a drop-down list."""
        self._page.get_by_label(label, exact=True).first.click(force=True)
        self._page.get_by_role("option", name=option, exact=True).click(force=True)

    def step(self, key: str = "ArrowRight") -> None:
        """Press a key on the frame slider, the first on the page."""
        self._page.get_by_role("slider").first.press(key)

    def dismiss(self) -> None:
        """Close messages such as the one about rendering by the processor."""
        for button in self._page.locator(".mantine-Notification-closeButton").all():
            button.click(force=True)

    @property
    def raw(self) -> Any:
        """The ``playwright`` page."""
        return self._page


def differing(a: np.ndarray, b: np.ndarray) -> float:
    """Share of pixels, 0..1, whose colour differs by more than noise.

    Args:
        a: (H, W, 3) uint8.
        b: (H, W, 3) uint8.

    Example:
        >>> black = np.zeros((2, 2, 3), np.uint8)
        >>> differing(black, black), differing(black, black + 100)
        (0.0, 1.0)
    """
    return float((np.abs(a.astype(int) - b).max(-1) > _NOISE).mean())


def of_hue(picture: np.ndarray, color: tuple[int, int, int], within_deg: float = 12.0) -> float:
    """Share of pixels, 0..1, that show a colour in whatever light: light changes brightness and saturation, not hue.

    Args:
        picture: (H, W, 3) uint8.
        color: RGB, not grey.
        within_deg: Largest difference of hue, degrees. Pixels that are almost grey show no colour.

    Example:
        >>> picture = np.full((1, 2, 3), 255, np.uint8)
        >>> picture[0, 0] = 90, 20, 20
        >>> of_hue(picture, (180, 0, 0)), of_hue(picture, (0, 0, 180))
        (0.5, 0.0)
    """
    rgb = np.concatenate([picture.reshape(-1, 3), np.array([color])]).astype(float)
    # Hue as an angle in the plane across the grey axis (Preucil 1953).
    u, v = rgb[:, 0] - (rgb[:, 1] + rgb[:, 2]) / 2, (rgb[:, 1] - rgb[:, 2]) * np.sqrt(3) / 2
    angle = np.arctan2(v, u)
    turned = np.abs((angle[:-1] - angle[-1] + np.pi) % (2 * np.pi) - np.pi)
    colored = np.hypot(u, v)[:-1] > 40
    return float((colored & (turned < np.radians(within_deg))).mean())


@contextmanager
def open_page(url: str, width: int = 1000, height: int = 640) -> Iterator[Browser]:
    """Open a page in a new Chromium with an empty profile, without a screen and without a GPU.

    Args:
        url: Address.
        width: Of the window, pixels.
        height: Of the window, pixels.

    Yields:
        The browser; it is closed at the end.

    Raises:
        ConfigError: Chromium or playwright is missing.
    """
    chromium = find_chromium()
    if chromium is None:
        raise ConfigError("browser", "chromium", "apt install chromium", f"none of {_NAMES} on the PATH")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise ConfigError("playwright", "import", "pip install playwright", error) from error
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            profile, executable_path=chromium, headless=True, args=list(_FLAGS),
            viewport={"width": width, "height": height},
        )  # fmt: skip
        try:
            browser = Browser(context.new_page())
            browser.load(url)
            yield browser
        finally:
            context.close()
