"""Signs of life: who is told to be stuck, and who is not."""

# ruff: noqa: ARG001 -- a test has the clock that jumps by naming it

from functools import partial

import trio
from trio.testing import MockClock

from mirrorsync.runtime.heartbeat import Heartbeats, beat, resting

_ALLOWANCE = 900.0


async def worker(pulses: Heartbeats, name: str, *, every: float) -> None:
    with pulses.bearing(name):
        while True:
            await trio.sleep(every)
            beat()


async def waits(pulses: Heartbeats, name: str) -> None:
    with pulses.bearing(name), resting():
        await trio.sleep_forever()


async def test_whoever_shows_no_sign_of_life_for_longer_than_allowed_is_stuck(autojump_clock: MockClock) -> None:
    pulses = Heartbeats(_ALLOWANCE)
    with pulses.bearing("numpy"):
        await trio.sleep(_ALLOWANCE - 1)
        assert pulses.stuck() == []
        await trio.sleep(2)
        assert pulses.stuck() == ["numpy"]
        beat()
        assert pulses.stuck() == []
    await trio.sleep(_ALLOWANCE + 1)
    assert pulses.stuck() == []


async def test_one_that_is_stuck_is_seen_among_many_that_get_on(autojump_clock: MockClock) -> None:
    pulses = Heartbeats(_ALLOWANCE)
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(partial(worker, pulses, f"project-{number}", every=1))
        nursery.start_soon(partial(worker, pulses, "wedged", every=10 * _ALLOWANCE))
        await trio.sleep(_ALLOWANCE + 2)
        assert pulses.stuck() == ["wedged"]
        nursery.cancel_scope.cancel()


async def test_a_sign_of_what_a_task_has_started_is_its_own(autojump_clock: MockClock) -> None:
    pulses = Heartbeats(_ALLOWANCE)

    async def part_of_it() -> None:
        for _ in range(10):
            await trio.sleep(_ALLOWANCE / 2)
            beat()

    async with trio.open_nursery() as nursery:
        with pulses.bearing("torch"):
            nursery.start_soon(part_of_it)
            await trio.sleep(4 * _ALLOWANCE)
            assert pulses.stuck() == []
            nursery.cancel_scope.cancel()


async def test_waiting_for_a_connection_for_hours_is_not_being_stuck_while_others_get_on(
    autojump_clock: MockClock,
) -> None:
    pulses = Heartbeats(_ALLOWANCE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits, pulses, "patient")
        nursery.start_soon(partial(worker, pulses, "a large file", every=60))
        await trio.sleep(5 * 3600)
        assert pulses.stuck() == []
        nursery.cancel_scope.cancel()


async def test_all_waiting_for_a_connection_that_nobody_has_are_stuck(autojump_clock: MockClock) -> None:
    pulses = Heartbeats(_ALLOWANCE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits, pulses, "one")
        with pulses.bearing("a loop that comes round", loops=True):
            await trio.sleep(_ALLOWANCE + 1)
            beat()
            assert pulses.stuck() == ["one"]
        nursery.cancel_scope.cancel()


async def test_after_a_long_wait_the_time_begins_anew(autojump_clock: MockClock) -> None:
    pulses = Heartbeats(_ALLOWANCE)
    with pulses.bearing("numpy"):
        with resting():
            await trio.sleep(5 * 3600)
        assert pulses.stuck() == []
        await trio.sleep(_ALLOWANCE + 1)
        assert pulses.stuck() == ["numpy"]


async def test_signs_of_somebody_who_is_not_watched_are_nobodys(autojump_clock: MockClock) -> None:
    beat()
    with resting():
        await trio.sleep(1)
