"""The organization of the caller."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field

from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import ApiModel
from groupline.orgs.rules import Permission, Principal
from groupline.orgs.service import change_organization, organization_of

router = APIRouter(prefix="/organization", tags=["organization"])

Reader = Annotated[Principal, Depends(allowed(Permission.READ))]
Owner = Annotated[Principal, Depends(allowed(Permission.ORGANIZATION))]


class OrganizationOut(ApiModel):
    id: UUID
    name: str = Field(examples=["Morning Workshops"])
    slug: str = Field(examples=["morning-workshops"])
    timezone: str = Field(examples=["Asia/Kolkata"])
    created_at: datetime


class OrganizationPatch(ApiModel):
    name: str | None = Field(None, examples=["Morning Workshops"])
    slug: str | None = Field(None, examples=["morning-workshops"])
    timezone: str | None = Field(None, examples=["Asia/Kolkata"])


@router.get("", summary="Show the organization")
async def show(runtime: CurrentRuntime, principal: Reader) -> OrganizationOut:
    async with runtime.database.reading() as session:
        return OrganizationOut.model_validate(await organization_of(session, principal))


@router.patch("", summary="Change the organization")
async def change(
    runtime: CurrentRuntime, principal: Owner, body: OrganizationPatch
) -> OrganizationOut:
    """What is left out stays as it is."""
    async with runtime.database.writing() as session:
        organization = await change_organization(
            session,
            principal,
            name=body.name,
            slug=body.slug,
            timezone=body.timezone,
            now=runtime.clock.now(),
        )
    return OrganizationOut.model_validate(organization)
