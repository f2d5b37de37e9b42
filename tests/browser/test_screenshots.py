"""The picture in the README: taken by every run, kept when GROUPLINE_WRITE_SCREENSHOTS=1."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import Visit
from tests.browser.house import House

pytestmark = pytest.mark.browser

_IMAGES = Path(__file__).parents[2] / "docs" / "images"


def test_the_overview_makes_a_picture_for_the_readme(
    house: House, visit: Visit, tmp_path: Path
) -> None:
    is_kept = os.environ.get("GROUPLINE_WRITE_SCREENSHOTS") == "1"
    picture = (_IMAGES if is_kept else tmp_path) / "overview.png"
    me = visit(house.url, cookies=house.cookies["owner"], size=(1280, 1020))
    page = me.go("/")
    expect(page.get_by_text("Connected", exact=True)).to_be_visible()
    page.screenshot(path=picture)
    assert picture.stat().st_size < 300_000
