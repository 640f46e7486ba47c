"""Removals and apparent removals: 404s, recreated, empty and quarantined projects.

The numbers are the rows of docs/protocol-cases.md.
"""

from pathlib import Path

import pytest

from tests.protocol.kit import (
    DAY,
    HOUR,
    REPEAT,
    asked_for,
    listed,
    page_asks,
    reported,
    serves,
    sync_with_consent,
    tree,
    unmet,
)
from tests.support.mirror import Mirror
from tests.support.pypi.faults import False404
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import Shape
from tests.support.pypi.world import World


# case 12
async def test_stale_404_of_a_new_project_is_retried(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    synced = world.last_serial
    pypi.hold("newcomer")  # 404, for a minute per cache layer
    world.upload("newcomer", "1.0")
    await mirror.sync()
    assert unmet(mirror) == ["newcomer"]
    assert mirror.status()["synced_serial"] == synced
    pypi.clear_requests()
    mirror.clock.forward(150)
    await mirror.sync()
    assert page_asks(pypi) == []
    pypi.release("newcomer")
    mirror.clock.forward(31)
    await mirror.sync()
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 12
@pytest.mark.parametrize("projects", [[], ["alpha", "beta"]], ids=["everything", "named projects"])
async def test_page_that_is_404_for_hours_removes_no_listed_project(
    projects: list[str], tmp_path: Path, pypi: PyPI, world: World
) -> None:
    mirror = Mirror(tmp_path / "mirror", pypi, select={"projects": projects})
    await mirror.sync()
    lie = pypi.faults.add("^/simple/alpha/$", False404(), method="GET")
    if projects:  # the HTML page and the release data are cached separately
        pypi.faults.remove(lie)
        pypi.hold("alpha", variant="gzip")
    world.add_role("alpha")
    await mirror.sync(["alpha"])
    for _ in range(3):
        mirror.clock.forward(HOUR)
        await mirror.sync(["alpha"])
    assert serves(mirror, "alpha")
    pypi.faults.clear()
    pypi.release("alpha")
    mirror.clock.forward(HOUR)
    await mirror.sync()
    assert mirror.problems(**({"projects": projects} if projects else {})) == []


# case 13
async def test_stale_page_after_a_removal_restores_nothing(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    pypi.hold("alpha")
    world.remove_project("alpha")
    await mirror.sync()
    for _ in range(9):
        mirror.clock.forward(3 * HOUR)
        await mirror.sync()
    assert unmet(mirror) == ["alpha"]
    assert mirror.status()["synced_serial"] == (world.last_serial or 0) - 1
    pypi.release("alpha")
    mirror.clock.forward(HOUR)
    await mirror.sync()
    assert mirror.problems() == []
    assert unmet(mirror) == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 13
async def test_stale_page_of_an_unknown_removed_project_is_not_served(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    world.upload("malware", "1.0")
    pypi.hold("malware")
    world.remove_project("malware")
    await mirror.sync()
    for _ in range(9):
        mirror.clock.forward(3 * HOUR)
        await mirror.sync()
        assert not serves(mirror, "malware")
    pypi.release("malware")
    mirror.clock.forward(HOUR)
    await mirror.sync()
    assert mirror.problems() == []
    assert unmet(mirror) == []


# case 14
@pytest.mark.parametrize("spelling", ["alpha", "ALPHA", "Alpha"])
@pytest.mark.parametrize("passes", [1, 2], ids=["in one pass", "in two passes"])
async def test_recreated_project_follows_its_page_and_loses_its_old_files(
    spelling: str, passes: int, mirror: Mirror, world: World
) -> None:
    await mirror.sync()
    world.remove_project("alpha")
    if passes == 2:
        await mirror.sync()
        assert not serves(mirror, "alpha")
    world.upload(spelling, "9.0")
    await mirror.sync()
    assert mirror.problems() == []
    assert listed(mirror)[spelling] == world.last_serial
    mirror.clock.forward(2 * DAY)
    await mirror.sync()
    assert mirror.problems() == []
    assert sorted(name for name in mirror.stored() if name.startswith("alpha")) == [
        "alpha-9.0-py3-none-any.whl",
        "alpha-9.0-py3-none-any.whl.metadata",
    ]


# case 14
async def test_page_from_before_a_recreation_is_not_accepted(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    before = tree(mirror.web / "simple" / "alpha")
    pypi.hold("alpha")
    world.remove_project("alpha")
    world.upload("Alpha", "9.0")
    await mirror.sync()
    assert unmet(mirror) == ["alpha"]
    assert tree(mirror.web / "simple" / "alpha") == before
    pypi.release("alpha")
    mirror.clock.forward(HOUR)
    await mirror.sync()
    assert mirror.problems() == []


# case 15
@pytest.mark.parametrize("shape", [Shape(), Shape(xmlrpc=False)], ids=["journal", "list only"])
async def test_a_project_without_files_keeps_its_page(shape: Shape, tmp_path: Path, world: World) -> None:
    with PyPI(world, shape=shape) as pypi:
        world.create("bare")
        mirror = Mirror(tmp_path / "mirror", pypi)
        await mirror.sync()
        world.remove_release("alpha", "1.0")
        world.remove_file("beta", "beta-1.0.tar.gz")
        world.remove_file("beta", "beta-1.0-py3-none-any.whl")
        for _ in range(3):
            await mirror.sync()
            mirror.clock.forward(DAY)
        for name in ("bare", "alpha", "beta"):
            assert mirror.page(name)["files"] == []
            assert mirror.page(name)["project-status"] == {"status": "active"}
        assert mirror.problems() == []
        assert {"bare", "alpha", "beta"} <= set(listed(mirror))


# case 15
async def test_project_without_files_and_release_data_is_not_removed(tmp_path: Path, pypi: PyPI, world: World) -> None:
    world.create("bare")
    mirror = Mirror(tmp_path / "mirror", pypi, select={"projects": ["bare"]}, content={"legacy-json": True})
    await mirror.sync()
    mirror.clock.forward(DAY)
    await mirror.sync(["bare"])
    assert pypi.seen("/pypi/bare/json")
    assert mirror.problems(projects=["bare"]) == []


# case 16
@pytest.mark.parametrize("shape", [Shape(), Shape(xmlrpc=False)], ids=["journal", "list only"])
async def test_quarantined_project_keeps_an_empty_page_and_its_stored_files(
    shape: Shape, tmp_path: Path, world: World
) -> None:
    with PyPI(world, shape=shape) as pypi:
        mirror = Mirror(tmp_path / "mirror", pypi)
        await mirror.sync()
        world.quarantine("alpha")
        for _ in range(3):
            await mirror.sync()
            mirror.clock.forward(6 * HOUR)
        assert mirror.page("alpha")["project-status"] == {"status": "quarantined"}
        assert mirror.page("alpha")["files"] == []
        assert "alpha" not in listed(mirror)
        assert mirror.problems() == []
        world.clear_quarantine("alpha")
        pypi.clear_requests()
        await mirror.sync()
        assert pypi.seen("/packages/") == []
        assert mirror.problems() == []
        assert mirror.status()["synced_serial"] == world.last_serial


# case 16
async def test_many_quarantined_projects_are_no_mass_removal(tmp_path: Path, pypi: PyPI, world: World) -> None:
    mirror = Mirror(tmp_path / "mirror", pypi, limits={"max-removed-projects": 0, "max-removed-files": 0})
    await mirror.sync()
    for name in ("alpha", "beta"):
        world.quarantine(name)
    await mirror.sync()
    assert mirror.page("alpha")["files"] == mirror.page("beta")["files"] == []
    mirror.clock.forward(DAY)
    await mirror.sync()
    assert "root list" not in reported(mirror)
    assert mirror.problems() == []


# case 17
async def test_removals_beyond_the_limits_wait_for_consent(tmp_path: Path, pypi: PyPI, world: World) -> None:
    mirror = Mirror(tmp_path / "mirror", pypi, limits={"max-removed-projects": 1})
    await mirror.sync()
    for name in ("alpha", "beta"):
        world.remove_project(name)
    world.upload("gamma", "1.1")
    await mirror.sync()
    assert len(unmet(mirror)) == 1
    assert "--allow-removals" in reported(mirror)
    assert mirror.page("gamma")["versions"] == ["1.0", "1.1"]
    mirror.clock.forward(HOUR)
    await sync_with_consent(mirror)
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 17
async def test_daily_root_list_finds_a_rename_and_removes_the_old_name(
    mirror: Mirror, pypi: PyPI, world: World
) -> None:
    await mirror.sync()
    world.rename("alpha", "omega")
    await mirror.sync()
    assert serves(mirror, "omega")
    pypi.clear_requests()
    mirror.clock.forward(DAY)
    await mirror.sync()
    assert asked_for(pypi) == ["alpha"]
    mirror.clock.forward(REPEAT)
    await mirror.sync()
    assert not serves(mirror, "alpha")
    assert mirror.problems() == []
    assert mirror.page("omega")["files"]


# case 17
@pytest.mark.parametrize("shape", [Shape(), Shape(xmlrpc=False)], ids=["journal", "list"])
async def test_wrongly_removed_project_is_restored_by_itself(shape: Shape, tmp_path: Path, world: World) -> None:
    with PyPI(world, shape=shape) as pypi:
        mirror = Mirror(tmp_path / "mirror", pypi)
        await mirror.sync()
        mirror.clock.forward(DAY)
        lie = pypi.faults.add("^/(simple/gamma/|pypi/gamma/json)$", False404(), method="GET")
        pypi.truncate_root(2)
        for _ in range(2):
            await mirror.sync()
            mirror.clock.forward(REPEAT)
        assert not serves(mirror, "gamma")
        pypi.faults.remove(lie)
        pypi.release_root()
        await mirror.sync()
        mirror.clock.forward(DAY)
        await mirror.sync()
        assert serves(mirror, "gamma")
        assert mirror.problems() == []
        assert mirror.status()["synced_serial"] == world.last_serial
