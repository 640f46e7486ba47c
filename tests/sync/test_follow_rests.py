"""When upstream is looked at: never too often, later while it is down, soon when there is reason to."""

# ruff: noqa: ARG001 -- a test has the clock that jumps by naming it

from pathlib import Path

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from mirrorsync.app.daemon import poll_schedule
from mirrorsync.config.load import parse
from mirrorsync.sync.poll_schedule import JITTER, LONGEST, PollSchedule
from mirrorsync.sync.poll_schedule_rest import Bell, Rests, time_asleep

_CHANCE = st.floats(0, 1)
_MINUTE = PollSchedule(interval=60.0, shortest=60.0)


def never_asleep() -> float:
    return 0.0


@given(st.floats(0.1, 1e5), st.integers(0, 100), _CHANCE)
def test_a_wait_is_no_shorter_than_the_interval_and_has_an_end(interval: float, failures: int, chance: float) -> None:
    wait = PollSchedule(interval=interval, shortest=0, failures=failures).wait(chance)
    assert interval <= wait <= max(interval, LONGEST) * (1 + JITTER)


@given(_CHANCE, st.floats(0, 86_400))
def test_what_upstream_asks_for_is_obeyed_whatever_the_rhythm_is(chance: float, asked: float) -> None:
    rhythm = _MINUTE.after_failure(asked)
    assert rhythm.wait(chance) >= asked
    assert rhythm.at_least >= asked


def test_waits_double_to_a_quarter_of_an_hour_and_are_as_before_at_the_first_success() -> None:
    rhythm, waits = _MINUTE, []
    for _ in range(7):
        rhythm = rhythm.after_failure(None)
        waits.append(rhythm.wait(0))
    assert waits == [60, 120, 240, 480, 900, 900, 900]
    assert rhythm.after_success() == _MINUTE


def rhythm(upstream: str) -> PollSchedule:
    text = f'[mirror]\ndirectory = "/srv/pypi"\ncontact = "somebody@site.test"\n[upstream]\n{upstream}\n'
    return poll_schedule(parse(text, Path("mirrorsync.toml"), {}))


def test_pypi_is_looked_at_once_a_minute_at_most_however_often_we_are_woken() -> None:
    assert rhythm('index = "pypi"').at_least == 60
    assert rhythm('index = "https://index.site.test"').at_least == 5
    assert rhythm('index = "https://index.site.test"\npoll-interval = "1s"').at_least == 1


async def rested(rests: Rests, rhythm: PollSchedule, bell: Bell) -> float:
    began = trio.current_time()
    await rests.rest(rhythm, bell, since=began)
    return trio.current_time() - began


async def test_a_rest_is_as_long_as_the_rhythm_says_and_a_tenth_longer_at_most(autojump_clock: MockClock) -> None:
    rests, bell = Rests(never_asleep), Bell()
    waits = [await rested(rests, _MINUTE, bell) for _ in range(200)]
    assert min(waits) >= 60
    assert max(waits) <= 66.1
    assert max(waits) - min(waits) > 3


async def test_a_bell_shortens_a_rest_but_not_below_the_least(autojump_clock: MockClock) -> None:
    rests, bell, hour = Rests(never_asleep), Bell(), PollSchedule(interval=3600.0, shortest=10.0)
    async with trio.open_nursery() as nursery:

        async def ring_often() -> None:
            while True:
                await trio.sleep(0.5)
                rests.ring(bell)

        nursery.start_soon(ring_often)
        assert 10 <= await rested(rests, hour, bell) < 10.6
        assert 10 <= await rested(rests, hour, bell) < 10.6
        nursery.cancel_scope.cancel()


async def test_a_bell_that_rang_while_we_looked_counts_and_an_older_one_does_not(autojump_clock: MockClock) -> None:
    rests, bell, hour = Rests(never_asleep), Bell(), PollSchedule(interval=3600.0, shortest=10.0)
    rests.ring(bell)
    await trio.sleep(1)
    began = trio.current_time()
    await rests.rest(hour, bell, since=began - 0.5)
    assert trio.current_time() - began >= 3600
    began = trio.current_time()
    rests.ring(bell)
    await rests.rest(hour, bell, since=began)
    assert trio.current_time() - began == 10


async def test_nobody_is_woken_before_the_time_that_upstream_asked_for(autojump_clock: MockClock) -> None:
    rests, bell = Rests(never_asleep), Bell()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 5)
        nursery.start_soon(lambda: _ring_after(rests, bell, 5))
        assert await rested(rests, PollSchedule(interval=60.0).after_failure(1800.0), bell) >= 1800


async def _ring_after(rests: Rests, bell: Bell, seconds: float) -> None:
    await trio.sleep(seconds)
    rests.ring(bell)


async def test_a_machine_that_was_suspended_looks_soon_after(autojump_clock: MockClock) -> None:
    slept = [1000.0]
    rests, bell = Rests(lambda: slept[0]), Bell()
    backed_off = PollSchedule(interval=60.0, shortest=10.0, failures=9)
    async with trio.open_nursery() as nursery:

        async def suspend() -> None:
            await trio.sleep(120)
            slept[0] += 8 * 3600

        nursery.start_soon(suspend)
        assert 120 <= await rested(rests, backed_off, bell) <= 126
    assert await rested(rests, backed_off, bell) >= LONGEST


async def test_a_stop_ends_every_rest_at_once(autojump_clock: MockClock) -> None:
    rests, bell = Rests(never_asleep), Bell()
    async with trio.open_nursery() as nursery:

        async def stop() -> None:
            await trio.sleep(7)
            rests.stop()

        nursery.start_soon(stop)
        assert await rested(rests, _MINUTE, bell) == 7
    assert await rested(rests, _MINUTE, bell) == 0


def test_the_machine_says_how_long_it_was_asleep() -> None:
    first = time_asleep()
    assert first > -1
    assert abs(time_asleep() - first) < 1
