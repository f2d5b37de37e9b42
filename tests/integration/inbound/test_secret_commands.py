"""``groupline gateways rotate-secret`` and ``drop-old-secret``."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from groupline.cli.main import app


@pytest.fixture(autouse=True)
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("GROUPLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def answer(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["gateways", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_secret_is_rotated_and_the_old_one_dropped() -> None:
    first = "the first secret of this gateway"
    answer("add", "--name", "VPS", "--url", "http://127.0.0.1:1", "--webhook-secret", first)
    made = answer("rotate-secret", "VPS", "--keep-days", "3")
    assert made["secret"].startswith("whsec_")
    assert made["oldValidUntil"] is not None
    answer("drop-old-secret", "VPS")
    again = CliRunner().invoke(app, ["gateways", "drop-old-secret", "VPS"])
    assert again.exit_code == 1
    assert "no old webhook secret" in again.output


def test_a_gateway_without_a_secret_gets_its_first() -> None:
    answer("add", "--name", "VPS", "--url", "http://127.0.0.1:1")
    assert answer("rotate-secret", "VPS")["oldValidUntil"] is None


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("short", "has 5 characters; it needs between 16 and 512 characters"),
        ("x" * 513, "has 513 characters; it needs between 16 and 512 characters"),
        ("a secret with an ümlaut", "ASCII letters, digits and signs only"),
    ],
)
def test_a_secret_that_cannot_be_used_is_refused_with_the_limits(secret: str, words: str) -> None:
    wanted = ["gateways", "add", "--name", "VPS", "--url", "http://127.0.0.1:1"]
    refused = CliRunner().invoke(app, [*wanted, "--webhook-secret", secret])
    assert refused.exit_code == 1
    assert words in refused.output
    assert secret not in refused.output
    listed = CliRunner().invoke(app, ["gateways", "list", "--json"])
    assert json.loads(listed.stdout) == []
