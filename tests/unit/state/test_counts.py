"""The counts that triggers keep for `status` equal a fresh count."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.state.ledgers import GRACE, bring_up, fill, name_of, page, raised, transaction

from mirrorsync.model.change import Listed
from mirrorsync.model.identity import Serial
from mirrorsync.model.outcome import Confirmed, Failed, Outcome, Removed
from mirrorsync.state import condemned, inventory, listing, outcomes, progress
from mirrorsync.state.connection import connect
from mirrorsync.state.report import reading, report
from mirrorsync.state.schema import _FIRST, migrate

_PROJECTS = 12


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "state.sqlite3")) as connection:
        migrate(connection)
        fill(connection, _PROJECTS // 2, owed=False)
        yield connection


def kept(connection: sqlite3.Connection) -> tuple[int, ...]:
    row = connection.execute("SELECT projects, files, bytes, waiting, unmet, condemned FROM mirror").fetchone()
    return tuple(row)


def counted(connection: sqlite3.Connection) -> tuple[int, ...]:
    def one(statement: str) -> int:
        return int(connection.execute(statement).fetchone()[0])

    return (
        one("SELECT count(*) FROM project WHERE present = 1"),
        one("SELECT count(*) FROM file WHERE stored_at IS NOT NULL"),
        one("SELECT coalesce(sum(size), 0) FROM file WHERE stored_at IS NOT NULL"),
        one("SELECT count(*) FROM project WHERE unmet_since IS NOT NULL OR recheck = 1"),
        one("SELECT count(*) FROM project WHERE unmet_since IS NOT NULL OR (recheck = 1 AND attempts > 0)"),
        one("SELECT count(*) FROM condemned"),
    )


def anything(connection: sqlite3.Connection, chance: random.Random, serial: int) -> None:
    """Do one random operation of the pipeline on a random project."""
    number, now = chance.randrange(1, _PROJECTS), float(serial)
    name, files = name_of(number), page(number, chance.randrange(4), edition=chance.choice(["", ".1"]))
    match chance.randrange(12) if progress.named(connection, name) else 0:
        case 0 | 1:
            progress.raise_wanted(connection, [raised(number, serial)], Serial(serial))
        case 2 | 3 | 4:
            bring_up(connection, number, chance.choice([serial, 7]), files, now)  # 7: the published page again
        case 5:
            inventory.intend(connection, name, files)
        case 6:
            failure = Failed(name=name, error="no", hint="", delay=None)
            outcomes.record(connection, [failure], now, GRACE)
        case 7:
            fates: tuple[Outcome, ...] = (
                Removed(name=name, reason="gone", wanted_serial=None),
                Confirmed(name=name, content_serial=Serial(10**9)),
            )
            outcomes.record(connection, [chance.choice(fates)], now, GRACE)
        case 8:
            progress.recheck(connection, chance.choice([None, [name]]))
        case 9:
            progress.add_projects(connection, [name_of(number + 100)])
            progress.forget(connection, [name, name_of(number + 100)])
        case 10:
            condemned.swept(connection, condemned.take_past_grace(connection, now + GRACE / 2, 2))
            condemned.unbar(connection)
        case _:
            listing.begin(connection)
            listing.add(connection, [Listed(name=name, display_name=name, serial=Serial(serial))])
            listing.raise_from(connection, since=Serial(1), list_serial=Serial(serial))
            listing.recheck_missing(connection, since=Serial(1), list_serial=Serial(serial))
            listing.end(connection)


@pytest.mark.parametrize("seed", range(8))
def test_kept_counts_equal_fresh_counts_after_random_operations(ledger: sqlite3.Connection, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 -- repeatable, not secret
    for serial in range(100, 400):
        with transaction(ledger):
            anything(ledger, chance, serial)
        assert kept(ledger) == counted(ledger)
    assert all(count >= 0 for count in kept(ledger))


def test_adding_named_projects_returns_how_many_are_new(ledger: sqlite3.Connection) -> None:
    assert progress.name_projects(ledger, [name_of(1), name_of(50), name_of(51)]) == 2
    assert progress.name_projects(ledger, [name_of(50)]) == 0


def first_version(path: Path) -> None:
    """Make a database of schema version 1: two projects unmet, one file, one object condemned."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{_FIRST} PRAGMA user_version = 1; PRAGMA journal_mode = WAL;")
        connection.executescript(
            """
            INSERT INTO mirror (id, upstream, selection, content, audit_position, ingested_serial)
                VALUES (1, 'https://index.test', '', '', 'b', 9);
            INSERT INTO project
                (name, display_name, wanted_serial, content_serial, unmet_since, recheck, attempts, page_serial)
                VALUES ('a', 'a', 5, 5, NULL, 0, 0, 5), ('b', 'b', 6, 6, 6, 0, 2, 4), ('c', 'c', 7, 7, NULL, 1, 0, 7),
                    ('d', 'd', 8, 8, NULL, 1, 3, NULL);
            UPDATE project SET present = 1 WHERE name < 'd';
            INSERT INTO file (project_id, place, filename, size, sha256) VALUES (1, x'01', 'a-1.0.tar.gz', 10, x'02');
            UPDATE file SET stored_at = 1.0;
            INSERT INTO condemned VALUES (x'03', 'gone.whl', 5, 1.0, 'old');
            """
        )


def test_migration_from_version_1_keeps_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    first_version(path)
    with closing(connect(path)) as connection:
        before = [dict(row) for row in connection.execute("SELECT * FROM project ORDER BY id")]
        migrate(connection)
        after = [dict(row) for row in connection.execute("SELECT * FROM project ORDER BY id")]
        assert after == [row | {"waits_for": None, "last_reason": None} for row in before]
        assert kept(connection) == counted(connection) == (3, 1, 10, 3, 2, 1)
        assert connection.execute("SELECT audit_done FROM mirror").fetchone()[0] == 2
        with transaction(connection):
            progress.raise_wanted(connection, [raised(1, 20)], Serial(20))
            bring_up(connection, 1, 20, page(1, 3), 2.0)
        assert kept(connection) == counted(connection)
        migrate(connection)  # nothing is left to do
        assert kept(connection) == counted(connection)


def test_status_reads_a_database_before_its_migration(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    first_version(path)
    with reading(path) as connection:
        early = report(connection)
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
    with closing(connect(path)) as connection:
        migrate(connection)
    with reading(path) as connection:
        assert report(connection) == early
    assert (early.unmet_count, early.condemned, early.audit.done, early.newest_serial) == (2, 1, 2, 7)
    assert [row.name for row in early.unmet] == ["d", "b"]
    assert early.reasons == {}
