"""Start, a pass without changes, and `status` cost the same at any size of the mirror."""

import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.state.ledgers import GRACE, fill, intend, mirrored, name_of, page, raised

from mirrorsync.model.identity import Serial
from mirrorsync.model.outcome import Confirmed, Failed, Removed
from mirrorsync.state.connection import connect
from mirrorsync.state.database import Database, open_database
from mirrorsync.state.ledger import State
from mirrorsync.state.report import reading, report
from mirrorsync.state.runs import Totals

_LATER = 100_000.0


async def make(path: Path, projects: int, *, owed: bool) -> None:
    async with open_database(path) as database:
        # Not through the database's own transaction: `fill` opens one.
        fill(database._connection, projects, owed=owed)


async def still_pass(state: State) -> None:
    await state.init_mirror("https://index.test", "all", "all", tree_has_files=True)
    await state.mirror()
    await state.polled(Serial(1), _LATER, has_journal=True)
    await state.step_audit(_LATER, 7 * 86400.0)
    await state.due(0.0, 0)
    await state.waiting()
    await state.log_run(_LATER, Totals(), _LATER)
    await state.synced_serial()
    await state.clamp_timestamps(_LATER)
    await state.summary(_LATER)
    await state.wake("outage", _LATER)
    await state.wake("space", _LATER)
    await state.weigh_past_grace(0.0)
    await state.report()


async def busy_pass(state: State) -> None:
    """All other operations of a pass, for one project of each outcome."""
    later, files = 1_000_000, page(1, 4, edition=".1")
    await state.raise_wanted([raised(number, later) for number in (1, 2, 3, 4)], Serial(later))
    await state.due(_LATER, 2)
    assert await state.named(name_of(1)) is not None
    intent = await intend(state, 1, files, later)
    await state.about_to_publish([(name_of(1), Serial(later))])
    outcome = mirrored(1, later, [need.file for need in intent.needs], intent.vanished)
    await state.record([outcome], _LATER, GRACE)
    await state.record([Confirmed(name=name_of(2), content_serial=Serial(10**9))], _LATER, GRACE)
    await state.record([Failed(name=name_of(3), error="no", hint="", delay=None)], _LATER, GRACE)
    await state.weigh([name_of(4)])
    await state.record([Removed(name=name_of(4), reason="gone", wanted_serial=None)], _LATER, GRACE)
    await state.swept(await state.take_past_grace(_LATER + GRACE, 100))
    await state.root_published(Serial(later), 1)


async def instructions(path: Path, work: Callable[[State], Awaitable[None]]) -> int:
    """Return how many tens of instructions SQLite's virtual machine executes for `work`."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    async with open_database(path) as database:
        database._connection.set_progress_handler(step, 10)
        await work(State(database))
        database._connection.set_progress_handler(None, 0)
    return count


@pytest.mark.parametrize("owed", [False, True], ids=["complete", "first sync"])
@pytest.mark.parametrize("work", [still_pass, busy_pass])
async def test_a_mirror_four_times_as_large_costs_sqlite_no_more(
    work: Callable[[State], Awaitable[None]], tmp_path: Path, *, owed: bool
) -> None:
    costs = []
    for projects in (1_500, 6_000):
        path = tmp_path / f"{projects}.sqlite3"
        await make(path, projects, owed=owed)
        costs.append(await instructions(path, work))
    assert 0 < costs[1] <= 1.05 * costs[0] + 10


def unbounded(connection: sqlite3.Connection, statements: list[str]) -> Iterator[str]:
    """Yield each statement that scans a table or sorts, with the step of its query plan."""
    for statement in statements:
        steps = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        for step in steps:
            # SQLite also calls a scan for max() a search, but one without an index.
            walks = re.match(r"SCAN (?!CONSTANT ROW|(mirror|sink|sqlite_schema)\b)|SEARCH (?!\w+ USING)", step)
            in_order = "INDEX" in step and "LIMIT" in statement and not any("TEMP B-TREE" in each for each in steps)
            if walks and not in_order and not re.search(r"FROM run ORDER BY id DESC LIMIT", statement):
                yield f"{step}: {statement}"


async def test_no_statement_of_a_pass_or_of_status_scans_a_table(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    await make(path, 200, owed=False)
    said: list[str] = []
    with closing(connect(path)) as connection:
        connection.set_trace_callback(said.append)
        state = State(Database(connection, path))
        await still_pass(state)
        await busy_pass(state)
        await still_pass(state)
        connection.set_trace_callback(None)
        asked = [each for each in said if re.match(r"\s*(SELECT|UPDATE|INSERT|DELETE)", each)]
        assert len(asked) > 50
        assert list(unbounded(connection, asked)) == []


async def test_statements_that_scan_a_table_are_found(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    await make(path, 1, owed=False)
    with closing(connect(path)) as connection:
        statements = [
            "SELECT count(*) FROM file",
            "SELECT max(size) FROM file",
            "SELECT name FROM project ORDER BY attempts LIMIT 5",
        ]
        assert len(list(unbounded(connection, statements))) == len(statements)


async def test_status_lists_failing_projects_first_and_at_most_1000(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    await make(path, 1_500, owed=True)
    async with open_database(path) as database:
        state = State(database)
        for number, attempts in ((7, 1), (1_400, 3), (3, 2)):
            for _ in range(attempts):
                await state.record([Failed(name=name_of(number), error="no", hint="", delay=None)], 1.0, GRACE)
    with reading(path) as connection:
        found = report(connection)
    assert found.unmet_count == 1_500
    assert len({row.name for row in found.unmet}) == len(found.unmet) == 1_000
    assert [row.name for row in found.unmet[:3]] == [name_of(1_400), name_of(3), name_of(7)]
    assert [row.attempts for row in found.unmet[:4]] == [3, 2, 1, 0]
