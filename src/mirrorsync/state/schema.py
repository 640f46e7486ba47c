"""The tables, and how an older database becomes a newer one (ARCHITECTURE.md, "State")."""

import sqlite3
from typing import Final

from mirrorsync.errors import NewerSchema

_FIRST: Final = """
CREATE TABLE mirror (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    upstream TEXT NOT NULL,            -- identity of the index that this mirror was made from
    selection TEXT NOT NULL,           -- fingerprint of [select]
    content TEXT NOT NULL,             -- fingerprint of what the pages say of files and links
    ingested_serial INTEGER,           -- the cursor; NULL: no journal and no list was read whole yet
    upstream_serial INTEGER,           -- the newest serial that upstream told
    published_serial INTEGER,          -- what the root index that stands claims
    root_version INTEGER NOT NULL DEFAULT 1,           -- raised by whatever the root index must say anew
    root_published_version INTEGER NOT NULL DEFAULT 0, -- the version that stands
    has_journal INTEGER NOT NULL DEFAULT 0,
    polled_at REAL,                    -- seconds since the epoch: upstream was last asked with success
    complete_at REAL,                  -- seconds since the epoch: the last moment at which nothing was unmet
    list_read_at REAL,                 -- seconds since the epoch: the root list was last held against the ledger
    audit_position TEXT NOT NULL DEFAULT '',  -- the last name that the rolling audit has asked for
    audit_stepped_at REAL,             -- when it got there
    audit_began_at REAL,               -- when this round began
    tree_was_there INTEGER NOT NULL DEFAULT 0, -- made over files of an earlier ledger: look before fetching
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
    content_serial INTEGER NOT NULL,   -- the last row that can change the page (not a role, not an invitation)
    mirrored_serial INTEGER,           -- what the page carried that was last brought up; NULL: never
    page_serial INTEGER,               -- what the page on disk carries (older where only roles moved the serial)
    attempted_serial INTEGER,          -- of a page that may stand although nobody recorded it
    present INTEGER NOT NULL DEFAULT 0,-- a page stands in the served tree
    status TEXT,
    unmet_since INTEGER,               -- the first serial that is not served; NULL: nothing to do
    recheck INTEGER NOT NULL DEFAULT 0,-- ask upstream, though no serial demands it
    said_removed INTEGER NOT NULL DEFAULT 0, -- the journal's last word is `remove project`
    unlisted INTEGER NOT NULL DEFAULT 0,     -- a whole root list, not older than the page, does not name it
    regressed_to INTEGER,              -- a whole root list, newer than the page, gives it this lower serial
    etag TEXT,
    page_digest BLOB,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at REAL NOT NULL DEFAULT 0,
    failing_since REAL,
    stale_since REAL,                  -- since when caches have held the wanted page back
    gone_at REAL,                      -- when its page was first seen to be 404
    last_error TEXT,
    last_hint TEXT
) STRICT;
-- Each query that wants one of these repeats its WHERE (0.03 ms at 700,000 rows).
CREATE INDEX project_due ON project(next_attempt_at) WHERE unmet_since IS NOT NULL OR recheck = 1;
CREATE INDEX project_unmet ON project(unmet_since) WHERE unmet_since IS NOT NULL;

CREATE TABLE file (
    project_id INTEGER NOT NULL REFERENCES project(id),
    place BLOB NOT NULL,
    filename TEXT NOT NULL,
    size INTEGER,                      -- bytes; NULL: the index does not say and it is not stored yet
    sha256 BLOB NOT NULL,
    metadata_sha256 BLOB,              -- the sidecar that the page promises; NULL: none
    stored_at REAL,                    -- NULL: intended
    metadata_stored_at REAL,
    verified_at REAL
) STRICT;
CREATE INDEX file_of_project ON file(project_id);
CREATE UNIQUE INDEX file_at_place ON file(place, filename, project_id);

CREATE TABLE condemned (
    place BLOB NOT NULL,
    filename TEXT NOT NULL,            -- of a file, or of a sidecar
    size INTEGER,                      -- bytes; NULL: a sidecar, whose size nobody told
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

-- The totals are kept as rows change, so that `status` never counts 16 million files.
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
"""What the second version counts as rows change, and how it is counted where nobody did so yet."""


def _tally(*signed: str) -> str:
    """Return what to set: each count and, with its sign, what OLD or NEW adds to it or takes from it."""
    return ", ".join(
        f"{column} = {column} " + " ".join(f"{sign[0]} {counts.format(sign[1:] + '.')}" for sign in signed)
        for column, counts in (("waiting", _WAITING), ("unmet", _UNMET))
    )


_SECOND: Final = f"""
-- Nothing that starting, a pass or `status` asks may cost more in a larger mirror.
ALTER TABLE mirror ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;    -- projects to be tried, now or later
ALTER TABLE mirror ADD COLUMN unmet INTEGER NOT NULL DEFAULT 0;      -- of these, what `status` calls unmet
ALTER TABLE mirror ADD COLUMN condemned INTEGER NOT NULL DEFAULT 0;  -- objects
ALTER TABLE mirror ADD COLUMN audit_done INTEGER NOT NULL DEFAULT 0; -- projects asked for in the audit's round
UPDATE mirror SET {", ".join(f"{column} = ({count})" for column, count in _COUNTS.items())};

CREATE INDEX project_newest ON project(page_serial) WHERE page_serial IS NOT NULL;
CREATE INDEX project_failing ON project(attempts DESC, next_attempt_at)
    WHERE attempts > 0 AND {_WAITING.format("")};

CREATE TRIGGER project_heard_of AFTER INSERT ON project WHEN {_WAITING.format("NEW.")}
BEGIN UPDATE mirror SET {_tally("+NEW")}; END;
CREATE TRIGGER project_forgotten AFTER DELETE ON project WHEN {_WAITING.format("OLD.")}
BEGIN UPDATE mirror SET {_tally("-OLD")}; END;
CREATE TRIGGER project_moved AFTER UPDATE OF unmet_since, recheck, attempts ON project
WHEN {_WAITING.format("NEW.")} != {_WAITING.format("OLD.")} OR {_UNMET.format("NEW.")} != {_UNMET.format("OLD.")}
BEGIN UPDATE mirror SET {_tally("+NEW", "-OLD")}; END;
CREATE TRIGGER object_condemned AFTER INSERT ON condemned BEGIN UPDATE mirror SET condemned = condemned + 1; END;
CREATE TRIGGER object_lifted AFTER DELETE ON condemned BEGIN UPDATE mirror SET condemned = condemned - 1; END;
-- It cost as much as the file's own row: `inventory.stored`, the one place where files come to stand, counts them.
DROP TRIGGER file_stored;
"""

_THIRD: Final = """
-- Who is told of what changed in public, and what they are still to be told (state/queue.py).
CREATE TABLE change_intended (         -- may be public, though nobody recorded it
    owner TEXT NOT NULL,               -- the project; '': the root index
    subject TEXT NOT NULL,             -- what may have changed, a path in the served tree
    PRIMARY KEY (owner, subject)
) STRICT, WITHOUT ROWID;
CREATE TABLE change (                  -- is public; each subject once, the latest last
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE sink (
    name TEXT PRIMARY KEY,
    told INTEGER NOT NULL,             -- it knows of every change up to this id
    everything INTEGER NOT NULL,       -- it is to hear that anything may have changed: 1 the index, 2 the files
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at REAL NOT NULL DEFAULT 0,
    told_at REAL,
    last_error TEXT
) STRICT, WITHOUT ROWID;
"""

_FOURTH: Final = """
-- What the last failure was for all alike, 'outage' or 'space', whose end makes the project due; of no meaning else.
ALTER TABLE project ADD COLUMN waits_for TEXT;
"""

_FIFTH: Final = """
-- Why the last attempt failed, in a word of a short list (model/reason.py); NULL: it did not, or there was none yet.
ALTER TABLE project ADD COLUMN last_reason TEXT;
CREATE INDEX project_reason ON project(last_reason) WHERE last_reason IS NOT NULL;
"""

_SIXTH: Final = """
-- Why the root list that was read last was not believed in what it leaves out; NULL: it was.
ALTER TABLE mirror ADD COLUMN list_refused TEXT;
"""

_MIGRATIONS: Final = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH, _SIXTH)
"""Each raises `PRAGMA user_version` by one; never edited once released."""
_REASONED: Final = 5
"""The version from which on a project has its last reason."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to this version's schema, or leave it untouched.

    Raises: NewerSchema, when a newer mirrorsync wrote it.
    """
    version = _version(connection)
    if version == len(_MIGRATIONS):
        return
    import sqlite_utils  # noqa: PLC0415 -- a tenth of a second, once in the life of a schema

    database = sqlite_utils.Database(connection)
    for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
        # One transaction a step, the version with it: a death between two steps repeats only the second.
        database.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def bridge(connection: sqlite3.Connection) -> None:
    """Let a reader see an older database, which no writer has migrated yet, as one of this version.

    Raises: NewerSchema.
    """
    version = _version(connection)
    if version == len(_MIGRATIONS):
        return
    counted = "".join(f", ({count}) AS {column}" for column, count in _COUNTS.items()) if version == 1 else ""
    connection.execute(f"CREATE TEMP VIEW mirror AS SELECT *{counted}, NULL AS list_refused FROM main.mirror")
    if version < _REASONED:
        connection.execute("CREATE TEMP VIEW project AS SELECT *, NULL AS last_reason FROM main.project")


def _version(connection: sqlite3.Connection) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(_MIGRATIONS):
        raise NewerSchema(
            f"the state has schema {version}, this mirrorsync knows {len(_MIGRATIONS)}",
            why="a newer mirrorsync has used this mirror",
            hint="install that version again; nothing was changed",
        )
    return version
