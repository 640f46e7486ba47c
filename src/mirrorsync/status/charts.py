"""The last days of the mirror as charts: bars, SVG paths and a table by day. Pure.

A chart is stretched to the width of its column, so it holds no text: its labels are HTML beside it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

import msgspec

from mirrorsync.model.units import format_size
from mirrorsync.model.wording import brief, unbroken, utc
from mirrorsync.state.runs import Stretch
from mirrorsync.status.lag_history import KEPT, SPAN

_WIDTH: Final = 10
"""Units of a bar and the gap after it."""
_GAP: Final = 2
_HEIGHT: Final = 100
_LEAST: Final = 2.0
"""Height of the smallest value above zero: it must be visible."""
_SPANS: Final = (120, 600, 1200, 3600, 7200, 21600, 86400, 2 * 86400, 4 * 86400, 8 * 86400, 30 * 86400, 365 * 86400)
"""Seconds at the upper edge of the chart of lag; half of each is a round time, too."""
_BINARY_STEP: Final = 1024
_UNKNOWN: Final = "\N{EN DASH}"


class Bar(msgspec.Struct, frozen=True):
    """What happened in one stretch of time."""

    starts_at: float
    """Seconds since the epoch, a multiple of `SPAN`: a day has whole stretches."""
    lag: float | None
    """Seconds: the worst lag of the stretch; None: not recorded."""
    is_recorded: bool
    """The history of runs covers it; otherwise the counts are unknown rather than zero."""
    files: int = 0
    bytes: int = 0
    errors: int = 0


class Chart(msgspec.Struct, frozen=True):
    """A chart as the template draws it."""

    key: str
    title: str
    summary: str
    width: int
    height: int
    unknown: str
    """The path of the stretches without a value."""
    grid: str
    bars: str
    scale: tuple[str, str, str]
    """From the upper edge to the lower one."""


class _Kind(msgspec.Struct, frozen=True):
    key: str
    title: str
    of: Callable[[Bar], float | None]
    """None: unknown."""
    show: Callable[[float], str]
    edge_above: Callable[[float], float]
    """The upper edge for the largest value; half of it is a round number, too."""
    per: str = ""


def bars(lags: Mapping[int, float], done: Sequence[Stretch], now: float) -> Iterator[Bar]:
    """Yield the stretches of the last days in order; the earliest of `done` is where the history of runs begins."""
    by_number = {stretch.number: stretch for stretch in done}
    first = min((stretch.first_started_at for stretch in done), default=now)
    newest = int(now // SPAN)
    for number in range(newest - KEPT + 1, newest + 1):
        bar = Bar(starts_at=number * SPAN, lag=lags.get(number), is_recorded=(number + 1) * SPAN > first)
        if stretch := by_number.get(number):
            counts = {"files": stretch.files, "bytes": stretch.bytes, "errors": stretch.errors}
            bar = msgspec.structs.replace(bar, is_recorded=True, **counts)
        yield bar


def charts(bars: Sequence[Bar]) -> tuple[Chart, ...]:
    """Return the charts of lag, bytes and files; none without bars."""
    return tuple(_chart(kind, bars) for kind in _KINDS) if bars else ()


def days(bars: Sequence[Bar]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each day, the last one first: day, worst lag, files, size, failures."""
    for date, group in groupby(reversed(bars), key=lambda bar: day(bar.starts_at)):
        yield date, *_cells(list(group))


def day(at: float) -> str:
    """Return "2026-11-23"."""
    return utc(at, "%Y-%m-%d")


def usual_lag(bars: Sequence[Bar]) -> float | None:
    """Return the median of the recorded lags, in seconds; None without any."""
    lags = sorted(bar.lag for bar in bars if bar.lag is not None)
    return lags[len(lags) // 2] if lags else None


def _cells(bars: Sequence[Bar]) -> Iterator[str]:
    lags = [bar.lag for bar in bars if bar.lag is not None]
    yield unbroken(brief(max(lags))) if lags else _UNKNOWN
    if not any(bar.is_recorded for bar in bars):
        yield from (_UNKNOWN,) * 3
        return
    yield f"{sum(bar.files for bar in bars):,}"
    yield unbroken(format_size(sum(bar.bytes for bar in bars)))
    yield f"{sum(bar.errors for bar in bars):,}"


def _chart(kind: _Kind, bars: Sequence[Bar]) -> Chart:
    values = [kind.of(bar) for bar in bars]
    known = [value for value in values if value is not None]
    peak = max(known, default=0.0)
    edge, width = kind.edge_above(peak), len(bars) * _WIDTH
    return Chart(
        key=kind.key,
        title=kind.title,
        summary=_summary(kind, known, peak, len(values)),
        width=width,
        height=_HEIGHT,
        unknown=_unknown_path(values),
        grid=f"M0,.5H{width}M0,{_HEIGHT // 2}H{width}{_midnights(bars)}",
        bars=_bars_path(values, edge),
        scale=(kind.show(edge), kind.show(edge / 2), kind.show(0.0)),
    )


def _summary(kind: _Kind, known: Sequence[float], peak: float, length: int) -> str:
    if not known:
        return "Nothing is recorded yet."
    most = f"At most {kind.show(peak)}{kind.per}." if peak else "Nothing in these days."
    return most if len(known) == length else f"{most} Grey: not recorded."


def _bars_path(values: Sequence[float | None], edge: float) -> str:
    parts = []
    for place, value in enumerate(values):
        if value:
            height = max(_LEAST, min(_HEIGHT, _HEIGHT * value / edge))
            parts.append(f"M{place * _WIDTH},{_HEIGHT}v-{height:.1f}h{_WIDTH - _GAP}v{height:.1f}z")
    return "".join(parts)


def _unknown_path(values: Sequence[float | None]) -> str:
    parts, place = [], 0
    for is_unknown, group in groupby(value is None for value in values):
        length = sum(1 for _ in group)
        if is_unknown:
            parts.append(f"M{place * _WIDTH},0h{length * _WIDTH}v{_HEIGHT}h-{length * _WIDTH}z")
        place += length
    return "".join(parts)


def _midnights(bars: Sequence[Bar]) -> str:
    places = (place for place, bar in enumerate(bars) if place and day(bar.starts_at) != day(bars[place - 1].starts_at))
    return "".join(f"M{place * _WIDTH - _GAP // 2},0V{_HEIGHT}" for place in places)


def _span_above(peak: float) -> float:
    return next((span for span in _SPANS if span >= peak), peak)


def _number_above(peak: float) -> float:
    """Return the next of 2, 4, 10, 20, 40, 100 and so on."""
    unit = 1.0
    while True:
        for factor in (2.0, 4.0, 10.0):
            if unit * factor >= peak:
                return unit * factor
        unit *= 10


def _size_above(peak: float) -> float:
    """Return the next round number of bytes, KiB, MiB and so on."""
    unit = 1.0
    while peak >= unit * _BINARY_STEP:
        unit *= _BINARY_STEP
    return unit * min(_number_above(peak / unit), float(_BINARY_STEP))


_KINDS: Final = (
    _Kind(
        "lag",
        "Time behind upstream",
        lambda bar: bar.lag,
        lambda value: unbroken(brief(value)) if value else "0",
        _span_above,
    ),
    _Kind(
        "fetched",
        "Bytes fetched",
        lambda bar: float(bar.bytes) if bar.is_recorded else None,
        lambda value: unbroken(format_size(int(value))) if value else "0",
        _size_above,
        " in two hours",
    ),
    _Kind(
        "files",
        "Files fetched",
        lambda bar: float(bar.files) if bar.is_recorded else None,
        lambda value: f"{value:,.0f}",
        _number_above,
        " in two hours",
    ),
)
