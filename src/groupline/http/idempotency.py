"""``Idempotency-Key``: the same request twice has one effect and one answer.

A route that creates or sends takes ``CurrentIdempotency`` and hands it what it does::

    @router.post("/messages", status_code=201, response_model=MessageOut)
    async def send(body: MessageIn, principal: Sender, once: CurrentIdempotency) -> Response:
        async def effect(session: AsyncSession) -> MessageOut:
            return MessageOut.model_validate(await schedule(session, principal, …))

        return await once.in_transaction(principal, effect, status=201)

``in_transaction`` stores the answer in the transaction of the effect: both are there, or neither,
and a second request waits for the first. What talks to a gateway cannot be one transaction:
``around`` marks the key first, and a second request meanwhile is told to come again.
Without the header both simply do it. A page whose form carries a key of its own takes the
``Answer`` of ``once_in_transaction``, and goes where it leads.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.errors import Conflict, GrouplineError, IdempotencyConflict
from groupline.http.context import CurrentRuntime
from groupline.models import IdempotencyKey
from groupline.orgs import answers
from groupline.orgs.rules import Principal
from groupline.runtime import Runtime

_RETRY_SECONDS = 2


class IdempotencyInProgress(Conflict):
    code, title = "idempotency_in_progress", "This request is still being worked on"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request answers, or what an earlier one with the same key answered."""

    status: int
    body: bytes
    replayed: bool = False

    @property
    def response(self) -> Response:
        response = Response(self.body, status_code=self.status, media_type="application/json")
        if self.replayed:
            response.headers["Idempotent-Replayed"] = "true"
        return response


@dataclass(frozen=True, slots=True)
class Idempotency:
    """One request, with the key it came with."""

    runtime: Runtime
    key: str | None
    request_hash: str

    async def in_transaction(
        self,
        principal: Principal,
        effect: Callable[[AsyncSession], Awaitable[BaseModel]],
        *,
        status: int = 200,
    ) -> Response:
        """Runs the effect and stores its answer, in one transaction: both or neither."""
        return (await self.once_in_transaction(principal, effect, status=status)).response

    async def once_in_transaction(
        self,
        principal: Principal,
        effect: Callable[[AsyncSession], Awaitable[BaseModel]],
        *,
        status: int = 200,
    ) -> Answer:
        async with self.runtime.database.writing() as session:
            if self.key is None:
                return Answer(status, _json(await effect(session)))
            row = await self._claim(session, principal.organization_id)
            if row is None:
                return await self._earlier(session, principal.organization_id)
            body = _json(await effect(session))
            await self._store(session, row, status, body)
            return Answer(status, body)

    async def around(
        self, principal: Principal, effect: Callable[[], Awaitable[BaseModel]], *, status: int = 200
    ) -> Response:
        """Runs an effect that opens its own transactions.

        One that is refused with an error of ours gives the key back, so that the request can be
        made again. After a crash the key stays taken for some minutes, and is then free again.
        """
        if self.key is None:
            return Answer(status, _json(await effect())).response
        async with self.runtime.database.writing() as session:
            row = await self._claim(session, principal.organization_id)
            if row is None:
                return (await self._earlier(session, principal.organization_id)).response
        try:
            body = _json(await effect())
        except GrouplineError:
            async with self.runtime.database.writing() as session:
                await answers.give_back(session, row)
            raise
        async with self.runtime.database.writing() as session:
            await self._store(session, row, status, body)
        return Answer(status, body).response

    async def answered(self, session: AsyncSession, organization_id: UUID) -> Answer | None:
        """What the key stands for already, whatever the request was."""
        row = self.key and await answers.find(session, organization_id, self.key)
        return self._stored(row) if row else None

    async def _claim(self, session: AsyncSession, organization_id: UUID) -> UUID | None:
        assert self.key is not None
        return await answers.claim(
            session,
            organization_id,
            key=self.key,
            request_hash=self.request_hash,
            now=self._now(),
        )

    async def _earlier(self, session: AsyncSession, organization_id: UUID) -> Answer:
        assert self.key is not None
        row = await answers.find(session, organization_id, self.key)
        if row is None:
            raise _in_progress()
        return self._replay(row)

    def _replay(self, row: IdempotencyKey) -> Answer:
        if row.request_hash != self.request_hash:
            raise IdempotencyConflict(
                "This Idempotency-Key came with another request before.",
                hint="Use a new key for each new request.",
            )
        answer = self._stored(row)
        if answer is None:
            raise _in_progress()
        return answer

    def _stored(self, row: IdempotencyKey) -> Answer | None:
        if row.status_code is None or row.response_body is None:
            return None
        body = self.runtime.vault.decrypt(row.response_body).encode()
        return Answer(row.status_code, body, replayed=True)

    async def _store(self, session: AsyncSession, row: UUID, status: int, body: bytes) -> None:
        # Encrypted, because an answer may hold what is shown once: the secret of a new API key.
        text = self.runtime.vault.encrypt(body.decode())
        await answers.store(session, row, status_code=status, response_body=text)

    def _now(self) -> datetime:
        return self.runtime.clock.now()


def _in_progress() -> IdempotencyInProgress:
    return IdempotencyInProgress(
        "The first request with this Idempotency-Key is not done yet.",
        hint=f"Try again in {_RETRY_SECONDS} s.",
        retryAfter=_RETRY_SECONDS,
    )


def _json(model: BaseModel) -> bytes:
    return model.model_dump_json(by_alias=True).encode()


async def idempotency(
    request: Request,
    runtime: CurrentRuntime,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            description="The same key and body again answer the same, for 24 hours",
        ),
    ] = None,
) -> Idempotency:
    return Idempotency(runtime, key, await _fingerprint(request))


async def _fingerprint(request: Request) -> str:
    target = f"{request.method} {request.url.path}?{request.url.query}\n"
    return hashlib.sha256(target.encode() + await request.body()).hexdigest()


CurrentIdempotency = Annotated[Idempotency, Depends(idempotency)]
