"""The page in a real browser: quiet, silent on the network, drawn, and no wider than a telephone."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from render_reports import full, recorded

from lakon.render import render_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DRAWN = "document.querySelectorAll('.plot:has(.main-svg)').length"
UNFOLD = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"
PATIENCE_MS = 120_000
"""Longer than any page takes on an idle machine: these tests ask what is drawn, not how fast."""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Visit(NamedTuple):
    """A page and everything that it did while it was opened."""

    page: Page
    requests: list[str]
    noise: list[str]


def _chromium() -> str | None:
    named = os.environ.get("LAKON_CHROMIUM")
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return named or next((path for path in found if path), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = _chromium()
    if path is None:
        pytest.skip("no Chromium here: install it or name it in LAKON_CHROMIUM")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {"full": folder / "full.html", "recorded": folder / "recorded.html"}
    made["full"].write_text(render_page(full()), encoding="utf-8")
    made["recorded"].write_text(render_page(recorded()), encoding="utf-8")
    return made


@contextmanager
def _visit(browser: Browser, path: Path, width: int, *, scripts: bool = True) -> Iterator[Visit]:
    viewport: ViewportSize = {"width": width, "height": 900}
    context = browser.new_context(viewport=viewport, color_scheme="light", java_script_enabled=scripts)
    context.set_default_timeout(PATIENCE_MS)
    visit = Visit(context.new_page(), [], [])
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    visit.page.on("console", lambda message: visit.noise.append(message.text))
    visit.page.on("pageerror", lambda error: visit.noise.append(str(error)))
    visit.page.on("dialog", lambda dialog: visit.noise.append(f"dialog: {dialog.message}"))
    visit.page.goto(path.as_uri())
    yield visit
    context.close()


def _wait(page: Page, condition: str) -> None:
    # playwright's own `wait_for_function` evaluates inside the page, which the page's policy rightly refuses
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(50)


@pytest.mark.parametrize("name", ["full", "recorded"])
def test_the_page_is_drawn_quietly_and_fits(browser: Browser, files: dict[str, Path], name: str) -> None:
    with _visit(browser, files[name], 1280) as visit:
        n_places = visit.page.evaluate("document.querySelectorAll('.plot').length")
        assert n_places > 0
        _wait(visit.page, f"{DRAWN} === {n_places}")
        visit.page.evaluate(UNFOLD)
        assert visit.page.evaluate(OVERFLOW) == 0
        visit.page.set_viewport_size({"width": 390, "height": 844})
        _wait(visit.page, f"{OVERFLOW} === 0")
        assert visit.page.evaluate("document.querySelector('.plot .main-svg').clientWidth") < 390
    assert visit.noise == []
    assert visit.requests == [files[name].as_uri()]


@pytest.mark.parametrize("name", ["full", "recorded"])
def test_on_a_telephone_nothing_but_a_tables_own_box_scrolls_sideways(
    browser: Browser, files: dict[str, Path], name: str
) -> None:
    # a telephone zooms out of a page that is wider than its screen, and only then its inner width is not 390
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, device_scale_factor=3
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(files[name].as_uri())
    _wait(page, f"{DRAWN} === document.querySelectorAll('.plot').length")
    page.evaluate(UNFOLD)
    assert page.evaluate("innerWidth") == 390
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    boxes = "[...document.querySelectorAll('.scroll')]"
    assert page.evaluate(f"{boxes}.every((each) => each.getBoundingClientRect().right <= innerWidth)")
    assert page.evaluate(f"{boxes}.some((each) => each.scrollWidth > each.clientWidth)"), "wide tables are whole"
    context.close()


def test_a_browser_that_cannot_unpack_the_library_points_to_the_numbers(
    browser: Browser, files: dict[str, Path]
) -> None:
    context = browser.new_context()
    context.add_init_script("delete window.DecompressionStream")
    page = context.new_page()
    page.goto(files["recorded"].as_uri())
    assert page.locator(".plot").first.inner_text().startswith("This browser is too old to draw the figure.")
    context.close()


def test_figures_follow_the_colour_scheme(browser: Browser, files: dict[str, Path]) -> None:
    read = "document.querySelector('.plot .xtick text').style.fill"
    with _visit(browser, files["recorded"], 1280) as visit:
        _wait(visit.page, f"{DRAWN} > 0")
        light = visit.page.evaluate(read)
        visit.page.emulate_media(color_scheme="dark")
        _wait(visit.page, f"{read} !== {light!r}")
        dark = visit.page.evaluate(read)
    assert (light, dark) == ("rgb(27, 30, 35)", "rgb(228, 231, 235)")


def test_an_injected_script_would_be_refused(browser: Browser, files: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    html = files["recorded"].read_text(encoding="utf-8")
    hole = '<script>document.title = "taken"</script><img src="https://example.com/x.png">'
    broken.write_text(html.replace("<main>", f"<main>{hole}"), encoding="utf-8")
    with _visit(browser, broken, 1280) as visit:
        assert visit.page.title() == "Bare"
        _wait(visit.page, f"{DRAWN} > 0")
    assert sum("Content Security Policy" in line for line in visit.noise) == 2


def test_without_javascript_the_numbers_are_there(browser: Browser, files: dict[str, Path]) -> None:
    with _visit(browser, files["recorded"], 390, scripts=False) as visit:
        assert visit.page.locator("noscript").inner_text().startswith("The figures need JavaScript")
        assert visit.page.locator("figure details table").count() == 1
