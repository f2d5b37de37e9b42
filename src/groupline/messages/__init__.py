"""The outbox: every message once, on time, and its fate known."""
