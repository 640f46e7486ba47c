"""A project's page in the simple index, and requests for it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.identity import ProjectName, Serial

NO_KEYS: Final[Mapping[str, Any]] = MappingProxyType({})


# gc=False: these structs are frozen and hold JSON values, so they are part of no cycle, and a page has thousands.
class Hashes(msgspec.Struct, frozen=True, gc=False):
    """A file's digests. mirrorsync verifies `sha256`, and passes on `others` unverified."""

    sha256: bytes
    others: tuple[tuple[str, str], ...] = ()
    """(algorithm, hex digest) pairs other than sha256, sorted."""


class DistFile(msgspec.Struct, frozen=True, gc=False):
    """One distribution file of a project. Source: PEP 503, 592, 658, 691, 700, 714, 740."""

    filename: str
    place: bytes
    """The 32 bytes that determine the path: the digest in PyPI's URL (blake2b-256), else the sha256."""
    url: str
    """Upstream's URL; a relative one is resolved against the page."""
    size: int | None
    """Bytes; None where the index does not say (before PEP 700)."""
    hashes: Hashes
    requires_python: str | None = None
    core_metadata: bytes | None = None
    """sha256 of the `.metadata` sidecar; None where there is none, or the index gives no digest."""
    yanked: bool | str = False
    """False, True, or the reason (PEP 592, 691)."""
    upload_time: str | None = None
    """As upstream writes it: `YYYY-MM-DDTHH:MM:SS[.ffffff]Z`."""
    provenance: str | None = None
    extra: Mapping[str, Any] = NO_KEYS
    """Keys that this version does not know. They are written to the JSON page."""


class ProjectPage(msgspec.Struct, frozen=True):
    """A project's page. Source: PEP 691, 700, 792."""

    name: ProjectName
    serial: Serial | None
    """The serial in the page; None from an index without serials."""
    status: str = "active"
    """`active`, `archived`, `quarantined`, `deprecated`, or a value of a later standard."""
    status_reason: str | None = None
    versions: tuple[str, ...] = ()
    files: tuple[DistFile, ...] = ()
    extra: Mapping[str, Any] = NO_KEYS
    """Unknown top-level keys."""
    meta_extra: Mapping[str, Any] = NO_KEYS
    """Unknown keys of `meta`."""
    etag: str | None = None
    """The validator of the response."""
    sidecars_untold: int = 0
    """Wheels without any metadata key, which some proxies drop: whether they have a sidecar is unknown."""
    later_version: str | None = None
    """The page's `api-version`, where it is later than the latest known one (PEP 629)."""


class Unchanged(msgspec.Struct, frozen=True):
    """Upstream answered 304: the page that the mirror holds is up to date."""

    name: ProjectName


class PageRequest(msgspec.Struct, frozen=True):
    """A request for one project's page."""

    name: ProjectName
    at_least: Serial
    """A page with an older serial is stale: a cache is behind the index."""
    etag: str | None = None
    """The validator of the page that the mirror holds; without it the outcome is never `Unchanged`."""
    attempt: int = 0
    """Number of earlier stale pages; each further request asks the caches for another variant."""


class PageResult(msgspec.Struct, frozen=True):
    """The final outcome of one request, after its retries."""

    request: PageRequest
    outcome: ProjectPage | Unchanged | MirrorsyncError
