"""A wrong setting stops the start with its name; the secret key is made once."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from groupline.settings import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def only_what_the_test_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("GROUPLINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "many", "integer"),
        ("PORT", "0", "greater than or equal to 1"),
        ("SECRET_KEY", "short", "32 characters"),
        ("DATABASE_URL", "mysql://nowhere", "must start with sqlite:/// or postgresql://"),
        ("LOG_FORMAT", "xml", "'auto', 'console' or 'json'"),
        ("BASE_URL", "not an address", "URL"),
        ("PACE_SECONDS", "-1", "greater than or equal to 0"),
        ("MESSAGE_LEASE_SECONDS", "44", "greater than or equal to 45"),
        ("GATEWAY_PORT", "65535", "less than or equal to 65534"),
        ("GATEWAY_MAX_SESSIONS", "0", "greater than or equal to 1"),
        ("VERIFY_SECONDS", "nan", "less than or equal to 3600"),
    ],
)
def test_a_wrong_setting_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(f"GROUPLINE_{name}", value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert str(refused.value).startswith(f"GROUPLINE_{name}: ")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPLINE_PORT", "0")
    monkeypatch.setenv("GROUPLINE_LOGIN_DAYS", "0")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == [
        "GROUPLINE_PORT",
        "GROUPLINE_LOGIN_DAYS",
    ]


def test_a_secret_that_is_wrong_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPLINE_SECRET_KEY", "hunter2")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


def test_settings_come_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GROUPLINE_PORT=9000\n")
    settings = load_settings()
    assert (settings.port, settings.effective_gateway_port) == (9000, 9001)


def test_the_secret_key_is_made_once_and_only_the_owner_can_read_it(tmp_path: Path) -> None:
    keys = {Settings(data_dir=tmp_path / "data").effective_secret_key for _ in range(3)}
    file = tmp_path / "data" / "secret_key"
    assert keys == {file.read_text()}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["secret_key"]


def test_processes_that_start_together_agree_on_the_key(tmp_path: Path) -> None:
    def key(_: int) -> str:
        return Settings(data_dir=tmp_path).effective_secret_key

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(key, range(16)))) == 1


def test_a_damaged_secret_key_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("half")
    with pytest.raises(SettingsError, match="GROUPLINE_SECRET_KEY"):
        _ = Settings(data_dir=tmp_path).effective_secret_key


def test_a_data_directory_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="GROUPLINE_DATA_DIR"):
        Settings(data_dir=tmp_path / "file" / "data").prepare_data_dir()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8420"),
        ("0.0.0.0", "http://127.0.0.1:8420"),
        ("::1", "http://[::1]:8420"),
    ],
)
def test_the_address_follows_the_host(host: str, address: str) -> None:
    assert Settings(host=host).effective_base_url == address
