"""A session's own way to WhatsApp."""

from typing import Final
from urllib.parse import quote

from groupline_gateway.contract import Proxy
from groupline_gateway.errors import BadRequest

_SCHEMES: Final = ("http", "https", "socks5")
"""What the library can go through."""


def check_proxy(proxy: Proxy) -> None:
    """Raises what is wrong with it before anything is tried."""
    scheme, separator, _ = proxy.host.rpartition("://")
    if separator and scheme not in _SCHEMES:
        raise BadRequest(
            f"proxy: a proxy of the kind “{scheme[:20]}” cannot be used; "
            f"it has to be one of {', '.join(_SCHEMES)}"
        )


def proxy_url(proxy: Proxy | None) -> str | None:
    """As the library takes it."""
    if proxy is None:
        return None
    user = ""
    if proxy.username is not None:
        password = "" if proxy.password is None else f":{quote(proxy.password, safe='')}"
        user = f"{quote(proxy.username, safe='')}{password}@"
    scheme, _, host = proxy.host.rpartition("://")
    return f"{scheme or proxy.protocol}://{user}{host}:{proxy.port}"
