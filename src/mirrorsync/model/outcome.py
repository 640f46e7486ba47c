"""The outcome of syncing one project; matched exhaustively."""

from typing import Literal

import msgspec

from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.reason import Reason


class StoredFile(msgspec.Struct, frozen=True):
    """A verified file in the store."""

    place: bytes
    filename: str
    size: int
    """Bytes."""
    file_is_new: bool
    """False when only its sidecar was fetched."""
    metadata_sha256: bytes | None
    """The sha256 of its sidecar; None where there is none."""


class Mirrored(msgspec.Struct, frozen=True):
    """The page and everything that it names are in the served tree, durably."""

    name: ProjectName
    serial: Serial | None
    """The serial in the page, never the wanted one."""
    page_serial: Serial | None
    """The serial in the page on disk; older than `serial` where only roles changed."""
    page_digest: bytes
    """sha256 of the page's content without its serial."""
    etag: str | None
    status: str
    stored: tuple[StoredFile, ...] = ()
    vanished: tuple[tuple[bytes, str], ...] = ()
    """(place, file name) of objects that the page no longer names."""
    settles: bool = False
    """The page's serial is final: upstream was asked for a day, or has provably gone back."""
    bytes_fetched: int = 0
    sidecars_untold: int = 0
    """Wheels for which the index does not say whether they have a sidecar."""
    sidecars_lost: int = 0
    """Sidecars that the index advertises but does not have."""


class Confirmed(msgspec.Struct, frozen=True):
    """Upstream answered 304: the page is up to date."""

    name: ProjectName
    content_serial: Serial
    """The newest row that can change a page, when upstream was asked. The outcome does not cover later rows."""


class Removed(msgspec.Struct, frozen=True):
    """Two witnesses confirm that the project is gone; its page is no longer served."""

    name: ProjectName
    reason: str
    wanted_serial: Serial | None
    """The newest row when upstream was asked. The outcome does not cover later rows; None covers all."""


Shared = Literal["outage", "space"]
"""A cause that affects all projects: upstream is unreachable, or the disk is nearly full."""


class Failed(msgspec.Struct, frozen=True):
    """The project keeps its page and is retried after `delay` seconds."""

    name: ProjectName
    error: str
    hint: str
    delay: float | None
    """Seconds; None for the back-off of the state."""
    reason: Reason = "other"
    waits_for: Shared | None = None
    """The shared cause; the project is retried early once it is over. None where `delay` alone counts."""


Outcome = Mirrored | Confirmed | Removed | Failed
