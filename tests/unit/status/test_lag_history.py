"""The worst lag of each stretch, derived from the moments at which the mirror was complete."""

import json

import pytest

from mirrorsync.status.lag_history import KEPT, SPAN, LagHistory, decode

START = 1_000 * SPAN


def test_a_mirror_that_polls_every_minute_lags_a_minute_at_worst() -> None:
    history = LagHistory()
    for minute in range(300):
        history = history.observed(START + 60 * minute, START + 60 * minute + 2)
    assert history.worst == {1000: 60, 1001: 60, 1002: 60}


def test_the_lag_of_an_outage_is_known_afterwards() -> None:
    before = LagHistory().observed(START + 100, START + 102)
    after = before.observed(START + 3 * SPAN + 50, START + 3 * SPAN + 52)
    assert after.worst == {1000: SPAN - 100, 1001: 2 * SPAN - 100, 1002: 3 * SPAN - 100, 1003: 3 * SPAN - 50}


def test_the_lag_grows_while_the_mirror_is_incomplete() -> None:
    history = LagHistory().observed(START, START + SPAN / 2)
    assert history.worst == {1000: SPAN / 2}
    history = history.observed(START, START + SPAN * 1.5)
    assert history.worst == {1000: SPAN, 1001: 1.5 * SPAN}


def test_a_mirror_that_was_never_complete_has_no_lag() -> None:
    assert LagHistory().observed(None, START) == LagHistory()


def test_seven_days_are_kept_even_after_years() -> None:
    history = LagHistory().observed(0.0, 1.0).observed(START * 1000, START * 1000 + 1)
    assert len(history.worst) == KEPT
    assert max(history.worst.values()) == START * 1000


def test_a_clock_that_is_set_back_keeps_the_history() -> None:
    history = LagHistory().observed(START, START + 10)
    assert history.observed(START, START - 500) == history
    back = history.observed(START - 3 * SPAN, START - 3 * SPAN + 5)
    assert back.worst == {997: 5}


def test_a_history_survives_encoding() -> None:
    history = LagHistory().observed(START + 100, START + 3 * SPAN)
    assert decode(history.encode()) == history
    assert json.loads(history.encode())["worst"][0] == {"starts_at": int(START), "lag_seconds": SPAN - 100}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"stretch_seconds":60,"complete_at":1,"worst":[]}',
        b'{"stretch_seconds":7200,"complete_at":"x","worst":[]}',
        b"[" * 100_000,
    ],
)
def test_anything_else_decodes_to_an_empty_history(body: bytes) -> None:
    assert decode(body) == LagHistory()
