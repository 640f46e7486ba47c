"""PEP 691's JSON as typed values, in exactly the form that PyPI writes."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from mirrorsync.model.page import NO_KEYS

_VERSION: Final = re.compile(r"([0-9]{1,9})\.[0-9]{1,9}").fullmatch

API_VERSION: Final = "1.4"
"""The version that our pages conform to, and the latest that this program knows. Source: PEP 629, 700, 792."""
_SHOWN_NAME: Final = 255
"""Characters of a file name in a message, so that upstream cannot bloat the log."""
_DEPTH_MAX: Final = 32
"""Nesting levels of an unknown value: it is later written from a deeper stack than it was read on."""

Size = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
"""Bytes, at most 1 TiB: a thousand times PyPI's limit."""
OtherHashes = tuple[tuple[str, str], ...]
"""(algorithm, hex digest) pairs other than sha256, sorted."""


class Unfit(Exception):  # noqa: N818 -- internal to the decoder; `decode_page` turns it into the operator's Malformed
    """Why a page cannot be used, in an operator's words."""


# gc=False: these structs are frozen and made from JSON, so they are part of no cycle, and a page has thousands.
class WireHashes(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`hashes`. sha256 is the digest that mirrorsync verifies."""

    sha256: str | None = None


class WireMetadata(msgspec.Struct, frozen=True, gc=False):
    """The digest of a metadata sidecar. Only a sha256 counts."""

    sha256: str | None = None


MetadataValue = WireMetadata | bool | UnsetType | None


class WireFile(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, rename="kebab"):
    """One entry of `files`. Source: PEP 691, 700, 714, 740."""

    filename: str
    url: str
    hashes: WireHashes
    requires_python: str | None = None
    size: Size | None = None
    upload_time: str | None = None
    yanked: bool | str | None = False
    core_metadata: MetadataValue = UNSET
    data_dist_info_metadata: MetadataValue = UNSET
    dist_info_metadata: MetadataValue = UNSET
    provenance: str | None = None
    gpg_sig: Any = None
    """Ignored: a mirror without signatures must not advertise them."""


class WireMeta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`meta`. Source: PEP 629, 691; PyPI for the serial, which some mirrors write as text."""

    api_version: str = msgspec.field(name="api-version")
    last_serial: int | str | None = msgspec.field(name="_last-serial", default=None)


class WireStatus(msgspec.Struct, frozen=True):
    """`project-status`. Source: PEP 792."""

    status: str | None = None
    reason: str | None = None


class WireHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A page without its files. Source: PEP 691, 700, 792."""

    meta: WireMeta
    name: str
    project_status: WireStatus | None = None
    versions: list[str] | None = None


class WirePage(WireHead, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A page. `files` has no default: a page without the key must never count as a page without files."""

    files: list[WireFile]


class Parsed(msgspec.Struct, frozen=True):
    """A page with its unknown keys apart."""

    head: WireHead
    entries: Iterable[tuple[WireFile, OtherHashes, Mapping[str, Any]]]
    """Each file with its other hashes and unknown keys. Iterate once; raises Unfit at an invalid entry."""
    extra: Mapping[str, Any] = NO_KEYS
    meta_extra: Mapping[str, Any] = NO_KEYS


def keys_of(wire: type[msgspec.Struct]) -> frozenset[str]:
    """Return the JSON keys of `wire`."""
    return frozenset(wire.__struct_encode_fields__)


def is_later(version: str) -> bool:
    """Return whether `version`, a valid 1.x, is later than API_VERSION (PEP 629: warn the user)."""
    return version != API_VERSION and int(version.partition(".")[2]) > int(API_VERSION.partition(".")[2])


def refuse_version(version: object) -> None:
    """Accept 1.x only: a client must not guess at another major version. Source: PEP 629.

    Raises: Unfit.
    """
    if version == API_VERSION:
        return
    match = _VERSION(version) if isinstance(version, str) else None
    if match is None:
        raise Unfit("`meta` has no `api-version` of the form 1.4")
    if int(match[1]) != 1:
        raise Unfit(f"its api-version is {match[0]}, and this mirrorsync reads 1.x")


def is_deep(extra: Mapping[str, Any]) -> bool:
    """Return whether a value among the unknown keys nests too deeply."""
    return bool(extra) and _is_deeper(extra.values(), _DEPTH_MAX)


def refuse_deep(extra: Mapping[str, Any]) -> None:
    """Raise Unfit when `extra` is deep."""
    if is_deep(extra):
        raise Unfit(f"a key that this version does not know has more than {_DEPTH_MAX} levels")


def shown(filename: str) -> str:
    """Return `filename` for a message."""
    return repr(filename[:_SHOWN_NAME])


def _is_deeper(values: Iterable[Any], levels: int) -> bool:
    if levels == 0:
        return True
    for value in values:
        if isinstance(value, dict | list):
            inner = value.values() if isinstance(value, dict) else value
            if _is_deeper(inner, levels - 1):
                return True
    return False
