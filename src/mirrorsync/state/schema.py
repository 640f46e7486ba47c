"""The tables and their migrations (ARCHITECTURE.md, "State")."""

import sqlite3
from typing import Final

from mirrorsync.errors import NewerSchema

_FIRST: Final = """
CREATE TABLE mirror (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    upstream TEXT NOT NULL,            -- identity of the index that this mirror copies
    selection TEXT NOT NULL,           -- fingerprint of [select]
    content TEXT NOT NULL,             -- fingerprint of the settings that change the pages
    ingested_serial INTEGER,           -- the cursor; NULL: neither the journal nor a whole list was read yet
    upstream_serial INTEGER,           -- the newest serial that upstream reported
    published_serial INTEGER,          -- the serial that the published root index claims
    root_version INTEGER NOT NULL DEFAULT 1,           -- raised by every change that the root index shows
    root_published_version INTEGER NOT NULL DEFAULT 0, -- the version that is published
    has_journal INTEGER NOT NULL DEFAULT 0,
    polled_at REAL,                    -- seconds since the epoch: the last successful poll of upstream
    complete_at REAL,                  -- seconds since the epoch: when nothing was last unmet
    list_read_at REAL,                 -- seconds since the epoch: when the root list was last compared
    audit_position TEXT NOT NULL DEFAULT '',  -- the last name that the rolling audit checked
    audit_stepped_at REAL,             -- when it got there
    audit_began_at REAL,               -- when this round began
    tree_was_there INTEGER NOT NULL DEFAULT 0, -- files are older than this database: look before fetching
    audited_at REAL,                   -- when the last whole round ended
    projects INTEGER NOT NULL DEFAULT 0,
    files INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE project (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    wanted_serial INTEGER NOT NULL,
    content_serial INTEGER NOT NULL,   -- the last journal row that can change the page (not a role or an invitation)
    mirrored_serial INTEGER,           -- serial of the page at the last successful sync; NULL: never
    page_serial INTEGER,               -- serial in the page on disk (older if only roles moved the serial)
    attempted_serial INTEGER,          -- serial of a page that may be published but was not recorded
    present INTEGER NOT NULL DEFAULT 0,-- its page is in the served tree
    status TEXT,
    unmet_since INTEGER,               -- the first serial that is not served; NULL: none
    recheck INTEGER NOT NULL DEFAULT 0,-- ask upstream although no serial requires it
    said_removed INTEGER NOT NULL DEFAULT 0, -- the journal's last row is `remove project`
    unlisted INTEGER NOT NULL DEFAULT 0,     -- a whole root list, not older than the page, does not list it
    regressed_to INTEGER,              -- a lower serial in a whole root list that is newer than the page
    etag TEXT,
    page_digest BLOB,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at REAL NOT NULL DEFAULT 0,
    failing_since REAL,
    stale_since REAL,                  -- since when caches return a page older than wanted
    gone_at REAL,                      -- when its page first returned 404
    last_error TEXT,
    last_hint TEXT
) STRICT;
-- A query uses one of these only if it repeats the WHERE (0.03 ms at 700,000 rows).
CREATE INDEX project_due ON project(next_attempt_at) WHERE unmet_since IS NOT NULL OR recheck = 1;
CREATE INDEX project_unmet ON project(unmet_since) WHERE unmet_since IS NOT NULL;

CREATE TABLE file (
    project_id INTEGER NOT NULL REFERENCES project(id),
    place BLOB NOT NULL,
    filename TEXT NOT NULL,
    size INTEGER,                      -- bytes; NULL: not given by the index, and not stored yet
    sha256 BLOB NOT NULL,
    metadata_sha256 BLOB,              -- the sidecar that the page advertises; NULL: none
    stored_at REAL,                    -- NULL: intended
    metadata_stored_at REAL,
    verified_at REAL
) STRICT;
CREATE INDEX file_of_project ON file(project_id);
CREATE UNIQUE INDEX file_at_place ON file(place, filename, project_id);

CREATE TABLE condemned (
    place BLOB NOT NULL,
    filename TEXT NOT NULL,            -- of a file, or of a sidecar
    size INTEGER,                      -- bytes; NULL: a sidecar
    delete_after REAL NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (place, filename)
) STRICT, WITHOUT ROWID;
CREATE INDEX condemned_due ON condemned(delete_after);

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    started_at REAL NOT NULL,
    ended_at REAL NOT NULL,
    serial INTEGER,
    projects INTEGER NOT NULL DEFAULT 0,
    files INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0,
    note TEXT
) STRICT;

-- Triggers keep the totals, so that `status` never counts 16 million files.
CREATE TRIGGER file_stored AFTER UPDATE OF stored_at ON file
WHEN OLD.stored_at IS NULL AND NEW.stored_at IS NOT NULL
BEGIN UPDATE mirror SET files = files + 1, bytes = bytes + coalesce(NEW.size, 0); END;
CREATE TRIGGER file_forgotten AFTER DELETE ON file WHEN OLD.stored_at IS NOT NULL
BEGIN UPDATE mirror SET files = files - 1, bytes = bytes - coalesce(OLD.size, 0); END;
CREATE TRIGGER project_came AFTER UPDATE OF present ON project WHEN OLD.present = 0 AND NEW.present = 1
BEGIN UPDATE mirror SET projects = projects + 1; END;
CREATE TRIGGER project_went AFTER UPDATE OF present ON project WHEN OLD.present = 1 AND NEW.present = 0
BEGIN UPDATE mirror SET projects = projects - 1; END;
"""

_WAITING: Final = "({0}unmet_since IS NOT NULL OR {0}recheck = 1)"
_UNMET: Final = "({0}unmet_since IS NOT NULL OR ({0}recheck = 1 AND {0}attempts > 0))"
_COUNTS: Final = {
    "waiting": f"SELECT count(*) FROM project WHERE {_WAITING.format('')}",
    "unmet": f"SELECT count(*) FROM project WHERE {_UNMET.format('')}",
    "condemned": "SELECT count(*) FROM condemned",
    "audit_done": "SELECT count(*) FROM project WHERE name <= audit_position",
}
"""The counts that version 2 keeps, and the query for each in a database of version 1."""


def _count_changes(*signed: str) -> str:
    """Return the SET clause: each count plus or minus the contribution of OLD or NEW, as `signed` says."""
    return ", ".join(
        f"{column} = {column} " + " ".join(f"{sign[0]} {counts.format(sign[1:] + '.')}" for sign in signed)
        for column, counts in (("waiting", _WAITING), ("unmet", _UNMET))
    )


_SECOND: Final = f"""
-- Start, a pass without changes, and `status` must cost the same at any size of the mirror.
ALTER TABLE mirror ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;    -- projects to try, now or later
ALTER TABLE mirror ADD COLUMN unmet INTEGER NOT NULL DEFAULT 0;      -- of these, the ones that `status` calls unmet
ALTER TABLE mirror ADD COLUMN condemned INTEGER NOT NULL DEFAULT 0;  -- objects
ALTER TABLE mirror ADD COLUMN audit_done INTEGER NOT NULL DEFAULT 0; -- projects checked in this round of the audit
UPDATE mirror SET {", ".join(f"{column} = ({count})" for column, count in _COUNTS.items())};

CREATE INDEX project_newest ON project(page_serial) WHERE page_serial IS NOT NULL;
CREATE INDEX project_failing ON project(attempts DESC, next_attempt_at)
    WHERE attempts > 0 AND {_WAITING.format("")};

CREATE TRIGGER project_heard_of AFTER INSERT ON project WHEN {_WAITING.format("NEW.")}
BEGIN UPDATE mirror SET {_count_changes("+NEW")}; END;
CREATE TRIGGER project_forgotten AFTER DELETE ON project WHEN {_WAITING.format("OLD.")}
BEGIN UPDATE mirror SET {_count_changes("-OLD")}; END;
CREATE TRIGGER project_moved AFTER UPDATE OF unmet_since, recheck, attempts ON project
WHEN {_WAITING.format("NEW.")} != {_WAITING.format("OLD.")} OR {_UNMET.format("NEW.")} != {_UNMET.format("OLD.")}
BEGIN UPDATE mirror SET {_count_changes("+NEW", "-OLD")}; END;
CREATE TRIGGER object_condemned AFTER INSERT ON condemned BEGIN UPDATE mirror SET condemned = condemned + 1; END;
CREATE TRIGGER object_lifted AFTER DELETE ON condemned BEGIN UPDATE mirror SET condemned = condemned - 1; END;
-- The trigger cost as much as the row itself; `inventory.stored`, the only place that stores files, counts them.
DROP TRIGGER file_stored;
"""

_THIRD: Final = """
-- Notifications of public changes: the sinks and what each has yet to receive (state/notification_queue.py).
CREATE TABLE change_intended (         -- may be public, but is not recorded yet
    owner TEXT NOT NULL,               -- the project; '': the root index
    subject TEXT NOT NULL,             -- the path in the served tree that may have changed
    PRIMARY KEY (owner, subject)
) STRICT, WITHOUT ROWID;
CREATE TABLE change (                  -- is public; each subject once, the latest change last
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE sink (
    name TEXT PRIMARY KEY,
    told INTEGER NOT NULL,             -- it has received every change up to this id
    everything INTEGER NOT NULL,       -- bits, purge everything of this kind: 1 the index, 2 the files
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at REAL NOT NULL DEFAULT 0,
    told_at REAL,
    last_error TEXT
) STRICT, WITHOUT ROWID;
"""

_FOURTH: Final = """
-- The cause of the last failure if shared by all projects, 'outage' or 'space': its end makes the project due.
ALTER TABLE project ADD COLUMN waits_for TEXT;
"""

_FIFTH: Final = """
-- Why the last attempt failed (model/reason.py); NULL: it succeeded, or there was none.
ALTER TABLE project ADD COLUMN last_reason TEXT;
CREATE INDEX project_reason ON project(last_reason) WHERE last_reason IS NOT NULL;
"""

_SIXTH: Final = """
-- Why removals implied by the last root list were refused; NULL: they were accepted.
ALTER TABLE mirror ADD COLUMN list_refused TEXT;
"""

_MIGRATIONS: Final = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH, _SIXTH)
"""Each raises `PRAGMA user_version` by one. Never edit the statements of a released version."""
_REASON_SINCE: Final = 5
"""The version that added `project.last_reason`."""


def migrate(connection: sqlite3.Connection) -> None:
    """Migrate the database to this version's schema. Raises: NewerSchema; it is then unchanged."""
    version = _version(connection)
    if version == len(_MIGRATIONS):
        return
    import sqlite_utils  # noqa: PLC0415 -- 0.1 s to import, and rarely needed

    database = sqlite_utils.Database(connection)
    for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
        # One transaction per step, version included: after a crash between two steps only the second is repeated.
        database.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def add_compatibility_views(connection: sqlite3.Connection) -> None:
    """Add temporary views to a read-only connection, so that an older database reads like one of this version.

    Raises: NewerSchema.
    """
    version = _version(connection)
    if version == len(_MIGRATIONS):
        return
    counted = "".join(f", ({count}) AS {column}" for column, count in _COUNTS.items()) if version == 1 else ""
    connection.execute(f"CREATE TEMP VIEW mirror AS SELECT *{counted}, NULL AS list_refused FROM main.mirror")
    if version < _REASON_SINCE:
        connection.execute("CREATE TEMP VIEW project AS SELECT *, NULL AS last_reason FROM main.project")


def _version(connection: sqlite3.Connection) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(_MIGRATIONS):
        raise NewerSchema(
            f"the state has schema {version}, this mirrorsync supports up to {len(_MIGRATIONS)}",
            why="a newer mirrorsync has migrated it",
            hint="install that version again; nothing was changed",
        )
    return version
