"""How the simulator behaves as a whole; kept, like everything else of it, across restarts."""

import sqlite3
from collections.abc import Callable

from groupline_gateway.engines.simulator.schemas import Dialect, Limits
from groupline_gateway.engines.simulator.traffic import Traffic
from groupline_gateway.store import Store

_NATIVE = Dialect()


class Options:
    def __init__(
        self, store: Store, traffic: Traffic, on_dialect: Callable[[Dialect], None]
    ) -> None:
        self._store = store
        self._traffic = traffic
        self._on_dialect = on_dialect
        self.dialect = _NATIVE

    @property
    def native(self) -> bool:
        return self.dialect is _NATIVE

    async def load(self) -> None:
        rows = await self._store.read(
            lambda connection: connection.execute("SELECT key, value FROM sim_options").fetchall()
        )
        values = {row["key"]: row["value"] for row in rows}
        if "dialect" in values:
            self._adopt(Dialect.model_validate_json(values["dialect"]))
        if "limits" in values:
            self._traffic.cap = Limits.model_validate_json(values["limits"]).in_flight

    async def speak(self, dialect: Dialect) -> None:
        await self._save("dialect", dialect.model_dump_json())
        self._adopt(dialect)

    async def limit(self, limits: Limits) -> None:
        await self._save("limits", limits.model_dump_json())
        self._traffic.cap = limits.in_flight

    async def claim_first_start(self) -> bool:
        """True once in the life of a store."""

        def work(connection: sqlite3.Connection) -> bool:
            return bool(
                connection.execute(
                    "INSERT INTO sim_options VALUES ('started', 'yes') ON CONFLICT DO NOTHING"
                ).rowcount
            )

        return await self._store.write(work)

    def _adopt(self, dialect: Dialect) -> None:
        self.dialect = _NATIVE if dialect == _NATIVE else dialect
        self._on_dialect(self.dialect)

    async def _save(self, key: str, value: str) -> None:
        await self._store.write(
            lambda connection: (
                connection.execute(
                    "INSERT INTO sim_options VALUES (?, ?)"
                    " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    (key, value),
                ).rowcount
            )
        )
