"""Complete or nearly complete mirrors, made without a sync: a first sync of 200,000 projects would take hours.

The state is made by the mirrorsync that is measured: where that is another checkout, its own copy of this module runs.
"""

import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.pages import UPLOADED, Upload
from bench.peers import Home, configure_mirrorsync
from bench.recipes import FIRST_SERIAL, project
from mirrorsync.app.mirror_directory import state_path
from mirrorsync.app.wiring import policy_of
from mirrorsync.config.load import load
from mirrorsync.state.connection import connect
from mirrorsync.state.schema import migrate
from mirrorsync.upstream.address import resolve

NEW: Final = 2
"""The last files of each changed project, which a mirror that is behind does not have."""
_FILES_EACH: Final = 4
"""Files in the state for each unchanged project."""
_CALL: Final = """
import sys
import msgspec
from bench import ledgers
from bench.peers import Home
home = msgspec.json.decode(sys.stdin.buffer.read(), type=Home, dec_hook=lambda kind, value: kind(value))
getattr(ledgers, sys.argv[1])(home)
"""
_PROJECT: Final = """
INSERT INTO project (id, name, display_name, wanted_serial, content_serial, mirrored_serial, page_serial, present,
    status, etag, page_digest) VALUES (?, ?, ?, ?, ?, ?, ?, 1, 'active', ?, ?)
"""
_FILE: Final = """
INSERT INTO file (project_id, place, filename, size, sha256, metadata_sha256, stored_at, metadata_stored_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


def mirrorsync_complete(home: Home) -> None:
    """Make a complete mirrorsync mirror."""
    if home.is_ours:
        _fill(home, behind=False)
    else:
        _make_by_other(home, "mirrorsync_complete")


def mirrorsync_behind(home: Home) -> None:
    """Make a mirrorsync mirror without the changed projects' last files."""
    if home.is_ours:
        _fill(home, behind=True)
        _lay_out(home)
    else:
        _make_by_other(home, "mirrorsync_behind")


def bandersnatch_complete(home: Home) -> None:
    """Make a complete bandersnatch mirror: its only state is a serial."""
    _number(home, home.recipe.last)


def bandersnatch_behind(home: Home) -> None:
    """Make a bandersnatch mirror without the changed projects' last files; its root index lists directories."""
    _number(home, home.recipe.paged[0] - 1)
    _lay_out(home)


def _number(home: Home, serial: int) -> None:
    home.mirror.mkdir(parents=True)
    (home.mirror / "status").write_text(str(serial))
    (home.mirror / "generation").write_text("5")


def _lay_out(home: Home) -> None:
    """Make every project's directory, and the files that have not changed."""
    simple = home.web / "simple"
    simple.mkdir(parents=True)
    for serial in home.recipe.serials:
        (simple / project(serial)).mkdir()
    for uploads in home.upstream.uploads.values():
        for upload in uploads[:-NEW]:
            for suffix in ("", ".metadata") if upload.metadata_sha256 else ("",):
                path = home.web / f"{upload.path}{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(home.upstream.directory / f"{upload.path}{suffix}", path)
                os.utime(path, (UPLOADED, UPLOADED))


def _fill(home: Home, *, behind: bool) -> None:
    """Copy a state database into place, made once for each size and schema, and set its times to now."""
    settings = load(configure_mirrorsync(home))
    kept = home.upstream.directory / f"state-{'behind' if behind else 'complete'}-{schema_digest()}.sqlite3"
    if not kept.exists():
        print(f"making the state of {len(home.recipe.serials):,} projects …", flush=True)
        kept.with_suffix(".partial").unlink(missing_ok=True)
        _write(home, kept.with_suffix(".partial"), behind=behind)
        kept.with_suffix(".partial").rename(kept)
    state = state_path(settings.mirror.directory)
    state.parent.mkdir(parents=True)
    shutil.copyfile(kept, state)
    policy, now = policy_of(settings), time.time()
    connection = connect(state)
    connection.execute(
        "UPDATE mirror SET upstream = ?, selection = ?, content = ?, polled_at = ?, complete_at = ?, list_read_at = ?,"
        " audit_stepped_at = ?, audit_began_at = ?",
        (resolve(settings.upstream.index).identity, policy.selection.fingerprint(), policy.content_fingerprint())
        + (now,) * 5,
    )
    connection.close()


def _make_by_other(home: Home, function: str) -> None:
    """Call a function of this module in the other checkout, which has its own schema and modules."""
    order = msgspec.json.encode(home, enc_hook=str)
    subprocess.run([str(home.python), "-c", _CALL, function], input=order, check=True, cwd=home.checkout)


def schema_digest() -> str:
    """Return a digest of the current schema, so that a kept state of an older schema is not used."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        tables = [row[0] or "" for row in connection.execute("SELECT sql FROM sqlite_schema ORDER BY name")]
    return hashlib.sha256("\n".join(tables).encode()).hexdigest()[:12]


def _write(home: Home, path: Path, *, behind: bool) -> None:
    recipe = home.recipe
    cursor = recipe.paged[0] - 1 if behind else recipe.last
    connection = connect(path)
    migrate(connection)
    connection.execute("BEGIN")
    connection.execute("INSERT INTO mirror (id, upstream, selection, content) VALUES (1, '', '', '')")
    connection.executemany(_PROJECT, _projects(home, behind=behind))
    connection.executemany(_FILE, _files(home, behind=behind))
    connection.execute(
        "UPDATE mirror SET ingested_serial = :cursor, upstream_serial = :cursor, published_serial = :cursor,"
        " root_published_version = root_version, has_journal = 1, projects = (SELECT count(*) FROM project),"
        " files = (SELECT count(*) FROM file), bytes = (SELECT sum(size) FROM file)",
        {"cursor": cursor},
    )
    connection.execute("COMMIT")
    # One file, which is copied.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _projects(home: Home, *, behind: bool) -> Iterator[tuple[Any, ...]]:
    noise = random.Random(1)
    for number, serial in enumerate(home.recipe.serials, start=1):
        changed = behind and serial in home.recipe.paged
        known = FIRST_SERIAL - 1 if changed else serial
        name = project(serial)
        yield number, name, name, known, known, known, known, f'"{noise.randbytes(8).hex()}"', noise.randbytes(32)


def _files(home: Home, *, behind: bool) -> Iterator[tuple[Any, ...]]:
    noise = random.Random(2)
    for number, serial in enumerate(home.recipe.serials, start=1):
        if serial not in home.recipe.paged:
            for version in range(_FILES_EACH):
                filename = f"{project(serial).replace('-', '_')}-{version}.0.tar.gz"
                yield number, noise.randbytes(32), filename, 5_000, noise.randbytes(32), None, UPLOADED, None
            continue
        uploads = home.upstream.uploads[project(serial)]
        for upload in uploads[:-NEW] if behind else uploads:
            yield _known(number, upload)


def _known(number: int, upload: Upload) -> tuple[Any, ...]:
    sidecar = bytes.fromhex(upload.metadata_sha256) or None
    place, sha256 = bytes.fromhex(upload.place), bytes.fromhex(upload.sha256)
    return number, place, upload.filename, upload.size, sha256, sidecar, UPLOADED, UPLOADED if sidecar else None


def is_complete(connection: sqlite3.Connection) -> bool:
    """Return whether no project is outstanding."""
    row = connection.execute("SELECT count(*) FROM project WHERE unmet_since IS NOT NULL OR recheck = 1").fetchone()
    return bool(row[0] == 0)
