"""The limits of the built-in gateway: listed with our settings, and handed on to it."""

import os
from pathlib import Path

import pytest

from groupline.cli.up import gateway_environment
from groupline.gateways.managed import ManagedGateway
from groupline.settings import Settings, load_settings
from groupline_gateway import settings as of_gateway

LIMITS = ["max_sessions", "worker_memory_mb", "send_seconds", "max_media_mb", "private_media"]
GATEWAYS = [
    ManagedGateway("simulator", "http://127.0.0.1:8421", "a key of the first", "whsec_" + "A" * 44),
    ManagedGateway("whatsmeow", "http://127.0.0.1:8422", "a key of the other", "whsec_" + "B" * 44),
]


@pytest.fixture(autouse=True)
def only_what_the_test_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("GROUPLINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", LIMITS)
def test_without_a_word_they_are_those_of_the_gateway(name: str) -> None:
    ours = Settings.model_fields[f"gateway_{name}"].default
    assert ours == of_gateway.Settings.model_fields[name].default


def test_they_reach_the_gateway_of_real_phones_from_the_environment_and_from_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("GROUPLINE_GATEWAY_WORKER_MEMORY_MB=180\n")
    monkeypatch.setenv("GROUPLINE_GATEWAY_MAX_SESSIONS", "7")
    monkeypatch.setenv("GROUPLINE_GATEWAY_PRIVATE_MEDIA", "true")
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", "sqlite:///elsewhere.db")
    given = gateway_environment(load_settings(), GATEWAYS)
    assert "GROUPLINE_DATABASE_URL" not in given
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    for settings in (of_gateway.load_settings(), of_gateway.second_settings()):
        assert settings is not None
        assert (settings.max_sessions, settings.worker_memory_mb) == (7, 180)
        assert settings.private_media
