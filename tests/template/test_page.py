"""The page of a fresh project, in a real browser.

SCREENSHOTS in the environment names a folder that keeps what the browser showed.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from processes import Service, serve
from projects import Project
from servers import missing

pytestmark = pytest.mark.xdist_group(__name__)  # they share the browser
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run Debian's Chromium, or Chrome, without a screen."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        missing("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def service(sqlite_project: Project) -> Iterator[Service]:
    """Serve the default project as its developer does."""
    options = ("run", "--debug", "--no-reload", "--port", "{port}")
    with serve(sqlite_project, sqlite_project.tool("flask"), *options) as service:
        yield service


def watch(page: Page) -> tuple[list[str], list[str]]:
    """Return what a page's console will say, and the addresses it will ask for."""
    complaints: list[str] = []
    requested: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    return complaints, requested


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", ["/", "/nowhere"])
def test_the_page_in_light_and_dark(
    browser: Browser, service: Service, tmp_path: Path, path: str, size: str
) -> None:
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    width, height = SIZES[size]
    grounds = []
    for scheme in ("light", "dark"):
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        complaints, requested = watch(page)

        page.goto(service.url + path)

        # A browser tells its console of a document's status 404.
        expected = [] if path == "/" else ["404"]
        assert [word for word in expected if word in " ".join(complaints)] == expected
        assert len(complaints) == len(expected), complaints
        assert page.locator("h1").inner_text() == ("My Service" if path == "/" else "404 Not Found")
        assert all(url.startswith(service.url) for url in requested), requested
        # Not even a part: what scrolls must be reached by the keyboard too.
        wide = "[...document.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1"
        wide += " && getComputedStyle(e).display != 'inline').map(e => e.tagName)"
        assert page.evaluate(wide) == []
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        name = f"{path.strip('/') or 'home'}-{size}-{scheme}.png"
        page.screenshot(path=folder / name, full_page=True)
        page.close()
    assert grounds[0] != grounds[1]
