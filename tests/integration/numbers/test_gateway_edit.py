"""Changing a gateway: its form, and `groupline gateways edit`."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.numbers.conftest import Desk
from tests.integration.numbers.test_pages import signed_in, words
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.factories import make_gateway
from tests.support.keys import SECRET_KEY
from tests.support.scripted_gateway import KEY
from typer.testing import CliRunner, Result

from groupline.cli.main import app
from groupline.gateways.service import read_credentials
from groupline.models import Gateway, User
from groupline.vault import Vault

NOBODY = "http://127.0.0.1:1"


@pytest.fixture
async def browser(running: RunningApp, cast: Cast, desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    """Of an administrator of the installation."""
    async with desk.database.writing() as session:
        (await session.get_one(User, cast.owner.user_id)).is_instance_admin = True
    async with signed_in(running, cast.owner) as client:
        yield client


def form(desk: Desk, **other: str) -> dict[str, str]:
    same = {"name": "Scripted", "baseUrl": desk.gateway.url, "apiKey": "", "maxInFlight": "50"}
    return same | other


async def saved(browser: httpx.AsyncClient, desk: Desk, **other: str) -> httpx.Response:
    return await browser.post(
        f"/settings/gateways/{desk.gateway_id}/edit", data=form(desk, **other)
    )


def key_of(row: Gateway) -> str:
    return read_credentials(Vault(SECRET_KEY), row)[0]


async def test_a_gateway_that_moved_gets_its_new_address_and_is_asked_there(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    async with desk.database.writing() as session:
        row = await session.get_one(Gateway, desk.gateway_id)
        row.base_url, row.unreachable_since = NOBODY, desk.clock.now()
        row.last_error, row.last_error_code = "It cannot be reached.", "unreachable"
    page = await browser.get("/settings/gateways")
    assert f'id="edit-{desk.gateway_id}"' in page.text
    assert f'value="{NOBODY}"' in page.text

    done = await saved(browser, desk, name="VPS", maxInFlight="7")
    assert "VPS is saved, and answers within" in done.text
    row = await desk.gateway_row()
    assert (row.name, row.base_url, row.max_in_flight) == ("VPS", desk.gateway.url, 7)
    assert row.unreachable_since is None
    assert key_of(row) == KEY  # left empty, so unchanged


async def test_what_comes_of_a_wrong_address_or_key_is_said_after_saving(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    wrong = await saved(browser, desk, apiKey="another-key")
    assert "Scripted is saved. But it is not as it should be: " in wrong.text
    row = await desk.gateway_row()
    assert (key_of(row), row.last_error_code) == ("another-key", "auth")
    gone = await saved(browser, desk, baseUrl=NOBODY, apiKey=KEY)
    assert "Scripted is saved. But it is not as it should be: " in gone.text
    assert (await desk.gateway_row()).last_error_code == "unreachable"


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("name", " ", "needs 1 to 80 printable characters"),
        ("name", "Taken", "There is already a gateway of that name."),
        ("baseUrl", "ftp://here", "must begin with http:// or https:// and name a host"),
        ("apiKey", "an ümlaut", "contains characters that cannot be sent"),
        ("maxInFlight", "0", "between 1 and 100"),
        ("maxInFlight", "many", "between 1 and 100"),
    ],
)
async def test_what_cannot_be_is_said_at_its_field_and_changes_nothing(
    browser: httpx.AsyncClient, desk: Desk, field: str, value: str, why: str
) -> None:
    async with desk.database.writing() as session:
        await make_gateway(session, name="Taken")
    before = await desk.gateway_row()
    page = await saved(browser, desk, **{field: value})
    assert page.status_code == 422
    dialog = page.text.partition(f'id="edit-{desk.gateway_id}"')[2].partition("</dialog>")[0]
    assert "data-open" in dialog.partition(">")[0]
    assert f'id="edit-form-{desk.gateway_id}"' in dialog  # the script renews the form by its id
    error = dialog.partition(f'id="{field}-{desk.gateway_id}-error">')[2].partition("</p>")[0]
    assert why in error
    assert "an ümlaut" not in page.text
    after = await desk.gateway_row()
    assert (after.name, after.base_url, after.credentials, after.max_in_flight) == (
        before.name,
        before.base_url,
        before.credentials,
        before.max_in_flight,
    )


async def test_the_form_says_who_sets_the_address_of_a_built_in_gateway(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    async with desk.database.writing() as session:
        (await session.get_one(Gateway, desk.gateway_id)).managed_engine = "simulator"
    page = await browser.get("/settings/gateways")
    assert "groupline up sets it anew with each start" in words(page)
    assert f'id="apiKey-{desk.gateway_id}"' not in page.text


async def test_only_administrators_of_the_installation_change_it(
    running: RunningApp, cast: Cast, desk: Desk
) -> None:
    async with signed_in(running, cast.admin) as client:
        assert (await saved(client, desk, name="Mine")).status_code == 403
    async with await running.client_of(cast.owner) as program:
        here = f"/api/v1/gateways/{desk.gateway_id}"
        refused = await program.patch(here, json={"baseUrl": NOBODY})
    assert refused.status_code == 403
    problem = refused.json()
    assert problem["detail"] == "No API key may manage this installation, whatever its scopes."
    assert "log in as an administrator of this installation" in problem["hint"]
    assert (await desk.gateway_row()).name == "Scripted"


# --- the command ------------------------------------------------------------------------------


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("GROUPLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def gateways(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["gateways", *arguments])


def answer(*arguments: str) -> Any:
    result = gateways(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.usefixtures("settings")
def test_the_command_changes_what_is_given_and_says_what_came_of_it() -> None:
    answer("add", "--name", "VPS", "--url", "http://127.0.0.1:2", "--key", "a-key")
    moved = answer("edit", "VPS", "--base-url", NOBODY, "--max-in-flight", "9")
    assert (moved["name"], moved["baseUrl"], moved["maxInFlight"]) == ("VPS", NOBODY, 9)
    assert moved["reachable"] is False
    assert moved["error"]
    said = gateways("edit", "VPS", "--name", "New", "--api-key", "another-key")
    assert said.exit_code == 0, said.output
    assert said.stdout.startswith("New is saved. But it is not as it should be: ")
    [row] = answer("list")
    assert (row["name"], row["baseUrl"]) == ("New", NOBODY)


@pytest.mark.usefixtures("settings")
def test_the_command_refuses_what_cannot_be() -> None:
    answer("add", "--name", "VPS", "--url", NOBODY)
    nothing = gateways("edit", "VPS")
    assert (nothing.exit_code, "Nothing to change" in nothing.output) == (2, True)
    wrong = gateways("edit", "VPS", "--base-url", "ftp://here")
    assert (wrong.exit_code, "must begin with http://" in wrong.output) == (1, True)
    unknown = gateways("edit", "Nowhere", "--name", "Here")
    assert (unknown.exit_code, "no gateway called" in unknown.output) == (1, True)
