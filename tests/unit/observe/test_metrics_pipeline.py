"""What is counted of whole passes: a mirror in this process, a PyPI on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mirrorsync.app.wiring import open_context
from mirrorsync.observe.counters import Counters
from mirrorsync.observe.run_observer import RunObservers
from mirrorsync.sync import single_pass as passes
from mirrorsync.sync.context import SyncContext
from tests.support.mirror import Ears, Mirror
from tests.support.pypi.faults import Status
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World


@asynccontextmanager
async def counted(mirror: Mirror, tally: Counters) -> AsyncIterator[SyncContext]:
    told = RunObservers(Ears(), tally)
    async with open_context(mirror.settings, told, mirror.clock, mirror.clock.sleep, tally=tally) as context:
        yield context


async def test_each_step_of_a_pass_is_counted_and_each_project_by_its_outcome(
    tmp_path: Path, world: World, pypi: PyPI
) -> None:
    for name in ("alpha", "beta", "poisoned"):
        world.upload(name, "1.0")
    pypi.faults.add(r"/poisoned-.*whl$", Status(404))
    tally = Counters()
    async with counted(Mirror(tmp_path / "mirror", pypi), tally) as context:
        await passes.sync(context)
    assert tally.outcomes == {"mirrored": 2, "confirmed": 0, "removed": 0, "failed": 1}
    assert tally.failures["missing"] == 1
    steps = {step: histogram.count for step, histogram in tally.steps.items()}
    assert steps == {"project": 3, "commit": 3, "poll": 1, "root_index": 1, "sweep": 1}
    assert tally.fetched_files == 2
    assert tally.fetched_bytes > 0
    assert tally.publications == 1
    answers = sum(traffic.requests for traffic in tally.traffic.values())
    assert answers == len(pypi.requests)


async def test_a_root_index_that_says_the_same_is_not_counted_as_written(
    tmp_path: Path, world: World, pypi: PyPI
) -> None:
    world.upload("alpha", "1.0")
    tally = Counters()
    async with counted(Mirror(tmp_path / "mirror", pypi), tally) as context:
        await passes.sync(context)
        await passes.sync(context)
    assert tally.steps["root_index"].count == 1
    assert tally.steps["poll"].count == 2


async def test_removals_that_are_held_are_a_trouble_until_there_is_nothing_left_to_remove(
    tmp_path: Path, world: World, pypi: PyPI
) -> None:
    world.upload("alpha", "1.0")
    mirror = Mirror(tmp_path / "mirror", pypi, limits={"max-removed-files": 0})
    tally = Counters()
    async with counted(mirror, tally) as context:
        await passes.sync(context)
        world.quarantine("alpha")
        await passes.sync(context)
        mirror.clock.forward(2 * 86400)
        await passes.sync(context)
        assert tally.troubled_now == {"removals"}
        world.clear_quarantine("alpha")
        await passes.sync(context)
        assert tally.troubled_now == set()
    assert tally.troubles["removals"] == 1
