"""Numbers, moments and other people's texts, as the status page says them. Pure."""

import html
import time
from typing import Final

_UNITS: Final = ((86400, "day", "d"), (3600, "hour", "h"), (60, "minute", "min"), (1, "second", "s"))
_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_STEP: Final = 1024
_NARROW: Final = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, which no line's end parts."""
_EXACT_BELOW: Final = 99.95
_TEXT_LIMIT: Final = 300
"""Characters of somebody else's text."""
_LAST_SECOND: Final = 253402300799.0
"""31 December 9999: what comes later is not a time."""


def clean(text: str, limit: int = _TEXT_LIMIT) -> str:
    """Return `text` as HTML text or as an attribute's value: cut, and nothing in it is invisible or turns it round."""
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return html.escape("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in cut))


def number(value: int) -> str:
    """Return 1234567 as "1,234,567"."""
    return f"{value:,}"


def count(value: int, noun: str) -> str:
    """Return "1 project" or "1,234 projects"."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def lasting(seconds: float) -> str:
    """Return a time span in its two largest units: "3 hours 12 minutes"."""
    return " ".join(count(amount, noun) for amount, noun, _ in _largest(seconds))


def brief(seconds: float) -> str:
    """Return `lasting` where there is little room: "3 h 12 min"."""
    return " ".join(f"{amount}{_NARROW}{unit}" for amount, _, unit in _largest(seconds))


def _largest(seconds: float) -> list[tuple[int, str, str]]:
    rest = max(0, round(seconds))
    first = next((place for place, (size, _, _) in enumerate(_UNITS) if rest >= size), len(_UNITS) - 1)
    parts: list[tuple[int, str, str]] = []
    for size, noun, unit in _UNITS[first : first + 2]:
        amount, rest = divmod(rest, size)
        if amount or not parts:
            parts.append((amount, noun, unit))
    return parts


def size(value: int) -> str:
    """Return bytes with three digits: "38.2 TiB"."""
    power, rest = 0, float(max(0, value))
    while rest >= _STEP - 0.5 and power < len(_BINARY) - 1:
        power, rest = power + 1, rest / _STEP
    digits = 1 if power and rest < _EXACT_BELOW else 0
    return f"{rest:.{digits}f}{_NARROW}{_BINARY[power]}"


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
