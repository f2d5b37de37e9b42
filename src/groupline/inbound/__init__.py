"""Webhooks of gateways: stored before they are understood, applied once, kept until they match."""
