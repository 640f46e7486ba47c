"""The metrics of whole passes: a mirror in this process, a PyPI on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mirrorsync.app.wiring import open_context
from mirrorsync.observe.metrics import Metrics
from mirrorsync.observe.run_observer import RunObservers
from mirrorsync.sync import single_pass as passes
from mirrorsync.sync.context import SyncContext
from tests.support.mirror import Mirror, RecordingObserver
from tests.support.pypi.faults import Status
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World
from tests.unit.observe.metrics_kit import by_label, count


@asynccontextmanager
async def counted(mirror: Mirror, metrics: Metrics) -> AsyncIterator[SyncContext]:
    observers = RunObservers(RecordingObserver(), metrics)
    async with open_context(mirror.settings, observers, mirror.clock, mirror.clock.sleep, metrics=metrics) as context:
        yield context


async def test_each_step_and_each_project_of_a_pass_is_counted(tmp_path: Path, world: World, pypi: PyPI) -> None:
    for name in ("alpha", "beta", "poisoned"):
        world.upload(name, "1.0")
    pypi.faults.add(r"/poisoned-.*whl$", Status(404))
    metrics = Metrics()
    async with counted(Mirror(tmp_path / "mirror", pypi), metrics) as context:
        await passes.sync(context)
    assert by_label(metrics, "project_outcomes_total", "outcome") == {"mirrored": 2, "failed": 1}
    assert by_label(metrics, "project_failures_total", "reason") == {"missing": 1}
    steps = by_label(metrics, "step_duration_seconds_count", "step")
    assert steps == {"project": 3, "commit": 3, "poll": 1, "root_index": 1, "sweep": 1}
    assert count(metrics, "fetched_files_total") == 2
    assert count(metrics, "fetched_bytes_total") > 0
    assert count(metrics, "publications_total") == 1
    assert sum(by_label(metrics, "upstream_requests_total", "host").values()) == len(pypi.requests)


async def test_an_unchanged_root_index_is_not_counted_as_written(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    metrics = Metrics()
    async with counted(Mirror(tmp_path / "mirror", pypi), metrics) as context:
        await passes.sync(context)
        await passes.sync(context)
    assert count(metrics, "step_duration_seconds_count", step="root_index") == 1
    assert count(metrics, "step_duration_seconds_count", step="poll") == 2


async def test_held_removals_are_a_trouble_until_nothing_is_to_be_removed(
    tmp_path: Path, world: World, pypi: PyPI
) -> None:
    world.upload("alpha", "1.0")
    mirror = Mirror(tmp_path / "mirror", pypi, limits={"max-removed-files": 0})
    metrics = Metrics()
    async with counted(mirror, metrics) as context:
        await passes.sync(context)
        world.quarantine("alpha")
        await passes.sync(context)
        mirror.clock.forward(2 * 86400)
        await passes.sync(context)
        assert set(by_label(metrics, "trouble", "at")) == {"removals"}
        world.clear_quarantine("alpha")
        await passes.sync(context)
        assert by_label(metrics, "trouble", "at") == {}
    assert by_label(metrics, "troubles_total", "at") == {"removals": 1}
