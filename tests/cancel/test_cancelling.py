"""A sync that is cancelled at any point leaves a valid mirror, and the next one completes it."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio

from mirrorsync.state.ledger import State, open_state
from mirrorsync.store.filesystem import FilesystemStore
from mirrorsync.sync import single_pass as passes
from mirrorsync.sync.context import SyncContext
from tests.crash.scenarios import condemn, go_on, populate
from tests.machine.sim import DAY, POLICY, TERMS, RecordingObserver
from tests.machine.world_upstream import WorldUpstream
from tests.support.mirror import Clock
from tests.support.oracle import Level, Oracle
from tests.support.pypi.world import World


class CancelAt(trio.abc.Instrument):
    """Counts the steps of this run's tasks, and cancels `scope` when they have taken `step` of them."""

    def __init__(self, scope: trio.CancelScope, step: int | None) -> None:
        self._scope = scope
        self._step = step
        self.steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        self.steps += 1
        if self.steps == self._step:
            self._scope.cancel()


class Real:
    """A mirror with real files and a real database; only upstream is simulated."""

    def __init__(self, directory: Path, world: World) -> None:
        self.directory = directory
        self.world = world
        self.clock = Clock()
        directory.mkdir(exist_ok=True)
        self.steps = 0
        """Task steps of the last sync."""

    @contextlib.asynccontextmanager
    async def context(self) -> AsyncIterator[SyncContext]:
        store = FilesystemStore(
            self.directory / "web", self.directory / "staging", disk=trio.CapacityLimiter(4), min_free=0
        )
        async with open_state(self.directory / "state.sqlite3") as state:
            yield self.made(store, state)

    def made(self, store: FilesystemStore, state: State) -> SyncContext:
        return SyncContext(
            WorldUpstream(self.world), store, state, POLICY, self.clock, RecordingObserver(), self.clock.sleep
        )

    async def sync(self, *, cancelled_at: int | None = None) -> bool:
        """Sync; return whether it was cancelled."""
        async with self.context() as context:
            await context.store.check()
            prepared = await passes.prepare(context)
            with trio.CancelScope() as scope, watching(scope, cancelled_at) as watch:
                await passes.sync(prepared)
            self.steps = watch.steps
            return scope.cancelled_caught

    def problems(self, level: Level) -> list[str]:
        """Return what does not hold, and the files that are still in staging."""
        staged = [f"staged: {path.name}" for path in (self.directory / "staging").rglob("*") if path.is_file()]
        with contextlib.closing(self.database()) as connection:
            return staged + Oracle(self.directory / "web", self.world, TERMS, lambda: connection).problems(level)

    def database(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.directory / "state.sqlite3")
        connection.row_factory = sqlite3.Row
        return connection


@contextlib.contextmanager
def watching(scope: trio.CancelScope, step: int | None) -> Iterator[CancelAt]:
    instrument = CancelAt(scope, step)
    trio.lowlevel.add_instrument(instrument)
    try:
        yield instrument
    finally:
        trio.lowlevel.remove_instrument(instrument)


async def stand_before_everything(directory: Path) -> Real:
    """Return a mirror with an upload, a removal, the end of a quarantine and a sweep to process."""
    mirror = Real(directory, World())
    populate(mirror.world)
    await mirror.sync()
    condemn(mirror.world)
    await mirror.sync()
    mirror.clock.forward(1.5 * DAY)
    go_on(mirror.world)
    return mirror


async def steps_of_a_whole_sync(directory: Path) -> int:
    mirror = await stand_before_everything(directory)
    await mirror.sync()
    return mirror.steps


async def cancel_and_complete(mirror: Real, step: int) -> bool:
    """Cancel a sync at `step`, and then complete it; return whether it was cancelled."""
    was_cancelled = await mirror.sync(cancelled_at=step)
    assert mirror.problems(Level.ALWAYS) == [], f"cancelled at step {step}"
    mirror.clock.forward(600)
    await mirror.sync()
    mirror.clock.forward(1.5 * DAY)
    await mirror.sync()
    problems = mirror.problems(Level.ALWAYS) + mirror.problems(Level.SWEPT)
    assert problems == [], f"completed after a sync that was cancelled at step {step}"
    return was_cancelled


async def sweep(tmp_path: Path, values: int) -> int:
    """Cancel at `values` points, evenly spread over a sync; return how many syncs were cancelled."""
    template = await stand_before_everything(tmp_path / "template")
    steps = await steps_of_a_whole_sync(tmp_path / "whole")
    cancelled = 0
    for number in range(values):
        mirror = Real(tmp_path / str(number), template.world)
        mirror.clock.now = template.clock.now
        shutil.copytree(template.directory, mirror.directory, dirs_exist_ok=True)
        cancelled += await cancel_and_complete(mirror, 1 + number * steps // values)
        shutil.rmtree(mirror.directory)
    return cancelled


async def test_cancelled_sync_leaves_a_valid_mirror(tmp_path: Path) -> None:
    assert await sweep(tmp_path, 24) >= 20


@pytest.mark.slow
async def test_sync_cancelled_anywhere_leaves_a_valid_mirror(tmp_path: Path) -> None:
    values = int(os.environ.get("MIRRORSYNC_CANCELS", "400"))
    assert await sweep(tmp_path, values) >= values * 0.8
