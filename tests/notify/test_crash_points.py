"""A cache that fetches every uncached page at each step: after any crash it matches the store again."""

from dataclasses import replace

import pytest
import trio

from mirrorsync.model.identity import StorePath
from mirrorsync.model.notification import Announcement
from mirrorsync.sync import single_pass as passes
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.notifier import Notifier
from mirrorsync.sync.policy import NotifyConfig
from tests.crash.scenarios import SCENARIOS
from tests.machine import sim as machine
from tests.machine.sim import Cut, SavedState, Sim, Violation
from tests.support.pypi.world import World

NAMES = ("grows", "shrinks", "leaves", "returns", "stays")
PAGES = [StorePath(f"simple/{name}/index.v1_json") for name in NAMES] + [StorePath("simple/index.v1_json")]
RUNS_AFTER_CRASH = 3
"""Undisturbed runs after a crash: a project that failed in one is synced in the next."""


class GreedyCache:
    """Caches each page, or its absence, until it is purged, then fetches it again at once."""

    name = "greedy"
    max_changes = 2

    def __init__(self, sim: Sim) -> None:
        self._sim = sim
        self.cached: dict[StorePath, bytes | None] = {}
        self.purged = 0
        self.upstream_answers = True

    def fetch(self, _step: str = "") -> None:
        for path in PAGES:
            if path not in self.cached:
                self.cached[path] = self._stored(path)

    def stale(self) -> list[StorePath]:
        return [path for path in PAGES if self.cached[path] != self._stored(path)]

    def _stored(self, path: StorePath) -> bytes | None:
        found = self._sim.store.objects.get(path)
        return None if found is None else found[0]

    async def announce(self, announcement: Announcement) -> str:
        await trio.lowlevel.checkpoint()
        self._sim.store.life.step("announce", lambda: self._purge(announcement))
        return ""

    def _purge(self, announcement: Announcement) -> None:
        if "index" in announcement.everything:
            self.cached.clear()
        for change in announcement.changes:
            for path in change.paths:
                self.cached.pop(StorePath(path.lstrip("/")), None)
                self.purged += 1
        self.fetch()


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> GreedyCache:
    cache = GreedyCache(Sim(World()))

    async def process(context: SyncContext) -> None:
        context = replace(context, notify=NotifyConfig(sinks=(cache,), flood=100))
        await context.state.outbox.set_sinks([cache.name])
        await context.store.check()
        context = await passes.prepare(context)
        if cache.upstream_answers:
            await passes.sync(context)
        else:
            await Notifier(context).finish()

    monkeypatch.setattr(machine, "_process", process)
    return cache


def run_process(cache: GreedyCache, sim: Sim, world: World, *, dies_at: int | None = None) -> int:
    """Run one process against `world`; return its steps."""
    sim.resume(sim.stand(), world)
    cache.fetch()
    return sim.run(dies_at=dies_at, keep=cache.fetch).steps


def stale_after_crash(
    cache: GreedyCache, sim: Sim, before: tuple[SavedState, World, dict[StorePath, bytes | None]], at: int, cut: Cut
) -> list[StorePath]:
    saved, world, cached = before
    sim.resume(saved, world)
    cache.cached = dict(cached)
    run_process(cache, sim, world, dies_at=at)
    sim.end(cut)
    cache.upstream_answers = False
    run_process(cache, sim, world)
    cache.upstream_answers = True
    if stale := cache.stale():
        return stale
    for _ in range(RUNS_AFTER_CRASH):
        sim.clock.forward(machine.DAY)
        run_process(cache, sim, world)
    return cache.stale()


@pytest.mark.parametrize("cut", ["kill", "least"])
def test_cache_matches_the_store_after_a_crash_at_some_steps(cache: GreedyCache, cut: Cut) -> None:
    crash_at_steps(cache, cut, each=5)


@pytest.mark.slow
@pytest.mark.parametrize("cut", ["kill", "least"])
def test_cache_matches_the_store_after_a_crash_at_every_step(cache: GreedyCache, cut: Cut) -> None:
    crash_at_steps(cache, cut, each=1)


def crash_at_steps(cache: GreedyCache, cut: Cut, *, each: int) -> None:
    scenario, sim = SCENARIOS[0], cache._sim
    world = scenario.world(0)
    for stage in range(scenario.calm):
        sim.clock.forward(scenario.pauses[stage])
        world = scenario.world(stage + 1)
        run_process(cache, sim, world)
        assert cache.stale() == []
    sim.clock.forward(scenario.pauses[scenario.calm])
    world = scenario.world(scenario.calm + 1)
    before = sim.stand(), world, dict(cache.cached)
    steps = run_process(cache, sim, world)
    assert steps > 20
    assert cache.stale() == []
    purged = cache.purged
    stale_after = {}
    for at in range(0, steps, each):
        try:
            if stale := stale_after_crash(cache, sim, before, at, cut):
                stale_after[at] = stale
        except Violation as violation:
            raise AssertionError(f"crash before step {at}") from violation
    assert stale_after == {}
    assert cache.purged > purged + steps // each
