"""The key of the simulated phones lies where whoever runs Groupline finds it, and nobody else."""

import stat
from pathlib import Path

from groupline.cli.up import show_simulator_key
from groupline.gateways.managed import ManagedGateway
from groupline.settings import Settings

REAL = ManagedGateway("whatsmeow", "http://127.0.0.1:8422", "a key of real phones", "a secret")


def simulated(key: str) -> ManagedGateway:
    return ManagedGateway("simulator", "http://127.0.0.1:8421", key, "a secret")


def test_it_is_that_of_the_last_start_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, _env_file=None)
    path = tmp_path / "simulator_key"
    path.write_text("a longer key, of an installation before this one")
    path.chmod(0o644)
    show_simulator_key(settings, [REAL, simulated("a key")])
    assert path.read_text() == "a key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
