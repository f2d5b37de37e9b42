"""What of the library's own words may go into a log: no number, no code, no key, no text. Pure."""

import re

_LONGEST = 300
_RULES = (
    (re.compile(r"\b[0-9]@[^\s\"']+"), "[code]"),
    (re.compile(r"[A-Za-z0-9+/_=-]{32,}"), "[removed]"),
    (re.compile(r"(?<![0-9])[0-9]{6,}(?![0-9])"), "[number]"),
    (re.compile(r"://[^/\s:@]+:[^/\s@]+@"), "://[credentials]@"),
)


def redact(text: str) -> str:
    """One line of bounded length, without what identifies a person or opens an account."""
    line = " ".join(text.split())
    for pattern, replacement in _RULES:
        line = pattern.sub(replacement, line)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
