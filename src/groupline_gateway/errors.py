"""Errors that a caller is told about, as ``{"error": "…"}`` with their status."""


class GatewayError(Exception):
    """A request that cannot be carried out. Nothing was sent to WhatsApp because of it."""

    status = 500

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class BadRequest(GatewayError):
    status = 400


class Refused(GatewayError):
    """WhatsApp would not take the message: not a member, not an admin, no such group."""

    status = 400


class Forbidden(GatewayError):
    status = 403


class RateLimited(GatewayError):
    status = 429


class NotFound(GatewayError):
    status = 404


class Conflict(GatewayError):
    status = 409


class Rejected(GatewayError):
    """WhatsApp turned this message down, for now: the same message may be taken later."""

    status = 502


class NoAnswer(GatewayError):
    """WhatsApp did not answer a question in time. Nothing was sent."""

    status = 504


class NotConnected(GatewayError):
    status = 503

    def __init__(self, text: str = "The session is not connected") -> None:
        super().__init__(text)


class FateUnknown(Exception):
    """A message may have gone out, and nobody knows. Never a reason to send it again."""

    status = 504

    text = "WhatsApp has not confirmed this message; it may have gone out"

    def __init__(self, message_id: str | None = None) -> None:
        super().__init__(self.text)
        self.message_id = message_id


class NotOnRecord(FateUnknown):
    """The message is older than everything that this gateway has written down."""

    text = "The records of this gateway begin after this message; it may have gone out"


class StartRefused(Exception):
    """The gateway cannot start as it was set up; the text says what to change."""
