"""Projects that failed in an outage, or for lack of disk space, are retried as soon as it is over; others are not."""

# ruff: noqa: ARG001 -- a test requests the fast clock by naming the fixture

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from mirrorsync.app.wiring import open_context
from mirrorsync.errors import LowSpace, MirrorsyncError, StalePage, Throttled, TooManyDeletions, Unreachable
from mirrorsync.model.identity import project_name
from mirrorsync.sync.daemon_loop import DaemonLoop
from mirrorsync.sync.failure_policy import judge
from mirrorsync.sync.poll_schedule import PollSchedule
from mirrorsync.upstream.http.errors import AccessDenied, ServerFault
from tests.crash.disk import small_disk
from tests.support.mirror import Mirror
from tests.support.pypi.faults import DelayHeaders, Status, WrongBytes
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World
from tests.sync.test_lag import WORK


@pytest.fixture
def hurry() -> MockClock:
    """Let time pass quickly, without jumps, because real sockets answer."""
    return MockClock(rate=50.0)


@asynccontextmanager
async def following(mirror: Mirror) -> AsyncIterator[DaemonLoop]:
    """Run a daemon loop. The wall clock does not advance, so that back-offs never end by themselves."""
    async with open_context(mirror.settings, mirror.observer, mirror.clock) as context:
        follower = DaemonLoop(context, PollSchedule(interval=1.0, shortest=0.0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.run)
            yield follower
            follower.stop()


async def seen(fact: Callable[[], bool]) -> None:
    with trio.fail_after(3000):
        while not fact():  # noqa: ASYNC110 -- no event reports the fact
            await trio.sleep(1)


def unmet(mirror: Mirror) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in mirror.status()["unmet"] if row["attempts"]}


def versions(mirror: Mirror, name: str) -> list[str]:
    try:
        versions: list[str] = mirror.page(name)["versions"]
    except FileNotFoundError:
        return []
    return versions


async def test_only_projects_that_failed_in_the_outage_are_retried_after_it(
    mirror: Mirror, world: World, pypi: PyPI, hurry: MockClock
) -> None:
    for name in ("alpha", "beta"):
        world.upload(name, "1.0")
    await mirror.sync()
    pypi.faults.add("^/simple/alpha/", Status(500))
    pypi.faults.add("beta-2.0.*whl$", WrongBytes())
    for name in ("alpha", "beta"):
        world.upload(name, "2.0")
    async with following(mirror) as follower:
        await seen(lambda: unmet(mirror).keys() == {"alpha", "beta"})
        pypi.faults.clear()
        await trio.sleep(100)
        assert versions(mirror, "alpha") == ["1.0"]
        outage = pypi.faults.add("", Status(500))
        await seen(lambda: follower.trouble is not None)
        pypi.faults.remove(outage)
        await seen(lambda: versions(mirror, "alpha") == ["1.0", "2.0"])
    assert unmet(mirror).keys() == {"beta"}
    assert unmet(mirror)["beta"]["attempts"] == 1


async def test_downloads_are_retried_once_the_file_host_is_back(
    mirror: Mirror, world: World, pypi: PyPI, hurry: MockClock
) -> None:
    names = {f"project-{number}" for number in range(12)}
    pypi.faults.add("^/packages/", Status(500))
    for name in names:
        world.upload(name, "1.0")
    async with following(mirror):
        await seen(lambda: unmet(mirror).keys() == names)
        pypi.faults.clear()
        await trio.sleep(100)
        assert unmet(mirror).keys() == names
        world.upload("another", "1.0")
        await seen(lambda: not unmet(mirror))
    assert mirror.problems() == []


@pytest.mark.parametrize("what", ["a removal", "a page that is unchanged"])
async def test_change_during_a_page_request_stays_unmet(
    what: str, mirror: Mirror, world: World, pypi: PyPI, hurry: MockClock
) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    pypi.clear_requests()
    slow = pypi.faults.add("^/simple/alpha/", DelayHeaders(0.5))
    async with following(mirror) as follower:
        if what == "a removal":
            world.remove_project("alpha")
        else:
            await follower._context.state.recheck([project_name("alpha")])
        await seen(lambda: bool(pypi.seen("^/simple/alpha/")))
        world.upload("alpha", "2.0")  # its journal row precedes the response
        pypi.faults.remove(slow)
        await seen(lambda: versions(mirror, "alpha")[-1:] == ["2.0"])
    assert mirror.problems() == []


async def test_projects_without_room_are_retried_when_there_is_room(
    tmp_path: Path, world: World, pypi: PyPI, hurry: MockClock
) -> None:
    with small_disk(tmp_path / "mirror", "size=100m") as disk:
        mirror = Mirror(tmp_path / "mirror", pypi, limits={"min-free": "1 GiB"})
        world.upload("alpha", "1.0")
        async with following(mirror):
            await seen(lambda: "alpha" in unmet(mirror))
            await trio.sleep(61)  # the first poll of a process always retries projects without room
            attempts = unmet(mirror)["alpha"]["attempts"]
            disk.remount("size=1000m")
            await trio.sleep(100)
            assert unmet(mirror)["alpha"]["attempts"] == attempts
            disk.remount("size=3g")
            await seen(lambda: not unmet(mirror))
        assert mirror.problems() == []


async def test_start_retries_projects_that_waited_for_upstream_or_space(
    tmp_path: Path, world: World, pypi: PyPI, hurry: MockClock
) -> None:
    mirror = Mirror(tmp_path / "mirror", pypi, limits={"min-free": "1 EiB"})
    world.upload("alpha", "1.0")
    await mirror.sync()
    pypi.faults.add("^/simple/beta/", Status(500), times=9)
    world.upload("beta", "1.0")
    await mirror.sync()
    assert unmet(mirror).keys() == {"alpha", "beta"}
    pypi.faults.clear()
    mirror.sections["limits"]["min-free"] = "0"
    async with following(mirror):
        await seen(lambda: not unmet(mirror))
    assert mirror.problems() == []


@pytest.mark.parametrize(
    ("error", "waits_for"),
    [
        (Unreachable("no answer"), "outage"),
        (ServerFault("HTTP 503"), "outage"),
        (LowSpace("no room"), "space"),
        (ServerFault("HTTP 503", retry_after=600.0), None),
        (Throttled("HTTP 429"), None),
        (AccessDenied("this address seems to be blocked"), None),
        (StalePage("a cache is behind"), None),
        (TooManyDeletions("too many"), None),
    ],
)
def test_only_shared_failures_are_retried_ahead_of_their_turn(error: MirrorsyncError, waits_for: str | None) -> None:
    assert judge(error, WORK, now=0.0).waits_for == waits_for
