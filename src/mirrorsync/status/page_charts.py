"""Charts as inline SVG, each with its words, and the same numbers as a table. Pure.

A chart is stretched to the width of its column, so no text stands in it: its labels are HTML beside it.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Final

import msgspec

from mirrorsync.model.units import format_size
from mirrorsync.model.wording import brief
from mirrorsync.status.page_values import Bar
from mirrorsync.status.page_words import day, unbroken

_WIDTH: Final = 10
"""Units of a bar and the gap after it."""
_GAP: Final = 2
_HEIGHT: Final = 100
_LEAST: Final = 2.0
"""Height of the smallest value that is not nothing: it must be seen."""
_SPANS: Final = (120, 600, 1200, 3600, 7200, 21600, 86400, 2 * 86400, 4 * 86400, 8 * 86400, 30 * 86400, 365 * 86400)
"""Seconds at the upper edge of the chart of lag, of which half is a plain span, too."""
_BINARY_STEP: Final = 1024
_UNKNOWN: Final = "\N{EN DASH}"


class _Chart(msgspec.Struct, frozen=True):
    key: str
    title: str
    of: Callable[[Bar], float | None]
    """None: unknown."""
    say: Callable[[float], str]
    top: Callable[[float], float]
    """The upper edge for the largest value, of which half is a plain number, too."""
    per: str
    """What the largest value is the largest of."""


def section(bars: Sequence[Bar], now: float) -> Iterator[str]:
    """Charts of lag, bytes and files, and a table of days for those who would rather read; nothing without bars."""
    if not bars:
        return
    yield '<section aria-labelledby="days"><h2 id="days">The last days</h2><div class="charts">'
    for chart in _CHARTS:
        yield from _figure(chart, bars, now)
    yield "</div>"
    yield from _table(bars)
    yield "</section>"


def _figure(chart: _Chart, bars: Sequence[Bar], now: float) -> Iterator[str]:
    values = [chart.of(bar) for bar in bars]
    known = [value for value in values if value is not None]
    peak = max(known, default=0.0)
    top = chart.top(peak)
    told = _told(chart, known, peak, len(values))
    width = len(bars) * _WIDTH
    yield f'<figure><figcaption><strong id="{chart.key}">{chart.title}</strong> {told}</figcaption><div class="plot">'
    yield f'<svg viewBox="0 0 {width} {_HEIGHT}" preserveAspectRatio="none" role="img"'
    yield f' aria-labelledby="{chart.key}-title {chart.key}-desc"><title id="{chart.key}-title">{chart.title}</title>'
    yield f'<desc id="{chart.key}-desc">One bar for every two hours. {told}</desc>'
    yield f'<path class="unknown" d="{_unknown(values)}"/>'
    yield f'<path class="grid" d="M0,.5H{width}M0,{_HEIGHT // 2}H{width}{_midnights(bars)}"/>'
    yield f'<path class="bar" d="{_bars(values, top)}"/></svg>'
    scale = "".join(f"<span>{chart.say(part)}</span>" for part in (top, top / 2, 0.0))
    yield f'<div class="scale" aria-hidden="true">{scale}</div>'
    yield f'<div class="ends" aria-hidden="true"><span>{day(bars[0].starts_at)}</span><span>{day(now)}</span></div>'
    yield "</div></figure>"


def _told(chart: _Chart, known: Sequence[float], peak: float, length: int) -> str:
    if not known:
        return "Nothing is written down yet."
    most = f"At most {chart.say(peak)}{chart.per}." if peak else "Nothing in these days."
    return most if len(known) == length else f"{most} Grey: not written down."


def _bars(values: Sequence[float | None], top: float) -> str:
    parts = []
    for place, value in enumerate(values):
        if value:
            height = max(_LEAST, min(_HEIGHT, _HEIGHT * value / top))
            parts.append(f"M{place * _WIDTH},{_HEIGHT}v-{height:.1f}h{_WIDTH - _GAP}v{height:.1f}z")
    return "".join(parts)


def _unknown(values: Sequence[float | None]) -> str:
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


def _table(bars: Sequence[Bar]) -> Iterator[str]:
    yield "<details><summary>The same as a table</summary>"
    yield "<table><caption>By day, in UTC. A dash: not written down.</caption>"
    yield '<thead><tr><th scope="col">Day</th><th scope="col">Behind by</th>'
    yield '<th scope="col">Files</th><th scope="col">Size</th><th scope="col">Failed</th></tr></thead><tbody>'
    for date, group in groupby(reversed(bars), key=lambda bar: day(bar.starts_at)):
        yield f'<tr><th scope="row">{date}</th>{"".join(f"<td>{cell}</td>" for cell in _cells(list(group)))}</tr>'
    yield "</tbody></table></details>"


def _cells(bars: Sequence[Bar]) -> Iterator[str]:
    lags = [bar.lag for bar in bars if bar.lag is not None]
    yield unbroken(brief(max(lags))) if lags else _UNKNOWN
    if not any(bar.is_recorded for bar in bars):
        yield from (_UNKNOWN,) * 3
        return
    yield f"{sum(bar.files for bar in bars):,}"
    yield unbroken(format_size(sum(bar.bytes for bar in bars)))
    yield f"{sum(bar.errors for bar in bars):,}"


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
    """Return the next plain number of MiB, GiB or whatever fits."""
    unit = 1.0
    while peak >= unit * _BINARY_STEP:
        unit *= _BINARY_STEP
    return unit * min(_number_above(peak / unit), float(_BINARY_STEP))


_CHARTS: Final = (
    _Chart(
        "lag",
        "Time behind upstream",
        lambda bar: bar.lag,
        lambda value: unbroken(brief(value)) if value else "0",
        _span_above,
        "",
    ),
    _Chart(
        "fetched",
        "Bytes fetched",
        lambda bar: float(bar.bytes) if bar.is_recorded else None,
        lambda value: unbroken(format_size(int(value))) if value else "0",
        _size_above,
        " in two hours",
    ),
    _Chart(
        "files",
        "Files fetched",
        lambda bar: float(bar.files) if bar.is_recorded else None,
        lambda value: f"{value:,.0f}",
        _number_above,
        " in two hours",
    ),
)
