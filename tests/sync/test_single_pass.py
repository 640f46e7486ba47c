"""A first sync, and then every kind of event: after each pass the tree matches upstream exactly."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.mirror import Mirror
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World


def populate(world: World) -> None:
    for number in range(12):
        world.upload(f"Project_{number}", "1.0", requires_python=">=3.8")
        world.upload(f"Project_{number}", "1.0", kind="sdist")
    world.upload("Project_0", "2.0", provenance=True)
    world.create("empty")


def page_requests(pypi: PyPI) -> list[str]:
    return [match[1] for request in pypi.requests if (match := re.fullmatch(r"/simple/([^/]+)/", request.path))]


def stamps(web: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in web.glob("simple/*/index.*")}


async def test_first_sync_matches_upstream(mirror: Mirror, pypi: PyPI, world: World) -> None:
    populate(world)
    totals = await mirror.sync()
    assert mirror.problems() == []
    assert (totals.projects, totals.files, totals.errors) == (13, 25, 0)
    assert sorted(page_requests(pypi)) == sorted([*(f"project-{number}" for number in range(12)), "empty"])
    assert mirror.status()["synced_serial"] == world.last_serial
    assert mirror.status()["unmet"] == []


async def test_second_sync_polls_once_and_downloads_nothing(mirror: Mirror, pypi: PyPI, world: World) -> None:
    populate(world)
    await mirror.sync()
    pypi.clear_requests()
    before = stamps(mirror.web)
    await mirror.sync()
    assert [(request.method, request.path) for request in pypi.requests] == [("POST", "/pypi")]
    assert stamps(mirror.web) == before


HAPPENINGS: dict[str, tuple[Callable[[World], object], set[str]]] = {
    "an upload": (lambda world: world.upload("project-1", "1.1"), {"project-1"}),
    "an upload of another spelling": (lambda world: world.upload("project.1", "1.1"), {"project-1"}),
    "a new project": (lambda world: world.upload("newcomer", "0.1"), {"newcomer"}),
    "a yank": (lambda world: world.yank("project-2", "1.0", 'does <not> & "work"'), {"project-2"}),
    "a removed file": (lambda world: world.remove_file("project-3", "project_3-1.0.tar.gz"), {"project-3"}),
    "a removed release": (lambda world: world.remove_release("project-0", "1.0"), {"project-0"}),
    "a removed project": (lambda world: world.remove_project("project-4"), {"project-4"}),
    "a quarantine": (lambda world: world.quarantine("project-5"), {"project-5"}),
    "a quarantined release": (lambda world: world.quarantine_release("project-0", "1.0"), {"project-0"}),
    "a role": (lambda world: world.add_role("project-6"), {"project-6"}),
    "an unknown action": (lambda world: world.journal_row("Project_7", "polish the chrome"), {"project-7"}),
    "a row that names no project": (lambda world: world.journal_row("", "keyrotate "), set()),
    "a row of a user": (lambda world: world.journal_row("user:mallory", "nuke user"), set()),
    "nothing but a gap": (lambda world: world.skip_serials(7), set()),
}


@pytest.mark.parametrize("happening", HAPPENINGS, ids=lambda name: str(name).replace(" ", "-"))
async def test_each_event_is_mirrored_with_one_request_per_changed_project(
    happening: str, mirror: Mirror, pypi: PyPI, world: World
) -> None:
    populate(world)
    await mirror.sync()
    pypi.clear_requests()
    before = stamps(mirror.web)
    happen, changed = HAPPENINGS[happening]
    happen(world)
    totals = await mirror.sync()
    assert totals.errors == 0
    assert mirror.problems() == []
    assert sorted(page_requests(pypi)) == sorted(changed)
    after = stamps(mirror.web)
    touched = {path.parent.name for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert touched == (changed if "role" not in happening and "action" not in happening else set())
    assert mirror.status()["synced_serial"] >= max(0, (world.last_serial or 0) - 7)


async def test_role_change_moves_only_the_serial(mirror: Mirror, world: World) -> None:
    populate(world)
    await mirror.sync()
    before = stamps(mirror.web)
    world.add_role("project-1")
    await mirror.sync()
    assert stamps(mirror.web) == before
    assert mirror.status()["synced_serial"] == world.last_serial


async def test_quarantine_hides_files_and_its_end_downloads_none(mirror: Mirror, pypi: PyPI, world: World) -> None:
    populate(world)
    await mirror.sync()
    held = mirror.stored()
    world.quarantine("project-0")
    await mirror.sync()
    assert mirror.page("project-0")["project-status"] == {"status": "quarantined"}
    assert mirror.page("project-0")["files"] == []
    assert mirror.stored() == held
    world.clear_quarantine("project-0")
    pypi.clear_requests()
    await mirror.sync()
    assert mirror.problems() == []
    assert pypi.seen("/packages/") == []


async def test_removed_files_are_deleted_after_the_grace(mirror: Mirror, world: World) -> None:
    populate(world)
    await mirror.sync()
    world.remove_project("project-0")
    world.remove_file("project-1", "project_1-1.0.tar.gz")
    await mirror.sync()
    assert not (mirror.web / "simple" / "project-0").exists()
    assert "project_0-1.0.tar.gz" in mirror.stored()
    mirror.clock.forward(86_399)
    await mirror.sync()
    assert "project_0-1.0.tar.gz" in mirror.stored()
    mirror.clock.forward(2)
    await mirror.sync()
    assert not [name for name in mirror.stored() if name.startswith(("project_0", "project_1-1.0.tar"))]
    assert "project_1-1.0-py3-none-any.whl" in mirror.stored()


async def test_renamed_project_is_mirrored_and_its_old_name_removed(mirror: Mirror, world: World) -> None:
    populate(world)
    await mirror.sync()
    world.rename("project-1", "brand-new")
    await mirror.sync()
    assert mirror.page("brand-new")["files"]
    # No journal row names the old name, so its page is requested, and again 3 minutes later.
    await mirror.sync(["project-1"])
    mirror.clock.forward(181)
    await mirror.sync()
    assert mirror.problems() == []


async def test_project_recreated_between_two_syncs_has_its_new_page(mirror: Mirror, world: World) -> None:
    populate(world)
    await mirror.sync()
    world.remove_project("project-1")
    world.upload("PROJECT.1", "9.0")
    await mirror.sync()
    assert [file["filename"] for file in mirror.page("project-1")["files"]] == ["project_1-9.0-py3-none-any.whl"]
    assert mirror.problems() == []


async def test_many_events_in_one_pass_are_mirrored(mirror: Mirror, pypi: PyPI, world: World) -> None:
    populate(world)
    await mirror.sync()
    pypi.clear_requests()
    world.upload("project-1", "1.1")
    world.yank("project-1", "1.1")
    world.unyank("project-1", "1.1")
    world.remove_project("project-2")
    world.quarantine("project-3")
    world.clear_quarantine("project-3")
    world.respell("project-4", "Project.4")  # writes no row by itself
    world.add_role("project-5")
    await mirror.sync()
    assert mirror.problems() == []
    assert sorted(page_requests(pypi)) == ["project-1", "project-2", "project-3", "project-5"]
