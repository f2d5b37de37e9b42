"""What the use cases need that talk to a gateway between two transactions."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, Self

from groupline.clock import Clock
from groupline.db import Database
from groupline.gateways.service import Gateways
from groupline.settings import DEFAULT_PACE_SECONDS, Settings
from groupline.vault import Vault


class Parts(Protocol):
    """What a process runs on, as far as it matters here."""

    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def database(self) -> Database: ...
    @property
    def vault(self) -> Vault: ...
    @property
    def gateways(self) -> Gateways: ...


@dataclass(frozen=True, slots=True)
class Context:
    database: Database
    gateways: Gateways
    vault: Vault
    clock: Clock
    verify_every: timedelta = timedelta(seconds=60)
    pace_seconds: float = DEFAULT_PACE_SECONDS
    """Of numbers that are new."""
    roll: Callable[[], float] = random.random
    """Jitter: between 0 and 1."""

    @classmethod
    def of(cls, parts: Parts) -> Self:
        return cls(
            database=parts.database,
            gateways=parts.gateways,
            vault=parts.vault,
            clock=parts.clock,
            verify_every=timedelta(seconds=parts.settings.verify_seconds),
            pace_seconds=parts.settings.pace_seconds,
        )
