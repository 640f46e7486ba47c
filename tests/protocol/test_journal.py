"""The changelog: pages, gaps, odd rows, limits, and recovery when it is far ahead, broken or has gone back.

The numbers are the rows of docs/protocol-cases.md.
"""

import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace
from trio.testing import MockClock

from mirrorsync.app.mirror_directory import state_path
from mirrorsync.errors import SerialWentBack, Unreachable
from tests.protocol.kit import REPEAT, Meanwhile, asked_for, cursors, listed, page_asks, serves, tree
from tests.support.mirror import Mirror
from tests.support.pypi.faults import RateLimitFault, Status, TruncatedXML
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

JOURNAL = "^/pypi$"


# case 1
async def test_gaps_in_serials_are_not_waited_for(mirror: Mirror, world: World) -> None:
    await mirror.sync()
    world.skip_serials(4000)
    world.upload("alpha", "1.1")
    world.skip_serials(1)
    world.upload("beta", "1.1")
    await mirror.sync()
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 2
async def test_project_with_many_rows_is_requested_once(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    pypi.clear_requests()
    for number in range(40):
        world.upload("alpha", f"2.{number}", content=b"%d" % number, filename=f"alpha-2.{number}.tar.gz")
    await mirror.sync()
    assert asked_for(pypi) == ["alpha"]
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 3
async def test_rows_of_three_spellings_are_one_project(mirror: Mirror, pypi: PyPI, world: World) -> None:
    world.upload("foo-bar", "1.0")
    await mirror.sync()
    pypi.clear_requests()
    world.upload("Foo_Bar", "1.1")
    world.upload("foo.bar", "1.2")
    world.upload("FOO--BAR", "1.3")
    await mirror.sync()
    assert asked_for(pypi) == ["foo-bar"]
    assert mirror.problems() == []
    assert listed(mirror)["FOO--BAR"] == world.last_serial


# case 4
async def test_rows_without_a_project_only_move_the_cursor(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    pypi.clear_requests()
    world.journal_row("", "keyrotate ", version="")
    world.journal_row(None, "create")
    world.journal_row("user:mallory", "nuke user")
    world.journal_row("../../etc", "create")
    world.journal_row("Größe", "create")
    world.journal_row("internal mirror", "add alternate repository internal mirror to project alpha")
    world.journal_row("label", "add alternate repository label to project alpha")
    world.journal_row("label", "deleted alternate repository label from project alpha")
    await mirror.sync()
    assert asked_for(pypi) == []
    assert mirror.status()["synced_serial"] == world.last_serial
    assert mirror.status()["unmet"] == []


# case 5
async def test_exactly_full_changelog_page_is_not_the_last(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    start = world.last_serial or 0
    pypi.page_cap = 6
    pypi.clear_requests()
    for number in range(6):  # a row `new release` and a row `add file` each
        world.upload("alpha", f"2.{number}", content=b"%d" % number, filename=f"alpha-2.{number}.tar.gz")
    await mirror.sync()
    assert cursors(pypi) == [start, start + 6, start + 12]
    assert mirror.status()["synced_serial"] == start + 12
    assert mirror.problems() == []


# case 6
async def test_rate_limit_with_status_200_is_waited_out_plus_a_second(
    mirror: Mirror, pypi: PyPI, world: World, hurried: MockClock
) -> None:
    await mirror.sync()
    world.upload("alpha", "1.1")
    pypi.faults.add(JOURNAL, RateLimitFault(9), times=1, call="changelog_last_serial")
    pypi.faults.add(JOURNAL, RateLimitFault(4), times=1, call="changelog_since_serial")
    before = hurried.current_time()
    await mirror.sync()
    assert 10 + 5 <= hurried.current_time() - before <= 30
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 6
async def test_endless_rate_limit_is_reported_and_changes_nothing(
    mirror: Mirror, pypi: PyPI, world: World, hurried: MockClock
) -> None:
    del hurried
    await mirror.sync()
    before, synced = tree(mirror.web), mirror.status()["synced_serial"]
    world.upload("alpha", "1.1")
    limited = pypi.faults.add(JOURNAL, RateLimitFault())
    with pytest.raises(Exception, match="HTTPTooManyRequests"):
        await mirror.sync()
    assert limited.hits < 6
    assert (tree(mirror.web), mirror.status()["synced_serial"]) == (before, synced)


# case 7
@pytest.mark.parametrize(
    "fault",
    [Status(503, body=b"<html>guru meditation</html>", media_type="text/html"), TruncatedXML(), TruncatedXML(0.0)],
    ids=["503 of HTML", "half of the XML", "no XML"],
)
async def test_failing_journal_is_retried_and_never_moves_the_cursor(
    fault: Status, tmp_path: Path, pypi: PyPI, world: World, hurried: MockClock
) -> None:
    del hurried
    mirror = Mirror(tmp_path / "mirror", pypi, upstream={"feed": "xmlrpc"})
    await mirror.sync()
    world.upload("alpha", "1.1")
    pypi.faults.add(JOURNAL, fault, times=2, call="changelog_since_serial")
    await mirror.sync()
    assert mirror.problems() == []
    synced = mirror.status()["synced_serial"]
    world.upload("alpha", "1.2")
    pypi.faults.add(JOURNAL, fault, call="changelog_since_serial")
    with pytest.raises(Unreachable):
        await mirror.sync()
    assert mirror.status()["synced_serial"] == synced
    pypi.faults.clear()
    await mirror.sync()
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 33
async def test_days_of_downtime_are_read_page_by_page(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    start = world.last_serial or 0
    pypi.page_cap = 25
    for number in range(30):
        world.upload(f"new-{number % 10}", f"1.{number}", content=b"%d" % number, filename=f"new-1.{number}.tar.gz")
        world.add_role("beta")
    world.remove_project("gamma")
    mirror.clock.forward(4 * 86400)
    pypi.clear_requests()
    await mirror.sync()
    assert len(cursors(pypi)) == -(-((world.last_serial or 0) - start) // 25) + 1
    assert mirror.problems() == []
    assert not serves(mirror, "gamma")
    assert mirror.status()["synced_serial"] == world.last_serial


# case 33
@pytest.mark.slow
async def test_more_than_50000_rows_are_read_at_the_true_size_of_a_page(
    mirror: Mirror, pypi: PyPI, world: World
) -> None:
    await mirror.sync()
    for number in range(120_000):
        world.journal_row("alpha" if number % 2 else "beta", "add Maintainer lancelot")
    world.upload("gamma", "2.0")
    pypi.clear_requests()
    await mirror.sync()
    assert len(cursors(pypi)) == 4
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 33
async def test_cursor_too_far_behind_is_renewed_from_the_root_list(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    world.skip_serials(1_000_001)
    world.upload("alpha", "1.1")
    world.upload("newcomer", "0.1")
    world.remove_project("beta")
    far = world.last_serial or 0
    pypi.clear_requests()
    await mirror.sync()
    assert cursors(pypi) == []
    assert pypi.seen("^/simple/$")
    mirror.clock.forward(REPEAT)  # the removal's row was not read: the root list and a repeated 404 are the witnesses
    await mirror.sync()
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == far
    pypi.clear_requests()
    world.upload("gamma", "1.1")
    await mirror.sync()
    assert cursors(pypi)[0] == far
    assert mirror.problems() == []


# case 33
async def test_lost_cursor_is_rebuilt_from_the_root_list_without_new_pages(
    mirror: Mirror, pypi: PyPI, world: World
) -> None:
    await mirror.sync()
    with sqlite3.connect(state_path(mirror.directory)) as connection:
        connection.execute("UPDATE mirror SET ingested_serial = NULL")
    connection.close()
    world.upload("alpha", "1.1")
    pypi.clear_requests()
    await mirror.sync()
    assert asked_for(pypi) == ["alpha"]
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 34
async def test_changes_between_the_serial_and_the_first_list_are_kept(mirror: Mirror, pypi: PyPI, world: World) -> None:
    def happen() -> None:
        world.upload("latecomer", "1.0")
        world.upload("alpha", "1.1")

    pypi.hold_root()  # the list that is sent is the earlier one
    pypi.faults.add("^/simple/$", Meanwhile(happen), times=1)
    before = world.last_serial
    await mirror.sync()
    paths = [request.path for request in pypi.requests]
    assert paths.index("/pypi") < paths.index("/simple/")
    assert mirror.status()["synced_serial"] == before
    await mirror.sync()
    assert serves(mirror, "latecomer")
    assert mirror.problems() == []


# case 34
async def test_stale_first_root_list_is_completed_from_the_changelog(mirror: Mirror, pypi: PyPI, world: World) -> None:
    pypi.hold_root()  # PyPI's list is cached for half an hour and never purged
    world.upload("newcomer", "1.0")
    await mirror.sync()
    assert serves(mirror, "newcomer")
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 34
async def test_stale_root_list_loses_nothing_when_the_cursor_is_renewed(
    mirror: Mirror, pypi: PyPI, world: World
) -> None:
    await mirror.sync()
    world.skip_serials(1_000_001)
    world.add_role("beta")
    pypi.hold_root()
    world.upload("newcomer", "1.0")
    world.upload("alpha", "1.1")
    await mirror.sync()
    assert serves(mirror, "newcomer")
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 35
@pytest.mark.parametrize("left", [3, 0], ids=["a restored journal", "an empty journal"])
async def test_journal_that_ends_before_the_cursor_halts_the_run(
    left: int, mirror: Mirror, pypi: PyPI, world: World
) -> None:
    await mirror.sync()
    before, synced = tree(mirror.web), mirror.status()["synced_serial"]
    rows = world.journal[:]
    del world.journal[left:]
    world.projects.clear()
    pypi.clear_requests()
    with pytest.raises(SerialWentBack) as caught:
        await mirror.sync()
    assert str(synced) in str(caught.value)
    assert caught.value.hint
    assert page_asks(pypi) == []
    assert (tree(mirror.web), mirror.status()["synced_serial"]) == (before, synced)
    world.journal[:] = rows
    await mirror.sync()
    assert tree(mirror.web) == before


# case 36
async def test_unparsable_journal_is_replaced_by_the_root_list(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    world.upload("alpha", "1.1")
    world.journal_row("bad\x01name", "create")
    world.upload("beta", "1.1")
    world.upload("newcomer", "0.1")
    world.remove_project("gamma")
    await mirror.sync()
    assert asked_for(pypi)
    mirror.clock.forward(REPEAT)
    await mirror.sync()
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial
    pypi.clear_requests()
    world.upload("alpha", "1.2")
    await mirror.sync()
    assert len(cursors(pypi)) == 2
    assert not pypi.seen("^/simple/$")
    assert mirror.problems() == []


# case 36
async def test_rows_before_an_unreadable_page_are_kept(mirror: Mirror, pypi: PyPI, world: World) -> None:
    await mirror.sync()
    pypi.page_cap = 2
    pypi.hold_root()
    world.upload("alpha", "1.1")
    world.journal_row("bad\x01name", "create")
    world.upload("beta", "1.1")
    await mirror.sync()
    assert "alpha-1.1-py3-none-any.whl" in mirror.stored()
    assert mirror.status()["synced_serial"] < (world.last_serial or 0)  # the rest is still unknown
    pypi.release_root()
    await mirror.sync()
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 39
async def test_timestamps_in_any_order_change_nothing(mirror: Mirror, world: World) -> None:
    await mirror.sync()
    world.upload("alpha", "1.1")
    world.remove_file("alpha", "alpha-1.0.tar.gz")
    world.remove_project("beta")
    world.upload("Beta", "3.0")
    world.upload("gamma", "1.1")
    world.remove_project("gamma")
    world.journal[:] = [replace(row, timestamp=row.serial * 7919 % 1000) for row in world.journal]
    await mirror.sync()
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial
