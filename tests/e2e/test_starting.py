"""What stops a start, and what a start promises."""

import socket
import stat

import pytest
from tests.support.api import answers
from tests.support.ports import free_port
from tests.support.processes import Installation

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "harbour", "valid integer"),
        ("DATABASE_URL", "mysql://nobody@localhost/x", "must start with sqlite:/// or postgresql"),
        ("DATA_DIR", "/dev/null/data", "Not a directory"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_its_name(
    place: Installation, name: str, value: str, reason: str
) -> None:
    place.settings[f"GROUPLINE_{name}"] = value
    answer = place.run("up")
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith(f"groupline: GROUPLINE_{name}: ")
    assert reason in answer.err
    assert len(answer.err.splitlines()) == 1
    assert value not in answer.err or name == "DATA_DIR"


def test_every_wrong_setting_is_named_at_once(place: Installation) -> None:
    place.settings |= {"GROUPLINE_PORT": "0", "GROUPLINE_PACE_SECONDS": "-1"}
    answer = place.run("web")
    assert answer.code == 2
    assert [line.partition(": ")[0] for line in answer.err.splitlines()] == [
        "groupline",
        "GROUPLINE_PACE_SECONDS",
    ]
    assert "GROUPLINE_PORT" in answer.err


def test_a_used_port_stops_the_start_and_leaves_nothing_running(place: Installation) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", place.port))
        taken.listen()
        process = place.start("up")
        assert process.wait() == 2
    assert f"GROUPLINE_PORT: cannot listen on 127.0.0.1:{place.port}" in process.err
    assert process.members() == []
    assert not answers(f"http://127.0.0.1:{place.gateway_port}/health")


def test_the_used_port_of_real_phones_is_named_too(place: Installation) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", place.gateway_port + 1))
        taken.listen()
        process = place.start("up")
        assert process.wait() == 2
    assert "GROUPLINE_GATEWAY_PORT: real phones take the port after it" in process.err
    assert f"127.0.0.1:{place.gateway_port + 1}: Address already in use" in process.err
    assert process.members() == []


def test_a_database_that_was_not_upgraded_stops_web_and_worker(place: Installation) -> None:
    for name in ("web", "worker"):
        answer = place.run(name)
        assert answer.code == 2
        assert "groupline db upgrade" in answer.err.splitlines()[-1]


def test_an_installation_is_served_and_out_of_reach_of_other_users(place: Installation) -> None:
    process = place.up()
    assert answers(place.setup_link(process))
    assert answers(f"{place.url}/healthz")
    assert stat.S_IMODE(place.data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((place.data_dir / "secret_key").stat().st_mode) == 0o600


def _address_of_gateway(place: Installation) -> str:
    listed = place.run("gateways", "list", "--json").json
    (address,) = (row["baseUrl"] for row in listed if row["engine"] == "simulator")
    return str(address)


def test_a_second_start_on_the_same_data_disturbs_nothing_of_the_first(
    place: Installation,
) -> None:
    place.up()
    before = _address_of_gateway(place)
    other_port = {"GROUPLINE_PORT": str(free_port()), "GROUPLINE_GATEWAY_PORT": str(free_port())}
    for settings in ({}, other_port):
        second = place.start("up", **settings)
        assert second.wait() == 2
        assert second.err.startswith("groupline: GROUPLINE_")
    assert _address_of_gateway(place) == before
    assert place.run("status").code == 0
