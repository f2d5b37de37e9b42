"""Changes with a login cookie come from our own pages only."""

import pytest
from tests.support.app import BASE_URL, RunningApp
from tests.support.cast import PASSWORD, Cast

ACCOUNT = "/api/v1/account"
OWN, OTHER = BASE_URL, "https://evil.example"

OURS = [
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin", "Origin": OTHER},
    {"Origin": OWN},
    {"Referer": f"{OWN}/settings/account"},
    {"Origin": OWN, "Referer": OTHER},
]
NOT_OURS = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": OWN},
    {"Sec-Fetch-Site": "Same-Origin?"},
    {"Origin": OTHER},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:8421"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": f"{OTHER}?{OWN}"},
    {"Origin": "http://127.0.0.1:8420.evil.example"},
    {"Origin": "http://127.0.0.1:8420@evil.example"},
    {"Origin": "http://[broken"},
    {"Referer": f"{OTHER}/{OWN}"},
    {"Origin": OTHER, "Referer": OWN},
]


async def cookie_of(running: RunningApp, cast: Cast) -> dict[str, str]:
    async with running.client() as client:
        await client.post(
            f"{ACCOUNT}/login", json={"email": cast.viewer.email, "password": PASSWORD}
        )
        return dict(client.cookies)


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
@pytest.mark.parametrize("headers", OURS, ids=str)
async def test_our_own_pages_may_change(
    running: RunningApp, cast: Cast, headers: dict[str, str]
) -> None:
    async with running.client(cookies=await cookie_of(running, cast)) as client:
        answer = await client.patch(ACCOUNT, json={"name": "New Name"}, headers=headers)
    assert (answer.status_code, answer.json()["name"]) == (200, "New Name")


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
@pytest.mark.parametrize("headers", NOT_OURS, ids=str)
async def test_other_sites_and_the_unknown_may_not(
    running: RunningApp, cast: Cast, headers: dict[str, str]
) -> None:
    async with running.client(cookies=await cookie_of(running, cast)) as client:
        answers = [
            await client.patch(ACCOUNT, json={"name": "New Name"}, headers=headers),
            await client.request("DELETE", f"{ACCOUNT}/logins", headers=headers),
            await client.post("/settings/account/name", data={"name": "N"}, headers=headers),
            await client.post("/logout", headers=headers),
        ]
        seen = await client.get(ACCOUNT, headers=headers)
    assert {(each.status_code, each.json()["code"]) for each in answers} == {
        (403, "cross_origin_refused")
    }
    assert (seen.status_code, seen.json()["name"]) == (200, "Viewer")


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
@pytest.mark.parametrize("headers", NOT_OURS[1:], ids=str)
async def test_nobody_is_logged_in_from_another_site(
    running: RunningApp, cast: Cast, headers: dict[str, str]
) -> None:
    """Otherwise that site could make a person work in its own account without noticing."""
    facts = {"email": cast.viewer.email, "password": PASSWORD}
    async with running.client() as client:
        answers = [
            await client.post(f"{ACCOUNT}/login", json=facts, headers=headers),
            await client.post("/login", data=facts, headers=headers),
        ]
        assert not client.cookies
    assert {each.status_code for each in answers} == {403}


async def test_a_key_needs_no_origin(running: RunningApp, cast: Cast) -> None:
    """A browser never sends it by itself."""
    async with await running.client_of(cast.owner) as program:
        answer = await program.patch(
            "/api/v1/organization", json={"name": "New"}, headers={"Origin": OTHER}
        )
    assert answer.status_code == 200
