"""Removal: two witnesses, limits in projects, files and bytes, and a person's consent (I5)."""

from pathlib import Path

import pytest

from mirrorsync.model.outcome import Failed
from tests.support.mirror import Mirror
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World


def fill(world: World) -> None:
    for number in range(8):
        world.upload(f"project-{number}", "1.0")
        world.upload(f"project-{number}", "1.0", kind="sdist")


def served(mirror: Mirror) -> set[str]:
    return {path.parent.name for path in mirror.web.glob("simple/*/index.html")}


def refusals(mirror: Mirror) -> list[str]:
    return [outcome.error for outcome in mirror.observer.outcomes if isinstance(outcome, Failed)]


async def test_removals_beyond_the_project_limit_wait_for_consent(tmp_path: Path, pypi: PyPI, world: World) -> None:
    fill(world)
    mirror = Mirror(tmp_path / "mirror", pypi, limits={"max-removed-projects": 2})
    await mirror.sync()
    for number in range(5):
        world.remove_project(f"project-{number}")
    world.upload("project-7", "2.0")
    await mirror.sync()
    assert len(served(mirror)) == 6
    assert len(refusals(mirror)) == 3
    assert "beyond the limits of 2 projects" in refusals(mirror)[0]
    assert mirror.page("project-7")["versions"] == ["1.0", "2.0"]
    await mirror.sync(allow_removals=True)
    assert mirror.problems() == []


@pytest.mark.parametrize("limit", [{"max-removed-files": 3}, {"max-removed-bytes": "1 KiB"}])
async def test_page_that_removes_too_much_is_held_back_whole(
    limit: dict[str, object], tmp_path: Path, pypi: PyPI, world: World
) -> None:
    fill(world)
    mirror = Mirror(tmp_path / "mirror", pypi, limits=limit)
    await mirror.sync()
    for number in range(4):
        world.remove_release(f"project-{number}", "1.0")
    await mirror.sync()
    held = [number for number in range(4) if len(mirror.page(f"project-{number}")["files"]) == 2]
    assert len(held) >= 3
    assert all("--allow-removals" in row.hint for row in mirror.observer.outcomes if isinstance(row, Failed))
    await mirror.sync(allow_removals=True)
    assert mirror.problems() == []


async def test_quarantined_files_leave_the_page_despite_the_limits(tmp_path: Path, pypi: PyPI, world: World) -> None:
    fill(world)
    mirror = Mirror(tmp_path / "mirror", pypi, limits={"max-removed-files": 0, "max-removed-projects": 0})
    await mirror.sync()
    for number in range(8):
        world.quarantine(f"project-{number}")
    await mirror.sync()
    assert [mirror.page(f"project-{number}")["files"] for number in range(8)] == [[]] * 8
    mirror.clock.forward(2 * 86400)
    await mirror.sync()
    assert len(mirror.stored()) == 24
    assert "would go" in " ".join(mirror.observer.notices)
    for number in range(8):
        world.clear_quarantine(f"project-{number}")
    pypi.clear_requests()
    await mirror.sync()
    assert mirror.problems() == []
    assert not pypi.seen("/packages/")


@pytest.mark.parametrize("left", [0, 3, 7])
async def test_truncated_root_list_removes_nothing(left: int, tmp_path: Path, pypi: PyPI, world: World) -> None:
    fill(world)
    mirror = Mirror(tmp_path / "mirror", pypi, upstream={"feed": "json"}, limits={"max-removed-projects": 0})
    await mirror.sync()
    pypi.truncate_root(left)
    for _ in range(4):
        mirror.clock.forward(86400)
        await mirror.sync()
    assert len(served(mirror)) == 8
    assert any("the root list" in text for text in mirror.observer.notices)
    pypi.release_root()
    await mirror.sync()
    assert mirror.problems() == []


async def test_consent_accepts_a_refused_root_list_at_once(tmp_path: Path, pypi: PyPI, world: World) -> None:
    fill(world)
    mirror = Mirror(tmp_path / "mirror", pypi, limits={"max-removed-projects": 0})
    await mirror.sync()
    world.rename("project-0", "another")  # the journal has no row for the old name
    mirror.clock.forward(86400)
    await mirror.sync()
    assert any("the root list leaves out 1 projects" in text for text in mirror.observer.notices)
    for _ in range(2):
        await mirror.sync(allow_removals=True)
        mirror.clock.forward(200)
    assert "project-0" not in served(mirror)
    assert mirror.problems() == []


async def test_root_list_without_a_project_does_not_outweigh_its_page(tmp_path: Path, pypi: PyPI, world: World) -> None:
    fill(world)
    mirror = Mirror(tmp_path / "mirror", pypi, upstream={"feed": "json"})
    await mirror.sync()
    pypi.truncate_root(7)
    for _ in range(3):
        mirror.clock.forward(3600)
        await mirror.sync()
    assert len(served(mirror)) == 8


async def test_limits_start_anew_each_day(tmp_path: Path, pypi: PyPI, world: World) -> None:
    fill(world)
    mirror = Mirror(tmp_path / "mirror", pypi, limits={"max-removed-projects": 1})
    await mirror.sync()
    for number in range(3):
        world.remove_project(f"project-{number}")
    left = []
    for _ in range(3):
        await mirror.sync()
        left.append(len(served(mirror)))
        mirror.clock.forward(86_401)
    assert left == [7, 6, 5]
