import pytest

from groupline.errors import InvalidInput
from groupline.gateways.drivers.base import (
    Answer,
    AuthScheme,
    Endpoint,
    HttpPool,
    normalise_base_url,
    normalise_key,
)
from groupline.gateways.drivers.groupline import GrouplineDriver
from groupline.gateways.port import Capabilities, Capability, SimulatedPhones
from groupline.gateways.registry import DriverRegistry, GatewayFacts, check_kind


def test_the_driver_of_a_kind_gets_the_capabilities_that_are_known() -> None:
    capabilities = Capabilities(frozenset({Capability.CLIENT_REF}))
    facts = GatewayFacts("groupline", "http://gateway.example", "key", capabilities=capabilities)
    driver = DriverRegistry(HttpPool()).build(facts)
    assert isinstance(driver, GrouplineDriver)
    assert isinstance(driver, SimulatedPhones)
    assert driver.capabilities == capabilities


@pytest.mark.parametrize("kind", ["waha", "evolution", "gowa", "", "Groupline"])
def test_a_kind_without_a_driver_is_refused_plainly(kind: str) -> None:
    with pytest.raises(InvalidInput, match="This build has no driver") as refused:
        check_kind(kind)
    assert refused.value.fields == {"kind": "must be one of: groupline"}


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (" http://gateway.example:3000/ ", "http://gateway.example:3000"),
        ("https://gateway.example/wa//", "https://gateway.example/wa"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_an_address_is_normalised(text: str, url: str) -> None:
    assert normalise_base_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gateway.example",
        "ftp://gateway.example",
        "http://",
        "http://user:secret@gateway.example",
        "http://gateway.example/?a=1",
        "http://gateway.example/#a",
        "http://gateway.example:port",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        normalise_base_url(text)
    assert "baseUrl" in refused.value.fields
    assert "secret" not in str(refused.value.problem())


def test_a_key_may_be_pasted_with_blanks_around_it() -> None:
    assert normalise_key("\t my-key \n") == "my-key"


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "clé", "x" * 513])
def test_a_key_that_cannot_be_sent_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        normalise_key(key)
    assert key not in str(refused.value.problem())


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        (AuthScheme.API_KEY, {"X-API-Key": "my-key"}),
        (AuthScheme.BEARER, {"Authorization": "Bearer my-key"}),
    ],
)
def test_one_scheme_is_used_and_never_several(scheme: AuthScheme, headers: dict[str, str]) -> None:
    assert Endpoint("http://gateway.example", "my-key", scheme).auth_headers() == headers


def test_without_a_key_there_is_no_header() -> None:
    assert Endpoint("http://gateway.example", " ").auth_headers() == {}


def test_no_representation_contains_the_key() -> None:
    assert "my-key" not in repr(Endpoint("http://gateway.example", "my-key"))
    assert "my-key" not in repr(GatewayFacts("groupline", "http://gateway.example", "my-key"))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30.0),
        ({"Retry-After": "99999999999"}, 86_400.0),
        (
            {
                "Retry-After": "Fri, 02 Jan 2026 00:01:00 GMT",
                "Date": "Fri, 02 Jan 2026 00:00:15 GMT",
            },
            45.0,
        ),
        ({"Retry-After": "Fri, 02 Jan 2026 00:01:00 GMT"}, None),
        ({"Retry-After": "soon", "Date": "Fri, 02 Jan 2026 00:00:15 GMT"}, None),
        ({"Retry-After": "-1"}, None),
        ({}, None),
    ],
)
def test_how_long_the_gateway_wants_us_to_wait(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert Answer(429, b"", headers, 0.0).retry_after == seconds
