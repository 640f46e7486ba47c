"""An announcement as programs read it: JSON for web addresses, a line of JSON each for commands."""

from collections.abc import Iterator

import msgspec

from mirrorsync.model.notification import Announcement


def document(announcement: Announcement) -> bytes:
    """Return the whole as one JSON object: `serial`, `everything` (scopes), `changes` (kind, name, paths, key)."""
    return msgspec.json.encode(
        {"serial": announcement.serial, "everything": announcement.everything, "changes": announcement.changes}
    )


def lines(announcement: Announcement) -> bytes:
    """Return one JSON object a line: `{"kind": "everything", "name": SCOPE, …}` first, then each change."""
    return b"".join(msgspec.json.encode(line) + b"\n" for line in _lines(announcement))


def _lines(announcement: Announcement) -> Iterator[object]:
    for scope in announcement.everything:
        yield {"kind": "everything", "name": scope, "paths": [], "key": "simple" if scope == "index" else "packages"}
    yield from announcement.changes
