"""When a disk will be full, and when there is no forecast."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirrorsync.state.report import Growth
from mirrorsync.status.forecast import Forecast, NoForecast, forecast

_DAY = 86_400.0
_BYTES = st.integers(0, 1 << 60)


def test_growth_of_a_tenth_of_the_room_a_day_fills_it_in_ten_days() -> None:
    found = forecast(Growth(seconds=2 * _DAY, bytes=200), stored=10_000, room=1000)
    assert isinstance(found, Forecast)
    assert (found.bytes_a_day, found.seconds_left) == pytest.approx((100, 10 * _DAY))


def test_a_disk_without_room_is_full_now() -> None:
    found = forecast(Growth(seconds=_DAY, bytes=200), stored=10_000, room=-5)
    assert isinstance(found, Forecast)
    assert found.seconds_left == 0


def test_a_mirror_that_does_not_grow_is_never_full() -> None:
    assert forecast(Growth(seconds=_DAY, bytes=0), stored=1, room=1) == Forecast(0.0, float("inf"))


def test_an_hour_of_history_gives_no_forecast() -> None:
    assert forecast(Growth(seconds=3600, bytes=9), stored=1000, room=10) == NoForecast("not enough history")


def test_a_mirror_that_was_just_filled_has_no_forecast() -> None:
    found = forecast(Growth(seconds=2 * _DAY, bytes=900), stored=1000, room=10)
    assert isinstance(found, NoForecast)
    assert "since the mirror was filled" in found.why


@given(st.floats(0, 1e12), _BYTES, _BYTES, st.integers(-(1 << 60), 1 << 60))
def test_no_forecast_is_in_the_past(seconds: float, fetched: int, stored: int, room: int) -> None:
    found = forecast(Growth(seconds=seconds, bytes=fetched), stored=stored, room=room)
    assert isinstance(found, NoForecast) or found.seconds_left >= 0
