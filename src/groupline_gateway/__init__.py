"""Groupline's own WhatsApp gateway: an HTTP server that speaks the gateway contract."""

VERSION = "0.1.0"
