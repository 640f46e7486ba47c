"""The inventory of objects: intended before they are stored (I4), condemned before they are deleted."""

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from mirrorsync.errors import Malformed, StoreUnreachable
from mirrorsync.model.identity import ProjectName
from mirrorsync.model.outcome import StoredFile
from mirrorsync.model.page import DistFile
from mirrorsync.simple.layout import SIDECAR_SUFFIX
from mirrorsync.state.condemned import BEING_DELETED


class Need(msgspec.Struct, frozen=True):
    """What a file of a page still lacks in the store."""

    file: DistFile
    lacks_file: bool
    lacks_sidecar: bool
    replaces_sidecar: bool
    """Another one may stand there, and a page promise it."""
    may_be_here: bool
    """An earlier life may have stored it: look and re-hash before fetching."""


class Intent(msgspec.Struct, frozen=True):
    """What stands between a page and its publication."""

    needs: tuple[Need, ...] = ()
    vanished: tuple[tuple[bytes, str], ...] = ()
    """(place, file name) of the objects, sidecars among them, that the page names no more."""
    vanished_size: int = 0
    """Bytes of them."""
    sizes: Mapping[tuple[bytes, str], int] = {}
    """Bytes of the stored files whose size the index does not tell."""


class Fate(msgspec.Struct, frozen=True):
    """What becomes of an object that no page names any more."""

    delete_after: float
    """Seconds since the epoch."""
    reason: str


def intend(connection: sqlite3.Connection, name: ProjectName, files: Sequence[DistFile]) -> Intent:
    """Write down every object that `name` is to have, lifting condemnations; return what is lacking.

    Raises: Malformed, when a path already holds other bytes for another page (a place is a digest: no honest
    index asks for that).
    """
    (project_id,) = connection.execute("SELECT id FROM project WHERE name = ?", (name,)).fetchone()
    known = {
        (bytes(row["place"]), row["filename"]): row
        for row in connection.execute("SELECT * FROM file WHERE project_id = ?", (project_id,))
    }
    needs = []
    for file in files:
        row = known.pop((file.place, file.filename), None)
        need = _take_up(connection, project_id, file) if row is None else _compare(file, row)
        if need is None:
            continue
        if row is not None and need.lacks_sidecar:
            _take_up_sidecar(connection, project_id, file)
        needs.append(need)
    kept = {(file.place, file.filename): file for file in files}
    sidecars = connection.execute(
        "SELECT place, filename FROM file WHERE project_id = ? AND metadata_sha256 IS NOT NULL", (project_id,)
    )
    vanished = [
        (bytes(row["place"]), row["filename"] + SIDECAR_SUFFIX)
        for row in sidecars
        if (still := kept.get((bytes(row["place"]), row["filename"]))) is not None and still.core_metadata is None
    ]
    sizes = {
        key: row["size"]
        for key, file in kept.items()
        if file.size is None and (row := _row(connection, project_id, key)) is not None and row["size"] is not None
    }
    return Intent(
        needs=tuple(needs),
        vanished=(*known, *vanished),
        vanished_size=sum(row["size"] or 0 for row in known.values()),
        sizes=sizes,
    )


def _row(connection: sqlite3.Connection, project_id: int, key: tuple[bytes, str]) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM file WHERE place = ? AND filename = ? AND project_id = ?", (*key, project_id)
    ).fetchone()
    return row


def _compare(file: DistFile, row: sqlite3.Row) -> Need | None:
    if bytes(row["sha256"]) != file.hashes.sha256:
        raise _other_bytes(file)
    lacks_file = row["stored_at"] is None
    promised = file.core_metadata
    told = None if row["metadata_sha256"] is None else bytes(row["metadata_sha256"])
    lacks_sidecar = promised is not None and (row["metadata_stored_at"] is None or promised != told)
    if not lacks_file and not lacks_sidecar:
        return None
    return Need(
        file=file,
        lacks_file=lacks_file,
        lacks_sidecar=lacks_sidecar,
        replaces_sidecar=lacks_sidecar and told is not None,
        may_be_here=True,
    )


def _take_up(connection: sqlite3.Connection, project_id: int, file: DistFile) -> Need:
    key = (file.place, file.filename)
    others = connection.execute("SELECT sha256, stored_at FROM file WHERE place = ? AND filename = ?", key).fetchall()
    if any(bytes(other["sha256"]) != file.hashes.sha256 for other in others):
        raise _other_bytes(file)
    _refuse_other_sidecar(connection, project_id, file)
    lifted = _lift(connection, file.place, file.filename, file.filename + SIDECAR_SUFFIX)
    connection.execute(
        "INSERT INTO file (project_id, place, filename, size, sha256, metadata_sha256) VALUES (?, ?, ?, ?, ?, ?)",
        (project_id, *key, file.size, file.hashes.sha256, file.core_metadata),
    )
    return Need(
        file=file,
        lacks_file=True,
        lacks_sidecar=file.core_metadata is not None,
        replaces_sidecar=False,
        may_be_here=bool(lifted or others or _tree_was_there(connection)),
    )


def _tree_was_there(connection: sqlite3.Connection) -> bool:
    (was_there,) = connection.execute("SELECT tree_was_there FROM mirror").fetchone()
    return bool(was_there)


def _refuse_other_sidecar(connection: sqlite3.Connection, project_id: int, file: DistFile) -> None:
    """Raise StoreUnreachable, while another project's page promises another sidecar there (a legacy rename)."""
    other = connection.execute(
        "SELECT 1 FROM file WHERE place = ? AND filename = ? AND project_id != ?"
        " AND metadata_sha256 IS NOT NULL AND metadata_sha256 != ?",
        (file.place, file.filename, project_id, file.core_metadata),
    ).fetchone()
    if other is not None:
        raise StoreUnreachable(
            f"{file.filename}: another project's page promises another metadata sidecar for the same file",
            hint="nothing to do: it is taken up once that project is brought up to date or removed",
            retry_after=300,
        )


def _take_up_sidecar(connection: sqlite3.Connection, project_id: int, file: DistFile) -> None:
    """Expect a sidecar beside a file that is known: from now on nobody may rely on what stands there, if anything."""
    _refuse_other_sidecar(connection, project_id, file)
    _lift(connection, file.place, file.filename + SIDECAR_SUFFIX)
    connection.execute(
        "UPDATE file SET metadata_sha256 = coalesce(metadata_sha256, ?), metadata_stored_at = NULL"
        " WHERE place = ? AND filename = ? AND project_id = ?",
        (file.core_metadata, file.place, file.filename, project_id),
    )


def _lift(connection: sqlite3.Connection, place: bytes, *filenames: str) -> bool:
    """Take objects back from the condemned; tell whether there was something to take back."""
    rows = connection.execute(
        f"DELETE FROM condemned WHERE place = ? AND filename IN ({', '.join('?' * len(filenames))})"
        " RETURNING delete_after",
        (place, *filenames),
    ).fetchall()
    if any(row["delete_after"] == BEING_DELETED for row in rows):
        raise StoreUnreachable(
            f"{filenames[0]} came back while it is being deleted",
            hint="nothing to do: it is fetched again in a moment",
            retry_after=5,
        )
    return bool(rows)


def _other_bytes(file: DistFile) -> Malformed:
    return Malformed(
        f"{file.filename}: its path already holds a file with another sha256",
        why="the index now promises other bytes at a place that is named by a digest",
        hint="nothing was replaced; an attack or a damaged index: compare both digests before trusting either",
    )


def stored(
    connection: sqlite3.Connection, name: ProjectName, files: Sequence[StoredFile], now: float, fate: Fate
) -> None:
    """Write down that these files stand, verified, with the sidecars told; a sidecar that is not told has `fate`."""
    (project_id,) = connection.execute("SELECT id FROM project WHERE name = ?", (name,)).fetchone()
    for file in files:
        if file.metadata_sha256 is None:
            _drop_sidecar(connection, project_id, (file.place, file.filename), fate)
    connection.executemany(
        """
        UPDATE file SET size = CASE WHEN :new THEN :size ELSE size END, stored_at = coalesce(stored_at, :now),
            verified_at = CASE WHEN :new THEN :now ELSE verified_at END,
            metadata_sha256 = :metadata,
            metadata_stored_at = CASE WHEN :metadata IS NULL THEN NULL ELSE :now END
        WHERE place = :place AND filename = :filename AND project_id = :project_id
        """,
        [
            {
                "size": file.size,
                "now": now,
                "new": file.file_is_new,
                "metadata": file.metadata_sha256,
                "place": file.place,
                "filename": file.filename,
                "project_id": project_id,
            }
            for file in files
        ],
    )


def condemn(
    connection: sqlite3.Connection, name: ProjectName, objects: Sequence[tuple[bytes, str]], fate: Fate
) -> None:
    """Forget these objects of `name`; to those that no other page names happens `fate`."""
    (project_id,) = connection.execute("SELECT id FROM project WHERE name = ?", (name,)).fetchone()
    for place, filename in objects:
        row = _row(connection, project_id, (place, filename))
        if row is None:
            _drop_sidecar(connection, project_id, (place, filename.removesuffix(SIDECAR_SUFFIX)), fate)
            continue
        connection.execute(
            "DELETE FROM file WHERE place = ? AND filename = ? AND project_id = ?", (place, filename, project_id)
        )
        _condemn_unnamed(connection, place, filename, row["size"], fate)
        if row["metadata_sha256"] is not None:
            _condemn_unnamed(connection, place, filename + SIDECAR_SUFFIX, None, fate)


def _drop_sidecar(connection: sqlite3.Connection, project_id: int, key: tuple[bytes, str], fate: Fate) -> None:
    dropped = connection.execute(
        "UPDATE file SET metadata_sha256 = NULL, metadata_stored_at = NULL"
        " WHERE place = ? AND filename = ? AND project_id = ? AND metadata_sha256 IS NOT NULL",
        (*key, project_id),
    ).rowcount
    if dropped:
        _condemn_unnamed(connection, key[0], key[1] + SIDECAR_SUFFIX, None, fate)


def _condemn_unnamed(connection: sqlite3.Connection, place: bytes, filename: str, size: int | None, fate: Fate) -> None:
    connection.execute(
        """
        INSERT INTO condemned (place, filename, size, delete_after, reason)
        SELECT :place, :filename, :size, :after, :reason
        WHERE NOT EXISTS (SELECT 1 FROM file WHERE place = :place AND filename = :filename)
          AND NOT EXISTS (SELECT 1 FROM file WHERE place = :place AND filename || '.metadata' = :filename
                          AND metadata_sha256 IS NOT NULL)
        ON CONFLICT DO NOTHING
        """,
        {"place": place, "filename": filename, "size": size, "after": fate.delete_after, "reason": fate.reason},
    )


def condemn_all(connection: sqlite3.Connection, name: ProjectName, fate: Fate) -> None:
    """Forget every object of `name`."""
    rows = connection.execute(
        "SELECT place, filename FROM file WHERE project_id = (SELECT id FROM project WHERE name = ?)", (name,)
    ).fetchall()
    condemn(connection, name, [(bytes(row["place"]), row["filename"]) for row in rows], fate)
