"""No secret, QR code, message text or full phone number is in a log (rule 12)."""

import io
import json
import logging
from typing import Any

import pytest
import structlog

from groupline.logs import configure_logging


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What goes to stderr."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    configure_logging("json", build="1+abc")
    return written


def written(lines: io.StringIO) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(lines.getvalue().splitlines()[-1])
    return event


@pytest.mark.parametrize("field", ["token", "password", "qr", "content", "proxy", "api_key"])
def test_a_field_that_names_a_secret_is_removed(lines: io.StringIO, field: str) -> None:
    structlog.get_logger("test").info("happened", **{field: "swordfish"})
    assert written(lines)[field] == "[removed]"
    assert "swordfish" not in lines.getvalue()


@pytest.mark.parametrize("phone", ["+919876543210", "919876543210"])
def test_phone_numbers_are_masked_wherever_they_stand(lines: io.StringIO, phone: str) -> None:
    structlog.get_logger("test").warning("number.lost", detail=f"{phone} was logged out")
    logging.getLogger("some.library").error("failed for %s", phone)
    assert phone not in lines.getvalue()
    assert lines.getvalue().count("…10") == 2


def test_ids_and_times_are_left_alone(lines: io.StringIO) -> None:
    subject = "01a1fd91-ec81-7000-86d5-982d5feaaca1"
    structlog.get_logger("test").info("happened", subject_id=subject)
    assert written(lines)["subject_id"] == subject


def test_every_line_carries_the_build_also_those_of_libraries(lines: io.StringIO) -> None:
    structlog.get_logger("test").info("happened")
    logging.getLogger("some.library").error("failed")
    events = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [event["build"] for event in events] == ["1+abc", "1+abc"]


def test_a_logger_in_use_follows_who_configures_later(capsys: pytest.CaptureFixture[str]) -> None:
    logger = structlog.get_logger("test")
    configure_logging("json", build="1+abc", level="ERROR")
    logger.info("quiet")
    configure_logging("json", build="1+abc", level="INFO")
    logger.info("heard")
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["heard"]
