"""The notifier: every public change reaches every sink; no sink delays the mirror or another sink."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from mirrorsync.app.wiring import open_context
from mirrorsync.errors import Unreachable
from mirrorsync.model.notification import Announcement
from mirrorsync.notify.errors import NotifyError
from mirrorsync.state.notification_queue import SinkReport
from mirrorsync.sync.daemon_loop import DaemonLoop
from mirrorsync.sync.notifier import Notifier, describe
from mirrorsync.sync.policy import NotifyConfig, Policy
from mirrorsync.sync.poll_schedule import PollSchedule
from tests.notify.standin import ConfiguredResponse, StandIn, standing_in
from tests.support.mirror import Mirror, RecordingObserver
from tests.support.process.cli import Operator
from tests.support.pypi.faults import Status
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

ALPHA = [f"/simple/alpha/{form}" for form in ("", "index.html", "index.v1_html", "index.v1_json")]
ROOT = [f"/simple/{form}" for form in ("", "index.html", "index.v1_html", "index.v1_json")]


class Listener:
    """A sink in this process that records announcements."""

    def __init__(self, name: str, *, delay: float = 0.0, max_changes: int = 100) -> None:
        self.name = name
        self.max_changes = max_changes
        self.delay = delay
        """Seconds that an announcement takes."""
        self.started = 0
        self.received: list[Announcement] = []
        self.failure: NotifyError | None = None

    async def announce(self, announcement: Announcement) -> str:
        self.started += 1
        await trio.sleep(self.delay)
        if self.failure is not None:
            raise self.failure
        self.received.append(announcement)
        return ""

    @property
    def subjects(self) -> list[str]:
        return [change.name or "root" for announcement in self.received for change in announcement.changes]


def make_mirror(directory: Path, pypi: PyPI, *caches: str, **sections: dict[str, Any]) -> Mirror:
    limits = {"min-free": "0", "removal-grace": "0s"}
    return Mirror(directory, pypi, purge={"caches": list(caches)}, **{"limits": limits, **sections})


async def sink_reports(mirror: Mirror) -> Sequence[SinkReport]:
    async with open_context(mirror.settings, RecordingObserver(), mirror.clock, mirror.clock.sleep) as context:
        return (await context.state.report()).sinks


async def test_pass_announces_exactly_what_it_published(
    tmp_path: Path, world: World, pypi: PyPI, standin: StandIn
) -> None:
    world.upload("alpha", "1.0")
    world.upload("beta", "1.0")
    mirror = make_mirror(tmp_path, pypi, standin.url)
    await mirror.sync()
    assert standin.paths("BAN") == ["/simple/", "/pypi/"]  # a new cache
    assert set(standin.paths("PURGE")) >= {*ALPHA, *ROOT}
    standin.requests.clear()
    await mirror.sync()
    assert standin.requests == []
    world.upload("alpha", "1.1")
    await mirror.sync()
    assert standin.paths("PURGE") == [*ALPHA, *ROOT]


async def test_new_and_removed_projects_are_announced(
    tmp_path: Path, world: World, pypi: PyPI, standin: StandIn
) -> None:
    wheel = world.upload("alpha", "1.0").filename
    world.upload("beta", "1.0")
    mirror = make_mirror(tmp_path, pypi, standin.url)
    await mirror.sync()
    standin.requests.clear()
    world.remove_project("alpha")
    await mirror.sync()
    purged = standin.paths("PURGE")
    assert set(purged) > {*ALPHA, *ROOT}
    assert [path for path in purged if path.endswith(wheel)] != []
    standin.requests.clear()
    world.upload("alpha", "2.0")
    await mirror.sync()
    assert standin.paths("PURGE") == [*ALPHA, *ROOT]


async def test_announced_paths_include_siblings_and_legacy_documents(
    tmp_path: Path, world: World, pypi: PyPI, standin: StandIn
) -> None:
    world.upload("alpha", "1.0")
    await make_mirror(tmp_path, pypi, standin.url, content={"gzip": True, "legacy-json": True}).sync()
    siblings = [f"/simple/alpha/{form}.gz" for form in ("index.html", "index.v1_html", "index.v1_json")]
    assert [path for path in standin.paths("PURGE") if "alpha" in path] == [*ALPHA, *siblings, "/pypi/alpha/json"]


async def test_cache_that_is_down_delays_neither_mirror_nor_other_caches(
    tmp_path: Path, world: World, pypi: PyPI, standin: StandIn
) -> None:
    world.upload("alpha", "1.0")
    with standing_in() as broken:
        broken.response = ConfiguredResponse(status=503, headers={"Retry-After": "100"})
        mirror = make_mirror(tmp_path, pypi, broken.url, standin.url)
        await mirror.sync()
        assert mirror.problems() == []
        assert set(standin.paths("PURGE")) >= {*ALPHA, *ROOT}
        assert len(broken.requests) == 1
        assert [notice for notice in mirror.observer.notices if "answers 503" in notice and "kept" in notice] != []
        world.upload("alpha", "1.1")
        mirror.clock.forward(99)
        await mirror.sync()
        assert len(broken.requests) == 1  # its Retry-After is 100 s
        assert [(row.attempts, row.waiting) for row in await sink_reports(mirror)] in (
            [(1, 2), (0, 0)],
            [(0, 0), (1, 2)],
        )
        broken.response = ConfiguredResponse()
        mirror.clock.forward(1)
        await mirror.sync()
        assert set(broken.paths("PURGE")) == {*ALPHA, *ROOT}
        assert all(row.waiting == 0 for row in await sink_reports(mirror))


async def test_flood_is_announced_as_one_change_of_everything(
    tmp_path: Path, world: World, pypi: PyPI, standin: StandIn
) -> None:
    for number in range(15):
        world.upload(f"parcel-{number}", "1.0")
    mirror = make_mirror(tmp_path, pypi, standin.url, notify={"flood-limit": 10})
    await mirror.sync()
    assert standin.paths("BAN") == ["/simple/", "/pypi/"]
    assert standin.paths("PURGE") == []


async def test_announcements_are_sent_while_upstream_fails(
    tmp_path: Path, world: World, pypi: PyPI, standin: StandIn
) -> None:
    world.upload("alpha", "1.0")
    standin.response = ConfiguredResponse(status=500)
    mirror = make_mirror(tmp_path, pypi, standin.url, upstream={"feed": "xmlrpc"})
    await mirror.sync()
    standin.response = ConfiguredResponse()
    standin.requests.clear()
    mirror.clock.forward(10)
    pypi.faults.add(r"^/pypi$", Status(404))
    with pytest.raises(Unreachable):
        await mirror.sync()
    assert set(standin.paths("PURGE")) == {*ALPHA, *ROOT}


async def run_daemon_until(mirror: Mirror, *sinks: Listener, until: Callable[[], bool]) -> float:
    """Run a daemon loop until `until()` is true; return the seconds it took to stop."""
    async with open_context(mirror.settings, RecordingObserver()) as context:
        await context.state.outbox.set_sinks([sink.name for sink in sinks])
        own_context = replace(context, notify=NotifyConfig(sinks=sinks, interval=0.02))
        loop = DaemonLoop(own_context, PollSchedule(interval=0.1, shortest=0.0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            with trio.fail_after(20):
                while not until():  # noqa: ASYNC110 -- the condition has no event
                    await trio.sleep(0.01)
            loop.stop()
            began = time.monotonic()
        return time.monotonic() - began


async def test_hanging_sink_does_not_delay_another(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    mirror = make_mirror(tmp_path, pypi)
    good, bad = Listener("good"), Listener("bad", delay=3)
    bad.failure = NotifyError("it does not respond")
    versions = iter(("1.1", "1.2"))
    done: list[str] = []

    def until() -> bool:
        """Upload the next version once the previous one is announced."""
        if len(done) < good.subjects.count("alpha"):
            done.append("alpha")
            if version := next(versions, ""):
                world.upload("alpha", version)
        return len(done) == 3

    assert await run_daemon_until(mirror, good, bad, until=until) < 5
    assert bad.received == []
    assert mirror.problems() == []


async def test_failed_announcement_is_retried_and_logged_once(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    mirror = make_mirror(tmp_path, pypi)
    await mirror.sync()
    listener = Listener("listener")
    listener.failure = NotifyError("it is down", hint="look at it")
    async with open_context(mirror.settings, mirror.observer, mirror.clock, mirror.clock.sleep) as opened:
        await opened.state.outbox.set_sinks([listener.name])
        notifier, attempts = Notifier(replace(opened, notify=NotifyConfig(sinks=(listener,)))), []
        mirror.observer.notices.clear()
        for _ in range(400):
            await notifier.finish()
            attempts.append((await opened.state.report()).sinks[0].attempts)
            mirror.clock.forward(1)
        assert [attempts.count(number) for number in (1, 2, 3)] == [5, 15, 60]
        assert len(mirror.observer.notices) == 1
        listener.failure = None
        mirror.clock.forward(300)
        await notifier.finish()
    assert [announcement.everything for announcement in listener.received] == [("index",)]
    assert mirror.observer.notices[1:] == ["listener receives changes again; none was lost"]


async def test_pass_after_a_clock_correction_sends_announcements(
    tmp_path: Path, world: World, pypi: PyPI, standin: StandIn
) -> None:
    world.upload("alpha", "1.0")
    mirror = make_mirror(tmp_path, pypi, standin.url, upstream={"feed": "xmlrpc"})
    mirror.clock.forward(86_400)
    standin.response = ConfiguredResponse(status=500)
    await mirror.sync()
    standin.response = ConfiguredResponse()
    standin.requests.clear()
    mirror.clock.forward(-86_400)
    pypi.faults.add(r"^/pypi$", Status(404))
    with pytest.raises(Unreachable):
        await mirror.sync()
    assert set(standin.paths("PURGE")) == {*ALPHA, *ROOT}


async def test_a_second_flood_within_a_minute_waits(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    mirror = make_mirror(tmp_path, pypi)
    await mirror.sync()
    listener = Listener("listener")
    async with open_context(mirror.settings, mirror.observer, mirror.clock, mirror.clock.sleep) as opened:
        await opened.state.outbox.set_sinks([listener.name])
        notifier = Notifier(replace(opened, notify=NotifyConfig(sinks=(listener,), flood=0)))
        for _ in range(3):
            await notifier.finish()
            await opened.state.outbox.intend_root()
            await opened.state.root_published(None, 1)
    assert len(listener.received) == 1


def test_file_is_announced_by_its_quoted_path_and_digest() -> None:
    digits = "0f" * 32
    change = describe(f"packages/0f/0f/{digits[4:]}/a b+c#1.0.whl", Policy(selection=None))  # type: ignore[arg-type] # not used
    assert change.paths == (f"/packages/0f/0f/{digits[4:]}/a%20b+c%231.0.whl",)
    assert change.key == f"file-{digits}"


def test_configuration_without_sinks_leaves_the_queue_empty(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    operator = Operator(tmp_path, pypi)
    assert operator.does("sync").code == 0

    async def read_reports() -> tuple[SinkReport, ...]:
        async with open_context(Mirror(operator.directory, pypi).settings, RecordingObserver()) as context:
            return (await context.state.report()).sinks

    assert trio.run(read_reports) == ()


async def test_changed_legacy_document_is_announced_without_a_new_page(
    tmp_path: Path, world: World, pypi: PyPI, standin: StandIn
) -> None:
    world.upload("alpha", "1.0")
    mirror = make_mirror(tmp_path, pypi, standin.url, content={"legacy-json": True})
    await mirror.sync()
    page = mirror.page("alpha")
    standin.requests.clear()
    world.add_role("alpha")
    await mirror.sync()
    assert mirror.page("alpha")["files"] == page["files"]
    assert "/pypi/alpha/json" in standin.paths("PURGE")
