"""Workshops and webinars: templates, sequences, and the messages around a start."""
