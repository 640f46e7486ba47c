"""Which projects are synced next, and when a pass ends."""

import threading

import trio
from trio.testing import MockClock

from tests.support.mirror import Mirror
from tests.support.pypi.world import World

_LONGEST = 30.0
"""Real seconds: a pass that waits for the clock, which does not advance here, would never end."""


async def test_pass_ends_with_its_last_project(
    mirror: Mirror,
    world: World,
    mock_clock: MockClock,  # noqa: ARG001 -- it does not advance
) -> None:
    for number in range(30):
        world.upload(f"project-{number}", "1.0")
    ended = threading.Event()
    async with trio.open_nursery() as nursery:

        async def give_up() -> None:
            if not await trio.to_thread.run_sync(ended.wait, _LONGEST):
                nursery.cancel_scope.cancel()

        nursery.start_soon(give_up)
        await mirror.sync()
        ended.set()
    assert not nursery.cancel_scope.cancelled_caught
    assert mirror.problems() == []
