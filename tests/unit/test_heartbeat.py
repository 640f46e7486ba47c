"""Heartbeats: which workers count as stuck, and which do not."""

# ruff: noqa: ARG001 -- a test has the clock that jumps by naming it

from functools import partial

import trio
from trio.testing import MockClock

from mirrorsync.runtime.heartbeat import Heartbeats, beat, queued

_ALLOWANCE = 900.0


async def worker(heartbeats: Heartbeats, name: str, *, every: float) -> None:
    with heartbeats.monitor(name):
        while True:
            await trio.sleep(every)
            beat()


async def waits_in_a_queue(heartbeats: Heartbeats, name: str) -> None:
    with heartbeats.monitor(name), queued():
        await trio.sleep_forever()


async def test_worker_without_a_beat_for_the_allowance_is_stuck(autojump_clock: MockClock) -> None:
    heartbeats = Heartbeats(_ALLOWANCE)
    with heartbeats.monitor("numpy"):
        await trio.sleep(_ALLOWANCE - 1)
        assert heartbeats.stuck() == []
        await trio.sleep(2)
        assert heartbeats.stuck() == ["numpy"]
        beat()
        assert heartbeats.stuck() == []
    await trio.sleep(_ALLOWANCE + 1)
    assert heartbeats.stuck() == []


async def test_stuck_worker_is_found_among_many_that_make_progress(autojump_clock: MockClock) -> None:
    heartbeats = Heartbeats(_ALLOWANCE)
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(partial(worker, heartbeats, f"project-{number}", every=1))
        nursery.start_soon(partial(worker, heartbeats, "wedged", every=10 * _ALLOWANCE))
        await trio.sleep(_ALLOWANCE + 2)
        assert heartbeats.stuck() == ["wedged"]
        nursery.cancel_scope.cancel()


async def test_beat_of_a_child_task_counts_for_its_worker(autojump_clock: MockClock) -> None:
    heartbeats = Heartbeats(_ALLOWANCE)

    async def child() -> None:
        for _ in range(10):
            await trio.sleep(_ALLOWANCE / 2)
            beat()

    async with trio.open_nursery() as nursery:
        with heartbeats.monitor("torch"):
            nursery.start_soon(child)
            await trio.sleep(4 * _ALLOWANCE)
            assert heartbeats.stuck() == []
            nursery.cancel_scope.cancel()


async def test_queued_worker_is_not_stuck_while_others_make_progress(autojump_clock: MockClock) -> None:
    heartbeats = Heartbeats(_ALLOWANCE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits_in_a_queue, heartbeats, "queued")
        nursery.start_soon(partial(worker, heartbeats, "a large file", every=60))
        await trio.sleep(5 * 3600)
        assert heartbeats.stuck() == []
        nursery.cancel_scope.cancel()


async def test_queued_worker_is_stuck_when_no_worker_makes_progress(autojump_clock: MockClock) -> None:
    heartbeats = Heartbeats(_ALLOWANCE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits_in_a_queue, heartbeats, "queued")
        with heartbeats.monitor("a loop", loops=True):
            await trio.sleep(_ALLOWANCE + 1)
            beat()
            assert heartbeats.stuck() == ["queued"]
        nursery.cancel_scope.cancel()


async def test_allowance_starts_again_when_the_queue_ends(autojump_clock: MockClock) -> None:
    heartbeats = Heartbeats(_ALLOWANCE)
    with heartbeats.monitor("numpy"):
        with queued():
            await trio.sleep(5 * 3600)
        assert heartbeats.stuck() == []
        await trio.sleep(_ALLOWANCE + 1)
        assert heartbeats.stuck() == ["numpy"]


async def test_beat_of_an_unmonitored_task_does_nothing(autojump_clock: MockClock) -> None:
    beat()
    with queued():
        await trio.sleep(1)
