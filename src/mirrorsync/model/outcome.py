"""How bringing up one project ended; matched exhaustively."""

from typing import Literal

import msgspec

from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.reason import Reason


class StoredFile(msgspec.Struct, frozen=True):
    """A file that stands in the store, verified."""

    place: bytes
    filename: str
    size: int
    """Bytes."""
    file_is_new: bool
    """False when only its sidecar was fetched."""
    metadata_sha256: bytes | None
    """The sidecar that stands beside it; None when there is none."""


class Mirrored(msgspec.Struct, frozen=True):
    """The page and all that it names stand in the served tree, durably."""

    name: ProjectName
    serial: Serial | None
    """The serial that the page carried, never the one that was asked for."""
    page_serial: Serial | None
    """The serial in the page that stands on disk (older when only roles moved the serial)."""
    page_digest: bytes
    """sha256 of the page's content without its serial."""
    etag: str | None
    status: str
    stored: tuple[StoredFile, ...] = ()
    vanished: tuple[tuple[bytes, str], ...] = ()
    """(place, file name) of objects that the page no longer names."""
    settles: bool = False
    """Upstream was asked for a day, or has provably gone back: what the page carries is all there is."""
    bytes_fetched: int = 0
    sidecars_untold: int = 0
    """Wheels of whose sidecars the index says nothing."""
    sidecars_lost: int = 0
    """Sidecars that the index promises and does not have."""


class Confirmed(msgspec.Struct, frozen=True):
    """Upstream says 304: what stands is still true."""

    name: ProjectName
    content_serial: Serial
    """The newest row that can change a page, as known when upstream was asked: later ones are not answered."""


class Removed(msgspec.Struct, frozen=True):
    """Two witnesses agree that the project is gone; its page is no longer served."""

    name: ProjectName
    reason: str
    wanted_serial: Serial | None
    """The newest row known when upstream was asked: later ones are not answered. None: whatever is known."""


Shared = Literal["outage", "space"]
"""What is nothing of a project's own: upstream could be reached no more, too little free space."""


class Failed(msgspec.Struct, frozen=True):
    """The project stays as it was and is tried again after `delay` seconds."""

    name: ProjectName
    error: str
    hint: str
    delay: float | None
    """Seconds; None: the state's own back-off."""
    reason: Reason = "other"
    waits_for: Shared | None = None
    """What ended the attempt; the project is tried ahead of its turn once that is over. None: its turn it is."""


Outcome = Mirrored | Confirmed | Removed | Failed
