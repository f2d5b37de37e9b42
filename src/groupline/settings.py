"""All settings, in one place. A wrong one stops the start with its name and the reason."""

import contextlib
import os
import secrets
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AnyHttpUrl, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

LogFormat = Literal["auto", "console", "json"]

PREFIX = "GROUPLINE_"
DEFAULT_PACE_SECONDS: Final = 1.0
_SECRET_KEY_FILE = "secret_key"
_DATABASE_SCHEMES = ("sqlite:", "postgresql:", "postgresql+psycopg:", "postgres:")


class SettingsError(Exception):
    """A setting is wrong; the message names it and says why."""


def _database_scheme(url: str) -> str:
    if not url.startswith(_DATABASE_SCHEMES):
        raise ValueError("must start with sqlite:/// or postgresql://")
    return url


class Settings(BaseSettings):
    """Read from ``GROUPLINE_*`` environment variables and ``.env``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,  # an empty variable is one that nobody has set
        extra="ignore",
        frozen=True,
        validate_default=True,
    )

    data_dir: Annotated[
        Path,
        Field(description="Where the database, the secret key and the gateway's store live"),
        AfterValidator(lambda path: path.expanduser().absolute()),
    ] = Path("~/.local/share/groupline")
    database_url: Annotated[
        str | None,
        Field(description="sqlite:///path or postgresql://…; without it SQLite in DATA_DIR"),
        AfterValidator(lambda url: url if url is None else _database_scheme(url)),
    ] = None
    secret_key: Annotated[
        str | None,
        Field(min_length=32, description="Encrypts secrets at rest; made once in DATA_DIR"),
    ] = None
    base_url: Annotated[
        AnyHttpUrl | None, Field(description="The address people and gateways reach Groupline at")
    ] = None
    host: Annotated[str, Field(min_length=1, description="The address to listen on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, description="The port to listen on")] = 8420
    gateway_port: Annotated[
        int | None,
        Field(
            ge=1,
            le=65534,
            description="Port of the built-in gateway; real phones take the one after it as well;"
            " without it PORT + 1",
        ),
    ] = None
    gateway_max_sessions: Annotated[
        int, Field(ge=1, le=1000, description="How many real numbers the built-in gateway takes")
    ] = 50
    gateway_worker_memory_mb: Annotated[
        int,
        Field(ge=100, description="A real number's process above this is started anew when idle"),
    ] = 250
    gateway_send_seconds: Annotated[
        float,
        Field(gt=0, le=120, description="A send without WhatsApp's answer after this is uncertain"),
    ] = 28.0
    gateway_max_media_mb: Annotated[
        int, Field(ge=1, le=2000, description="The largest file that real numbers send")
    ] = 100
    gateway_private_media: Annotated[
        bool, Field(description="The built-in gateway fetches media from private networks too")
    ] = False
    log_format: Annotated[
        LogFormat, Field(description="json, console, or auto: console on a terminal")
    ] = "auto"
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="The least that is logged")
    ] = "INFO"
    login_days: Annotated[int, Field(ge=1, le=365, description="How long a login lasts")] = 30
    login_attempts: Annotated[
        int, Field(ge=1, le=1000, description="Failed logins per 15 minutes before a pause")
    ] = 10
    pace_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            description="Pause between two messages of a new number, from the start of a request "
            "to the start of the next; a gateway that takes longer is followed at once",
        ),
    ] = DEFAULT_PACE_SECONDS
    verify_seconds: Annotated[
        float, Field(ge=1, le=3600, description="How often each session is verified")
    ] = 60.0
    message_lease_seconds: Annotated[
        float, Field(ge=45, le=3600, description="How long a worker may hold a claimed message")
    ] = 60.0
    media_allow_private: Annotated[
        bool, Field(description="Media may also lie on this machine and in its private network")
    ] = False
    outgoing_allow_private: Annotated[
        bool, Field(description="Webhooks and alerts may also go to this machine and its network")
    ] = False
    outgoing_days: Annotated[
        int, Field(ge=1, le=3650, description="How long deliveries of webhooks and alerts are kept")
    ] = 30
    alert_grace_seconds: Annotated[
        float,
        Field(ge=0, le=3600, description="A number that is back so soon raises no alert"),
    ] = 60.0
    metrics_token: Annotated[
        str | None,
        Field(min_length=16, description="Bearer token for /metrics from beyond loopback"),
    ] = None

    @property
    def effective_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'groupline.db'}"

    @property
    def effective_gateway_port(self) -> int:
        return self.gateway_port or self.port + 1

    @property
    def effective_base_url(self) -> str:
        if self.base_url is not None:
            return str(self.base_url).rstrip("/")
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @cached_property
    def effective_secret_key(self) -> str:
        """The key given, or the one in ``DATA_DIR``, made on first use with mode 0600."""
        if self.secret_key is not None:
            return self.secret_key
        self.prepare_data_dir()
        path = self.data_dir / _SECRET_KEY_FILE
        if not path.exists():
            _create_secret_key(path)
        return _read_secret_key(path)

    def prepare_data_dir(self) -> None:
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"{PREFIX}DATA_DIR: {error.strerror}: {self.data_dir}") from error
        if not os.access(self.data_dir, os.W_OK | os.X_OK):
            raise SettingsError(f"{PREFIX}DATA_DIR: not writable: {self.data_dir}")


def _create_secret_key(path: Path) -> None:
    """Appears whole or not at all, and only once, however many processes start together."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(48))
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


def _read_secret_key(path: Path) -> str:
    key = path.read_text().strip()
    if len(key) < 32:
        raise SettingsError(
            f"{PREFIX}SECRET_KEY: {path} is damaged (shorter than 32 characters); "
            "restore it from a backup, secrets in the database depend on it"
        )
    return key


def load_settings() -> Settings:
    """The settings of this process, or a ``SettingsError`` that names every wrong one."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(map(_sentence, error.errors()))) from error


def _sentence(error: object) -> str:
    details: dict[str, object] = dict(error)  # type: ignore[call-overload]
    location = details.get("loc")
    name = str(location[0]) if isinstance(location, tuple) and location else "?"
    reason = str(details.get("msg", "is wrong")).removeprefix("Value error, ")
    return f"{PREFIX}{name.upper()}: {reason}"
