"""The browser of a module, a running Groupline to visit, and pictures of what went wrong."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.browser.house import House, open_house
from tests.support.browser import Visitor, launched_browser, visitor
from tests.support.processes import Installation, installation

Visit = Callable[..., Visitor]

_OUTPUT = Path(__file__).parents[2] / ".test-output"
_failed = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """As for other tests of real processes: whatever a page waits for may take a minute, and the
    first test of all also waits until there is a house to visit."""
    for item in items:
        if item.get_closest_marker("browser") is not None:
            item.add_marker(pytest.mark.timeout(400))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    if report.when == "call":
        item.stash[_failed] = report.failed
    return report


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched_browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Tests leave it as they found it; whoever stops or breaks things opens one of their own."""
    with open_house(tmp_path_factory.mktemp("house")) as opened:
        yield opened


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Installation]:
    """An installation that nobody has started yet, to be treated as one likes."""
    with installation(tmp_path) as made:
        yield made


@pytest.fixture
def visit(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Visit]:
    """``visit(url, cookies=…)``: a browser of one's own. Its complaints fail the test."""
    with ExitStack() as stack:
        visitors: list[Visitor] = []

        def begin(url: str, **given: Any) -> Visitor:
            visitors.append(stack.enter_context(visitor(browser, url, **given)))
            return visitors[-1]

        yield begin
        if request.node.stash.get(_failed, False):
            _take_pictures(request.node.name, visitors)
        complaints = [complaint for each in visitors for complaint in each.unexpected()]
    assert complaints == []


def _take_pictures(name: str, visitors: list[Visitor]) -> None:
    _OUTPUT.mkdir(exist_ok=True)
    for number, each in enumerate(visitors):
        each.page.screenshot(path=_OUTPUT / f"{name}-{number}.png", full_page=True)
        (_OUTPUT / f"{name}-{number}.html").write_text(each.page.content())
