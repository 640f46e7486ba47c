"""When the disk will be full, from what the runs that are remembered have fetched. Pure."""

from typing import Final

import msgspec

_SHORTEST: Final = 6 * 3600.0
"""Seconds of history below which nothing is foretold: an afternoon's uploads are not a night's."""
_FIRST_SYNC: Final = 0.5
"""Share of all bytes: who fetched more than this lately was being filled, and will not go on at that pace."""
_DAY: Final = 86_400.0
_FAR: Final = 100 * 365 * _DAY
"""Seconds: what lies further ahead is not foretold."""


class Growth(msgspec.Struct, frozen=True):
    """What the runs that are remembered have fetched."""

    seconds: float
    """From the beginning of the first to the end of the last."""
    bytes: int


class Forecast(msgspec.Struct, frozen=True):
    """When there will be no room left, if it goes on like this."""

    bytes_a_day: float
    seconds_left: float
    """Infinite where nothing grows."""


class NoForecast(msgspec.Struct, frozen=True):
    """Why nothing can be foretold."""

    why: str


def forecast(growth: Growth, *, stored: int, room: int) -> Forecast | NoForecast:
    """Return when `room` bytes will be used up; `stored`: the bytes of all files of the mirror.

    What is deleted meanwhile is not counted, so it is rather too early than too late.
    """
    if growth.seconds < _SHORTEST:
        return NoForecast("not enough history")
    if growth.bytes > _FIRST_SYNC * stored:
        return NoForecast("not enough history since the mirror was filled")
    pace = growth.bytes / growth.seconds
    left = max(0, room) / pace if pace else float("inf")
    return Forecast(bytes_a_day=pace * _DAY, seconds_left=left if left < _FAR else float("inf"))
