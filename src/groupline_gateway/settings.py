"""All settings of the gateway. A wrong one stops the start with its name and the reason."""

import base64
import binascii
import ipaddress
import os
import secrets
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from groupline_gateway.errors import StartRefused
from groupline_gateway.logs import LogFormat

PREFIX = "GROUPLINE_GATEWAY_"
SECOND_PREFIX = f"{PREFIX}SECOND_"
_API_KEY_FILE = "api_key"


def _webhook_url(url: str | None) -> str | None:
    if url is None:
        return None
    if not url.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return url.rstrip("/")


def _webhook_secret(secret: str | None) -> str | None:
    if secret is None:
        return None
    if not secret.startswith("whsec_"):
        raise ValueError("must be a Standard Webhooks secret: whsec_ and base64")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_") + "==", validate=False)
    except binascii.Error as error:
        raise ValueError("the part after whsec_ is not base64") from error
    if len(key) < 16:
        raise ValueError("the part after whsec_ must hold at least 16 bytes")
    return secret


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Settings(BaseSettings):
    """Read from ``GROUPLINE_GATEWAY_*`` environment variables and ``.env``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, validate_default=True
    )

    host: Annotated[str, Field(min_length=1, description="The address to listen on")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="The port to listen on; 0 picks a free one")
    ] = 8421
    data_dir: Annotated[
        Path,
        Field(description="Where the store, the pairings and the API key live"),
        AfterValidator(lambda path: path.expanduser().absolute()),
    ] = Path("~/.local/share/groupline/gateway")
    engine: Annotated[
        Literal["simulator", "whatsmeow"],
        Field(description="simulator: phones that exist only here; whatsmeow: real WhatsApp"),
    ] = "simulator"
    api_key: Annotated[
        str | None,
        Field(min_length=16, description="What callers send as X-API-Key; made once in DATA_DIR"),
    ] = None
    webhook_url: Annotated[
        str | None,
        Field(description="Where events are sent; without it none are kept"),
        AfterValidator(_webhook_url),
    ] = None
    webhook_secret: Annotated[
        str | None,
        Field(description="Signs the events: whsec_ and base64"),
        AfterValidator(_webhook_secret),
    ] = None
    allow_remote: Annotated[
        bool, Field(description="Let the simulator listen on more than this machine")
    ] = False
    parent_pid: Annotated[
        int | None, Field(ge=1, description="Exit when this parent process is gone")
    ] = None
    log_format: Annotated[
        LogFormat, Field(description="json, console, or auto: console on a terminal")
    ] = "auto"
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="The least that is logged")
    ] = "INFO"
    demo_phones: Annotated[
        bool, Field(description="Start an empty simulator with two phones to try things with")
    ] = True

    max_sessions: Annotated[
        int, Field(ge=1, le=1000, description="whatsmeow: how many numbers this gateway takes")
    ] = 50
    worker_memory_mb: Annotated[
        int,
        Field(ge=100, description="whatsmeow: a session's process above this restarts when idle"),
    ] = 250
    send_seconds: Annotated[
        float,
        Field(gt=0, le=120, description="whatsmeow: a send without an answer after this is open"),
    ] = 28.0
    max_media_mb: Annotated[
        int, Field(ge=1, le=2000, description="whatsmeow: the largest file that is sent")
    ] = 100
    private_media: Annotated[
        bool, Field(description="whatsmeow: fetch media from addresses in private networks too")
    ] = False

    @model_validator(mode="after")
    def _belong_together(self) -> "Settings":
        if self.webhook_url is not None and self.webhook_secret is None:
            raise ValueError("WEBHOOK_SECRET: is needed to sign what goes to WEBHOOK_URL")
        simulates = self.engine == "simulator"
        if simulates and not (self.allow_remote or is_loopback(self.host)):
            raise ValueError(
                f"HOST: the simulator listens only on this machine, and {self.host} is more "
                "than that; ALLOW_REMOTE=true permits it"
            )
        return self

    @cached_property
    def effective_api_key(self) -> str:
        """The key given, or the one in ``DATA_DIR``, made on first use with mode 0600."""
        if self.api_key is not None:
            return self.api_key.strip()
        self.prepare_data_dir()
        path = self.data_dir / _API_KEY_FILE
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _read_api_key(path)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
        return _read_api_key(path)

    def prepare_data_dir(self) -> None:
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StartRefused(f"{PREFIX}DATA_DIR: {error.strerror}: {self.data_dir}") from error
        if not os.access(self.data_dir, os.W_OK | os.X_OK):
            raise StartRefused(f"{PREFIX}DATA_DIR: not writable: {self.data_dir}")


def _read_api_key(path: Path) -> str:
    key = path.read_text().strip()
    if len(key) < 16:
        raise StartRefused(f"{PREFIX}API_KEY: {path} is damaged; delete it to have a new one made")
    return key


def load_settings(**given: Any) -> Settings:
    """The settings of this process, or ``StartRefused`` naming every wrong one."""
    try:
        return Settings(**given)
    except ValidationError as error:
        raise StartRefused("\n".join(map(_sentence, error.errors()))) from error


def second_settings() -> Settings | None:
    """Those of a second gateway in this process: ``GROUPLINE_GATEWAY_SECOND_*``, if they name
    an engine."""
    if not os.environ.get(f"{SECOND_PREFIX}ENGINE"):
        return None
    try:
        return Settings(_env_prefix=SECOND_PREFIX, _env_file=None)
    except ValidationError as error:
        sentences = (_sentence(each, SECOND_PREFIX) for each in error.errors())
        raise StartRefused("\n".join(sentences)) from error


def _sentence(error: object, prefix: str = PREFIX) -> str:
    details: dict[str, object] = dict(error)  # type: ignore[call-overload]
    location = details.get("loc")
    reason = str(details.get("msg", "is wrong")).removeprefix("Value error, ")
    if not (isinstance(location, tuple) and location):
        return f"{prefix}{reason}"
    return f"{prefix}{str(location[0]).upper()}: {reason}"
