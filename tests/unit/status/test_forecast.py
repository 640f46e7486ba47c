"""When a disk is foretold to be full, and when nothing is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirrorsync.state.report import Growth
from mirrorsync.status.forecast import Forecast, NoForecast, forecast

_DAY = 86_400.0
_BYTES = st.integers(0, 1 << 60)


def test_what_grows_by_a_tenth_of_the_room_a_day_is_full_in_ten_days() -> None:
    found = forecast(Growth(seconds=2 * _DAY, bytes=200), stored=10_000, room=1000)
    assert isinstance(found, Forecast)
    assert (found.bytes_a_day, found.seconds_left) == pytest.approx((100, 10 * _DAY))


def test_without_room_it_is_full_now() -> None:
    found = forecast(Growth(seconds=_DAY, bytes=200), stored=10_000, room=-5)
    assert isinstance(found, Forecast)
    assert found.seconds_left == 0


def test_what_does_not_grow_is_never_full() -> None:
    assert forecast(Growth(seconds=_DAY, bytes=0), stored=1, room=1) == Forecast(0.0, float("inf"))


def test_an_hour_of_history_foretells_nothing() -> None:
    assert forecast(Growth(seconds=3600, bytes=9), stored=1000, room=10) == NoForecast("not enough history")


def test_a_mirror_that_was_just_filled_foretells_nothing() -> None:
    found = forecast(Growth(seconds=2 * _DAY, bytes=900), stored=1000, room=10)
    assert isinstance(found, NoForecast)
    assert "since the mirror was filled" in found.why


@given(st.floats(0, 1e12), _BYTES, _BYTES, st.integers(-(1 << 60), 1 << 60))
def test_whatever_the_figures_nothing_is_foretold_for_the_past(
    seconds: float, fetched: int, stored: int, room: int
) -> None:
    found = forecast(Growth(seconds=seconds, bytes=fetched), stored=stored, room=room)
    assert isinstance(found, NoForecast) or found.seconds_left >= 0
