"""Durations and sizes as people write them, converted to seconds and bytes and back."""

import re
from fractions import Fraction
from typing import Final

# Bounded digits: no text yields an infinite float, or a number that takes long to parse.
_NUMBER: Final = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)"
_MILLISECONDS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_DURATION: Final = re.compile("".join(rf"(?:{_NUMBER} *{unit} *)?" for unit in _MILLISECONDS))
_SIZE: Final = re.compile(rf"{_NUMBER} *([A-Za-z]*)")
_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_DECIMAL: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BYTES: Final = {
    **{unit.lower(): 1000**power for power, unit in enumerate(_DECIMAL)},
    **{unit.lower(): 1024**power for power, unit in enumerate(_BINARY)},
}
_IN_SECONDS_BELOW: Final = 120_000
"""Milliseconds below which a duration is written in seconds alone: "60s" is what people write, not "1m"."""


def parse_duration(text: str) -> float:
    """Return the seconds in `text`: numbers with d, h, m, s or ms, the larger unit first, such as "2h30m".

    Raises: ValueError, with the text and valid examples.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f'{text[:40]!r} is not a duration; valid are "250ms", "60s", "90m", "2h30m" and "1d"')
    pairs = zip(match.groups(), _MILLISECONDS.values(), strict=True)
    return float(sum(Fraction(number) * unit for number, unit in pairs if number) / 1000)


def parse_size(text: str) -> int:
    """Return the bytes in `text`: "64 MiB" is 64 x 1024 x 1024, "500 GB" 500 x 1000 x 1000 x 1000, "1024" as it is.

    Case is ignored; a fraction of a byte is dropped.
    Raises: ValueError, with the text and valid examples.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = match[2].lower() or "b" if match else ""
    if match is None or unit not in _BYTES:
        raise ValueError(f'{text[:40]!r} is not a size; valid are "64 MiB", "20 GiB", "500 GB" and "1024" (bytes)')
    return int(Fraction(match[1]) * _BYTES[unit])


def format_duration(seconds: float) -> str:
    """Return `seconds`, rounded to whole milliseconds, as `parse_duration` reads it: "250ms", "60s", "2h30m"."""
    rest = round(abs(seconds) * 1000)
    sign = "-" if seconds < 0 and rest else ""
    if rest < _MILLISECONDS["s"] and rest:
        return f"{sign}{rest}ms"
    parts = []
    if rest >= _IN_SECONDS_BELOW:
        for unit in ("d", "h", "m"):
            count, rest = divmod(rest, _MILLISECONDS[unit])
            parts += [f"{count}{unit}"] if count else []
    if rest or not parts:
        whole, thousandths = divmod(rest, 1000)
        parts.append(f"{whole}.{thousandths:03}".rstrip("0").rstrip(".") + "s" if thousandths else f"{whole}s")
    return sign + "".join(parts)


def format_size(size: int) -> str:
    """Return `size` bytes in binary units with one decimal, and without one where it is exact: "18.4 MiB", "20 GiB".

    A rounded size keeps its ".0", so that "1 GiB" always means 1 GiB to the byte.
    """
    sign, rest = ("-", -size) if size < 0 else ("", size)
    power = min(max(rest.bit_length() - 1, 0) // 10, len(_BINARY) - 1)
    if power < len(_BINARY) - 1 and round(rest * 10 / 1024**power) >= 1024 * 10:
        power += 1  # 1,048,575 bytes are "1.0 MiB", not "1024.0 KiB"
    unit = 1024**power
    number = str(rest // unit) if rest % unit == 0 else f"{rest / unit:.1f}"
    return f"{sign}{number} {_BINARY[power]}"
