"""The history of runs, and what was published at their ends."""

import sqlite3
from collections.abc import Iterator
from typing import Final

import msgspec

from mirrorsync.errors import MirrorsyncError, Recovery
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.state.progress import note_complete

TOGETHER: Final = 1_000
"""Projects that a walk hands on at once: few enough to be in the processor's cache still when they are used."""
_PRESENT: Final = (
    "SELECT name, display_name, page_serial FROM project"
    # As upstream's own root list: a quarantined project has its page, and is not listed.
    " WHERE present = 1 AND coalesce(status, '') != 'quarantined' ORDER BY name"
)

_KEPT_RUNS: Final = 10_000
"""A week of one poll a minute; older rows go."""


NEEDS_PERSON: Final = "a person is needed: "
"""Before the note of a run that ended of something which only a person can mend; `report` takes it off."""


def note_of(error: MirrorsyncError) -> str:
    """Return what to write down of a run that ended of `error`."""
    return f"{NEEDS_PERSON if error.recovery is Recovery.HALT else ''}{error}"


class Totals(msgspec.Struct, frozen=True):
    """What a run did."""

    projects: int = 0
    """Projects brought up, confirmed or removed."""
    files: int = 0
    """Files fetched."""
    fetched: int = 0
    """Bytes fetched of files and sidecars."""
    errors: int = 0
    """Projects that failed."""
    sidecars_untold: int = 0
    """Wheels of whose sidecars the index says nothing."""
    sidecars_lost: int = 0
    """Sidecars that the index promises and does not have."""
    note: str | None = None
    """What halted it, None when nothing did."""

    def minus(self, earlier: "Totals") -> "Totals":
        """Return what was done since `earlier`."""
        return Totals(
            projects=self.projects - earlier.projects,
            files=self.files - earlier.files,
            fetched=self.fetched - earlier.fetched,
            errors=self.errors - earlier.errors,
        )


def log(connection: sqlite3.Connection, started_at: float, totals: Totals, now: float) -> None:
    """Write down a run that ended; with nothing unmet the mirror was complete when upstream was last asked."""
    number = connection.execute(
        "INSERT INTO run (started_at, ended_at, projects, files, bytes, errors, note, serial)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT ingested_serial FROM mirror)) RETURNING id",
        (started_at, now, totals.projects, totals.files, totals.fetched, totals.errors, totals.note),
    ).fetchone()[0]
    connection.execute("DELETE FROM run WHERE id <= ?", (number - _KEPT_RUNS,))
    note_complete(connection)


def present(connection: sqlite3.Connection) -> Iterator[list[tuple[ProjectName, str, Serial | None]]]:
    """Walk over the projects that have a page: (name, display name, the page's serial), by name.

    They come in lists of `TOGETHER`; the walk reads as it goes.
    """
    cursor = connection.cursor()
    cursor.row_factory = None
    cursor.execute(_PRESENT)
    return iter(lambda: cursor.fetchmany(TOGETHER), [])


def root_published(connection: sqlite3.Connection, serial: Serial | None, version: int) -> None:
    """Note that the root index that stands says what the ledger said at `version`."""
    connection.execute("UPDATE mirror SET published_serial = ?, root_published_version = ?", (serial, version))
