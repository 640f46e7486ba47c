"""When upstream is polled: never too often, later while it is down, soon after a wake-up."""

# ruff: noqa: ARG001 -- a test has the clock that jumps by naming it

from pathlib import Path

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from mirrorsync.app.daemon import poll_schedule
from mirrorsync.config.load import parse
from mirrorsync.sync.poll_schedule import JITTER, LONGEST, PollSchedule, Waits, WakeUp, seconds_suspended

_CHANCE = st.floats(0, 1)
_MINUTE = PollSchedule(interval=60.0, shortest=60.0)


def never_suspended() -> float:
    return 0.0


@given(st.floats(0.1, 1e5), st.integers(0, 100), _CHANCE)
def test_wait_is_at_least_the_interval_and_bounded(interval: float, failures: int, chance: float) -> None:
    wait = PollSchedule(interval=interval, shortest=0, failures=failures).wait(chance)
    assert interval <= wait <= max(interval, LONGEST) * (1 + JITTER)


@given(_CHANCE, st.floats(0, 86_400))
def test_retry_after_is_the_least_wait(chance: float, retry_after: float) -> None:
    schedule = _MINUTE.after_failure(retry_after)
    assert schedule.wait(chance) >= retry_after
    assert schedule.at_least >= retry_after


def test_waits_double_to_a_quarter_of_an_hour_until_a_success() -> None:
    schedule, waits = _MINUTE, []
    for _ in range(7):
        schedule = schedule.after_failure(None)
        waits.append(schedule.wait(0))
    assert waits == [60, 120, 240, 480, 900, 900, 900]
    assert schedule.after_success() == _MINUTE


def schedule_for(upstream: str) -> PollSchedule:
    text = f'[mirror]\ndirectory = "/srv/pypi"\ncontact = "operator@site.test"\n[upstream]\n{upstream}\n'
    return poll_schedule(parse(text, Path("mirrorsync.toml"), {}))


def test_pypi_is_polled_at_most_once_a_minute_despite_wake_ups() -> None:
    assert schedule_for('index = "pypi"').at_least == 60
    assert schedule_for('index = "https://index.site.test"').at_least == 5
    assert schedule_for('index = "https://index.site.test"\npoll-interval = "1s"').at_least == 1


async def waited(waits: Waits, schedule: PollSchedule, wake_up: WakeUp) -> float:
    began = trio.current_time()
    await waits.wait(schedule, wake_up, since=began)
    return trio.current_time() - began


async def wake_after(waits: Waits, wake_up: WakeUp, seconds: float) -> None:
    await trio.sleep(seconds)
    waits.wake(wake_up)


async def test_wait_is_the_interval_plus_at_most_a_tenth(autojump_clock: MockClock) -> None:
    waits, wake_up = Waits(never_suspended), WakeUp()
    lengths = [await waited(waits, _MINUTE, wake_up) for _ in range(200)]
    assert min(lengths) >= 60
    assert max(lengths) <= 66.1
    assert max(lengths) - min(lengths) > 3


async def test_wake_up_shortens_a_wait_to_the_shortest_allowed(autojump_clock: MockClock) -> None:
    waits, wake_up = Waits(never_suspended), WakeUp()
    hour = PollSchedule(interval=3600.0, shortest=10.0)
    async with trio.open_nursery() as nursery:

        async def wake_often() -> None:
            while True:
                await trio.sleep(0.5)
                waits.wake(wake_up)

        nursery.start_soon(wake_often)
        assert 10 <= await waited(waits, hour, wake_up) < 10.6
        assert 10 <= await waited(waits, hour, wake_up) < 10.6
        nursery.cancel_scope.cancel()


async def test_wake_up_counts_only_after_the_poll_began(autojump_clock: MockClock) -> None:
    waits, wake_up = Waits(never_suspended), WakeUp()
    hour = PollSchedule(interval=3600.0, shortest=10.0)
    waits.wake(wake_up)
    await trio.sleep(1)
    began = trio.current_time()
    await waits.wait(hour, wake_up, since=began - 0.5)
    assert trio.current_time() - began >= 3600
    began = trio.current_time()
    waits.wake(wake_up)
    await waits.wait(hour, wake_up, since=began)
    assert trio.current_time() - began == 10


async def test_wake_up_does_not_shorten_retry_after(autojump_clock: MockClock) -> None:
    waits, wake_up = Waits(never_suspended), WakeUp()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wake_after, waits, wake_up, 5)
        assert await waited(waits, PollSchedule(interval=60.0).after_failure(1800.0), wake_up) >= 1800


async def test_wait_ends_soon_after_the_machine_was_suspended(autojump_clock: MockClock) -> None:
    suspended = [1000.0]
    waits, wake_up = Waits(lambda: suspended[0]), WakeUp()
    backed_off = PollSchedule(interval=60.0, shortest=10.0, failures=9)
    async with trio.open_nursery() as nursery:

        async def suspend() -> None:
            await trio.sleep(120)
            suspended[0] += 8 * 3600

        nursery.start_soon(suspend)
        assert 120 <= await waited(waits, backed_off, wake_up) <= 126
    assert await waited(waits, backed_off, wake_up) >= LONGEST


async def test_stop_ends_every_wait_at_once(autojump_clock: MockClock) -> None:
    waits, wake_up = Waits(never_suspended), WakeUp()
    async with trio.open_nursery() as nursery:

        async def stop() -> None:
            await trio.sleep(7)
            waits.stop()

        nursery.start_soon(stop)
        assert await waited(waits, _MINUTE, wake_up) == 7
    assert await waited(waits, _MINUTE, wake_up) == 0


def test_seconds_suspended_is_read_from_the_system() -> None:
    first = seconds_suspended()
    assert first > -1
    assert abs(seconds_suspended() - first) < 1
