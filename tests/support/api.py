"""Clients of a running Groupline and of its simulated phones, and the steps of a first day."""

import time
from collections.abc import Callable
from typing import Any, Final, Self, TypeVar

import httpx

DEADLINE: Final = 60.0
"""For whatever has to happen; generous, because the machine may be slow and shared."""

Json = Any
_T = TypeVar("_T")


def until(what: str, check: Callable[[], _T | None], *, seconds: float = DEADLINE) -> _T:
    """What ``check`` answers, once that is true. Fails with ``what`` has not happened in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; last seen: {answer!r}")
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        return httpx.get(url, timeout=DEADLINE).status_code == 200
    except httpx.TransportError:
        return False


class _Client:
    """Expects what it is told to expect; open as long as its block."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, headers=headers, timeout=DEADLINE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def call(self, method: str, path: str, body: Json = None, *, expect: int = 200) -> Json:
        answer = self.http.request(method, path, json=body)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, path: str, *, expect: int = 200) -> Json:
        return self.call("GET", path, expect=expect)

    def post(self, path: str, body: Json = None, *, expect: int = 200) -> Json:
        return self.call("POST", path, body, expect=expect)


class Api(_Client):
    """The REST API, with an API key."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(f"{url}/api/v1", {"Authorization": f"Bearer {key}"})


class Simulator(_Client):
    """The simulated phones behind the built-in gateway of an installation."""

    def __init__(self, url: str, key: str, gateway_id: str | None = None) -> None:
        super().__init__(url, {"X-API-Key": key})
        self.chosen = {} if gateway_id is None else {"gatewayId": gateway_id}
        """Names the gateway where it is not the only one."""

    def scan(self, number: str, gateway_session_id: str) -> None:
        """The person holds the phone in front of the QR code."""
        self.post(f"/sim/phones/{number}/scan", {"sessionId": gateway_session_id})

    def deliveries(self) -> list[dict[str, Any]]:
        """What reached whom: one row per copy."""
        rows: list[dict[str, Any]] = self.get("/sim/deliveries")["deliveries"]
        return rows

    def status(self, gateway_session_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/status/{gateway_session_id}")
        return found

    def waiting_sessions(self) -> list[str]:
        """The sessions that show a QR code, oldest first."""
        listed = self.get("/sim/sessions")["sessions"]
        return [row["sessionId"] for row in listed if row["status"] == "qr_pending"]


STUDIO: Final = "919876543210"
"""The simulated phone that everybody finds; it is in 27 groups."""


def pair(api: Api, simulator: Simulator, *, number: str = STUDIO) -> tuple[Json, list[str]]:
    """Connect a phone as a person does: ask, scan what is shown.

    Answers the connected session, and the texts of the QR codes that were shown.
    """
    asked = api.post("/sessions", {"label": "Front desk", **simulator.chosen}, expect=201)
    path = f"/sessions/{asked['id']}"

    def code_shown() -> Json:
        session = api.get(path)
        return session if session["status"] == "qr_pending" and session["qr"] else None

    shown = until("a QR code is shown", code_shown)
    simulator.scan(number, simulator.waiting_sessions()[-1])

    def connected() -> Json:
        session = api.get(path)
        return session if session["status"] == "connected" else None

    return until("the session is connected", connected), [shown["qr"]["text"]]


def sync(api: Api, number_id: str) -> Json:
    """Sync once more by hand, when the sync that follows every connection is over."""
    path = f"/numbers/{number_id}"
    until("the first sync is over", lambda: api.get(path)["groupsSyncedAt"])
    return api.post(f"{path}/sync-groups")


def sendable_groups(api: Api, number_id: str) -> list[Json]:
    listed = api.get(f"/groups?numberId={number_id}&sendable=true&limit=500")
    return list(listed["items"])


def send(api: Api, number_id: str, group_ids: list[str], text: str) -> list[Json]:
    body = {"numberId": number_id, "groupIds": group_ids, "content": text}
    return list(api.post("/messages", body, expect=201)["items"])


def until_status(api: Api, message_id: str, status: str = "sent") -> Json:
    """The message, once it has this status."""

    def reached() -> Json:
        message = api.get(f"/messages/{message_id}")
        return message if message["status"] == status else None

    return until(f"the message is {status}", reached)
