"""What the use cases need that talk to a gateway between two transactions."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from groupline.clock import Clock
from groupline.db import Database
from groupline.gateways.service import Gateways
from groupline.vault import Vault


@dataclass(frozen=True, slots=True)
class Context:
    database: Database
    gateways: Gateways
    vault: Vault
    clock: Clock
    verify_every: timedelta = timedelta(seconds=60)
    roll: Callable[[], float] = random.random
    """Jitter: between 0 and 1."""
