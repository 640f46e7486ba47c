"""When the disk will be full, from what the recorded runs fetched. Pure."""

from typing import Final

import msgspec

from mirrorsync.state.report import Growth, Report

_SHORTEST: Final = 6 * 3600.0
"""Seconds of history below which there is no forecast: an afternoon's uploads are not a night's."""
_FIRST_SYNC: Final = 0.5
"""Share of all bytes: a mirror that fetched more than this lately was being filled, and will not keep that pace."""
_DAY: Final = 86_400.0
_FAR: Final = 100 * 365 * _DAY
"""Seconds: a later date counts as never."""


class Forecast(msgspec.Struct, frozen=True):
    """When there will be no room left at the present pace."""

    bytes_a_day: float
    seconds_left: float
    """Infinite where the mirror does not grow."""


class NoForecast(msgspec.Struct, frozen=True):
    """Why there is no forecast."""

    why: str


def forecast(growth: Growth, *, stored: int, room: int) -> Forecast | NoForecast:
    """Return when `room` bytes will be used up; `stored`: the bytes of all files of the mirror.

    Deletions are not counted, so the forecast is early rather than late.
    """
    if growth.seconds < _SHORTEST:
        return NoForecast("not enough history")
    if growth.bytes > _FIRST_SYNC * stored:
        return NoForecast("not enough history since the mirror was filled")
    pace = growth.bytes / growth.seconds
    left = max(0, room) / pace if pace else float("inf")
    return Forecast(bytes_a_day=pace * _DAY, seconds_left=left if left < _FAR else float("inf"))


def forecast_of(report: Report, room: int) -> Forecast | NoForecast:
    """Return when a mirror with `room` bytes left runs out of them."""
    if report.complete_at is None:
        return NoForecast("not enough history: the mirror was never complete")
    return forecast(report.growth, stored=report.bytes, room=room)
