"""A running Groupline with people in every role, a connected phone and messages in all states."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx
from tests.support.api import (
    DEADLINE,
    STUDIO,
    Api,
    Simulator,
    pair,
    send,
    sendable_groups,
    sync,
    until_status,
)
from tests.support.processes import Installation, Process, installation

ORGANIZATION: Final = "Morning Workshops"
ZONE: Final = "Asia/Kolkata"
OWNER: Final = "owner@example.org"
PASSWORD: Final = "a long password for tests"
TEXTS: Final = (
    "Good morning! Our workshop starts *today at 18:00*. Bring a notebook and a cup of tea.",
    "Thank you for coming. The recording is here: https://example.org/recording",
    "Reminder: we meet on _Saturday at 10:30_. Reply with YES if you can make it.",
)


@dataclass
class House:
    place: Installation
    process: Process
    cookies: dict[str, dict[str, str]]
    """Of logins: by role, and of the owner of an organization that has nothing yet ("empty")."""
    api: Api
    simulator: Simulator
    number_id: str
    groups: list[dict[str, Any]]
    messages: dict[str, str]
    """A message in each of these states."""

    @property
    def url(self) -> str:
        return self.place.url


@contextmanager
def open_house(home: Path) -> Iterator[House]:
    with installation(home, GROUPLINE_PACE_SECONDS="0", GROUPLINE_VERIFY_SECONDS="5") as place:
        process = place.up()
        cookies = {"owner": set_up(place, process)}
        api, simulator = place.api_of("morning-workshops"), place.simulator()
        for role in ("admin", "operator", "viewer"):
            cookies[role] = _join(place, api, role, f"{role}@example.org")
        cookies["empty"] = _join_empty(place)
        session, _ = pair(api, simulator)
        number_id = session["numberId"]
        sync(api, number_id)
        api.call("PATCH", f"/numbers/{number_id}", {"displayName": "Front desk"})
        groups = sendable_groups(api, number_id)
        messages = _messages(api, simulator, number_id, groups)
        yield House(place, process, cookies, api, simulator, number_id, groups, messages)


def set_up(place: Installation, process: Process) -> dict[str, str]:
    """The first run; the cookies of the owner's login."""
    body = {
        "token": place.setup_link(process).rpartition("/")[2],
        "organizationName": ORGANIZATION,
        "name": "Example Owner",
        "email": OWNER,
        "password": PASSWORD,
        "timezone": ZONE,
    }
    return _cookies_of(f"{place.url}/api/v1/setup", body)


def _join(place: Installation, api: Api, role: str, email: str) -> dict[str, str]:
    """A new member follows the link that an owner gave them."""
    name = f"Example {role.capitalize()}"
    added = api.post("/members", {"email": email, "role": role, "name": name}, expect=201)
    body = {"token": added["setupUrl"].rpartition("/")[2], "password": PASSWORD}
    return _cookies_of(f"{place.url}/api/v1/setup/password", body)


def _join_empty(place: Installation) -> dict[str, str]:
    api = place.new_organization("Evening Webinars")
    return _join(place, api, "admin", "empty@example.org")


def _cookies_of(url: str, body: dict[str, str]) -> dict[str, str]:
    answer = httpx.post(url, json=body, timeout=DEADLINE)
    assert answer.is_success, answer.text
    return dict(answer.cookies)


def _messages(
    api: Api, simulator: Simulator, number_id: str, groups: list[dict[str, Any]]
) -> dict[str, str]:
    """Some that were sent, one that never will be, one for later."""
    ids = [group["id"] for group in groups]
    sent = [
        message
        for text, some in zip(TEXTS, (ids[:3], ids[3:5], ids[5:6]), strict=True)
        for message in send(api, number_id, some, text)
    ]
    for message in sent:
        until_status(api, message["id"])
    refusal = {"kind": "error", "route": "send", "phone": STUDIO, "httpStatus": 400, "times": 1}
    simulator.post("/sim/faults", refusal, expect=201)
    (refused,) = send(api, number_id, ids[6:7], TEXTS[0])
    until_status(api, refused["id"], "failed")
    tomorrow = (datetime.now(ZoneInfo(ZONE)) + timedelta(days=1)).date()
    scheduled = [
        message
        for time, text, some in (("10:30", TEXTS[2], ids[:2]), ("18:00", TEXTS[0], ids[2:4]))
        for message in _schedule(api, number_id, some, text, f"{tomorrow}T{time}:00")
    ]
    return {"sent": sent[0]["id"], "failed": refused["id"], "scheduled": scheduled[0]["id"]}


def _schedule(
    api: Api, number_id: str, group_ids: list[str], text: str, at: str
) -> list[dict[str, Any]]:
    body = {"numberId": number_id, "groupIds": group_ids, "content": text, "scheduledFor": at}
    return list(api.post("/messages", body, expect=201)["items"])
