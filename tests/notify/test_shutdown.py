"""A run that ends during an announcement completes it or records it as cut short."""

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from mirrorsync.app.wiring import open_context
from mirrorsync.errors import ExitCode
from mirrorsync.notify.cache import Cache
from mirrorsync.notify.errors import NotifyError
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.notifier import Notifier
from mirrorsync.sync.policy import NotifyConfig
from tests.notify.standin import ConfiguredResponse, StandIn
from tests.notify.test_notifier import Listener, make_mirror, run_daemon_until, sink_reports
from tests.notify.test_sinks import announcement_of, project
from tests.support.mirror import Mirror
from tests.support.process.cli import Operator, terminate
from tests.support.process.launch import wait_until
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World


@pytest.fixture
def short_start_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mirrorsync.sync.notifier._START_WITHIN", 0.2)


@pytest.fixture
def mirror(tmp_path: Path, world: World, pypi: PyPI) -> Mirror:
    world.upload("alpha", "1.0")
    world.upload("beta", "1.0")
    return make_mirror(tmp_path, pypi)


@asynccontextmanager
async def with_new_sink(mirror: Mirror, listener: Listener) -> AsyncIterator[SyncContext]:
    """Sync the mirror and register a new sink, which is due an announcement of everything."""
    await mirror.sync()
    async with open_context(mirror.settings, mirror.observer, mirror.clock, mirror.clock.sleep) as context:
        await context.state.outbox.set_sinks([listener.name])
        yield replace(context, notify=NotifyConfig(sinks=(listener,), interval=0.02))


def hook_command(home: Path, seconds: float) -> list[str]:
    """A command that logs when it begins and ends."""
    code = (
        f"import pathlib, time; log = pathlib.Path({str(home / 'hook')!r}).open('a', buffering=1);"
        f" print('began', file=log); time.sleep({seconds}); print('ended', file=log)"
    )
    return [sys.executable, "-I", "-S", "-c", code]


def hook_log(home: Path) -> list[str]:
    path = home / "hook"
    return path.read_text().split() if path.exists() else []


@pytest.mark.usefixtures("short_start_limit")
async def test_command_may_run_longer_than_the_start_limit_of_a_pass(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    mirror = make_mirror(tmp_path, pypi, notify={"command": hook_command(tmp_path, 1.0)})
    await mirror.sync()
    assert hook_log(tmp_path) == ["began", "ended"]
    (row,) = await sink_reports(mirror)
    assert (row.waiting, row.everything, row.attempts) == (0, False, 0)


@pytest.mark.usefixtures("short_start_limit")
async def test_command_that_exceeds_its_timeout_is_a_failure(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    mirror = make_mirror(tmp_path, pypi, notify={"command": hook_command(tmp_path, 60), "command-timeout": "1s"})
    await mirror.sync()
    (row,) = await sink_reports(mirror)
    assert (row.attempts, row.everything) == (1, True)
    assert "did not end in 1 s" in (row.last_error or "")
    assert [notice for notice in mirror.observer.notices if "command-timeout" in notice] != []


@pytest.mark.usefixtures("short_start_limit")
async def test_pass_starts_no_announcement_after_its_limit(mirror: Mirror) -> None:
    listener = Listener("listener", delay=0.5, max_changes=1)
    async with with_new_sink(mirror, listener) as context:
        await context.state.outbox.intend_root()
        await context.state.root_published(None, 1)
        await Notifier(context).finish()
        (row,) = (await context.state.report()).sinks
    assert len(listener.received) == 1
    assert (row.attempts, row.last_error) == (0, None)


@pytest.mark.parametrize("method", ["finish", "run"])
async def test_announcement_cut_short_is_recorded_and_logged(mirror: Mirror, method: str) -> None:
    listener = Listener("listener", delay=60)
    async with with_new_sink(mirror, listener) as context:
        mirror.observer.notices.clear()
        with trio.move_on_after(0.5):
            notifier = Notifier(context)
            await (notifier.finish() if method == "finish" else notifier.run(trio.Event()))
        (row,) = (await context.state.report()).sinks
        assert (row.attempts, row.everything, listener.started) == (1, True, 1)
        assert "cut short" in (row.last_error or "")
        assert [notice for notice in mirror.observer.notices if "listener was cut short" in notice] != []
        listener.delay = 0.0
        await Notifier(context).finish()
    assert [announcement.everything for announcement in listener.received] == [("index",)]


async def test_stopping_daemon_completes_announcements_and_sends_the_rest(mirror: Mirror, world: World) -> None:
    listener = Listener("listener", delay=0.5, max_changes=1)
    await mirror.sync()
    world.upload("alpha", "1.1")
    await run_daemon_until(mirror, listener, until=lambda: listener.started == 2)
    assert listener.started == len(listener.received) > 2
    (row,) = mirror.report().sinks
    assert (row.waiting, row.everything) == (0, False)


def test_running_hook_is_not_killed_when_the_daemon_stops(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    operator = Operator(tmp_path, pypi, notify={"interval": "50ms", "command": hook_command(tmp_path, 2.0)})
    with operator.doing("run") as process:
        wait_until(lambda: hook_log(tmp_path), "the hook starts")
        assert terminate(process).code == ExitCode.OK
    assert hook_log(tmp_path) == ["began", "ended"] * (len(hook_log(tmp_path)) // 2)


def test_hook_killed_with_its_pass_is_logged_as_cut_short(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    operator = Operator(tmp_path, pypi, notify={"command": hook_command(tmp_path, 60)})
    with operator.doing("sync") as process:
        wait_until(lambda: hook_log(tmp_path), "the hook starts")
        stderr = terminate(process).said
    assert "command was cut short" in stderr
    (row,) = trio.run(sink_reports, Mirror(operator.directory, pypi, notify={"command": ["true"]}))
    assert (row.attempts, row.everything) == (1, True)
    assert "cut short" in (row.last_error or "")


async def test_announcement_of_many_slow_requests_has_a_time_limit(
    standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mirrorsync.notify.http._LIMITS_PER_ANNOUNCEMENT", 2)
    standin.response = ConfiguredResponse(after=0.3)
    began = time.monotonic()
    with pytest.raises(NotifyError, match="did not receive everything within 1 s"):
        await Cache("varnish", standin.url, time_limit=0.5).announce(
            announcement_of(*[project(f"p{n}") for n in range(50)])
        )
    assert time.monotonic() - began < 5
