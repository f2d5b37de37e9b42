"""Whether a request that changes something comes from our own pages."""

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from groupline.errors import CrossOriginRefused

_SAFE_METHODS = frozenset(("GET", "HEAD"))
_DEFAULT_PORTS = {"http": 80, "https": 443}


def refuse_other_sites(connection: HTTPConnection, base_url: str, *, needs_proof: bool) -> None:
    """Raises ``CrossOriginRefused`` for a change that another site made the browser send.

    Browsers say where a request comes from (``Sec-Fetch-Site``, older ones ``Origin`` or
    ``Referer``). Where nothing says it, a cookie alone is no proof (``needs_proof``); without a
    cookie there is nothing that another site could misuse.
    """
    if connection.scope.get("method") in _SAFE_METHODS:
        return
    if not _is_own(connection, base_url, otherwise=not needs_proof):
        raise CrossOriginRefused(
            "Groupline takes changes from its own pages only.",
            hint="Programs use an API key instead of a login cookie.",
        )


def _is_own(connection: HTTPConnection, base_url: str, *, otherwise: bool) -> bool:
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    source = connection.headers.get("origin") or connection.headers.get("referer")
    if source is None:
        return otherwise
    own = {_host_of(f"//{connection.headers.get('host', '')}"), _host_of(base_url)}
    return _host_of(source) in own - {""}


def _host_of(url: str) -> str:
    """The host with its port, a default port left out. Empty where there is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.hostname is None:
        return ""
    host = parts.hostname.casefold()
    return host if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{port}"
