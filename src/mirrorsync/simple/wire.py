"""PEP 691's JSON as typed values: exactly what PyPI writes.

`parse_page` reads a body of that shape in one typed pass; what differs from it is tidied into it by
`tolerance.py`, so that both ways end in the same values and the same checks.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

_VERSION: Final = re.compile(r"([0-9]{1,9})\.[0-9]{1,9}").fullmatch

API_VERSION: Final = "1.4"
"""The version that our pages conform to, and the latest that we know of upstream's. Source: PEP 629, 700, 792."""
NAME_SHOWN: Final = 255
"""Characters of a file's name in a message: upstream must not choose how long our log gets."""

Size = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
"""Bytes, at most 1 TiB: a thousand times what PyPI takes; what promises more is a lie, and no want of room."""


class Unfit(Exception):  # noqa: N818 -- a fact inside the decoder; `decode_page` makes it the operator's Malformed
    """Why a page cannot be taken, in an operator's words."""


# gc=False: these hold nothing that could lead back to them, and a page has tens of thousands of them.
class WireDigest(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The digest by which mirrorsync verifies."""

    sha256: str | None = None


WireMetadata = WireDigest | bool | UnsetType | None


class WireFile(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, rename="kebab"):
    """One entry of `files`. Source: PEP 691, 700, 714, 740."""

    filename: str
    url: str
    hashes: WireDigest
    requires_python: str | None = None
    size: Size | None = None
    upload_time: str | None = None
    yanked: bool | str | None = False
    core_metadata: WireMetadata = UNSET
    data_dist_info_metadata: WireMetadata = UNSET
    dist_info_metadata: WireMetadata = UNSET
    provenance: str | None = None


class WireMeta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`meta`. Source: PEP 629, 691; PyPI for the serial, which some mirrors write as text."""

    api_version: str = msgspec.field(name="api-version")
    last_serial: int | str | None = msgspec.field(name="_last-serial", default=None)


class WireStatus(msgspec.Struct, frozen=True):
    """`project-status`. Source: PEP 792."""

    status: str | None = None
    reason: str | None = None


class WireHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """All of a page but its files. Source: PEP 691, 700, 792."""

    meta: WireMeta
    name: str
    project_status: WireStatus | None = None
    versions: list[str] | None = None


class WirePage(WireHead, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A page of PyPI's shape. `files` has no default: its absence must never be taken for "no files"."""

    files: list[WireFile]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A file of the page, with what PyPI's shape has no room for."""

    file: WireFile
    other_hashes: tuple[tuple[str, str], ...] = ()
    extra: Mapping[str, Any] | None = None
    """Unknown keys; None where there are none."""


class Parsed(msgspec.Struct, frozen=True):
    """A page as it came, whatever its shape."""

    head: WireHead
    entries: Iterable[Entry]
    """To be iterated once; raises Unfit where an entry is at fault."""
    extra: Mapping[str, Any] = {}
    meta_extra: Mapping[str, Any] = {}


def keys_of(*wires: type[msgspec.Struct]) -> frozenset[str]:
    """Return the JSON keys that these types know."""
    return frozenset(key for wire in wires for key in wire.__struct_encode_fields__)


def is_later(version: str) -> bool:
    """Tell whether `version`, which was not refused, is later than what this mirrorsync knows (PEP 629: warn)."""
    return int(version.partition(".")[2]) > int(API_VERSION.partition(".")[2])


def refuse_version(version: object) -> None:
    """Source: PEP 629: a greater major version must not be guessed at, a greater minor one may be read.

    Raises: Unfit, when it is no version, or one whose major number is not 1.
    """
    match = _VERSION(version) if isinstance(version, str) else None
    if match is None:
        raise Unfit("`meta` has no `api-version` of the form 1.4")
    if int(match[1]) != 1:
        raise Unfit(f"its api-version is {match[0]}, and this mirrorsync reads 1.x")
