"""Numbers and their sessions: connect, verify, take over, reconnect, hand over, sweep, clean up."""
