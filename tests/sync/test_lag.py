"""The lag that a mirror reports, and how soon it retries after failures that no project caused."""

import pytest
from msgspec.structs import replace

from mirrorsync.app.wiring import open_context
from mirrorsync.errors import (
    LowSpace,
    Malformed,
    MirrorsyncError,
    Missing,
    Throttled,
    Truncated,
    Unreachable,
    WrongDigest,
)
from mirrorsync.model.identity import Serial, project_name
from mirrorsync.state.progress import ProjectRow
from mirrorsync.sync import work_feed
from mirrorsync.sync.failure_policy import judge
from mirrorsync.sync.ingest import ingest
from mirrorsync.sync.poll_schedule import PollSchedule
from mirrorsync.sync.removal import RemovalBudget
from mirrorsync.sync.worker_pool import WorkerPool
from tests.support.mirror import Mirror
from tests.support.pypi.world import World


async def test_mirror_is_complete_as_soon_as_nothing_is_unmet(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    async with open_context(mirror.settings, mirror.observer, mirror.clock, mirror.clock.sleep) as context:
        mirror.clock.forward(100)
        world.upload("alpha", "2.0")
        await ingest(context)
        assert mirror.status()["lag_seconds"] == 100
        pool = WorkerPool(context, RemovalBudget(context.policy, now=context.clock()))
        await pool.run(work_feed.until_idle(context, pool))
        assert mirror.status()["lag_seconds"] == 0
        # The next poll follows at once: nothing was published between.
        world.upload("alpha", "3.0")
        await ingest(context)
        assert mirror.status()["lag_seconds"] == 0
        mirror.clock.forward(100)
        assert mirror.status()["lag_seconds"] == 100


async def test_poll_without_changes_updates_the_complete_time(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    async with open_context(mirror.settings, mirror.observer, mirror.clock, mirror.clock.sleep) as context:
        mirror.clock.forward(100)
        await ingest(context)
        assert mirror.status()["lag_seconds"] == 0


WORK = ProjectRow(
    name=project_name("alpha"),
    display_name="alpha",
    wanted_serial=Serial(2),
    content_serial=Serial(2),
    mirrored_serial=Serial(1),
    page_serial=Serial(1),
    attempted_serial=None,
    present=True,
    status="active",
    said_removed=False,
    unlisted=False,
    etag=None,
    page_digest=None,
    attempts=0,
    failing_since=None,
    stale_since=None,
    gone_at=None,
    regressed_to=None,
)


@pytest.mark.parametrize("kind", [Unreachable, Throttled, Truncated, LowSpace])
def test_shared_failures_are_retried_within_a_minute_at_first(kind: type[MirrorsyncError]) -> None:
    delays = [judge(kind("it failed"), replace(WORK, attempts=number), now=0.0).delay for number in range(20)]
    assert all(20 < (delay or 0) <= 60 for delay in delays[:6])  # 20: a single pass does not wait for it
    assert delays == sorted(delays, key=lambda delay: delay or 0)
    assert delays[-1] == 3600
    assert judge(kind("it failed", retry_after=7), WORK, now=0.0).delay == 7


@pytest.mark.parametrize("kind", [WrongDigest, Missing, Malformed])
def test_failures_of_one_project_use_the_states_back_off(kind: type[MirrorsyncError]) -> None:
    assert judge(kind("it failed"), WORK, now=0.0).delay is None


def test_short_poll_interval_limits_the_back_off_after_failures() -> None:
    tired = PollSchedule(interval=1.0, shortest=0.0, failures=100)
    assert tired.wait(0.0) == 15
