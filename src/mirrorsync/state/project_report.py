"""One project, for `mirrorsync project`: its report, similar names, and making it due. Without trio."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.state.connection import connect, explain

_LENGTHS: Final = 2
"""Characters by which the length of a similar name may differ."""


class ProjectReport(msgspec.Struct, frozen=True):
    """What `project show` prints."""

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
    """Return the report of a project, None if it is unknown."""
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


def similar_names(connection: sqlite3.Connection, name: ProjectName) -> list[ProjectName]:
    """Return known names of similar length that start or end like `name`: candidates for "did you mean"."""
    found = connection.execute(
        "SELECT name FROM project WHERE length(name) BETWEEN ? AND ?"
        " AND (substr(name, 1, 2) = ? OR substr(name, -2) = ?)",
        (len(name) - _LENGTHS, len(name) + _LENGTHS, name[:2], name[-2:]),
    )
    return [row[0] for row in found]


def make_due(path: Path, name: ProjectName) -> None:
    """Make a project due at once, whenever its next attempt is planned. Raises: StoreError."""
    try:
        with closing(connect(path)) as connection:
            connection.execute(
                "UPDATE project SET recheck = 1, next_attempt_at = 0, etag = NULL WHERE name = ?", (name,)
            )
    except sqlite3.Error as error:
        raise explain(error, path) from error
