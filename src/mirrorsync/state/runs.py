"""The history of runs, and what was published at their ends."""

import sqlite3
from typing import Final

import msgspec

from mirrorsync.model.identity import Serial

PRESENT: Final = (
    "SELECT name, display_name, page_serial FROM project"
    # As upstream's own root list: a quarantined project has its page, and is not listed.
    " WHERE present = 1 AND coalesce(status, '') != 'quarantined' ORDER BY name"
)

_KEPT_RUNS: Final = 10_000
"""A week of one poll a minute; older rows go."""


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
    connection.execute(
        "UPDATE mirror SET complete_at = polled_at, tree_was_there = 0 WHERE NOT EXISTS"
        " (SELECT 1 FROM project WHERE unmet_since IS NOT NULL)"
        # What only the audit asks for is no lag, unless it fails; without a journal asking is all there is.
        " AND NOT EXISTS (SELECT 1 FROM project WHERE (unmet_since IS NOT NULL OR recheck = 1)"
        " AND (attempts > 0 OR NOT mirror.has_journal))"
    )


def root_published(connection: sqlite3.Connection, serial: Serial | None, version: int) -> None:
    """Note that the root index that stands says what the ledger said at `version`."""
    connection.execute("UPDATE mirror SET published_serial = ?, root_published_version = ?", (serial, version))
