"""Campaigns: one content to many groups, as rows of the outbox."""
