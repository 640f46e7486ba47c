"""Caches and serials: stale pages, serials that go back, changes without a new serial.

The numbers are the rows of docs/protocol-cases.md.
"""

from pathlib import Path

import msgspec
import pytest

from tests.protocol.kit import DAY, HOUR, REPEAT, asked_for, listed, page_asks, serves, stamps, unmet
from tests.support.mirror import Mirror
from tests.support.pypi.faults import Stale
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import Shape
from tests.support.pypi.world import World

LADDER = (60.0, 300.0, 600.0, 1800.0, 3600.0, 3600.0)
"""Seconds between attempts at a stale page, after those within the first pass."""


# case 8
async def test_stale_page_is_retried_with_back_off_and_never_published(
    mirror: Mirror, pypi: PyPI, world: World
) -> None:
    await mirror.sync()
    served = mirror.page("alpha")
    pypi.hold("alpha")
    world.upload("alpha", "1.1")
    world.upload("beta", "1.1")
    pypi.clear_requests()
    await mirror.sync()
    codings = [request.headers["accept-encoding"] for request in page_asks(pypi, "alpha")]
    assert codings == ["gzip", "identity", "gzip", "identity"]  # at once, then after 2, 5 and 15 seconds
    assert not [request for request in page_asks(pypi, "alpha") if "if-none-match" in request.headers]
    assert mirror.page("alpha") == served
    assert mirror.page("beta")["versions"] == ["1.0", "1.1"]
    for rung in LADDER:
        pypi.clear_requests()
        mirror.clock.forward(rung - 21)  # a pass itself waits for 20 seconds
        await mirror.sync()
        assert page_asks(pypi, "alpha") == []
        mirror.clock.forward(21)
        await mirror.sync()
        assert len(page_asks(pypi, "alpha")) == 1
    assert unmet(mirror) == ["alpha"]
    assert mirror.status()["synced_serial"] < (world.last_serial or 0)
    pypi.release("alpha")
    mirror.clock.forward(HOUR)
    await mirror.sync()
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 8
@pytest.mark.parametrize("variant", ["gzip", "identity"])
async def test_page_stale_in_one_encoding_is_fetched_in_the_other(
    variant: str, mirror: Mirror, pypi: PyPI, world: World
) -> None:
    await mirror.sync()
    pypi.hold("alpha", variant="gzip" if variant == "gzip" else "identity")
    world.upload("alpha", "1.1")
    totals = await mirror.sync()
    assert totals.errors == (1 if variant == "gzip" else 0)
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 8
async def test_page_older_than_the_served_one_never_replaces_it(mirror: Mirror, pypi: PyPI, world: World) -> None:
    world.upload("alpha", "1.1")
    await mirror.sync()
    served = mirror.page("alpha")
    pypi.faults.add("^/simple/alpha/$", Stale())
    await mirror.sync(["alpha"])
    world.add_role("alpha")
    await mirror.sync()
    assert mirror.page("alpha") == served
    pypi.faults.clear()
    mirror.clock.forward(HOUR)
    await mirror.sync()
    assert mirror.problems() == []


# case 8
async def test_newer_page_covers_all_rows_up_to_its_serial(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    pypi.page_cap = 1
    world.upload("alpha", "1.1")
    world.upload("alpha", "1.2")
    pypi.clear_requests()
    await mirror.sync()
    await mirror.sync()
    assert len(page_asks(pypi, "alpha")) == 1
    assert mirror.status()["synced_serial"] == world.last_serial


# case 9
async def test_a_page_that_never_reaches_its_row_is_accepted_after_25_hours(
    mirror: Mirror, pypi: PyPI, world: World
) -> None:
    await mirror.sync()
    pypi.hold("alpha")
    world.upload("alpha", "1.1")
    synced = world.last_serial
    await hours_go_by(mirror, 24)
    assert unmet(mirror) == ["alpha"]
    await hours_go_by(mirror, 6)
    assert unmet(mirror) == []
    assert mirror.page("alpha")["versions"] == ["1.0"]
    assert mirror.status()["synced_serial"] == synced
    pypi.release("alpha")
    world.upload("alpha", "1.2")
    await mirror.sync()
    assert mirror.problems() == []


# case 9
@pytest.mark.parametrize("feed", ["auto", "json"])
async def test_25_hours_pass_even_if_the_root_list_contradicts_the_page(
    feed: str, tmp_path: Path, pypi: PyPI, world: World
) -> None:
    mirror = Mirror(tmp_path / "mirror", pypi, upstream={"feed": feed}, audit={"list-interval": "1h"})
    await mirror.sync()
    pypi.hold("alpha")
    world.upload("alpha", "1.1")
    pypi.clear_requests()
    await hours_go_by(mirror, 24)
    assert len(page_asks(pypi, "alpha")) <= 4 + 8
    assert unmet(mirror) == ["alpha"]
    await hours_go_by(mirror, 6)
    assert unmet(mirror) == []


# case 9
async def test_recreated_project_with_serial_0_is_mirrored(mirror: Mirror, world: World) -> None:
    await mirror.sync()
    world.remove_project("alpha")
    await mirror.sync()
    assert not serves(mirror, "alpha")
    world.recreate_by_admin("alpha")
    mirror.clock.forward(DAY)  # no row names it, but the root list does
    await mirror.sync()
    assert mirror.page("alpha")["files"] == []
    assert listed(mirror)["alpha"] == 0
    assert mirror.problems() == []


# case 9
async def test_lower_serial_that_the_root_list_confirms_is_accepted_at_once(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.1")
    await mirror.sync()
    serial = regress(world, "alpha")
    world.remove_file("beta", "beta-1.0.tar.gz")
    mirror.clock.forward(DAY)
    await mirror.sync()
    assert listed(mirror)["alpha"] == serial
    assert mirror.problems() == []
    assert unmet(mirror) == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 9
async def test_lower_serial_without_a_root_list_is_accepted_after_25_hours(
    tmp_path: Path, pypi: PyPI, world: World
) -> None:
    mirror = Mirror(tmp_path / "mirror", pypi, select={"projects": ["alpha"]})
    world.upload("alpha", "1.1")
    await mirror.sync()
    served = mirror.page("alpha")
    serial = regress(world, "alpha")
    await mirror.sync(["alpha"])
    assert mirror.page("alpha") == served
    await hours_go_by(mirror, 24)
    assert mirror.page("alpha") == served
    await hours_go_by(mirror, 6)
    assert mirror.page("alpha")["meta"]["_last-serial"] == serial
    assert mirror.problems(projects=["alpha"]) == []


# case 9
async def test_stale_root_list_reverts_no_page(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    pypi.hold_root()
    world.upload("alpha", "1.1")
    world.upload("newcomer", "1.0")
    await mirror.sync()
    mirror.clock.forward(DAY)
    await mirror.sync()
    mirror.clock.forward(REPEAT)
    await mirror.sync()
    assert mirror.problems() == []
    assert mirror.page("alpha")["versions"] == ["1.0", "1.1"]


# case 10
async def test_role_change_publishes_no_page(mirror: Mirror, world: World) -> None:
    await mirror.sync()
    before = stamps(mirror.web)
    world.add_role("alpha")
    await mirror.sync()
    assert stamps(mirror.web) == before
    assert mirror.status()["synced_serial"] == world.last_serial
    assert mirror.problems() == []


# case 10
async def test_invitation_unknown_to_caches_leaves_nothing_unmet(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    before = stamps(mirror.web)
    world.invite("alpha")
    pypi.clear_requests()
    totals = await mirror.sync()
    assert (totals.errors, unmet(mirror)) == (0, [])
    assert len(page_asks(pypi)) == 1
    assert stamps(mirror.web) == before
    assert mirror.status()["synced_serial"] == world.last_serial


# case 10
async def test_root_list_demands_no_serial_that_only_an_invitation_moved(
    mirror: Mirror, pypi: PyPI, world: World
) -> None:
    await mirror.sync()
    world.invite("alpha")
    await mirror.sync()
    pypi.clear_requests()
    mirror.clock.forward(DAY)
    totals = await mirror.sync()
    assert pypi.seen("^/simple/$")
    assert (totals.errors, unmet(mirror)) == (0, [])
    world.upload("beta", "1.1")
    await mirror.sync()
    assert mirror.status()["synced_serial"] == world.last_serial


# case 11
async def test_audit_finds_an_archived_project_without_a_new_serial(tmp_path: Path, pypi: PyPI, world: World) -> None:
    mirror = Mirror(tmp_path / "mirror", pypi, audit={"period": "10d"})
    await mirror.sync()
    serial = world.last_serial
    world.archive("alpha")
    await mirror.sync()
    assert mirror.page("alpha")["project-status"] == {"status": "active"}
    pypi.clear_requests()
    for _ in range(4):
        mirror.clock.forward(4 * DAY)  # at least one of three projects is due
        await mirror.sync()
    assert mirror.page("alpha")["project-status"] == {"status": "archived"}
    assert mirror.problems() == []
    assert set(asked_for(pypi)) == {"alpha", "beta", "gamma"}
    assert len(asked_for(pypi)) <= 5
    assert {request.status for request in page_asks(pypi, "(beta|gamma)")} == {304}
    assert mirror.status()["synced_serial"] == serial
    world.unarchive("alpha")
    for _ in range(4):
        mirror.clock.forward(4 * DAY)
        await mirror.sync()
    assert mirror.problems() == []


# case 11, case 37
async def test_audit_finds_a_sidecar_that_was_added_later(tmp_path: Path, pypi: PyPI, world: World) -> None:
    file = world.upload("alpha", "1.1", metadata=None)
    mirror = Mirror(tmp_path / "mirror", pypi, audit={"period": "10d"})
    await mirror.sync()
    assert f"{file.filename}.metadata" not in mirror.stored()
    world.backfill_metadata("alpha", file.filename)
    pypi.clear_requests()
    mirror.clock.forward(11 * DAY)
    await mirror.sync()
    assert mirror.problems() == []
    assert [request.path.rsplit("/", 1)[1] for request in pypi.seen("/packages/")] == [f"{file.filename}.metadata"]


# case 37
async def test_changed_sidecar_digest_changes_the_page(mirror: Mirror, pypi: PyPI, world: World) -> None:
    file = world.upload("alpha", "1.1", metadata=b"Metadata-Version: 1.0\n")
    await mirror.sync()
    world.backfill_metadata("alpha", file.filename)
    world.upload("alpha", "1.2", kind="sdist")
    pypi.clear_requests()
    await mirror.sync()
    assert mirror.problems() == []
    assert not pypi.seen(r"alpha-1\.1-py3-none-any\.whl$")


# case 17
async def test_project_with_a_404_in_a_stale_root_list_is_removed(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    pypi.hold_root()
    world.remove_project("alpha")
    await mirror.sync()
    assert not serves(mirror, "alpha")
    mirror.clock.forward(DAY)
    await mirror.sync()
    assert not serves(mirror, "alpha")
    assert mirror.problems() == []
    assert unmet(mirror) == []


# case 17
@pytest.mark.parametrize("shape", [Shape(), Shape(xmlrpc=False)], ids=["journal", "list only"])
async def test_first_root_list_with_a_removed_project_delays_little(shape: Shape, tmp_path: Path, world: World) -> None:
    with PyPI(world, shape=shape) as pypi:
        mirror = Mirror(tmp_path / "mirror", pypi)
        pypi.hold_root()
        world.remove_project("alpha")
        await mirror.sync()
        mirror.clock.forward(REPEAT)
        await mirror.sync()
        assert not serves(mirror, "alpha")
        assert unmet(mirror) == []
        pypi.release_root()
        await mirror.sync()
        assert mirror.problems() == []
        assert mirror.status()["synced_serial"] == world.last_serial


# case 18
async def test_project_missing_from_a_stale_root_list_is_served(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    pypi.hold_root()
    world.upload("newcomer", "1.0")
    await mirror.sync()
    assert serves(mirror, "newcomer")
    for _ in range(3):
        mirror.clock.forward(DAY)
        await mirror.sync()
    assert "newcomer" in listed(mirror)
    assert mirror.problems() == []


# case 40
async def test_304_without_a_serial_keeps_the_known_serial(mirror: Mirror, pypi: PyPI) -> None:
    await mirror.sync()
    before = listed(mirror)["alpha"]
    pypi.clear_requests()
    await mirror.sync(["alpha"])
    (request,) = page_asks(pypi, "alpha")
    assert request.status == 304
    assert listed(mirror)["alpha"] == before
    assert mirror.problems() == []


# case 40
async def test_no_etag_is_sent_if_a_newer_page_is_wanted(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    pypi.hold("alpha")  # this cache would answer 304
    world.upload("alpha", "1.1")
    pypi.clear_requests()
    await mirror.sync()
    assert {request.status for request in page_asks(pypi, "alpha")} == {200}
    assert unmet(mirror) == ["alpha"]


async def hours_go_by(mirror: Mirror, hours: int) -> None:
    for _ in range(hours // 3):
        mirror.clock.forward(3 * HOUR)
        await mirror.sync()


def regress(world: World, name: str) -> int:
    """Give the project a lower serial than before, as after a repair of the database."""
    with world.lock:
        project = world.project(name)
        rows = [row.serial for row in world.journal if row.name == project.display_name]
        project.last_serial = rows[1]
        world.purge(name)
    return rows[1]


def test_a_regression_is_a_lower_serial_and_not_another_page(world: World) -> None:
    before = world.page("alpha")
    regress(world, "alpha")
    after = world.page("alpha")
    assert before is not None
    assert after is not None
    assert after.serial < before.serial
    assert msgspec.structs.replace(after, serial=0, revision=0) == msgspec.structs.replace(before, serial=0, revision=0)
