"""Groups over the API: what it answers, to whom, and what it says when something fails."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.contract.scripted import answer, raw
from tests.integration.groups.conftest import Phone, listed, many
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.factories import make_number

from groupline.ids import new_id
from groupline.orgs.rules import Scope


@pytest.fixture
async def client(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with await running.client_of(cast.admin, Scope.READ, Scope.WRITE) as client:
        yield client


def sync_url(phone: Phone) -> str:
    return f"/api/v1/numbers/{phone.number_id}/sync-groups"


async def test_a_sync_answers_with_what_it_saved(phone: Phone, client: httpx.AsyncClient) -> None:
    phone.lists(many(27))

    response = await client.post(sync_url(phone))

    assert (response.status_code, response.json()) == (
        200,
        {
            "success": True,
            "vpsCount": 27,
            "savedCount": 27,
            "added": 27,
            "updated": 0,
            "deactivated": 0,
            "skipped": [],
            "complete": True,
        },
    )


async def test_a_suspicious_list_is_explained_and_can_be_confirmed(
    phone: Phone, client: httpx.AsyncClient
) -> None:
    await phone.synced(many(10))
    phone.lists(many(3))

    doubted = (await client.post(sync_url(phone))).json()
    confirmed = (await client.post(sync_url(phone), json={"acceptMissing": True})).json()

    assert (doubted["savedCount"], doubted["complete"]) == (10, False)
    assert doubted["suspicious"].startswith("The gateway left out 7 of the 10 groups")
    assert doubted["canBeConfirmed"] is True
    assert (confirmed["savedCount"], confirmed["deactivated"]) == (3, 7)
    assert confirmed["complete"] is True
    assert "suspicious" not in confirmed


async def test_a_gateway_that_fails_is_a_502_with_its_words(
    phone: Phone, client: httpx.AsyncClient
) -> None:
    await phone.synced(many(3))
    phone.gateway.says(answer(503, {"error": "Session is not connected"}))

    response = await client.post(sync_url(phone))

    problem = response.json()
    assert response.status_code == 502
    assert problem["upstream"] == "gateway"
    assert (problem["success"], problem["vpsCount"], problem["savedCount"]) == (False, 0, 0)
    assert "not connected" in problem["error"]
    assert all(saved.membership.is_active for saved in (await phone.saved()).values())


async def test_an_answer_that_is_no_list_is_a_502(phone: Phone, client: httpx.AsyncClient) -> None:
    phone.gateway.says(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"))

    response = await client.post(sync_url(phone))

    assert response.status_code == 502
    assert response.json()["code"] == "gateway_malformed"


async def test_a_number_that_is_not_connected_is_a_409(
    phone: Phone, client: httpx.AsyncClient
) -> None:
    async with phone.runtime.database.writing() as session:
        number = await make_number(session, organization_id=phone.organization_id)

    response = await client.post(f"/api/v1/numbers/{number.id}/sync-groups")

    assert response.status_code == 409
    assert response.json()["code"] == "number_not_connected"
    assert response.json()["success"] is False


async def test_an_unknown_number_is_a_404(client: httpx.AsyncClient) -> None:
    response = await client.post(f"/api/v1/numbers/{new_id()}/sync-groups")

    assert response.status_code == 404


async def test_the_outsider_learns_of_nothing(
    phone: Phone, running: RunningApp, cast: Cast
) -> None:
    await phone.synced(many(3))
    (group, *_) = (await phone.saved()).values()
    async with await running.client_of(cast.outsider) as outsider:
        answers = [
            await outsider.post(sync_url(phone)),
            await outsider.get(f"/api/v1/groups/{group.group.id}"),
            await outsider.get(f"/api/v1/groups/{group.group.id}/participants"),
            await outsider.post(f"/api/v1/groups/{group.group.id}/invite-link"),
        ]
        listing = await outsider.get("/api/v1/groups", params={"numberId": str(phone.number_id)})

    assert [answer.status_code for answer in answers] == [404] * 4
    assert listing.json() == {"items": [], "nextCursor": None, "total": 0}


async def test_who_may_only_read_does_not_sync(
    phone: Phone, running: RunningApp, cast: Cast
) -> None:
    await phone.synced(many(3))
    async with await running.client_of(cast.owner, Scope.READ) as viewer:
        assert (await viewer.get("/api/v1/groups")).json()["total"] == 3
        assert (await viewer.post(sync_url(phone))).status_code == 403


async def test_a_group_says_who_is_in_it_and_whether_it_can_be_sent_to(
    phone: Phone, client: httpx.AsyncClient
) -> None:
    await phone.synced([listed(1, announceOnly=True, participants=["a", "b"])])
    (saved,) = (await phone.saved()).values()

    group = (await client.get(f"/api/v1/groups/{saved.group.id}")).json()

    assert (group["name"], group["shortId"], group["participantCount"]) == (
        "Workshop 0001",
        "000001",
        2,
    )
    assert (group["sendable"], group["notSendableReason"]) == (False, "admins_only")
    assert group["notSendableBecause"].endswith("is not an admin.")
    assert [one["numberId"] for one in group["memberships"]] == [str(phone.number_id)]


async def test_all_of_1060_groups_are_found_by_paging_and_the_last_by_search(
    phone: Phone, client: httpx.AsyncClient
) -> None:
    await phone.synced(many(1060))

    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 500} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/api/v1/groups", params=params)).json()
        assert page["total"] == 1060
        seen += [group["name"] for group in page["items"]]
        if (cursor := page["nextCursor"]) is None:
            break

    assert seen == [f"Workshop {number:04d}" for number in range(1060)]
    found = (await client.get("/api/v1/groups", params={"q": "workshop 1059"})).json()
    assert [group["name"] for group in found["items"]] == ["Workshop 1059"]


@pytest.mark.parametrize("cursor", ["nonsense", "W10", "WyJhIiwgImIiXQ"])
async def test_a_cursor_that_is_not_ours_is_a_422(client: httpx.AsyncClient, cursor: str) -> None:
    response = await client.get("/api/v1/groups", params={"cursor": cursor})

    assert response.status_code == 422
    assert "cursor" in response.json()["fields"]


async def test_an_invite_link_is_fetched_by_an_admin_and_kept_by_the_next_sync(
    phone: Phone, client: httpx.AsyncClient
) -> None:
    await phone.synced([listed(1, isAdmin="true")])
    (saved,) = (await phone.saved()).values()
    phone.gateway.says(answer(200, {"inviteCode": "AbCdEf123456"}))

    response = await client.post(f"/api/v1/groups/{saved.group.id}/invite-link")
    await phone.synced([listed(1)])

    link = "https://chat.whatsapp.com/AbCdEf123456"
    assert (response.status_code, response.json()["inviteLink"]) == (200, link)
    assert (await client.get(f"/api/v1/groups/{saved.group.id}")).json()["inviteLink"] == link


async def test_only_an_admin_can_fetch_the_invite_link(
    phone: Phone, client: httpx.AsyncClient
) -> None:
    await phone.synced([listed(1, isAdmin=False)])
    (saved,) = (await phone.saved()).values()

    response = await client.post(f"/api/v1/groups/{saved.group.id}/invite-link")

    assert (response.status_code, response.json()["state"]) == (409, "not_an_admin")


async def test_participants_are_asked_for_and_their_count_is_kept(
    phone: Phone, client: httpx.AsyncClient
) -> None:
    await phone.synced([listed(1, participants=2)])
    (saved,) = (await phone.saved()).values()
    people = [{"id": "919876543210@s.whatsapp.net", "isAdmin": True}, {"id": "77@lid"}]
    phone.gateway.says(answer(200, {"participants": people, "totalParticipants": 5}))

    listing = (await client.get(f"/api/v1/groups/{saved.group.id}/participants")).json()

    assert listing["total"] == 5
    assert [(one["phone"], one["isAdmin"]) for one in listing["items"]] == [
        ("919876543210", True),
        (None, False),
    ]
    group = (await client.get(f"/api/v1/groups/{saved.group.id}")).json()
    assert group["participantCount"] == 5
