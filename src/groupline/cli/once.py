"""``--key``: the same command twice has one effect, like a request with an ``Idempotency-Key``.

Both are kept together, so a key that came over the API is taken for commands too.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.cli.output import WRONG_USAGE, fail
from groupline.errors import IdempotencyConflict
from groupline.models import IdempotencyKey
from groupline.orgs import answers
from groupline.vault import Vault

_LONGEST: Final = 255
_CREATED: Final = 201
SAME_KEY: Final = "Repeat the same command with the same --key: what is saved is not done again."
WITHOUT_KEY: Final = (
    "Look what is there before you repeat it. A command that has a --key can simply be repeated."
)


@dataclass(frozen=True, slots=True)
class Once:
    """A command that makes rows, with the key that it came with."""

    vault: Vault
    key: str | None
    request_hash: str

    @property
    def hint(self) -> str:
        """What to do when nobody knows whether it was saved."""
        return WITHOUT_KEY if self.key is None else SAME_KEY

    async def is_known(self, session: AsyncSession, organization_id: UUID) -> bool:
        return self.key is not None and bool(await answers.find(session, organization_id, self.key))

    async def ids(
        self,
        session: AsyncSession,
        organization_id: UUID,
        effect: Callable[[], Awaitable[Sequence[UUID]]],
        *,
        now: datetime,
    ) -> Sequence[UUID]:
        """Of what the effect makes, or made before; kept in the same transaction."""
        if self.key is None:
            return await effect()
        while (row := await self._claim(session, organization_id, self.key, now)) is None:
            earlier = await answers.find(session, organization_id, self.key)
            if earlier is not None:  # otherwise its request was refused just now: it is free
                return self._made(earlier)
        ids = await effect()
        text = self.vault.encrypt(json.dumps([str(each) for each in ids]))
        await answers.store(session, row, status_code=_CREATED, response_body=text)
        return ids

    async def _claim(
        self, session: AsyncSession, organization_id: UUID, key: str, now: datetime
    ) -> UUID | None:
        return await answers.claim(
            session,
            organization_id,
            key=key,
            request_hash=self.request_hash,
            now=now,
        )

    def _made(self, earlier: IdempotencyKey) -> list[UUID]:
        if earlier.request_hash != self.request_hash or earlier.response_body is None:
            raise IdempotencyConflict(
                "This key came with another request before.",
                hint="Use a new key for each new request.",
            )
        return [UUID(each) for each in json.loads(self.vault.decrypt(earlier.response_body))]


def once(vault: Vault, key: str | None, *request: object) -> Once:
    """``request``: the name of the command and what it was given that the effect depends on."""
    if key is not None and not 1 <= len(key) <= _LONGEST:
        fail(f"--key takes 1 to {_LONGEST} characters", code=WRONG_USAGE)
    return Once(vault, key, hashlib.sha256(json.dumps(request).encode()).hexdigest())
