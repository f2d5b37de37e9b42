"""Alerts: what a person should know of, on the channels that people look at."""
