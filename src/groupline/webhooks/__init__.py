"""Outgoing webhooks: what happened, signed, to whoever asked for it."""
