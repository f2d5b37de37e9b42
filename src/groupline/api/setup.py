"""What a one-time link opens: the first run, and the password of a new member."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from groupline.api.organization import OrganizationOut
from groupline.http.auth import client_of, own_site_only, set_login_cookie
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import ApiModel
from groupline.orgs.setup import FirstRunInput, choose_password, set_up

router = APIRouter(prefix="/setup", tags=["account"], dependencies=[Depends(own_site_only)])

Password = Annotated[str, Field(max_length=4096, repr=False, description="10 to 1024 characters")]
Token = Annotated[
    str, Field(max_length=200, repr=False, description="The last part of the one-time link")
]


class SetupIn(ApiModel):
    token: Token
    organization_name: str = Field(examples=["Morning Workshops"])
    name: str
    email: str = Field(max_length=1000, examples=["owner@example.org"])
    password: Password
    timezone: str = Field("UTC", examples=["Asia/Kolkata"])


class SetupOut(ApiModel):
    user_id: UUID
    organization: OrganizationOut


class TokenPasswordIn(ApiModel):
    token: Token
    password: Password


class PasswordOut(ApiModel):
    user_id: UUID
    login_expires_at: datetime


@router.post(
    "", status_code=201, summary="Create the first account", openapi_extra={"security": []}
)
async def first_run(
    request: Request, response: Response, runtime: CurrentRuntime, body: SetupIn
) -> SetupOut:
    """Works once, with the link that `groupline up` prints, as long as nobody has an account.
    Sets the login cookie."""
    created, login = await set_up(
        runtime.database,
        runtime.clock,
        body.token,
        FirstRunInput(**body.model_dump(exclude={"token"})),
        client=client_of(request),
        lifetime=timedelta(days=runtime.settings.login_days),
    )
    set_login_cookie(response, runtime, login)
    return SetupOut(
        user_id=created.user.id,
        organization=OrganizationOut.model_validate(created.organization),
    )


@router.post("/password", summary="Choose a first password", openapi_extra={"security": []})
async def password(
    request: Request, response: Response, runtime: CurrentRuntime, body: TokenPasswordIn
) -> PasswordOut:
    """With the link that a new member was given. Sets the login cookie."""
    login = await choose_password(
        runtime.database,
        runtime.clock,
        body.token,
        body.password,
        client=client_of(request),
        lifetime=timedelta(days=runtime.settings.login_days),
    )
    set_login_cookie(response, runtime, login)
    return PasswordOut(user_id=login.user_id, login_expires_at=login.expires_at)
