"""The ``/sim`` calls about messages: what arrived, and what people make of it."""

from datetime import UTC, datetime
from enum import Enum
from sqlite3 import Row
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Depends, Query

from groupline_gateway.clock import from_epoch, iso
from groupline_gateway.contract import Error
from groupline_gateway.engines.simulator import network
from groupline_gateway.engines.simulator.network import DeliveryFilter
from groupline_gateway.engines.simulator.parts import Parts
from groupline_gateway.engines.simulator.schemas import (
    Deliveries,
    Delivery,
    DeliveryCount,
    DeliveryCounts,
    Emitted,
    NewMessageError,
    NewReaction,
    NewReceipts,
    Rejections,
    Removed,
)

_MOST = 10_000


def _filter(
    *,
    group: Annotated[str | None, Query(description="Its JID")] = None,
    phone: Annotated[str | None, Query(description="The sending number")] = None,
    session_id: Annotated[str | None, Query(alias="sessionId")] = None,
    client_ref: Annotated[str | None, Query(alias="clientRef")] = None,
    since: Annotated[datetime | None, Query(description="ISO 8601")] = None,
    after: Annotated[int, Query(ge=0, description="`nextAfter` of the page before")] = 0,
) -> DeliveryFilter:
    if since is not None and since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    return DeliveryFilter(
        group=group,
        phone=None if phone is None else phone.lstrip("+ "),
        session_id=session_id,
        client_ref=client_ref,
        since=None if since is None else since.timestamp(),
        after=after,
    )


Wanted: TypeAlias = Annotated[DeliveryFilter, Depends(_filter)]


def add_network(router: APIRouter, parts: Parts) -> None:
    _add_deliveries(router, parts)
    _add_reactions(router, parts)


def _add_deliveries(router: APIRouter, parts: Parts) -> None:
    tags: list[str | Enum] = ["simulator: messages"]

    @router.get("/deliveries", tags=tags, summary="What reached whom, oldest first")
    async def deliveries(
        wanted: Wanted, limit: Annotated[int, Query(ge=1, le=_MOST)] = 1000
    ) -> Deliveries:
        """Every copy is a row. The record survives a crash of the gateway."""
        rows = await parts.store.read(
            lambda connection: network.deliveries(connection, wanted, limit)
        )
        return Deliveries(
            deliveries=[_delivery(row) for row in rows],
            next_after=rows[-1]["id"] if len(rows) == limit else None,
        )

    @router.get("/deliveries/counts", tags=tags, summary="Copies per group and message")
    async def counts(
        wanted: Wanted,
        by: Literal["clientRef", "text"] = "clientRef",
        at_least: Annotated[
            int, Query(alias="atLeast", ge=1, description="2 lists only duplicates")
        ] = 1,
    ) -> DeliveryCounts:
        total, rows = await parts.store.read(
            lambda connection: network.count_deliveries(connection, wanted, by, at_least)
        )
        return DeliveryCounts(
            total=total,
            counts=[
                DeliveryCount(
                    group_jid=row["group_jid"],
                    client_ref=row["key"] if by == "clientRef" else None,
                    text=row["key"] if by == "text" else None,
                    copies=row["copies"],
                )
                for row in rows
            ],
        )

    @router.get("/deliveries/rejections", tags=tags, summary="What WhatsApp took and rejected")
    async def rejections() -> Rejections:
        """By the fault `rejected_later`, oldest first. The record survives a crash of the
        gateway; the event that tells of it may not."""
        return Rejections(message_ids=await parts.store.read(network.rejections))

    @router.delete("/deliveries", tags=tags, summary="Forget what was delivered")
    async def forget() -> Removed:
        """For a test that starts over. Sends that are repeated later look as if they had
        never left."""
        return Removed(removed=await parts.store.write(network.forget_deliveries))


def _add_reactions(router: APIRouter, parts: Parts) -> None:
    tags: list[str | Enum] = ["simulator: messages"]

    unknown: dict[int | str, dict[str, Any]] = {
        404: {"model": Error, "description": "The network has no such message"}
    }

    @router.post(
        "/receipts", tags=tags, summary="Have a message delivered or read", responses=unknown
    )
    async def receipts(body: NewReceipts) -> Emitted:
        """One event per reader; an anonymous one has an empty `readerPhone`."""
        return Emitted(events=await parts.people.receive(body))

    @router.post("/reactions", tags=tags, summary="React to a message", responses=unknown)
    async def react(body: NewReaction) -> Emitted:
        await parts.people.react(body)
        return Emitted(events=1)

    @router.post(
        "/message-errors",
        tags=tags,
        summary="Turn a message down after it was taken",
        responses=unknown,
    )
    async def turn_down(body: NewMessageError) -> Emitted:
        await parts.people.turn_down(body)
        return Emitted(events=1)


def _delivery(row: Row) -> Delivery:
    return Delivery(
        id=row["id"],
        group_jid=row["group_jid"],
        phone=row["phone"],
        session_id=row["session_id"],
        client_ref=row["client_ref"],
        message_id=row["message_id"],
        text=row["text"],
        media_url=row["media_url"],
        media_type=row["media_type"],
        at=iso(from_epoch(row["at"])),
    )
