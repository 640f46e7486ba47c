"""The chain of mirrors that the content came through: `mirrorsync/trace.json`, after Debian's mirror traces. Pure."""

from typing import Final

import msgspec

from mirrorsync import __version__
from mirrorsync.model.wording import printable, utc
from mirrorsync.status.snapshot import Snapshot

_HOPS: Final = 10
_TEXT: Final = 200
"""Characters of each text that another mirror supplies."""


class TraceHop(msgspec.Struct, frozen=True):
    """One mirror: when it was last complete, and from which upstream."""

    name: str
    software: str
    date: str
    """UTC; ISO 8601."""
    timestamp: int
    """The same in seconds since the epoch."""
    upstream: str
    serial: int | None
    """Everything up to it is served; None where upstream has no serials."""


class _Trace(msgspec.Struct, frozen=True):
    hops: tuple[TraceHop, ...]
    format: int = 1


def encode(snapshot: Snapshot, complete_at: float, above: bytes) -> bytes:
    """Return the trace of a mirror that was complete at `complete_at`: itself, then the hops of its upstream's trace.

    It has at most 10 hops. `above`: what upstream has as its trace, empty where it is not asked for one.
    """
    own = TraceHop(
        name=snapshot.site.name,
        software=f"mirrorsync {__version__}",
        date=utc(complete_at, "%Y-%m-%dT%H:%M:%SZ"),
        timestamp=int(complete_at),
        upstream=snapshot.report.upstream,
        serial=snapshot.report.synced_serial,
    )
    trace = _Trace(hops=(own, *decode(above))[:_HOPS])
    return msgspec.json.format(msgspec.json.encode(trace), indent=1) + b"\n"


def decode(body: bytes) -> tuple[TraceHop, ...]:
    """Return the hops of another mirror's trace, none where `body` is not a trace; its texts are cut and escaped."""
    try:
        trace = msgspec.json.decode(body, type=_Trace)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ()
    return tuple(
        TraceHop(
            name=printable(one.name, _TEXT),
            software=printable(one.software, _TEXT),
            date=printable(one.date, _TEXT),
            timestamp=one.timestamp,
            upstream=printable(one.upstream, _TEXT),
            serial=one.serial,
        )
        for one in trace.hops[: _HOPS - 1]
    )
