"""Who is behind the references that columns like ``created_by`` keep."""

from collections.abc import Collection, Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.journal import COMMAND_LINE, SYSTEM, label_of
from groupline.models import ApiKey, User

_NAMES: Final[Mapping[str, Any]] = {"user": User, "api_key": ApiKey}
_LABELS: Final = {each.reference: each.label for each in (SYSTEM, COMMAND_LINE)}


async def actor_names(
    session: AsyncSession, organization_id: UUID, references: Collection[str]
) -> dict[str, str]:
    """As the journal calls them. Whoever is gone is missing here."""
    known = {each: _LABELS[each] for each in references if each in _LABELS}
    for kind, entity in _NAMES.items():
        ids = [UUID(each.partition(":")[2]) for each in references if each.startswith(f"{kind}:")]
        if not ids:
            continue
        named = select(entity.id, entity.name).where(entity.id.in_(ids))
        if entity is ApiKey:
            named = named.where(ApiKey.organization_id == organization_id)
        for id_, name in await session.execute(named):
            known[f"{kind}:{id_}"] = label_of(kind, name)
    return known
