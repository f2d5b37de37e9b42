"""Secrets that are handed out once: only their digest is kept."""

import hashlib
import secrets

API_KEY_PREFIX = "glk_"
_SHOWN = len(API_KEY_PREFIX) + 6


def new_token() -> str:
    """32 random bytes, for cookies and links."""
    return secrets.token_urlsafe(32)


def new_api_key() -> str:
    return API_KEY_PREFIX + secrets.token_urlsafe(32)


def shown_prefix(api_key: str) -> str:
    """As much of a key as lists may show, to tell one from another."""
    return api_key[:_SHOWN]


def digest(token: str) -> str:
    """What is stored. The token is random, so a plain hash cannot be guessed back."""
    return hashlib.sha256(token.encode()).hexdigest()


def lock_of(text: str) -> int:
    """The number of a lock that everybody takes who is about to work on the same thing."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], signed=True)
