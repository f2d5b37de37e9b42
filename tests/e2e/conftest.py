"""What the end-to-end tests stand on: an installation of their own, cleared away afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.processes import Installation, installation


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    """An empty data directory and free ports; nothing runs yet."""
    with installation(tmp_path) as made:
        yield made
