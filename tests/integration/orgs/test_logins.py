"""Logging in: what it takes, how often it may be tried, and how it ends."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import select, update
from tests.support.cast import PASSWORD, Cast
from tests.support.clock import ManualClock

from groupline.db import Database
from groupline.errors import InvalidInput, NotFound, RateLimited, Unauthenticated
from groupline.journal import newest
from groupline.models import JournalEntry, Login, User
from groupline.orgs import passwords
from groupline.orgs.access import forget_outdated, signed_in_with
from groupline.orgs.logins import (
    Client,
    change_own_password,
    end_login,
    end_other_logins,
    list_logins,
    log_in,
)
from groupline.orgs.schemas import NewLogin, SignedIn

HERE = Client("192.0.2.1", "a browser")
LIMIT = 5
NEW_PASSWORD = "another long password"


class Door:
    """Somebody who tries to log in."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database = database
        self.clock = clock

    async def try_(self, email: str, password: str = PASSWORD, client: Client = HERE) -> NewLogin:
        return await log_in(
            self.database,
            self.clock,
            email=email,
            password=password,
            client=client,
            attempts=LIMIT,
            lifetime=timedelta(days=30),
        )

    async def fail(self, email: str, times: int = 1, client: Client = HERE) -> None:
        for _ in range(times):
            with pytest.raises(Unauthenticated):
                await self.try_(email, "a wrong password", client)

    async def who(self, token: str) -> SignedIn | None:
        return await signed_in_with(self.database, token, now=self.clock.now())

    async def enter(self, email: str) -> SignedIn:
        signed_in = await self.who((await self.try_(email)).token)
        assert signed_in is not None
        return signed_in

    async def change_password(self, who: SignedIn, current: str, new: str = NEW_PASSWORD) -> int:
        return await change_own_password(
            self.database,
            self.clock,
            who,
            current=current,
            new=new,
            client=HERE,
            attempts=LIMIT,
        )


@pytest.fixture
def door(database: Database, clock: ManualClock) -> Door:
    return Door(database, clock)


async def test_the_right_password_opens(door: Door, cast: Cast) -> None:
    login = await door.try_(cast.admin.email.upper())
    who = await door.who(login.token)
    assert who is not None
    assert (who.user_id, who.email) == (cast.admin.user_id, cast.admin.email)
    assert [each.slug for each in who.memberships] == ["inside"]


async def test_a_login_is_in_the_journal_of_the_installation(door: Door, cast: Cast) -> None:
    login = await door.try_(cast.admin.email)
    async with door.database.reading() as session:
        (entry,) = await newest(session, None)
    assert (entry.action, entry.subject_id) == ("login.opened", login.login_id)
    assert entry.organization_id is None


async def test_wrong_and_unknown_are_refused_in_the_same_words(door: Door, cast: Cast) -> None:
    problems: list[dict[str, Any]] = []
    for email in (cast.viewer.email, "nobody@example.test", "no address", "", "x" * 5000):
        with pytest.raises(Unauthenticated) as refused:
            await door.try_(email, "a wrong password")
        problems.append(refused.value.problem())
    assert all(problem == problems[0] for problem in problems)


async def test_an_unknown_address_costs_as_much_as_a_known_one(
    door: Door, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    verify = passwords._argon2id.verify

    def counting(password: str, password_hash: str) -> bool:
        verified.append(password_hash)
        return verify(password, password_hash)

    monkeypatch.setattr(passwords._argon2id, "verify", counting)
    for email in (cast.viewer.email, "nobody@example.test", "no address"):
        await door.fail(email)
    assert len(verified) == 3
    assert verified[1] == verified[2] != verified[0]
    assert all(each.startswith("$argon2id$") for each in verified)


async def test_the_hash_of_nobody_lets_nobody_in(door: Door) -> None:
    with pytest.raises(Unauthenticated):
        await door.try_("nobody@example.test", "nobody has this password")


async def test_a_person_without_a_password_or_with_a_closed_account_stays_out(
    door: Door, cast: Cast, clock: ManualClock
) -> None:
    door_open = await door.try_(cast.operator.email)
    async with door.database.writing() as session:
        no_password = update(User).where(User.id == cast.viewer.user_id)
        await session.execute(no_password.values(password_hash=None))
        closed = update(User).where(User.id == cast.operator.user_id)
        await session.execute(closed.values(disabled_at=clock.now()))
    for person in (cast.viewer, cast.operator):
        with pytest.raises(Unauthenticated):
            await door.try_(person.email)
    assert await door.who(door_open.token) is None


async def test_an_account_pauses_after_too_many_attempts_from_anywhere(
    door: Door, cast: Cast, clock: ManualClock
) -> None:
    for n in range(LIMIT):
        await door.fail(cast.viewer.email, client=Client(f"192.0.2.{n + 10}"))
    with pytest.raises(RateLimited) as paused:
        await door.try_(cast.viewer.email, client=Client("192.0.2.99"))
    await door.try_(cast.admin.email, client=Client("192.0.2.99"))
    clock.advance(paused.value.retry_after)
    await door.try_(cast.viewer.email)


async def test_an_address_pauses_after_too_many_attempts_on_any_account(
    door: Door, cast: Cast
) -> None:
    for n in range(LIMIT):
        await door.fail(f"somebody{n}@example.test")
    with pytest.raises(RateLimited) as paused:
        await door.try_(cast.viewer.email)
    assert 0 < paused.value.retry_after <= 15 * 60 + 1
    await door.try_(cast.viewer.email, client=Client("198.51.100.7"))


async def test_a_network_of_ipv6_counts_as_one_address(door: Door, cast: Cast) -> None:
    for n in range(LIMIT):
        await door.fail(f"somebody{n}@example.test", client=Client(f"2001:db8:1:2::{n + 1:x}"))
    with pytest.raises(RateLimited):
        await door.try_(cast.viewer.email, client=Client("2001:db8:1:2:ffff::1"))
    await door.try_(cast.viewer.email, client=Client("2001:db8:1:3::1"))


async def test_attempts_at_the_same_moment_count_each(door: Door, cast: Cast) -> None:
    results = await asyncio.gather(
        *(door.try_(cast.viewer.email, "a wrong password") for _ in range(LIMIT + 3)),
        return_exceptions=True,
    )
    refused = [type(each) for each in results]
    assert refused.count(Unauthenticated) == LIMIT
    assert refused.count(RateLimited) == 3


async def test_a_success_clears_the_account_and_counts_nowhere(door: Door, cast: Cast) -> None:
    for _ in range(3):
        await door.fail(cast.viewer.email, times=LIMIT - 1, client=Client("192.0.2.50"))
        await door.try_(cast.viewer.email, client=Client("192.0.2.60"))
        door.clock.advance(15 * 60)
    for _ in range(LIMIT * 2):
        await door.try_(cast.admin.email, client=Client("192.0.2.70"))


async def test_a_pause_ends_even_for_those_who_keep_trying(
    door: Door, cast: Cast, clock: ManualClock
) -> None:
    await door.fail(cast.viewer.email, times=LIMIT)
    for _ in range(15):
        with pytest.raises(RateLimited):
            await door.try_(cast.viewer.email)
        clock.advance(60)
    clock.advance(1)
    await door.try_(cast.viewer.email)


async def test_a_login_ends_by_logging_out_and_by_time(
    door: Door, cast: Cast, clock: ManualClock
) -> None:
    ended, kept = await door.try_(cast.viewer.email), await door.try_(cast.viewer.email)
    who = await door.who(ended.token)
    assert who is not None
    async with door.database.writing() as session:
        await end_login(session, who, who.login_id, now=clock.now())
    assert await door.who(ended.token) is None
    clock.advance(30 * 86_400 - 1)
    assert await door.who(kept.token) is not None
    clock.advance(1)
    assert await door.who(kept.token) is None


async def test_another_persons_login_does_not_exist(
    door: Door, cast: Cast, clock: ManualClock
) -> None:
    mine, theirs = await door.enter(cast.outsider.email), await door.enter(cast.viewer.email)
    async with door.database.writing() as session:
        with pytest.raises(NotFound):
            await end_login(session, mine, theirs.login_id, now=clock.now())
        assert [each.id for each in await list_logins(session, mine, now=clock.now())] == [
            mine.login_id
        ]


async def test_other_logins_end_and_this_one_stays(
    door: Door, cast: Cast, clock: ManualClock
) -> None:
    others = [(await door.try_(cast.viewer.email)).token for _ in range(2)]
    login = await door.try_(cast.viewer.email)
    who = await door.who(login.token)
    assert who is not None
    async with door.database.writing() as session:
        assert await end_other_logins(session, who, now=clock.now()) == 2
        assert await end_other_logins(session, who, now=clock.now()) == 0
    assert [await door.who(token) for token in others] == [None, None]
    assert await door.who(login.token) is not None


async def test_a_new_password_ends_all_other_logins(door: Door, cast: Cast) -> None:
    other = await door.try_(cast.viewer.email)
    me = await door.enter(cast.viewer.email)
    assert await door.change_password(me, PASSWORD) == 1
    assert await door.who(other.token) is None
    await door.fail(cast.viewer.email)
    await door.try_(cast.viewer.email, NEW_PASSWORD)


async def test_a_wrong_current_password_changes_nothing_and_counts(door: Door, cast: Cast) -> None:
    me = await door.enter(cast.viewer.email)
    for _ in range(LIMIT):
        with pytest.raises(InvalidInput) as refused:
            await door.change_password(me, "a wrong password")
        assert list(refused.value.fields) == ["currentPassword"]
    with pytest.raises(RateLimited):
        await door.change_password(me, PASSWORD)
    with pytest.raises(RateLimited):
        await door.try_(cast.viewer.email)


async def test_a_weak_new_password_is_refused_before_anything_is_counted(
    door: Door, cast: Cast
) -> None:
    me = await door.enter(cast.viewer.email)
    for _ in range(LIMIT + 1):
        with pytest.raises(InvalidInput) as refused:
            await door.change_password(me, PASSWORD, "short")
        assert list(refused.value.fields) == ["newPassword"]
    await door.try_(cast.viewer.email)


async def test_last_seen_moves_once_a_minute(door: Door, cast: Cast, clock: ManualClock) -> None:
    start = clock.now()
    login = await door.try_(cast.viewer.email)

    async def seen_after(seconds: float) -> float:
        clock.advance(seconds)
        await door.who(login.token)
        async with door.database.reading() as session:
            seen = await session.scalar(
                select(Login.last_seen_at).where(Login.id == login.login_id)
            )
        assert seen is not None
        return (seen - start).total_seconds()

    assert await seen_after(59) == 0
    assert await seen_after(1) == 60
    assert await seen_after(30) == 60


async def test_neither_password_nor_token_is_stored_or_logged(
    door: Door, cast: Cast, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    caplog.set_level("WARNING", "aiosqlite")  # as `configure_logging` keeps it
    with structlog.testing.capture_logs() as events:
        login = await door.try_(cast.viewer.email)
        await door.fail(cast.viewer.email)
        me = await door.who(login.token)
        assert me is not None
        await door.change_password(me, PASSWORD)
    async with door.database.reading() as session:
        entries = [
            (entry.action, entry.data, entry.actor_label, entry.subject)
            for entry in await session.scalars(select(JournalEntry))
        ]
        stored = await session.scalar(select(Login.token_hash).where(Login.id == login.login_id))
    said = f"{events}{caplog.text}{capsys.readouterr()}{entries}{stored}"
    assert "login.refused" in said
    for secret in (PASSWORD, NEW_PASSWORD, "a wrong password", login.token, "$argon2"):
        assert secret not in said


async def test_what_has_had_its_time_is_forgotten(
    door: Door, cast: Cast, clock: ManualClock
) -> None:
    await door.try_(cast.viewer.email)
    await door.fail(cast.viewer.email)
    async with door.database.writing() as session:
        assert await forget_outdated(session, now=clock.now()) == 0
        assert await forget_outdated(session, now=clock.now() + timedelta(days=2)) == 2
        assert await forget_outdated(session, now=clock.now() + timedelta(days=61)) == 1
