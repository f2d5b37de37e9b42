"""The codes of a pairing, by the clock: six QR codes over 160 seconds, as WhatsApp does it."""

import base64
import hashlib
from datetime import datetime, timedelta

FIRST_CODE = timedelta(seconds=60)
NEXT_CODE = timedelta(seconds=20)
CODES = 6
PAIRING_LASTS = FIRST_CODE + NEXT_CODE * (CODES - 1)

# Without characters that are easily taken for one another, as WhatsApp does.
_CODE_LETTERS = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"


def code_index(elapsed: timedelta) -> int | None:
    """Which code is shown so long after the start; None when the pairing is over."""
    if elapsed >= PAIRING_LASTS:
        return None
    if elapsed < FIRST_CODE:
        return 0
    return 1 + (elapsed - FIRST_CODE) // NEXT_CODE


def code_expires_at(started_at: datetime, index: int) -> datetime:
    return started_at + FIRST_CODE + NEXT_CODE * index


def qr_text(session_id: str, started_at: datetime, index: int) -> str:
    """A text of the shape that real codes have."""
    seed = f"{session_id}/{started_at.timestamp():.6f}/{index}".encode()
    reference = base64.b64encode(hashlib.sha512(seed).digest()).decode()
    keys = (
        base64.b64encode(hashlib.sha256(label + seed).digest()).decode()
        for label in (b"noise", b"identity", b"secret")
    )
    return ",".join((f"2@{reference}", *keys))


def pairing_code(session_id: str, started_at: datetime) -> str:
    """Eight characters in two halves, to be typed on the phone."""
    digest = hashlib.sha256(f"code/{session_id}/{started_at.timestamp():.6f}".encode()).digest()
    letters = "".join(_CODE_LETTERS[byte % len(_CODE_LETTERS)] for byte in digest[:8])
    return f"{letters[:4]}-{letters[4:]}"


def same_code(typed: str, shown: str) -> bool:
    return typed.replace("-", "").replace(" ", "").upper() == shown.replace("-", "")
