"""Render the gallery: every component of the dashboard in every state, on the real templates.

`python -m tests.browser.gallery.render DIRECTORY` writes gallery.html, the error pages and the
static files to DIRECTORY; serve it with any file server. The browser tests use `render_to`.
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
        "items": [
            {"key": "overview", "label": "Overview", "url": "#", "icon": "overview", "phone": True}
        ],
    },
    {
        "label": "Events",
        "items": [
            {
                "key": "workshops",
                "label": "Workshops",
                "url": "#w",
                "icon": "workshops",
                "phone": True,
            },
            {"key": "webinars", "label": "Webinars", "url": "#v", "icon": "webinars"},
        ],
    },
    {
        "label": "Sending",
        "items": [
            {"key": "campaigns", "label": "Campaigns", "url": "#c", "icon": "campaigns"},
            {"key": "groups", "label": "Groups", "url": "#g", "icon": "groups", "phone": True},
            {
                "key": "messages",
                "label": "Messages",
                "url": "#m",
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
            {"key": "templates", "label": "Templates", "url": "#t", "icon": "templates"},
            {"key": "sequences", "label": "Sequences", "url": "#s", "icon": "sequences"},
            {"key": "journal", "label": "Journal", "url": "#j", "icon": "journal"},
        ],
    },
    {
        "label": "Settings",
        "items": [
            {"key": "connection", "label": "WhatsApp connection", "url": "#x", "icon": "phone"},
            {"key": "organization", "label": "Organization", "url": "#o", "icon": "organization"},
            {"key": "members", "label": "Members", "url": "#p", "icon": "members"},
            {"key": "keys", "label": "API keys", "url": "#k", "icon": "key"},
            {"key": "gateways", "label": "Gateways", "url": "#y", "icon": "gateways"},
            {"key": "appearance", "label": "Appearance", "url": "#a", "icon": "appearance"},
        ],
    },
]


PROBLEM = {
    "title": "Please check your input",
    "status": 422,
    "detail": "Nothing was saved.",
    "fields": {"phone": "This is not a phone number."},
}


def environment() -> Environment:
    loader = ChoiceLoader([FileSystemLoader(WEB / "templates"), FileSystemLoader(HERE)])
    made = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
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
        "sections": NAVIGATION,
        "nav": "connection",
        "organization": {"name": "Northwind Learning"},
        "organizations": [
            ("Northwind Learning", "#1", True),
            ("Second organization", "#2", False),
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
    for name in ("403", "404", "500", "problem"):
        page = templates.get_template(f"errors/{name}.html").render(
            values, problem=PROBLEM, back="/messages"
        )
        (target / f"{name}.html").write_text(page)
    return target / "gallery.html"


if __name__ == "__main__":
    sys.stdout.write(f"{render_to(Path(sys.argv[1]), datetime.now(UTC))}\n")
