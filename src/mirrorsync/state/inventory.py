"""The files of each project: intended before they are stored (I4), condemned before they are deleted."""

import sqlite3
from collections.abc import Container, Mapping, Sequence
from typing import Any, Final

import msgspec

from mirrorsync.errors import FileConflict, Malformed
from mirrorsync.model.identity import ProjectName
from mirrorsync.model.outcome import StoredFile
from mirrorsync.model.page import DistFile
from mirrorsync.simple.layout import SIDECAR_SUFFIX
from mirrorsync.state.condemned import BEING_DELETED
from mirrorsync.state.connection import rows

_KEY: Final = "place = ? AND filename = ? AND project_id = ?"
_SET_STORED: Final = "stored_at = coalesce(stored_at, ?), metadata_sha256 = ?, metadata_stored_at = ?"
_PROJECT: Final = "SELECT project.id, tree_was_there, condemned FROM mirror CROSS JOIN project ON project.name = ?"
_FILES: Final = (
    "SELECT place, filename, sha256, stored_at, metadata_sha256, metadata_stored_at, size FROM file"
    " WHERE project_id = ?"
)
_UNFINISHED: Final = (
    "SELECT place, filename, rowid, stored_at IS NULL, metadata_sha256 IS NOT NULL FROM file"
    " WHERE project_id = ? AND (stored_at IS NULL OR metadata_sha256 IS NOT NULL)"
)
_LACKING: Final = """
mine.project_id = ?
    AND (mine.stored_at IS NULL OR (mine.metadata_sha256 IS NOT NULL AND mine.metadata_stored_at IS NULL))
"""
# One statement for a whole page: what other projects have, and what is condemned, at the paths that it lacks.
_OTHERS: Final = f"""
SELECT other.place, other.filename, other.sha256, other.metadata_sha256 FROM file AS mine CROSS JOIN file AS other
    ON other.place = mine.place AND other.filename = mine.filename AND other.project_id != mine.project_id
    WHERE {_LACKING}
"""
_CONDEMNED: Final = f"""
SELECT mine.place, mine.filename, condemned.filename, condemned.delete_after FROM file AS mine CROSS JOIN condemned
    ON condemned.place = mine.place AND condemned.filename IN (mine.filename, mine.filename || '{SIDECAR_SUFFIX}')
    WHERE {_LACKING}
"""


class Need(msgspec.Struct, frozen=True):
    """What a file of a page lacks in the store."""

    file: DistFile
    lacks_file: bool
    lacks_sidecar: bool
    replaces_sidecar: bool
    """Another sidecar may be stored at its path, and advertised by a page."""
    may_be_here: bool
    """An earlier process may have stored it: look and re-hash before fetching."""


class Intent(msgspec.Struct, frozen=True):
    """What is missing before a page can be published, and what it no longer names."""

    needs: tuple[Need, ...] = ()
    vanished: tuple[tuple[bytes, str], ...] = ()
    """(place, file name) of the files and sidecars that the page no longer names."""
    vanished_size: int = 0
    """Bytes of the vanished files."""
    sizes: Mapping[tuple[bytes, str], int] = {}
    """Bytes of the stored files whose size is not in the index."""


class Deletion(msgspec.Struct, frozen=True):
    """When and why an object that no page names is deleted."""

    delete_after: float
    """Seconds since the epoch."""
    reason: str


def intend(connection: sqlite3.Connection, name: ProjectName, files: Sequence[DistFile]) -> Intent:
    """Record every file of `name`'s page, and take back condemned ones; return what is lacking.

    Raises: Malformed, if a path already holds other bytes for another page (a place is a digest, so no correct
    index causes this); FileConflict, while an object is being deleted, or if another page advertises a different
    sidecar for the same file.
    """
    project_id, tree_was_there, condemned = rows(connection, _PROJECT, name).fetchone()
    known = {(place, filename): held for place, filename, *held in rows(connection, _FILES, project_id)}
    needs, new, expecting, dropped, sizes = [], [], [], [], {}
    for file in files:
        key = (file.place, file.filename)
        held = known.pop(key, None)
        if held is None:
            new.append(file)
            needs.append(_lacks_all(file, may_be_here=bool(tree_was_there)))
            continue
        _, _, old_sidecar, _, size = held
        if (need := _compare(file, held)) is not None:
            needs.append(need)
            if need.lacks_sidecar:
                expecting.append(file)
        if old_sidecar is not None and file.core_metadata is None:
            dropped.append((file.place, file.filename + SIDECAR_SUFFIX))
        if file.size is None and size is not None:
            sizes[key] = size
    here = _record_intent(connection, project_id, new, expecting) if new or expecting else set()
    if condemned and (new or expecting):
        here |= _take_back(connection, project_id, {(file.place, file.filename) for file in (*new, *expecting)})
    return Intent(
        needs=tuple(_may_be_here(need) if (need.file.place, need.file.filename) in here else need for need in needs),
        vanished=(*known, *dropped),
        vanished_size=sum(size or 0 for *_, size in known.values()),
        sizes=sizes,
    )


def _lacks_all(file: DistFile, *, may_be_here: bool) -> Need:
    return Need(
        file=file,
        lacks_file=True,
        lacks_sidecar=file.core_metadata is not None,
        replaces_sidecar=False,
        may_be_here=may_be_here,
    )


def _compare(file: DistFile, held: Sequence[Any]) -> Need | None:
    sha256, stored_at, old_sidecar, sidecar_stored_at, _ = held
    if sha256 != file.hashes.sha256:
        raise _other_bytes(file)
    sidecar = file.core_metadata
    lacks_sidecar = sidecar is not None and (sidecar_stored_at is None or sidecar != old_sidecar)
    if stored_at is not None and not lacks_sidecar:
        return None
    return Need(
        file=file,
        lacks_file=stored_at is None,
        lacks_sidecar=lacks_sidecar,
        replaces_sidecar=lacks_sidecar and old_sidecar is not None,
        may_be_here=True,
    )


def _may_be_here(need: Need) -> Need:
    return need if need.may_be_here else msgspec.structs.replace(need, may_be_here=True)


def _record_intent(
    connection: sqlite3.Connection, project_id: int, new: Sequence[DistFile], expecting: Sequence[DistFile]
) -> set[tuple[bytes, str]]:
    """Record `new` files and known ones that are `expecting` a sidecar; return those that other projects have too.

    From now on the stored sidecar of an expecting file, if any, counts as missing.
    """
    connection.executemany(
        "INSERT INTO file (project_id, place, filename, size, sha256, metadata_sha256) VALUES (?, ?, ?, ?, ?, ?)",
        [(project_id, file.place, file.filename, file.size, file.hashes.sha256, file.core_metadata) for file in new],
    )
    connection.executemany(
        "UPDATE file SET metadata_sha256 = coalesce(metadata_sha256, ?), metadata_stored_at = NULL"
        " WHERE place = ? AND filename = ? AND project_id = ?",
        [(file.core_metadata, file.place, file.filename, project_id) for file in expecting],
    )
    intended = {(file.place, file.filename): file for file in (*new, *expecting)}
    here = set()
    for place, filename, sha256, sidecar in rows(connection, _OTHERS, project_id):
        file = intended.get((place, filename))
        if file is None:
            continue
        if sha256 != file.hashes.sha256:
            raise _other_bytes(file)
        if None not in (sidecar, file.core_metadata) and sidecar != file.core_metadata:
            raise _other_sidecar(file)
        here.add((place, filename))
    return here


def _other_sidecar(file: DistFile) -> FileConflict:
    return FileConflict(
        f"{file.filename}: another project's page advertises a different metadata sidecar for the same file",
        hint="nothing to do: it is retried until that project is synced or removed",
        retry_after=300,
    )


def _take_back(
    connection: sqlite3.Connection, project_id: int, intended: Container[tuple[bytes, str]]
) -> set[tuple[bytes, str]]:
    """Remove intended objects from the condemned; return the files of which any was condemned."""
    found = [row for row in rows(connection, _CONDEMNED, project_id) if row[:2] in intended]
    for _, filename, _, delete_after in found:
        if delete_after == BEING_DELETED:
            raise FileConflict(
                f"{filename} came back while it is being deleted",
                hint="nothing to do: it is fetched again in a moment",
                retry_after=5,
            )
    connection.executemany(
        "DELETE FROM condemned WHERE place = ? AND filename = ?", [(place, object_) for place, _, object_, _ in found]
    )
    return {(place, filename) for place, filename, _, _ in found}


def _other_bytes(file: DistFile) -> Malformed:
    return Malformed(
        f"{file.filename}: its path already holds a file with another sha256",
        why="the index now lists different bytes at a path that is derived from a digest",
        hint="nothing was replaced; this is an attack or a damaged index: compare both digests before trusting either",
    )


def stored(
    connection: sqlite3.Connection, project_id: int, files: Sequence[StoredFile], now: float, deletion: Deletion
) -> tuple[int, int]:
    """Record that these files and their sidecars are stored and verified; condemn sidecars that a file no longer has.

    Returns the number and bytes of the files that were not stored before: the caller adds them to the totals.
    """
    before = {(place, filename): held for place, filename, *held in rows(connection, _UNFINISHED, project_id)}
    new, others, sizes, dropped = [], [], [], []
    for file in files:
        key, sidecar = (file.place, file.filename), file.metadata_sha256
        rowid, was_lacking, had_sidecar = before.get(key) or _finished(connection, project_id, key)
        values = now, sidecar, None if sidecar is None else now
        if file.file_is_new:
            new.append((*values, file.size, now, rowid))
        else:
            others.append((*values, rowid))
        if was_lacking:
            sizes.append(file.size)
        if had_sidecar and sidecar is None:
            dropped.append(key)
    connection.executemany(f"UPDATE file SET {_SET_STORED}, size = ?, verified_at = ? WHERE rowid = ?", new)
    connection.executemany(f"UPDATE file SET {_SET_STORED} WHERE rowid = ?", others)
    for place, filename in dropped:
        _condemn_unnamed(connection, place, filename + SIDECAR_SUFFIX, None, deletion)
    return len(sizes), sum(sizes)


def _finished(connection: sqlite3.Connection, project_id: int, key: tuple[bytes, str]) -> Sequence[int]:
    """Return the values of `_UNFINISHED` for a file that it does not select."""
    (rowid,) = rows(connection, f"SELECT rowid FROM file WHERE {_KEY}", *key, project_id).fetchone()
    return rowid, 0, 0


def condemn(
    connection: sqlite3.Connection, project_id: int, objects: Sequence[tuple[bytes, str]], deletion: Deletion
) -> None:
    """Drop these objects from a project; condemn those that no other page names."""
    for place, filename in objects:
        row = rows(connection, f"SELECT size, metadata_sha256 FROM file WHERE {_KEY}", place, filename, project_id)
        held = row.fetchone()
        if held is None:
            _drop_sidecar(connection, project_id, (place, filename.removesuffix(SIDECAR_SUFFIX)), deletion)
            continue
        connection.execute(f"DELETE FROM file WHERE {_KEY}", (place, filename, project_id))
        _condemn_unnamed(connection, place, filename, held[0], deletion)
        if held[1] is not None:
            _condemn_unnamed(connection, place, filename + SIDECAR_SUFFIX, None, deletion)


def _drop_sidecar(connection: sqlite3.Connection, project_id: int, key: tuple[bytes, str], deletion: Deletion) -> None:
    dropped = connection.execute(
        "UPDATE file SET metadata_sha256 = NULL, metadata_stored_at = NULL"
        f" WHERE {_KEY} AND metadata_sha256 IS NOT NULL",
        (*key, project_id),
    ).rowcount
    if dropped:
        _condemn_unnamed(connection, key[0], key[1] + SIDECAR_SUFFIX, None, deletion)


def _condemn_unnamed(
    connection: sqlite3.Connection, place: bytes, filename: str, size: int | None, deletion: Deletion
) -> None:
    connection.execute(
        """
        INSERT INTO condemned (place, filename, size, delete_after, reason)
        SELECT :place, :filename, :size, :after, :reason
        WHERE NOT EXISTS (SELECT 1 FROM file WHERE place = :place AND filename = :filename)
          AND NOT EXISTS (SELECT 1 FROM file WHERE place = :place AND filename || '.metadata' = :filename
                          AND metadata_sha256 IS NOT NULL)
        ON CONFLICT DO NOTHING
        """,
        {"place": place, "filename": filename, "size": size, "after": deletion.delete_after, "reason": deletion.reason},
    )


def condemn_all(connection: sqlite3.Connection, project_id: int, deletion: Deletion) -> None:
    """Drop every object of a project, as `condemn` does."""
    objects = rows(connection, "SELECT place, filename FROM file WHERE project_id = ?", project_id).fetchall()
    condemn(connection, project_id, objects, deletion)
