"""The journal as people read it: who did what to what, in sentences, without secrets."""
