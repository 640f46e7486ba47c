"""From which mirror to which it all came: `mirrorsync/trace.json`, as Debian's mirrors leave traces. Pure."""

import time
from collections.abc import Sequence
from typing import Final

import msgspec

_HOPS: Final = 10
_TEXT: Final = 200
"""Characters of what another mirror says of itself."""


class Hop(msgspec.Struct, frozen=True):
    """One mirror: when it last was complete, and after whom."""

    name: str
    software: str
    date: str
    """UTC; ISO 8601."""
    timestamp: int
    """The same in seconds since the epoch."""
    upstream: str
    serial: int | None
    """Everything up to it is served; None where upstream tells none."""


class _Trace(msgspec.Struct, frozen=True):
    hops: tuple[Hop, ...]
    format: int = 1


def hop(*, name: str, software: str, complete_at: float, upstream: str, serial: int | None) -> Hop:
    """Return the hop of a mirror that was last complete at `complete_at`, seconds since the epoch."""
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(complete_at))
    return Hop(name=name, software=software, date=date, timestamp=int(complete_at), upstream=upstream, serial=serial)


def encode(own: Hop, above: Sequence[Hop]) -> bytes:
    """Return the trace: this mirror first, then what it was made from, at most 10 hops."""
    trace = _Trace(hops=(own, *above)[:_HOPS])
    return msgspec.json.format(msgspec.json.encode(trace), indent=1) + b"\n"


def decode(body: bytes) -> tuple[Hop, ...]:
    """Return the hops of another mirror's trace, none where it is no such thing; nothing in it is believed."""
    try:
        trace = msgspec.json.decode(body, type=_Trace)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ()
    return tuple(
        Hop(
            name=_plain(one.name),
            software=_plain(one.software),
            date=_plain(one.date),
            timestamp=one.timestamp,
            upstream=_plain(one.upstream),
            serial=one.serial,
        )
        for one in trace.hops[: _HOPS - 1]
    )


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:_TEXT])
