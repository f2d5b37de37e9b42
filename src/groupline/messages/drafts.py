"""Rows of the outbox to be: looked at all together (rule 8), and written.

Thousands come at once, so there is one question about all of their groups, with one parameter, and
one statement that writes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Uuid, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import announce
from groupline.groups.rules import GroupFacts, MembershipFacts
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.messages.changes import MESSAGES
from groupline.messages.insert import insert_missing
from groupline.messages.refusals import (
    UNKNOWN_GROUP,
    UNKNOWN_NUMBER,
    Refusal,
    content_refusal,
    target_refusal,
)
from groupline.messages.schemas import Draft, Enqueued, RefusedDraft

# What binding thousands of ids costs is more than what looking them up does.
_LISTED: Final = {
    "sqlite": """
        SELECT json_extract(value, '$[0]') AS number_id, json_extract(value, '$[1]') AS group_id
        FROM json_each(:pairs)""",
    "postgresql": """
        SELECT CAST(pair ->> 0 AS uuid) AS number_id, CAST(pair ->> 1 AS uuid) AS group_id
        FROM jsonb_array_elements(CAST(:pairs AS jsonb)) AS listed (pair)""",
}
_FACTS: Final = """
    SELECT listed.number_id, listed.group_id, n.id AS number_found, g.id AS group_found,
           g.group_name, g.is_community, g.is_community_announce, g.announce_only,
           m.is_active, m.is_admin
    FROM ({listed}) AS listed
    LEFT JOIN whatsapp_numbers n
        ON n.id = listed.number_id AND n.organization_id = :organization
    LEFT JOIN whatsapp_groups g
        ON g.id = listed.group_id AND g.organization_id = :organization
    LEFT JOIN whatsapp_memberships m
        ON m.number_id = n.id AND m.group_id = g.id AND m.organization_id = :organization
"""
_QUESTION: Final = {
    dialect: text(_FACTS.format(listed=listed))
    .bindparams(bindparam("organization", type_=Uuid))
    .columns(number_id=Uuid, group_id=Uuid, number_found=Uuid, group_found=Uuid)
    for dialect, listed in _LISTED.items()
}

_Pair = tuple[UUID, UUID]
_Texts = dict[tuple[str, bool], Refusal | None]


async def refused_drafts(
    session: AsyncSession, organization_id: UUID, drafts: Sequence[Draft]
) -> list[RefusedDraft]:
    """Those that must not leave as they are, with the reason, in the order of the drafts."""
    targets = await _targets(session, organization_id, drafts)
    texts: _Texts = {}
    refused = []
    for draft in drafts:
        name, refusal = targets[draft.number_id, draft.group_id]
        refusal = _text_refusal(draft, texts) or refusal
        if refusal is not None:
            refused.append(RefusedDraft(draft, name, refusal.code, refusal.sentence))
    return refused


def _text_refusal(draft: Draft, texts: _Texts) -> Refusal | None:
    """A campaign says the same thing a thousand times: it is read once."""
    key = (draft.content, draft.media_url is not None)
    if key not in texts:
        texts[key] = content_refusal(key[0], has_media=key[1])
    return texts[key]


async def _targets(
    session: AsyncSession, organization_id: UUID, drafts: Sequence[Draft]
) -> Mapping[_Pair, tuple[str | None, Refusal | None]]:
    """By number and group: the name of the group, and why the number cannot write to it."""
    pairs = {(draft.number_id, draft.group_id) for draft in drafts}
    listed = json.dumps([[number.hex, group.hex] for number, group in pairs])
    rows = await session.execute(
        _QUESTION[session.get_bind().dialect.name],
        {"pairs": listed, "organization": organization_id},
    )
    return {(row.number_id, row.group_id): (row.group_name, _refusal(row)) for row in rows}


def _refusal(row: Any) -> Refusal | None:
    if row.number_found is None:
        return UNKNOWN_NUMBER
    if row.group_found is None:
        return UNKNOWN_GROUP
    group = GroupFacts(
        bool(row.is_community), bool(row.is_community_announce), bool(row.announce_only)
    )
    return target_refusal(group, MembershipFacts(bool(row.is_active), bool(row.is_admin)))


# --- writing --------------------------------------------------------------------------------


async def write_drafts(
    session: AsyncSession,
    organization_id: UUID,
    drafts: Sequence[Draft],
    *,
    actor: Actor,
    now: datetime,
) -> Enqueued:
    """Writes rows that have been looked at. One that is there already is left as it is."""
    if not drafts:
        return Enqueued()
    rows = [*draft_rows(organization_id, drafts, actor, now)]
    count = await insert_missing(session, sorted(rows, key=_unique))
    found = Enqueued(row["id"] for row in rows)
    if count != len(rows):
        there = await _written(session, organization_id, rows)
        found = Enqueued(each for each in found if each in there)
        found.already = [
            draft for draft, row in zip(drafts, rows, strict=True) if row["id"] not in there
        ]
    if found:
        await announce(session, "messages", organization_id=organization_id, subject_id=None)
    return found


def _unique(row: Mapping[str, Any]) -> tuple[int, int]:
    """Two that write the same at once wait for each other, and so must go in one order."""
    origin: UUID | None = row["campaign_id"] or row["step_id"]
    return (origin.int if origin else 0, row["group_id"].int)


def draft_rows(
    organization_id: UUID, drafts: Sequence[Draft], actor: Actor, now: datetime
) -> Iterator[dict[str, Any]]:
    created_by = actor.reference
    for draft in drafts:
        message_id = new_id()
        yield {
            "id": message_id,
            "organization_id": organization_id,
            "number_id": draft.number_id,
            "group_id": draft.group_id,
            "event_id": draft.event_id,
            "campaign_id": draft.campaign_id,
            "step_id": draft.step_id,
            "content": draft.content,
            "media_url": draft.media_url,
            "media_type": draft.media_type,
            "scheduled_for": draft.scheduled_for,
            "expires_at": draft.expires_at,
            "priority": draft.priority,
            "client_ref": str(message_id),
            "created_by": created_by,
            "created_at": now,
            "updated_at": now,
        }


async def _written(
    session: AsyncSession, organization_id: UUID, rows: Sequence[Mapping[str, Any]]
) -> frozenset[UUID]:
    """Ids grow with time: what was just written is one range of them."""
    statement = select(MESSAGES.c.id).where(
        MESSAGES.c.organization_id == organization_id,
        MESSAGES.c.id.between(rows[0]["id"], rows[-1]["id"]),
    )
    return frozenset(await session.scalars(statement))
