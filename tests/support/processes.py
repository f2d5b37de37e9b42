"""Groupline as real processes: started, watched, ended and killed, with nothing left behind."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from tests.support.api import DEADLINE, Api, Simulator, answers, until
from tests.support.ports import first_of_two_free_ports, free_port

from groupline.settings import Settings
from groupline.vault import Vault

_STOP_SECONDS: Final = 10.0
"""How long a process may take to end when the test is over; then it is killed."""
_LINK = re.compile(r"http://\S+/setup/\S+")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command that has ended said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, f"exit code {self.code}: {self.err}"
        return json.loads(self.out)


class Process:
    """A process in a session of its own, so that its children can be found after its death."""

    def __init__(self, arguments: list[str], environment: dict[str, str], home: Path) -> None:
        name = "-".join(word for word in arguments[1:] if not word.startswith("-"))
        taken = len(list(home.glob(f"{name}.*.out")))
        self.out_path = home / f"{name}.{taken}.out"
        self.err_path = home / f"{name}.{taken}.err"
        with self.out_path.open("wb") as out, self.err_path.open("wb") as err:
            self._popen = subprocess.Popen(
                arguments,
                env=environment,
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def out(self) -> str:
        return self.out_path.read_text()

    @property
    def err(self) -> str:
        return self.err_path.read_text()

    def is_running(self) -> bool:
        return self._popen.poll() is None

    def members(self) -> list[int]:
        """Whoever lives of its session: itself, and what it has started."""
        return _living(self.pid)

    def children(self) -> list[int]:
        return [pid for pid in self.members() if pid != self.pid]

    def wait(self, seconds: float = DEADLINE) -> int:
        """Its exit code; negative is the signal that ended it."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {seconds:.0f} s:\n{self.tail()}") from None

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self._popen.terminate()
        return self.wait()

    def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is closed, and children are not told."""
        self._popen.kill()
        self.wait()

    def clear_away(self) -> None:
        """At the end of a test: nothing may live on, whatever happened."""
        if self.is_running():
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(_STOP_SECONDS)
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._popen.wait()

    def tail(self, lines: int = 60) -> str:
        """The end of what it wrote, for the report of a test that failed."""
        last = "\n".join((self.out + self.err).splitlines()[-lines:])
        return f"--- {self.out_path.stem} ---\n{last}"


def _living(session: int) -> list[int]:
    """The processes of a session that are not dead; where there is no /proc, ``ps`` is asked."""
    if Path("/proc/self/stat").exists():
        return sorted(pid for pid, sid, state in _from_proc() if sid == session and state != "Z")
    shown = subprocess.run(["ps", "-axo", "pid=,pgid=,stat="], capture_output=True, check=True)
    rows = (line.split() for line in shown.stdout.decode().splitlines())
    return sorted(
        int(pid) for pid, group, state in rows if int(group) == session and state[0] != "Z"
    )


def _from_proc() -> Iterator[tuple[int, int, str]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it ended while we looked
            state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            yield int(entry.name), int(session), state


@dataclass
class Installation:
    """A data directory and two ports: what one ``groupline up`` lives on, started or not."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    """More of the environment, or other values than these."""
    port: int = field(default_factory=free_port)
    gateway_port: int = field(default_factory=first_of_two_free_ports)
    processes: list[Process] = field(default_factory=list)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_dir(self) -> Path:
        return self.home / "data"

    @property
    def database_url(self) -> str:
        own = f"sqlite:///{self.data_dir / 'groupline.db'}"
        return self.settings.get("GROUPLINE_DATABASE_URL", own)

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if "GROUPLINE" not in name}
        ours.pop("PYTHONDONTWRITEBYTECODE", None)  # it would double the time of every start
        return (
            ours
            | {
                "GROUPLINE_DATA_DIR": str(self.data_dir),
                "GROUPLINE_PORT": str(self.port),
                "GROUPLINE_GATEWAY_PORT": str(self.gateway_port),
                "GROUPLINE_LOG_FORMAT": "json",
                "COLUMNS": "200",
            }
            | self.settings
        )

    def run(self, *words: str, stdin: str = "") -> Answer:
        """A command from its start to its end."""
        ended = subprocess.run(
            [*_program(), *words],
            env=self.environment,
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        return Answer(ended.returncode, ended.stdout, ended.stderr)

    def start(self, *words: str, **settings: str) -> Process:
        """A process that stays, until the test ends."""
        process = Process([*_program(), *words], self.environment | settings, self.home)
        self.processes.append(process)
        return process

    def up(self) -> Process:
        """``groupline up``, once it serves and its gateways answer."""
        process = self.start("up")
        self.wait_until_served(process)
        for port in (self.gateway_port, self.gateway_port + 1):
            self.wait_for_gateway(process, port)
        return process

    def wait_until_served(self, process: Process, path: str = "/readyz") -> None:
        def served() -> bool:
            assert process.is_running(), f"it ended:\n{process.tail()}"
            return answers(self.url + path)

        until(f"{self.url}{path} answers", served)

    def wait_for_gateway(self, process: Process, port: int | None = None) -> None:
        health = f"http://127.0.0.1:{port or self.gateway_port}/health"
        until(f"the gateway answers\n{process.tail()}", lambda: answers(health))

    def setup_link(self, process: Process) -> str:
        """The link that ``up`` prints as long as nobody has an account."""
        found = until("a link is printed", lambda: _LINK.search(process.out))
        return found.group()

    def new_organization(self, name: str = "Morning Workshops") -> Api:
        """An organization and a key to its API, made by the command line."""
        slug = self.run("org", "add", name, "--timezone", "Asia/Kolkata", "--json").json["slug"]
        return self.api_of(slug)

    def api_of(self, slug: str, scopes: str = "read,write,send,admin") -> Api:
        made = self.run("apikey", "create", "--org", slug, "--scopes", scopes, "--json")
        return self.api(made.json["key"])

    def api(self, key: str) -> Api:
        return self.stack.enter_context(Api(self.url, key))

    def simulator(self) -> Simulator:
        """With the key of the gateway, as whoever owns the data directory can read it."""
        settings = Settings(data_dir=self.data_dir, _env_file=None)
        with contextlib.closing(sqlite3.connect(self.data_dir / "groupline.db")) as connection:
            ((gateway_id, stored),) = connection.execute(
                "SELECT id, credentials FROM gateways WHERE managed_engine = 'simulator'"
            ).fetchall()
        key = json.loads(Vault(settings.effective_secret_key).decrypt(stored))["key"]
        url = f"http://127.0.0.1:{self.gateway_port}"
        return self.stack.enter_context(Simulator(url, key, str(UUID(gateway_id))))

    def clear_away(self) -> None:
        """Ends what runs; the logs go to the report, which shows them when the test failed."""
        self.stack.close()
        while self.processes:
            process = self.processes.pop()
            process.clear_away()
            sys.stdout.write(process.tail() + "\n")


@contextmanager
def installation(home: Path, **settings: str) -> Iterator[Installation]:
    """An installation in ``home``; at the end of the block nothing of it runs any more."""
    home.mkdir(parents=True, exist_ok=True)
    made = Installation(home, settings)
    try:
        yield made
    finally:
        made.clear_away()


def _program() -> list[str]:
    """The command, as it is installed beside this Python."""
    return [str(Path(sys.executable).parent / "groupline")]
