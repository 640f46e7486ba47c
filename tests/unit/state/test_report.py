"""What the report derives from the recorded runs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.state.ledgers import fill, raised, transaction

from mirrorsync.errors import StoreFull, Unreachable
from mirrorsync.model.identity import Serial
from mirrorsync.state import progress
from mirrorsync.state.connection import connect
from mirrorsync.state.report import Growth, report
from mirrorsync.state.runs import Totals, log, note_of
from mirrorsync.state.schema import migrate


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A mirror of five projects, complete at serial 5."""
    with closing(connect(tmp_path / "state.sqlite3")) as made:
        migrate(made)
        fill(made, 5, owed=False)
        log(made, 100.0, Totals(projects=5, fetched=1000), 110.0)
        yield made


def test_growth_is_what_all_runs_fetched_from_the_first_to_the_last(connection: sqlite3.Connection) -> None:
    log(connection, 200.0, Totals(fetched=30), 260.0)
    assert report(connection).growth == Growth(seconds=160.0, bytes=1030)


def test_untried_changes_wait_since_the_last_run_before_them(
    connection: sqlite3.Connection,
) -> None:
    assert report(connection).waiting_after is None
    log(connection, 200.0, Totals(), 201.0)
    with transaction(connection):
        progress.raise_wanted(connection, [raised(2, 6)], Serial(6))
    assert report(connection).waiting_after == 201.0
    log(connection, 300.0, Totals(), 301.0)  # it has heard of it, and did not get to it
    assert report(connection).waiting_after == 201.0


def test_the_report_has_the_last_run_and_the_last_busy_ones(connection: sqlite3.Connection) -> None:
    for number in range(20):
        log(connection, 1000.0 + number, Totals(projects=int(number == 3)), 1000.5 + number)
    assert [row.started_at for row in report(connection).runs] == [1019.0, 1003.0, 100.0]


@pytest.mark.parametrize(("error", "needs_person"), [(StoreFull("no room"), True), (Unreachable("no answer"), False)])
def test_the_report_knows_whether_a_halt_needs_a_person(
    connection: sqlite3.Connection, error: StoreFull | Unreachable, *, needs_person: bool
) -> None:
    log(connection, 200.0, Totals(note=note_of(error)), 201.0)
    last = report(connection).runs[0]
    assert (last.note, last.needs_person) == (str(error), needs_person)
