"""Groupline sends WhatsApp messages to groups, on time, around workshops and webinars."""
