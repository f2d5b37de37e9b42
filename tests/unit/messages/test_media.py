"""Which addresses media may lie at, however they are written, and what kind a file is."""

import ipaddress

import pytest

from groupline.errors import InvalidInput
from groupline.messages.media import check_media_url
from groupline.messages.media_kinds import kind_of, page_of
from groupline.net import is_public, is_public_or_private

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::808:808"]
PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fc00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2002:a00:1::",
]
NEVER = [
    "0.0.0.0",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "fd00:ec2::254",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::7f00:1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    assert is_public_or_private(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_private_where_it_is_allowed(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert is_public_or_private(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", NEVER)
def test_what_no_setting_allows(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert not is_public_or_private(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///etc/passwd",
        "//example.test/a.png",
        "http://",
        "http://user@example.test/",
        "http://exa mple.test/",
        "http://example.test:99999/",
        "http://example.test:0/",
        "http://../a.png",
        "http://[::1/",
        "http://a_.-b.test/\x00",
        "https://example.test/" + "a" * 2_000,
    ],
)
def test_what_is_no_address_of_media(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_media_url(url)
    assert set(refused.value.fields) == {"mediaUrl"}


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image"),
        (b"\x89PNG\r\n\x1a\n", "image"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "document"),
        (b"\x00\x00\x00\x18ftypmp42", "video"),
        (b"\x00\x00\x00\x18ftypqt  ", "video"),
        (b"\x00\x00\x00\x18ftypheic", "document"),
        (b"\x00\x00\x00\x18ftypM4A ", "document"),
        (b"%PDF-1.7", "document"),
        (b"GIF89a", "document"),
        (b"\xff", "document"),
    ],
)
def test_the_kind_is_what_the_bytes_are(beginning: bytes, kind: str) -> None:
    assert kind_of(beginning) == kind


PAGE = "<!doctype html><title>Log in</title>"


@pytest.mark.parametrize(
    ("content_type", "beginning"),
    [
        ("text/html", b"anything"),
        ("application/xhtml+xml", b"anything"),
        ("image/png", b"\xef\xbb\xbf\n<!DOCTYPE html>"),
        ("image/png", b"<HTML><body>"),
        ("", b"\n\x0c \t" * 300 + b"<html lang=en>"),
        ("", b"<!-- a -- b -->\n<!---->  <!doctype html>"),
        ("", b"<!-- padded for an old browser " + b"." * 4_000),
        ("", b"<?xml version='1.0'?>\n<!-- x --><!DOCTYPE html PUBLIC '-//W3C//DTD'>"),
        ("", b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">'),
        ("", b"<head><title>302 Found</title>"),
        ("", b"<title>Moved</title>"),
        ("", b"<h1>Not Found</h1>"),
        ("", b"<script>location = '/login'</script>"),
        ("", b"<meta http-equiv=refresh content=0>"),
        ("", b"\xef\xbb\xbf" + PAGE.encode()),
        ("", PAGE.encode("utf-16")),
        ("", b"\xfe\xff" + PAGE.encode("utf-16-be")),
    ],
)
def test_a_web_page_by_its_type_or_its_first_words(content_type: str, beginning: bytes) -> None:
    assert page_of(content_type, beginning) == "a web page"


@pytest.mark.parametrize(
    "beginning",
    [
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code>',
        b"<Error><Code>NoSuchKey</Code></Error>",
        b"\xef\xbb\xbf<?xml version='1.0'?><error xmlns='x'>",
    ],
)
def test_an_error_that_came_as_xml(beginning: bytes) -> None:
    assert page_of("application/xml", beginning) == "an error message"


@pytest.mark.parametrize(
    ("content_type", "beginning"),
    [
        ("application/pdf", b"%PDF-1.7"),
        ("image/png", b"\x89PNG\r\n\x1a\n"),
        ("image/svg+xml", b"<?xml version='1.0'?><!-- drawn --><svg>"),
        ("application/gpx+xml", b"<?xml version='1.0'?><gpx>"),
        ("text/plain", b"In <html> there are tags"),
        ("text/plain", b"<errors-and-omissions>"),
        ("text/plain", b"<headline>"),
        ("text/markdown", b"<!-- hidden -->\n# Title"),
        ("application/octet-stream", b"\xff\xfe\x00"),
        ("text/plain", b" \n"),
    ],
)
def test_a_file_is_no_page(content_type: str, beginning: bytes) -> None:
    assert page_of(content_type, beginning) is None
