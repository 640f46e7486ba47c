"""Moments and other people's texts, as the status page says them. Pure."""

import html
import time
from typing import Final

_TEXT_LIMIT: Final = 300
"""Characters of somebody else's text."""
_LAST_SECOND: Final = 253402300799.0
"""31 December 9999: what comes later is not a time."""


def clean(text: str, limit: int = _TEXT_LIMIT) -> str:
    """Return `text` as HTML text or as an attribute's value: cut, and nothing in it is invisible or turns it round."""
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return html.escape("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in cut))


def unbroken(text: str) -> str:
    """Return `text` as one that no line's end parts: a number and its unit."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def plain_moment(at: float) -> str:
    """Return "2026-11-23 01:18:07 UTC"."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", _utc(at))


def moment(at: float) -> str:
    """Return `plain_moment` as an HTML element that machines read, too."""
    return f'<time datetime="{time.strftime("%Y-%m-%dT%H:%M:%SZ", _utc(at))}">{plain_moment(at)}</time>'


def day(at: float) -> str:
    """Return "2026-11-23"."""
    return time.strftime("%Y-%m-%d", _utc(at))


def _utc(at: float) -> time.struct_time:
    return time.gmtime(min(max(at, 0.0), _LAST_SECOND))
