"""A real browser on real pages. Whatever it complains of fails the test that it visited for."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

Scheme = Literal["light", "dark"]
PHONE: Final = (360, 740)
DESKTOP: Final = (1280, 800)

_PROGRAMS: Final = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
)
_FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
_MILLISECONDS: Final = 60_000.0


def find_chromium() -> str:
    """The system's Chromium; nothing is ever downloaded."""
    for name in _PROGRAMS:
        if found := shutil.which(name):
            return found
    pytest.fail(
        "The browser tests need Chromium and found none. Install it (Debian: apt install "
        f"{_PROGRAMS[0]}), so that one of these commands is there: {', '.join(_PROGRAMS)}.",
        pytrace=False,
    )


@contextmanager
def launched_browser() -> Iterator[Browser]:
    """Open for as long as a module: Playwright's event loop must not meet that of async tests."""
    expect.set_options(timeout=_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=_FLAGS, timeout=_MILLISECONDS
        )
        yield browser
        browser.close()


class Visitor:
    """A person at a browser, with what they see and what the browser complained of."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self._complaints: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        context.set_default_timeout(_MILLISECONDS)
        context.on("request", self._watch_request)
        context.on("console", self._watch_console)
        context.on("weberror", lambda error: self._complaints.append(str(error.error)))
        self.page: Page = context.new_page()

    def _watch_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https") and address.hostname != "127.0.0.1":
            self._complaints.append(f"a request to {request.url}")

    def _watch_console(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            self._complaints.append(f"{said.type}: {said.text}")

    def expect_complaint(self, pattern: str) -> None:
        """The browser logs what a test provokes, such as an answer of 403: that is no failure."""
        self._expected.append(re.compile(pattern))

    def unexpected(self) -> list[str]:
        return [
            complaint
            for complaint in self._complaints
            if not any(pattern.search(complaint) for pattern in self._expected)
        ]

    def go(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def log_in(self, email: str, password: str) -> None:
        self.page.get_by_label("Email").fill(email)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()


@contextmanager
def visitor(
    browser: Browser,
    url: str,
    *,
    cookies: dict[str, str] | None = None,
    size: tuple[int, int] = DESKTOP,
    scheme: Scheme = "light",
    javascript: bool = True,
) -> Iterator[Visitor]:
    """A browser of one's own, with nobody's cookies unless some are given."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        java_script_enabled=javascript,
        locale="en-GB",
        timezone_id="Asia/Kolkata",
        reduced_motion="reduce",
        has_touch=size[0] < 600,
    )
    context.add_cookies(
        [{"name": name, "value": value, "url": url} for name, value in (cookies or {}).items()]
    )
    made = Visitor(context, url)
    try:
        yield made
    finally:
        _leave(context)
        context.close()


def _leave(context: BrowserContext) -> None:
    """A Chromium with windows never closes a page that is just about to load another one: what its
    pages show may be deleted before they are closed, and they then go elsewhere by themselves."""
    for page in context.pages:
        page.on("dialog", lambda question: question.accept())  # it may ask whether to leave
        page.goto("about:blank")


def violations(page: Page, **given: Any) -> str:
    """What axe finds on the page, as text; empty if it finds nothing."""
    found = Axe().run(page, **given)
    return found.generate_report() if found.violations_count else ""


def overflow(page: Page) -> int:
    """By how many pixels the page, or a table on it, has to be scrolled sideways."""
    wide: int = page.evaluate(
        """() => {
            const tables = document.querySelectorAll(".table-frame");
            const boxes = [document.documentElement, ...tables];
            return Math.max(...boxes.map((box) => box.scrollWidth - box.clientWidth));
        }"""
    )
    return wide
