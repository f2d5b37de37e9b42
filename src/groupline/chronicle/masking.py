"""What the journal shows: no secret, and no phone number in full. The last net, for every entry."""

import re
from collections.abc import Mapping
from typing import Any, Final

_SECRETS: Final = frozenset(
    """authorization cookie token apikey key password secret webhooksecret secretkey proxy qr qrcode
    qrtext pairingcode content message text body payload credentials url""".split()
)
"""Names of facts, without hyphens and underscores."""
_DIGITS: Final = re.compile(r"(?<![\w-])\+?\d{10,15}(?![\w-])")
_WRITTEN: Final = re.compile(r"\+\d[\d ().-]{7,}\d")


def masked_text(text: str) -> str:
    return _DIGITS.sub(_mask, _WRITTEN.sub(_mask, text))


def masked(value: Any) -> Any:
    """The same in any depth. A fact that is called like a secret is left out."""
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, Mapping):
        return {name: masked(each) for name, each in value.items() if _plain(name) not in _SECRETS}
    if isinstance(value, list):
        return [masked(each) for each in value]
    return value


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _mask(match: re.Match[str]) -> str:
    found = match.group()
    count = sum(char.isdigit() for char in found)
    seen, shown = 0, []
    for char in found:
        seen += char.isdigit()
        hidden = char.isdigit() and 4 < seen <= count - 3
        shown.append("•" if hidden else char)
    return "".join(shown)
