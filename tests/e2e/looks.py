"""How a page looks: accessible in the light and in the dark, no wider than a phone, undisturbed.

Where E2E_SCREENS names a folder, each page that is looked at is drawn there, four times.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize

SCREENS = os.environ.get("E2E_SCREENS", "")
DESKTOP: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
BEYOND = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
STILL = """async () => {
  await document.fonts.ready;
  const fading = document.getAnimations().filter((one) => one instanceof CSSTransition);
  await Promise.all(fading.map((one) => one.finished.catch(() => null)));
}"""


def without_violations(page: Page) -> None:
    """WCAG A and AA by axe-core, once nothing fades any more."""
    page.evaluate(STILL)
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag22aa"]})
    assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"


def fits_a_phone(page: Page) -> None:
    with sized(page, PHONE):
        assert page.evaluate(BEYOND) <= 0, page.url


def looked_at(page: Page, name: str) -> None:
    """Check a page as it stands; `name` is what its pictures are called."""
    for scheme in ("light", "dark"):
        with coloured(page, scheme):
            without_violations(page)
            for size, called in ((DESKTOP, "desktop"), (PHONE, "phone")):
                _draw(page, size, f"{name}-{called}-{scheme}")
    fits_a_phone(page)


def _draw(page: Page, size: ViewportSize, name: str) -> None:
    if SCREENS:
        with sized(page, size):
            page.screenshot(path=Path(SCREENS) / f"{name}.png", full_page=True)


@contextmanager
def sized(page: Page, size: ViewportSize) -> Iterator[None]:
    before = page.viewport_size
    assert before
    page.set_viewport_size(size)
    yield
    page.set_viewport_size(before)


@contextmanager
def coloured(page: Page, scheme: str) -> Iterator[None]:
    """With the colours of the light, or of the dark."""
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    yield
    page.emulate_media(color_scheme="light")
