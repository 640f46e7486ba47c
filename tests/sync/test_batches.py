"""Pages that arrive together are published and recorded together; each project keeps its own failure (I7)."""

from collections.abc import Sequence

import pytest

from mirrorsync.errors import StoreFull, StoreUnreachable
from mirrorsync.model.identity import StorePath
from mirrorsync.model.outcome import Failed, Outcome
from tests.machine.mortal import MortalStore
from tests.machine.sim import Sim
from tests.support.pypi.world import World

NAMES = ("alpha", "beta", "gamma")


class FaultyStore(MortalStore):
    """Refuses to publish the page of one project."""

    def __init__(self, name: str, error: type[StoreFull | StoreUnreachable]) -> None:
        super().__init__()
        self._directory = f"simple/{name}/"
        self._error = error

    async def publish_all(self, pages: Sequence[tuple[StorePath, bytes]]) -> int:
        if any(path.startswith(self._directory) for path, _ in pages):
            raise self._error(f"{self._directory} cannot be written")
        return await super().publish_all(pages)


@pytest.fixture
def sim() -> Sim:
    """A mirror of three projects that have all changed, without new files."""
    world = World()
    for name in NAMES:
        world.upload(name, "1.0")
    sim = Sim(world)
    sim.run()
    for name in NAMES:
        world.yank(name, "1.0")
    return sim


def break_page(sim: Sim, name: str, error: type[StoreFull | StoreUnreachable]) -> None:
    store = FaultyStore(name, error)
    store.objects, store.settled = sim.store.objects, sim.store.settled
    sim.store = store


def outcomes(sim: Sim) -> dict[str, Outcome]:
    return {outcome.name: outcome for outcome in sim.observer.outcomes}


def is_yanked(sim: Sim, name: str) -> bool:
    return b'"yanked":true' in sim.store.objects[StorePath(f"simple/{name}/index.v1_json")][0]


def test_batch_costs_one_publish_and_one_record(sim: Sim) -> None:
    steps = sim.run().log
    for step in ("commit intend", "commit about_to_publish", "commit record"):
        assert steps.count(step) == 1, steps
    assert len([step for step in steps if step.startswith("flush simple/")]) == 1


def test_batch_is_recorded_after_it_is_published(sim: Sim) -> None:
    steps = sim.run().log
    published = [number for number, step in enumerate(steps) if step.startswith("store simple/") and "/index" in step]
    pages = [number for number in published if steps[number].count("/") == 2]
    assert len(pages) == 3 * len(NAMES)
    assert steps.index("commit about_to_publish") < pages[0]
    assert pages[-1] < steps.index("commit record")


def test_page_that_cannot_be_written_fails_alone(sim: Sim) -> None:
    break_page(sim, "beta", StoreUnreachable)
    sim.run()
    assert {name for name, outcome in outcomes(sim).items() if isinstance(outcome, Failed)} == {"beta"}
    assert [is_yanked(sim, name) for name in NAMES] == [True, False, True]


def test_page_that_halts_the_run_is_not_recorded(sim: Sim) -> None:
    break_page(sim, "beta", StoreFull)
    with pytest.raises(StoreFull):
        sim.run()
    assert outcomes(sim).keys() == {"alpha", "gamma"}
    assert [is_yanked(sim, name) for name in NAMES] == [True, False, True]


def test_stale_page_fails_alone(sim: Sim) -> None:
    sim.upstream.lies.pages["alpha"] = "stale"
    sim.run()
    assert isinstance(outcomes(sim)["alpha"], Failed)
    assert [is_yanked(sim, name) for name in NAMES] == [False, True, True]
