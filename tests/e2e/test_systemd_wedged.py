"""When part of the daemon hangs, the watchdog pings stop and the status names that part.

The daemon runs in the test process, with ports whose methods never return.
"""

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from mirrorsync.app.daemon import Daemon
from mirrorsync.app.wiring import open_context
from mirrorsync.config.schema import Settings
from mirrorsync.errors import StoreFull
from mirrorsync.model.identity import StorePath
from mirrorsync.observe.sd_notify import Manager
from mirrorsync.runtime.heartbeat import Heartbeats
from mirrorsync.sync.context import SyncContext
from tests.support.mirror import Mirror, RecordingObserver
from tests.support.process.launch import Starvation, wait_until
from tests.support.process.service_manager import Message, ServiceManager
from tests.support.pypi.faults import Drip, Stall
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

_ALLOWANCE = 2.0
_WATCHDOG = 0.8
"""Seconds."""


class Wedged:
    """A port with one method that never returns for some arguments."""

    def __init__(self, port: Any, method: str, hangs: Callable[..., bool] = lambda *_: True) -> None:
        self._port = port
        self._method = method
        self._hangs = hangs

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._port, name)
        if name != self._method:
            return real

        async def hanging(*arguments: Any, **more: Any) -> Any:
            if self._hangs(*arguments):
                await trio.sleep_forever()
            return await real(*arguments, **more)

        @asynccontextmanager
        async def hanging_context(*arguments: Any, **more: Any) -> AsyncIterator[Any]:
            if self._hangs(*arguments):
                await trio.sleep_forever()
            async with real(*arguments, **more) as opened:
                yield opened

        return hanging_context if name == "pages" else hanging


Change = Callable[[SyncContext], SyncContext]


@asynccontextmanager
async def daemon(mirror: Mirror, manager: ServiceManager, change: Change) -> AsyncIterator[RecordingObserver]:
    """Run the daemon in this process, with its context changed by `change`."""
    observer = RecordingObserver()

    @asynccontextmanager
    async def opening(settings: Settings) -> AsyncIterator[SyncContext]:
        async with open_context(settings, observer) as context:
            yield change(replace(context, heartbeats=Heartbeats(_ALLOWANCE)))

    service = Daemon(
        mirror.settings, opening, observer, Manager(manager.address, watchdog=_WATCHDOG), lambda: mirror.settings
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        yield observer
        nursery.cancel_scope.cancel()


@pytest.fixture
def mirror(tmp_path: Path, pypi: PyPI, world: World) -> Mirror:
    for name in ("alpha", "beta", "numpy"):
        world.upload(name, "1.0")
    return Mirror(tmp_path / "mirror", pypi)


async def messages_of(manager: ServiceManager, seconds: float) -> list[Message]:
    return await trio.to_thread.run_sync(manager.listen, seconds)


async def stuck(manager: ServiceManager) -> str:
    return await trio.to_thread.run_sync(manager.status, "STUCK", 10.0)


def publishes(prefix: str) -> Callable[..., bool]:
    def hangs(pages: Sequence[tuple[StorePath, bytes]]) -> bool:
        return any(path.startswith(prefix) for path, _ in pages)

    return hangs


WEDGES: dict[str, tuple[Change, str]] = {
    "an upstream that never answers for pages": (
        lambda context: replace(context, upstream=Wedged(context.upstream, "pages")),
        "requesting ",
    ),
    "an upstream that never returns its serial": (
        lambda context: replace(context, upstream=Wedged(context.upstream, "last_serial")),
        "polling",
    ),
    "a store that never stores the status": (
        lambda context: replace(context, store=Wedged(context.store, "publish_all", publishes("mirrorsync/"))),
        "publishing",
    ),
}


@pytest.mark.parametrize("wedge", WEDGES, ids=lambda name: str(name).replace(" ", "-"))
async def test_hung_part_is_named_and_watchdog_pings_stop(wedge: str, mirror: Mirror, tmp_path: Path) -> None:
    change, name = WEDGES[wedge]
    with ServiceManager(tmp_path / "notify") as manager:
        async with daemon(mirror, manager, change) as observer:
            assert name in (await stuck(manager)).partition("STUCK")[2]
            later = await messages_of(manager, 2 * _WATCHDOG)
            assert [message for message in later if "WATCHDOG" in message.values] == []
            assert [notice for notice in observer.notices if "no progress for too long" in notice]


async def test_one_hung_project_stops_the_watchdog_pings(mirror: Mirror, tmp_path: Path) -> None:
    def change(context: SyncContext) -> SyncContext:
        return replace(context, store=Wedged(context.store, "publish_all", publishes("simple/numpy/")))

    with ServiceManager(tmp_path / "notify") as manager:
        async with daemon(mirror, manager, change):
            assert "numpy" in await stuck(manager)
            mirror.pypi.world.upload("gamma", "1.0")
            gamma = mirror.web / "simple" / "gamma" / "index.v1_json"
            await trio.to_thread.run_sync(wait_until, gamma.exists, "another project is served")
            assert [message for message in await messages_of(manager, _WATCHDOG) if "WATCHDOG" in message.values] == []


async def test_hung_database_stops_the_watchdog_pings(mirror: Mirror, tmp_path: Path) -> None:
    opened: list[SyncContext] = []

    def keep(context: SyncContext) -> SyncContext:
        opened.append(context)
        return context

    with ServiceManager(tmp_path / "notify") as manager:
        async with daemon(mirror, manager, keep):
            await messages_of(manager, 1)
            async with trio.open_nursery() as nursery:
                release = threading.Event()
                nursery.start_soon(opened[0].state.database.read, lambda _: release.wait(30))
                await messages_of(manager, 1.2)
                assert await messages_of(manager, 2 * _WATCHDOG) == []
                release.set()
                assert [message for message in await messages_of(manager, 2) if "WATCHDOG" in message.values]


async def test_slow_download_does_not_count_as_a_hang(mirror: Mirror, tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("slow", "1.0", body=b"z" * 30)
    pypi.faults.add(r"/slow-.*whl$", Drip(1, 0.1))
    with ServiceManager(tmp_path / "notify") as manager:
        async with daemon(mirror, manager, lambda context: context):
            with Starvation() as starvation:
                messages = await messages_of(manager, 2.5 * _ALLOWANCE)
            hangs = [message for message in messages if "STUCK" in message.values.get("STATUS", "")]
            assert not hangs or starvation.longest > _ALLOWANCE / 2, hangs
            times = [message.at for message in messages if "WATCHDOG" in message.values]
            assert len(times) >= (2.5 * _ALLOWANCE - 2 * starvation.longest) / _WATCHDOG


async def test_full_disk_ends_the_daemon_within_the_grace_despite_a_hang(
    mirror: Mirror, tmp_path: Path, world: World, pypi: PyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.upload("slow", "1.0", body=b"z" * 3_000_000)
    pypi.faults.add(r"/slow-.*whl$", Stall(1_000_000))

    class Full(Wedged):
        def __getattr__(self, name: str) -> Any:
            real = getattr(self._port, name)
            if name != "publish_all":
                return real

            async def full(*_: Any) -> int:
                raise StoreFull("no space is left")

            return full

    monkeypatch.setattr("mirrorsync.app.daemon.GRACE", 1.0)  # a minute is too long for a test
    with ServiceManager(tmp_path / "notify") as manager, pytest.RaisesGroup(StoreFull, flatten_subgroups=True):
        async with daemon(mirror, manager, lambda context: replace(context, store=Full(context.store, ""))):
            with trio.fail_after(20):
                await trio.sleep_forever()
