"""The history of runs, and the root index published at the end of a run."""

import sqlite3
from collections.abc import Iterator
from typing import Final

import msgspec

from mirrorsync.errors import MirrorsyncError, Recovery
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.state.connection import rows
from mirrorsync.state.mirror_row import note_complete

BATCH: Final = 1_000
"""Projects in one batch of `present`: few enough to remain in the processor's cache until they are used."""
_PRESENT: Final = (
    "SELECT name, display_name, page_serial FROM project"
    # As in upstream's root list: a quarantined project has a page but is not listed.
    " WHERE present = 1 AND coalesce(status, '') != 'quarantined' ORDER BY name"
)

_KEPT_RUNS: Final = 10_000
"""A week at one poll a minute; older rows are deleted."""
_STRETCHES: Final = (
    "SELECT CAST(ended_at / :span AS INTEGER) AS stretch, min(started_at), sum(files), sum(bytes), sum(errors)"
    f" FROM (SELECT * FROM run ORDER BY id DESC LIMIT {_KEPT_RUNS}) WHERE ended_at >= :since GROUP BY stretch"
)

NEEDS_PERSON: Final = "a person is needed: "
"""Prefix of the note of a run that only an operator can fix; `report` removes it."""


def note_of(error: MirrorsyncError) -> str:
    """Return the note for a run that `error` ended."""
    return f"{NEEDS_PERSON if error.recovery is Recovery.HALT else ''}{error}"


class Totals(msgspec.Struct, frozen=True):
    """What a run did."""

    projects: int = 0
    """Projects synced, confirmed or removed."""
    files: int = 0
    """Files fetched."""
    fetched: int = 0
    """Bytes fetched for files and sidecars."""
    errors: int = 0
    """Projects that failed."""
    sidecars_untold: int = 0
    """Wheels for which the index does not say whether they have a sidecar."""
    sidecars_lost: int = 0
    """Sidecars that the index advertises but does not have."""
    note: str | None = None
    """What ended it early; None: nothing did."""

    def minus(self, earlier: "Totals") -> "Totals":
        """Return the difference to `earlier`."""
        return Totals(
            projects=self.projects - earlier.projects,
            files=self.files - earlier.files,
            fetched=self.fetched - earlier.fetched,
            errors=self.errors - earlier.errors,
        )


class Stretch(msgspec.Struct, frozen=True):
    """The work of the runs that ended in one stretch of time."""

    number: int
    """Whole stretches since the epoch."""
    first_started_at: float
    files: int
    bytes: int
    errors: int


def log(connection: sqlite3.Connection, started_at: float, totals: Totals, now: float) -> None:
    """Record a run that ended; if nothing is unmet, the mirror was complete at the last poll."""
    run_id = connection.execute(
        "INSERT INTO run (started_at, ended_at, projects, files, bytes, errors, note, serial)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT ingested_serial FROM mirror)) RETURNING id",
        (started_at, now, totals.projects, totals.files, totals.fetched, totals.errors, totals.note),
    ).fetchone()[0]
    connection.execute("DELETE FROM run WHERE id <= ?", (run_id - _KEPT_RUNS,))
    note_complete(connection)


def stretches(connection: sqlite3.Connection, *, span: float, since: float) -> tuple[Stretch, ...]:
    """Return the work of each stretch of `span` seconds since `since` in which a run ended, in order."""
    return tuple(Stretch(*row) for row in connection.execute(_STRETCHES, {"span": span, "since": since}))


def present(connection: sqlite3.Connection) -> Iterator[list[tuple[ProjectName, str, Serial | None]]]:
    """Iterate over the projects that have a page: (name, display name, the page's serial), by name.

    Each item is a list of up to `BATCH` projects, read from the database on demand.
    """
    cursor = rows(connection, _PRESENT)
    return iter(lambda: cursor.fetchmany(BATCH), [])


def root_published(connection: sqlite3.Connection, serial: Serial | None, version: int) -> None:
    """Record that the published root index shows the database as of `version`."""
    connection.execute("UPDATE mirror SET published_serial = ?, root_published_version = ?", (serial, version))
