"""State databases for tests, filled by the functions of mirrorsync.state."""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.outcome import Mirrored, StoredFile
from mirrorsync.model.page import DistFile, Hashes, ProjectPage
from mirrorsync.state import inventory, mirror_row, outcomes, progress
from mirrorsync.state.inventory import Intent
from mirrorsync.state.ledger import State
from mirrorsync.state.progress import Raised

GRACE: Final = 1000.0


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    yield
    connection.execute("COMMIT")


def name_of(number: int) -> ProjectName:
    return ProjectName(f"parcel-{number}")


def raised(number: int, serial: int) -> Raised:
    name = name_of(number)
    at = Serial(serial)
    return Raised(name=name, display_name=name, first=at, last=at, content=at, removes_project=False)


def page(number: int, files: int, edition: str = "") -> Sequence[DistFile]:
    """Every second file is a wheel with a sidecar."""
    return [_file(f"parcel_{number}-{version}.0{edition}", wheel=bool(version % 2)) for version in range(files)]


async def intend(state: State, number: int, files: Sequence[DistFile], serial: int) -> Intent:
    """Record the intent of one page, which conflicts with no other project."""
    (intent,) = await state.intend([ProjectPage(name=name_of(number), serial=Serial(serial), files=tuple(files))])
    assert isinstance(intent, Intent)
    return intent


def _file(stem: str, *, wheel: bool) -> DistFile:
    def digest(what: str) -> bytes:
        return hashlib.sha256(f"{what} {stem}".encode()).digest()

    return DistFile(
        filename=f"{stem}-py3-none-any.whl" if wheel else f"{stem}.tar.gz",
        place=digest("place"),
        url="https://files.test/file",
        size=1000,
        hashes=Hashes(sha256=digest("bytes")),
        core_metadata=digest("metadata") if wheel else None,
    )


def mirrored(
    number: int, serial: int, files: Sequence[DistFile], vanished: Sequence[tuple[bytes, str]] = ()
) -> Mirrored:
    return Mirrored(
        name=name_of(number),
        serial=Serial(serial),
        page_serial=Serial(serial),
        page_digest=bytes(32),
        etag=None,
        status="active",
        stored=tuple(
            StoredFile(
                place=file.place,
                filename=file.filename,
                size=file.size or 0,
                file_is_new=True,
                metadata_sha256=file.core_metadata,
            )
            for file in files
        ),
        vanished=tuple(vanished),
    )


def bring_up(connection: sqlite3.Connection, number: int, serial: int, files: Sequence[DistFile], now: float) -> None:
    intent = inventory.intend(connection, name_of(number), files)
    new = [need.file for need in intent.needs]
    outcomes.record(connection, [mirrored(number, serial, new, intent.vanished)], now, GRACE)


def fill(connection: sqlite3.Connection, projects: int, *, owed: bool) -> None:
    """Make a mirror of so many projects with three files each; `owed`: nothing is mirrored yet."""
    with transaction(connection):
        mirror_row.init_mirror(connection, "https://index.test", "all", "all", tree_has_files=False)
        progress.raise_wanted(
            connection, [raised(number, number) for number in range(1, projects + 1)], Serial(projects)
        )
        mirror_row.polled(connection, Serial(projects), 1.0, has_journal=True)
        for number in range(1, projects + 1) if not owed else ():
            bring_up(connection, number, number, page(number, 3), 1.0)
