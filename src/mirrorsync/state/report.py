"""What `status` tells, read without the daemon, without a lock, and without counting anything large."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from mirrorsync.errors import BadConfig
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.state.audit import AuditReport, audit_report
from mirrorsync.state.connection import connect, explain
from mirrorsync.state.progress import synced_serial
from mirrorsync.state.schema import bridge

_UNMET_SHOWN: Final = 1000
"""Unmet projects that a report names; the count is of all."""

NEWEST: Final = "SELECT max(page_serial) FROM project WHERE page_serial IS NOT NULL"
_UNMET: Final = (
    "SELECT name, wanted_serial, mirrored_serial, attempts, next_attempt_at, last_error, last_hint FROM project"
)
FAILING: Final = (
    f"{_UNMET} WHERE attempts > 0 AND (unmet_since IS NOT NULL OR recheck = 1)"
    " ORDER BY attempts DESC, next_attempt_at LIMIT ?"
)
UNTRIED: Final = f"{_UNMET} WHERE unmet_since IS NOT NULL AND attempts = 0 ORDER BY unmet_since LIMIT ?"


class Unmet(msgspec.Struct, frozen=True):
    """A project that is not as upstream has it."""

    name: ProjectName
    wanted: Serial
    mirrored: Serial | None
    attempts: int
    next_attempt_at: float
    """Seconds since the epoch; 0: as soon as possible."""
    error: str | None
    hint: str | None


class RunRow(msgspec.Struct, frozen=True):
    """One run of the history."""

    started_at: float
    ended_at: float
    serial: Serial | None
    projects: int
    files: int
    bytes: int
    errors: int
    note: str | None


class Report(msgspec.Struct, frozen=True):
    """The mirror as its state knows it at one moment."""

    upstream: str
    synced_serial: Serial | None
    newest_serial: Serial | None
    upstream_serial: Serial | None
    has_journal: bool
    polled_at: float | None
    complete_at: float | None
    projects: int
    files: int
    bytes: int
    condemned: int
    audit: AuditReport
    unmet_count: int
    unmet: tuple[Unmet, ...]
    runs: tuple[RunRow, ...]


def _never_synced() -> BadConfig:
    return BadConfig("no mirror yet", why="nothing was ever synced here", hint="`mirrorsync sync` makes it")


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the state read-only.

    Raises: BadConfig when there is no mirror yet; NewerSchema; StoreDenied when it is damaged.
    """
    if not path.exists():
        raise _never_synced()
    with closing(connect(path, read_only=True)) as connection:
        try:
            bridge(connection)
            connection.execute("BEGIN")  # one view of one moment
            yield connection
        except sqlite3.Error as error:
            raise explain(error, path) from error


def report(connection: sqlite3.Connection) -> Report:
    """Return the report. Raises: BadConfig, when the state was made but no run has begun."""
    row = connection.execute("SELECT * FROM mirror").fetchone()
    if row is None:
        raise _never_synced()
    (newest,) = connection.execute(NEWEST).fetchone()
    return Report(
        upstream=row["upstream"],
        synced_serial=synced_serial(connection),
        newest_serial=newest,
        upstream_serial=row["upstream_serial"],
        has_journal=bool(row["has_journal"]),
        polled_at=row["polled_at"],
        complete_at=row["complete_at"],
        projects=row["projects"],
        files=row["files"],
        bytes=row["bytes"],
        condemned=row["condemned"],
        audit=audit_report(connection),
        unmet_count=row["unmet"],
        unmet=tuple(_unmet(connection)),
        runs=tuple(_runs(connection)),
    )


def _unmet(connection: sqlite3.Connection) -> Iterator[Unmet]:
    failing = connection.execute(FAILING, (_UNMET_SHOWN,)).fetchall()
    for row in failing:
        yield Unmet(*row)
    for row in connection.execute(UNTRIED, (_UNMET_SHOWN - len(failing),)):
        yield Unmet(*row)


def _runs(connection: sqlite3.Connection) -> Iterator[RunRow]:
    rows = connection.execute(
        "SELECT started_at, ended_at, serial, projects, files, bytes, errors, note FROM run ORDER BY id DESC LIMIT 5"
    )
    for row in rows:
        yield RunRow(*row)


class ProjectReport(msgspec.Struct, frozen=True):
    """One project's ledger, for a person."""

    name: ProjectName
    display_name: str
    status: str | None
    present: bool
    wanted_serial: Serial
    mirrored_serial: Serial | None
    page_serial: Serial | None
    unmet_since: Serial | None
    said_removed: bool
    attempts: int
    next_attempt_at: float
    failing_since: float | None
    last_error: str | None
    last_hint: str | None
    files: int
    files_stored: int
    bytes: int


def project_report(connection: sqlite3.Connection, name: ProjectName) -> ProjectReport | None:
    """Return one project's ledger, None if the mirror does not know it."""
    row = connection.execute("SELECT * FROM project WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    files, stored, size = connection.execute(
        "SELECT count(*), count(stored_at), coalesce(sum(size) FILTER (WHERE stored_at IS NOT NULL), 0)"
        " FROM file WHERE project_id = ?",
        (row["id"],),
    ).fetchone()
    values = {key: row[key] for key in ProjectReport.__struct_fields__ if key in row.keys()}  # noqa: SIM118 -- a Row iterates over values
    values |= {"files": files, "files_stored": stored, "bytes": size}
    return msgspec.convert(values, ProjectReport, strict=False)
