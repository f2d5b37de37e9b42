"""The secret that makes a message findable.

The library chooses the id of a message itself, and tells it with WhatsApp's answer. Before a
message goes to the wire it stores (chat, sender, id, secret) in the account's file, and the secret
may be ours. Derived from the ``clientRef`` it finds the id again, whatever happened in between.
"""

import hashlib
import hmac

_PURPOSE = b"groupline message secret"
LENGTH = 32


def message_secret(client_ref: str) -> bytes:
    """Always the same 32 bytes for the same reference."""
    return hmac.new(_PURPOSE, client_ref.encode(), hashlib.sha256).digest()
