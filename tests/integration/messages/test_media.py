"""Media behind a real server: there, of its kind, small enough, and never in our own network."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.media import HERE, MediaServer, Names, media_server, only

from groupline.errors import InvalidInput
from groupline.messages import media
from groupline.messages.media import MediaPolicy
from groupline.messages.media_kinds import MEGABYTE
from groupline.models import MediaType

ELSEWHERE = "127.0.0.2"
ALLOWED = only(HERE)


@pytest.fixture
async def server() -> AsyncIterator[MediaServer]:
    async with media_server() as running:
        yield running


async def refusal(url: str, kind: MediaType | None = None, policy: MediaPolicy = ALLOWED) -> str:
    with pytest.raises(InvalidInput) as refused:
        await media.check(url, kind, policy=policy)
    assert set(refused.value.fields) == {"mediaUrl"}
    return refused.value.detail


@pytest.mark.parametrize(
    ("name", "kind"), [("png", "image"), ("jpg", "image"), ("mp4", "video"), ("pdf", "document")]
)
async def test_what_is_there_is_known_by_kind_and_size(
    server: MediaServer, name: str, kind: str
) -> None:
    url = f"{server.url}/file.{name}"
    found = await media.check(url, policy=ALLOWED)
    assert (found.url, found.kind) == (url, kind)
    assert 4_000 < found.size < 4_100


async def test_the_bytes_decide_where_the_server_calls_everything_a_stream(
    server: MediaServer,
) -> None:
    url = f"{server.url}/file.png?type=application/octet-stream"
    assert (await media.check(url, "image", policy=ALLOWED)).kind == "image"


async def test_an_image_may_be_sent_as_a_document(server: MediaServer) -> None:
    found = await media.check(f"{server.url}/file.png", "document", policy=ALLOWED)
    assert found.kind == "document"


async def test_a_size_that_is_not_said_is_counted(server: MediaServer) -> None:
    found = await media.check(f"{server.url}/file.png?count=200000", policy=ALLOWED)
    assert found.size == 200_000
    large = f"{server.url}/file.png?count={5 * MEGABYTE + 1}"
    assert "more than the 5 MB" in await refusal(large)


@pytest.mark.parametrize(
    ("path", "kind", "why"),
    [
        ("/gone", None, "is answered with 410"),
        ("/file.html", None, "leads to a web page, not to a file"),
        ("/file.html?type=image/png", "image", "leads to a web page, not to a file"),
        ("/file.empty?type=image/png", None, "leads to an empty file"),
        ("/file.pdf?type=image/png", "image", "leads to a document, not to an image"),
        ("/file.png", "video", "leads to an image, not to a video"),
        (f"/file.png?size={5 * MEGABYTE + 1}", None, "more than the 5 MB that WhatsApp takes of"),
        (f"/file.mp4?size={16 * MEGABYTE + 1}", None, "more than the 16 MB"),
        (f"/file.pdf?size={100 * MEGABYTE + 1}", None, "more than the 100 MB"),
        ("/file.page?type=application/octet-stream", "document", "leads to a web page, not"),
        ("/file.error?type=application/xml", "document", "leads to an error message, not"),
        ("/moved?to=ftp://example.test/x", None, "is redirected to ftp:, and only https: and"),
        ("/moved?to=file:///etc/passwd", None, "is redirected to file:, and only https: and"),
        ("/moved?to=http://a:b@example.test/", None, "is redirected to an address that must not"),
        ("/moved?to=http://[::1/", None, "is redirected to something that is not a URL"),
        ("/moved?to=/moved?to=/gone", None, "is answered with 410"),
    ],
)
async def test_what_cannot_be_sent_says_why(
    server: MediaServer, path: str, kind: MediaType | None, why: str
) -> None:
    assert why in await refusal(f"{server.url}{path}", kind)


async def test_the_largest_that_is_allowed_is_allowed(server: MediaServer) -> None:
    url = f"{server.url}/file.png?size={5 * MEGABYTE}"
    assert (await media.check(url, policy=ALLOWED)).size == 5 * MEGABYTE


async def test_a_redirect_is_followed_a_few_times(server: MediaServer) -> None:
    path = "/file.pdf"
    for _ in range(3):
        path = f"/moved?to={path.replace('?', '%3F').replace('=', '%3D')}"
    assert (await media.check(f"{server.url}{path}", policy=ALLOWED)).kind == "document"
    names = Names({"again.test": [[HERE]]})
    for_ever = f"http://again.test:{server.port}/moved?to="
    assert "too often" in await refusal(
        for_ever + for_ever, policy=only(HERE, resolve=names, redirects=0)
    )


# --- our own network


@pytest.mark.parametrize("host", [HERE, "localhost", "0x7f.1"])
async def test_our_own_machine_is_refused_however_it_is_called(
    server: MediaServer, host: str
) -> None:
    url = f"http://{host}:{server.port}/file.png"
    assert "leads into a private network" in await refusal(url, policy=media.PUBLIC)
    assert server.requests == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0177.0.0.1"])
async def test_numbers_that_are_no_addresses_lead_nowhere(server: MediaServer, host: str) -> None:
    for policy in (media.PUBLIC, media.PUBLIC_OR_PRIVATE):
        assert "cannot be" in await refusal(f"http://{host}:{server.port}/", policy=policy)
    assert server.requests == []


@pytest.mark.parametrize("host", ["[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1]"])
async def test_wrapped_addresses_are_looked_into(host: str) -> None:
    url = f"http://{host}:9/file.png"
    assert "leads into a private network" in await refusal(url, policy=media.PUBLIC)


async def test_where_a_setting_allows_it_the_own_network_is_fine(server: MediaServer) -> None:
    url = f"{server.url}/file.png"
    assert (await media.check(url, policy=media.PUBLIC_OR_PRIVATE)).kind == "image"
    cloud = "http://169.254.169.254/latest"
    assert "private" in await refusal(cloud, policy=media.PUBLIC_OR_PRIVATE)


async def test_a_name_with_one_private_address_is_refused(server: MediaServer) -> None:
    names = Names({"mixed.test": [["93.184.216.34", "10.0.0.1"]]})
    policy = MediaPolicy(resolve=names)
    assert "private network" in await refusal(f"http://mixed.test:{server.port}/", policy=policy)


async def test_a_redirect_into_our_network_is_refused(server: MediaServer) -> None:
    url = f"{server.url}/moved?to=http://{ELSEWHERE}:{server.port}/file.png"
    assert "private network" in await refusal(url)
    names = Names({"inside.test": [[ELSEWHERE]]})
    url = f"{server.url}/moved?to=http://inside.test:{server.port}/file.png"
    assert "private network" in await refusal(url, policy=only(HERE, resolve=names))


async def test_the_connection_goes_to_the_address_that_was_looked_at(server: MediaServer) -> None:
    """A name that leads here first and elsewhere afterwards is asked for once."""
    names = Names({"turning.test": [[HERE], [ELSEWHERE]]})
    url = f"http://turning.test:{server.port}/file.png"
    assert (await media.check(url, policy=only(HERE, resolve=names))).kind == "image"
    assert names.asked == ["turning.test"]
    assert "private network" in await refusal(url, policy=only(HERE, resolve=names))


async def test_a_name_that_turns_between_two_hops_is_caught(server: MediaServer) -> None:
    names = Names({"turning.test": [[HERE], [ELSEWHERE]]})
    base = f"http://turning.test:{server.port}"
    url = f"{base}/moved?to={base}/file.png"
    assert "private network" in await refusal(url, policy=only(HERE, resolve=names))
    assert len(server.requests) == 1


# --- time


async def test_what_takes_too_long_is_given_up(server: MediaServer) -> None:
    hurried = only(HERE, seconds=0.2)
    assert "within 0.2 s" in await refusal(f"{server.url}/silent", policy=hurried)

    async def never(_: str) -> list[str]:
        await asyncio.Event().wait()
        return []

    policy = only(HERE, resolve=never, seconds=0.2)
    assert "within 0.2 s" in await refusal("http://slow.test/", policy=policy)


async def test_nobody_there() -> None:
    assert "cannot be reached" in await refusal(f"http://{HERE}:9/a.png")

    async def unknown(_: str) -> list[str]:
        raise OSError("no such name")

    assert "cannot be reached" in await refusal(
        "http://nobody.test/", policy=only(HERE, resolve=unknown)
    )
