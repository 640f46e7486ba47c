"""The audit finds changes without a serial: it requests every project once a period, and reads the root list."""

import sqlite3
from pathlib import Path

from tests.support.mirror import Mirror
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World
from tests.sync.test_single_pass import page_requests

DAY = 86400.0


def fill(world: World, count: int = 10) -> None:
    for number in range(count):
        world.upload(f"project-{number}", "1.0", metadata=None)


async def test_audit_finds_changes_without_a_journal_row(mirror: Mirror, world: World) -> None:
    fill(world)
    await mirror.sync()
    world.archive("project-3")
    world.backfill_metadata("project-5", "project_5-1.0-py3-none-any.whl")
    await mirror.sync()
    assert mirror.page("project-3")["project-status"]["status"] == "active"
    for _ in range(31):
        mirror.clock.forward(DAY)
        await mirror.sync()
    assert mirror.page("project-3")["project-status"]["status"] == "archived"
    assert mirror.problems() == []


async def test_audit_requests_each_project_once_a_period_mostly_with_304(
    mirror: Mirror, pypi: PyPI, world: World
) -> None:
    fill(world)
    await mirror.sync()
    pypi.clear_requests()
    for _ in range(60):
        mirror.clock.forward(DAY / 2)
        await mirror.sync()
    asked = page_requests(pypi)
    assert sorted(asked) == sorted(f"project-{number}" for number in range(10))
    assert {request.status for request in pypi.seen(r"^/simple/[^/]+/$")} == {304}


async def test_the_audit_is_no_lag_and_is_shown(mirror: Mirror, world: World) -> None:
    fill(world)
    await mirror.sync()
    mirror.clock.forward(3 * DAY)
    await mirror.sync()
    status = mirror.status()
    assert status["unmet"] == []
    assert status["synced_serial"] == world.last_serial
    assert status["audit"]["done"] == 1
    assert status["audit"]["began_at"] is not None


async def test_root_list_finds_the_old_name_of_a_renamed_project(mirror: Mirror, world: World) -> None:
    fill(world)
    await mirror.sync()
    world.rename("project-3", "brand-new")
    await mirror.sync()
    assert (mirror.web / "simple" / "project-3").exists()
    mirror.clock.forward(DAY + 1)
    await mirror.sync()
    mirror.clock.forward(200)
    await mirror.sync()
    assert mirror.problems() == []


async def test_the_list_is_read_once_a_day_and_no_more(tmp_path: Path, pypi: PyPI, world: World) -> None:
    fill(world)
    mirror = Mirror(tmp_path / "mirror", pypi)
    for _ in range(12):
        await mirror.sync()
        mirror.clock.forward(DAY / 4)
    assert len([request for request in pypi.requests if request.path == "/simple/"]) == 3


async def test_root_list_finds_an_event_missing_from_the_journal(mirror: Mirror, world: World) -> None:
    fill(world)
    await mirror.sync()
    world.upload("project-1", "2.0")
    with sqlite3.connect(mirror.directory / "state" / "mirrorsync.sqlite3") as state:
        state.execute("UPDATE mirror SET ingested_serial = ?", (world.last_serial,))  # as if the rows had never come
    state.close()
    await mirror.sync()
    assert mirror.page("project-1")["versions"] == ["1.0"]
    mirror.clock.forward(DAY + 1)
    await mirror.sync()
    assert mirror.problems() == []
