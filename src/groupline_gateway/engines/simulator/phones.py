"""The simulated phones: few, so they are kept in memory; their groups stay in the store."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from groupline_gateway.clock import Clock
from groupline_gateway.contract import Restriction
from groupline_gateway.engines.simulator import world
from groupline_gateway.engines.simulator.schemas import GroupsWanted, NewPhone
from groupline_gateway.engines.simulator.world import PhoneRecord
from groupline_gateway.errors import Conflict, NotFound
from groupline_gateway.store import Store


class PhoneBook:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._phones: dict[str, PhoneRecord] = {}

    def __iter__(self) -> Iterator[PhoneRecord]:
        return iter(list(self._phones.values()))

    def __len__(self) -> int:
        return len(self._phones)

    async def load(self) -> None:
        phones = await self._store.read(world.load_phones)
        self._phones = {phone.number: phone for phone in phones}

    def find(self, number: str | None) -> PhoneRecord | None:
        return None if number is None else self._phones.get(number)

    def get(self, number: str) -> PhoneRecord:
        phone = self._phones.get(number)
        if phone is None:
            raise NotFound("There is no simulated phone with this number")
        return phone

    async def add(self, wanted: NewPhone) -> PhoneRecord:
        if wanted.number in self._phones:
            raise Conflict("There is a simulated phone with this number already")
        phone = PhoneRecord(wanted.number, wanted.name, None, wanted.receipts)
        at = self._clock.now().timestamp()

        def work(connection: sqlite3.Connection) -> None:
            world.insert_phone(connection, phone, at)
            world.join_groups(connection, phone.number, wanted)

        await self._store.write(work)
        self._phones[phone.number] = phone
        return phone

    async def join(self, number: str, wanted: GroupsWanted) -> list[str]:
        self.get(number)
        return await self._store.write(
            lambda connection: world.join_groups(connection, number, wanted)
        )

    async def remove(self, number: str) -> None:
        self.get(number)
        await self._store.write(lambda connection: world.delete_phone(connection, number))
        del self._phones[number]

    def restriction_of(self, number: str | None) -> Restriction | None:
        """As it is now: it ends by itself, when its time is over."""
        phone = self.find(number)
        restriction = None if phone is None else phone.restriction
        if restriction is None or restriction.until is None:
            return restriction
        until = datetime.fromisoformat(restriction.until)
        if until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        return None if until <= self._clock.now() else restriction

    async def restrict(self, number: str, restriction: Restriction | None) -> None:
        phone = self.get(number)
        await self._store.write(
            lambda connection: world.save_restriction(connection, number, restriction)
        )
        self._phones[number] = replace(phone, restriction=restriction)

    async def count_groups(self) -> dict[str, int]:
        return await self._store.read(world.count_groups)
