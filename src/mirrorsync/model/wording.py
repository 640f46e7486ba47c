"""Numbers, times and names as text for people: in the log, in `status`, on the status page."""

import time
from collections.abc import Iterable
from typing import Final

_UNITS: Final = ((86_400, "day", "d"), (3_600, "hour", "h"), (60, "minute", "min"), (1, "second", "s"))
_EXACT_BELOW: Final = 10.0
"""Seconds below which tenths are shown."""
_LAST_SECOND: Final = 253_402_300_799.0
"""31 December 9999: a later time has no four-digit year."""


def utc(at: float, form: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    """Return the moment `at` (seconds since the epoch) as `form`: "2026-11-23 01:18:07 UTC"."""
    return time.strftime(form, time.gmtime(min(max(at, 0.0), _LAST_SECOND)))


def counted(number: int, thing: str) -> str:
    """Return "1 file", "1,234 files"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "did you mean numpy?" for the known word that is most like `word`; empty when none is similar."""
    from difflib import get_close_matches  # noqa: PLC0415 -- only a mistake needs it

    close = get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else ""


def lasting(seconds: float) -> str:
    """Return a time span in its two largest units: "3 hours 12 minutes"; a negative one is "0 seconds"."""
    return " ".join(counted(amount, thing) for amount, thing, _ in _largest(seconds))


def brief(seconds: float) -> str:
    """Return a short form of `lasting`, with tenths below 10 seconds: "3 h 12 min", "0.3 s"."""
    if 0 < seconds < _EXACT_BELOW:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    return " ".join(f"{amount} {unit}" for amount, _, unit in _largest(seconds))


def _largest(seconds: float) -> list[tuple[int, str, str]]:
    rest = max(0, round(seconds))
    first = next((place for place, (size, _, _) in enumerate(_UNITS) if rest >= size), len(_UNITS) - 1)
    finest = _UNITS[min(first + 1, len(_UNITS) - 1)][0]
    rest = round(rest / finest) * finest
    parts: list[tuple[int, str, str]] = []
    for size, thing, unit in _UNITS[first : first + 2]:
        amount, rest = divmod(rest, size)
        if amount or not parts:
            parts.append((amount, thing, unit))
    return parts


def unbroken(text: str) -> str:
    """Return `text` so that no line break separates a number from its unit."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def printable(text: str, limit: int | None = None) -> str:
    """Return `text` on one line, at most `limit` characters, with unprintable characters written as Python escapes.

    This covers ESC (terminal commands), line ends (forged log lines) and bidirectional marks.
    """
    if limit is not None and len(text) > limit:
        text = f"{text[: limit - 1]}…"
    return (
        text
        if text.isprintable()
        else "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
    )
