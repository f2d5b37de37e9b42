"""Render the gallery: every component of the dashboard in every state, on the real templates.

`python -m tests.browser.gallery.render DIRECTORY` writes gallery.html, the error pages and the static
files to DIRECTORY; serve it with any file server. The browser tests use `render_to`.
"""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import segno
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

HERE = Path(__file__).parent
WEB = HERE.parents[2] / "src" / "groupline" / "web"

NAVIGATION = [
    {
        "label": None,
        "items": [{"key": "overview", "label": "Overview", "href": "#", "icon": "overview", "phone": True}],
    },
    {
        "label": "Events",
        "items": [
            {"key": "workshops", "label": "Workshops", "href": "#w", "icon": "workshops", "phone": True},
            {"key": "webinars", "label": "Webinars", "href": "#v", "icon": "webinars"},
        ],
    },
    {
        "label": "Sending",
        "items": [
            {"key": "campaigns", "label": "Campaigns", "href": "#c", "icon": "campaigns"},
            {"key": "groups", "label": "Groups", "href": "#g", "icon": "groups", "phone": True},
            {
                "key": "messages",
                "label": "Messages",
                "href": "#m",
                "icon": "messages",
                "phone": True,
                "count": 3,
                "tone": "red",
            },
        ],
    },
    {
        "label": "Content",
        "items": [
            {"key": "templates", "label": "Templates", "href": "#t", "icon": "templates"},
            {"key": "sequences", "label": "Sequences", "href": "#s", "icon": "sequences"},
            {"key": "journal", "label": "Journal", "href": "#j", "icon": "journal"},
        ],
    },
    {
        "label": "Settings",
        "items": [
            {"key": "connection", "label": "WhatsApp connection", "href": "#x", "icon": "phone"},
            {"key": "organization", "label": "Organization", "href": "#o", "icon": "organization"},
            {"key": "members", "label": "Members", "href": "#p", "icon": "members"},
            {"key": "keys", "label": "API keys", "href": "#k", "icon": "key"},
            {"key": "gateways", "label": "Gateways", "href": "#y", "icon": "gateways"},
            {"key": "appearance", "label": "Appearance", "href": "#a", "icon": "appearance"},
        ],
    },
]


def environment() -> Environment:
    loader = ChoiceLoader([FileSystemLoader(WEB / "templates"), FileSystemLoader(HERE)])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    made.globals["static"] = lambda name: name
    return made


def context(now: datetime) -> dict[str, object]:
    code = segno.make("2@gallery-only-not-a-pairing", error="l")
    return {
        "now": now,
        "ago": lambda seconds: now - timedelta(seconds=seconds),
        "zone": ZoneInfo("Asia/Kolkata"),
        "qr": Markup(code.svg_inline(border=0, omitsize=True)),
        "csp_nonce": "gallery",
        "navigation": NAVIGATION,
        "nav": "connection",
        "organization": {"name": "Northwind Learning"},
        "organizations": [
            {"name": "Northwind Learning", "href": "#1", "current": True},
            {"name": "Second organization", "href": "#2"},
        ],
        "user": {"name": "Example Owner", "email": "owner@example.org"},
        "role": "owner",
        "build": "0.1.0+gallery",
    }


def render_to(target: Path, now: datetime) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    for asset in (WEB / "static").iterdir():
        shutil.copy(asset, target / asset.name)
    templates = environment()
    values = context(now)
    (target / "gallery.html").write_text(templates.get_template("gallery.html").render(values))
    for status in (403, 404, 500):
        page = templates.get_template(f"errors/{status}.html").render(values, status=status, reference="7f3a")
        (target / f"{status}.html").write_text(page)
    return target / "gallery.html"


if __name__ == "__main__":
    print(render_to(Path(sys.argv[1]), datetime.now(UTC)))
